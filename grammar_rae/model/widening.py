"""The weights of a trained model for a codec that has further tokens."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor

from grammar_rae.codecs import GrammarCodec
from grammar_rae.errors import InputError


def widen(
    weights: Mapping[str, Tensor], shapes: Mapping[str, Tensor], known: GrammarCodec, longer: GrammarCodec
) -> dict[str, Tensor]:
    """Weights for ``longer``, an extension of ``known``, that do for known tokens what they did before.

    A further token stands for a run of known ones and begins as their mean, where a net reads it and where one predicts
    it. (To begin as the first of them where it is predicted costs half a nat a molecule more before any training.)
    What it contributes to properties is what its parts do.

    Parameters
    ----------
    weights
        The trained state, by name.
    shapes
        The state of untrained nets that were built for ``longer``.
    known, longer
        The two codecs; see :meth:`GrammarCodec.extend`.

    Raises
    ------
    InputError
        For nets whose weights cannot take further tokens.
    """
    size, added = known.rules.size, longer.rules.size - known.rules.size
    parts = spell_in(known, longer)
    wider = {}
    for name, target in shapes.items():
        value = weights[name]
        if value.shape == target.shape:
            wider[name] = value
            continue
        if value.shape[1:] != target.shape[1:] or target.shape[0] - value.shape[0] != added or value.shape[0] < size:
            raise InputError(
                "the nets of this model cannot take further tokens",
                received=f"{name} of shape {tuple(value.shape)}",
                expected=f"shape {tuple(target.shape)}",
                remedy="Adapt it without extending its codec.",
            )
        combine = torch.sum if name.endswith("contributions") else torch.mean
        new = [combine(value[list(part)], dim=0, keepdim=True) for part in parts]
        # What is read may have one more row, for the step before the first token or for padding; it stays the last.
        wider[name] = torch.cat([value[:size], *new, value[size:]])
    return wider


def spell_in(known: GrammarCodec, longer: GrammarCodec) -> list[tuple[int, ...]]:
    """Each further token of ``longer`` in the fewest tokens of ``known``."""
    starts, flat = longer.macros.expansions
    size = known.rules.size
    tokens, ends = known.macros.encode(flat[starts[size] :], starts[size:] - starts[size])
    return [tuple(tokens[a:b].tolist()) for a, b in pairwise(ends.tolist())]
