"""A training that begins with the weights of an earlier one, though with other macros and a wider code."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from grammar_rae.checkpoint import exists, load
from grammar_rae.codecs import codec_from_dict
from grammar_rae.model import TextModel
from grammar_rae.regularizers import NoiseConditioned


def warm(model: TextModel, codec: Any) -> None:
    """Begin with the weights of the model in the box; the rows of a new macro are the means of those of its parts."""
    meta, groups = load(Path(__file__).parent / "models" / "moses")
    old, new = codec_from_dict(meta["codec"]), codec
    starts, flat = new.macros.expansions
    names = {(p.lhs, p.rhs): i for i, p in enumerate(old.grammar.productions)}
    same = np.array([names[(p.lhs, p.rhs)] for p in new.grammar.productions], dtype=np.int32)
    parts, offsets = old.macros.encode(same[flat], starts)
    weights = {name: value.float() for name, value in groups["weights"].items()}
    present = model.autoencoder_.state_dict()

    def spread(table: torch.Tensor) -> torch.Tensor:
        rows = [table[parts[a:b].astype(np.int64)].mean(0) for a, b in pairwise(offsets)]
        return torch.stack(rows + ([table[-1]] if len(table) == old.rules.size + 1 else []))

    for name, value in weights.items():
        if name.endswith("logits.weight") or name.endswith("logits.bias"):
            continue
        mine = present[name]
        if value.shape == mine.shape:
            present[name] = value
        elif len(value) == old.rules.size + 1 and value.shape[1:] == mine.shape[1:]:
            present[name] = spread(value)
        elif name.startswith("encoder.dense"):  # more dimensions of z: those that are new stay as they are
            mine[: len(value)] = value
        else:  # they say nothing to the decoder yet, and neither does what it is told
            latent = meta["recipe"]["latent"]
            mine.zero_()[:, :latent] = value[:, :latent]
            start = model.recipe_.latent
            mine[:, start : start + value.shape[1] - latent] = value[:, latent:]
    firsts = [int(parts[a]) for a in offsets[:-1]]  # a macro is as likely as its first part, more or less
    left, scale, right = torch.linalg.svd(weights["decoder.logits.weight"][firsts], full_matrices=False)
    rank = len(present["decoder.logits.0.weight"])
    root = scale[:rank].sqrt()
    present["decoder.logits.0.weight"] = root[:, None] * right[:rank]
    present["decoder.logits.1.weight"] = left[:, :rank] * root
    present["decoder.logits.1.bias"] = weights["decoder.logits.bias"][firsts]
    model.autoencoder_.load_state_dict(present)


def begin(autoencoder: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Take the weights of an earlier run; a path that it had not says nothing yet."""
    missing, unexpected = autoencoder.load_state_dict(weights, strict=False)
    new = {"decoder.contributions", "decoder.from_remaining.weight"}  # the first was just estimated
    if unexpected or not set(missing) <= new:
        raise SystemExit(f"the run's weights are of other nets: {[*unexpected, *missing]}")
    if "decoder.from_remaining.weight" in missing:
        torch.nn.init.zeros_(autoencoder.decoder.from_remaining.weight)


class Warm(TextModel):
    """A model whose training begins with the weights of ``start``, a saved model or a run (the averaged ones if any).

    Without one it begins with those of the bundled ``moses``. ``levels`` are options of the noise that hold for this
    training alone: the model keeps its recipe's.
    """

    start: Path | None = None
    levels: Mapping[str, float] = MappingProxyType({})

    def _learn(self, draft: Any, sets: Any, *others: Any) -> None:
        self.fitted_ = draft
        if self.start is None:
            warm(self, draft.codec)
        else:
            _, groups = load(self.start / "state" if exists(self.start / "state") else self.start)
            weights = groups.get("average", groups["weights"])  # not every recipe averages
            weights = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
            begin(draft.autoencoder, weights)  # with the scales that they were trained with
        if self.levels:  # made anew, so that they are checked
            draft.autoencoder.regularizer = NoiseConditioned(**draft.recipe.regularizer_options | self.levels)
        super()._learn(draft, sets, *others)
