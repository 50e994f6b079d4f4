"""Two opinions of one decoder: with what it is told, and without."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from grammar_rae.decoding.sampling import StepDecoder


class GuidedState(NamedTuple):
    """The states of both."""

    told: Any
    untold: Any

    def rows(self, keep: Tensor) -> "GuidedState":
        """The states of some rows."""
        return GuidedState(self.told.rows(keep), self.untold.rows(keep))


class Guided:
    r"""A decoder that follows what it is told more than it would by itself.

    This is guidance without a classifier (Ho and Salimans, 2022): its logits are :math:`\ell_\mathrm{untold} +
    (1 + g) (\ell_\mathrm{told} - \ell_\mathrm{untold})`, and each step takes two steps of the decoder.

    Parameters
    ----------
    decoder
        A decoder that works step by step and was trained with and without being told.
    untold
        What it sees (B, D) of the same codes when it is told nothing.
    guidance
        g, 0 or more: 0 is the decoder itself.
    """

    def __init__(self, decoder: StepDecoder[Any], untold: Tensor, guidance: float) -> None:
        self.decoder, self.untold, self.guidance = decoder, untold, guidance

    def begin(self, z: Tensor) -> GuidedState:
        """The states before the first step, from z (B, D)."""
        return GuidedState(self.decoder.begin(z), self.decoder.begin(self.untold))

    def step(self, state: GuidedState, previous: Tensor | None, lhs: Tensor) -> tuple[Tensor, GuidedState]:
        """One step of both: logits (B, R) and the next states."""
        told, next_told = self.decoder.step(state.told, previous, lhs)
        untold, next_untold = self.decoder.step(state.untold, previous, lhs)
        return torch.lerp(untold, told, 1 + self.guidance), GuidedState(next_told, next_untold)
