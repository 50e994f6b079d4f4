"""A decoder that learns a few texts in a few steps, for searches: the codes of the model, and its density, stay."""

from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from grammar_rae.datasets import pad_tokens
from grammar_rae.errors import InputError
from grammar_rae.model.drawing import check_count
from grammar_rae.model.quantizing import refuse_int8
from grammar_rae.model.sources import as_texts
from grammar_rae.precision import in_single_precision

BATCH = 32
"""Texts of a step, half of them rehearsed where there are any to rehearse."""

_STEEPEST = 1.0  # the norm of a gradient


class RefiningMixin:
    """What a model of texts learns for a search."""

    def refined(
        self: Any,
        texts: Sequence[str],
        *,
        rehearsed: Sequence[str] = (),
        steps: int = 20,
        learning_rate: float = 5e-4,
        seed: int = 0,
    ) -> Any:
        """A model whose decoder has learned some texts in a few steps; this model, its codes and density stay.

        Half of each step's rows are ``rehearsed`` texts, for example draws of this model, so that little is forgotten.
        For more than a few steps, adapt a model by :meth:`TextModel.fit` with ``start=``.

        Raises
        ------
        InputError
            For texts none of which the codec accepts, or numbers that cannot be used.
        """
        return refine(self, texts, rehearsed, steps, learning_rate, seed)


@in_single_precision
def refine(
    model: Any, texts: Sequence[str], rehearsed: Sequence[str], steps: int, learning_rate: float, seed: int
) -> Any:
    """A model like another one, whose decoder has learned some texts: see :meth:`TextModel.refined`."""
    refuse_int8(model.autoencoder_, "refined")
    batch = model.codec.encode_batch(as_texts([*texts, *rehearsed]))
    refused = {index for index, _ in batch.rejected}
    n = sum(index not in refused for index in range(len(texts)))
    if not n:
        raise InputError("there is nothing to learn", received=f"{len(texts)} texts, none of which the codec accepts")
    check_count("steps", steps, "steps")
    if isinstance(learning_rate, bool) or not isinstance(learning_rate, int | float) or not 0 < learning_rate < 1:
        raise InputError("learning_rate cannot be used", received=repr(learning_rate), expected="a number from 0 to 1")
    nets = deepcopy(model.autoencoder_).requires_grad_(False)
    nets.decoder.requires_grad_(True)
    nets.train()
    nets.encoder.eval()
    generator, rng = model._generator(seed), np.random.default_rng(seed)
    optimizer = torch.optim.Adam(nets.decoder.parameters(), lr=learning_rate)
    # What a net itself draws comes from the global generator.
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed % 2**63)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * (1 - step / steps)
            rows = _choose(n, len(batch.offsets) - 1, rng)
            x = torch.from_numpy(pad_tokens(batch.tokens, batch.offsets, rows)).to(model.device)
            optimizer.zero_grad(set_to_none=True)
            with model._autocast():
                loss = nets(x, generator).total
            loss.backward()
            torch.nn.utils.clip_grad_norm_(nets.decoder.parameters(), _STEEPEST)
            optimizer.step()
    nets.eval().requires_grad_(False)
    found = copy(model)
    found.fitted_ = replace(model.fitted_, autoencoder=nets, dials={})
    return found


def _choose(n: int, total: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The rows of a step: of the first n, which are learned, and of the others, which are rehearsed."""
    count = BATCH // 2 if total > n else BATCH
    return np.concatenate([rng.integers(n, size=count), rng.integers(n, max(total, n + 1), size=BATCH - count)])
