"""A model that draws faster on a CPU: the same one, whose decoder has weights of eight bits."""

import math
import warnings
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any

from torch import nn

from grammar_rae.errors import InputError
from grammar_rae.model.drawing import check_count
from grammar_rae.nets.int8 import has_int8, with_int8
from grammar_rae.nets.sequence import GRUDecoder

CHECKED = 500
"""Draws of each model that are compared."""

_FAR = 3.0  # standard errors


class QuantizingMixin:
    """What a model of texts does to draw faster."""

    def quantized(self: Any, check: int = CHECKED) -> Any:
        """A model like this one that draws faster on a CPU: its decoder multiplies in integers of eight bits.

        Codes, density, knobs and constraints are this model's, and what it does with a decoder (draws, analogues,
        decorations, searches) takes less time: see docs/results/scale.md. Draws of one seed are others than this
        model's, and depend, by rounding, on how many are drawn at once. The model found cannot be saved or trained.

        Parameters
        ----------
        check
            How many draws of each model are compared, by one seed; 0 for none.

        Returns
        -------
        TextModel

        Warns
        -----
        UserWarning
            When fewer of its draws are valid, by more than chance explains.

        Raises
        ------
        InputError
            For a decoder that is not a recurrent one, or a model on an accelerator.

        Examples
        --------
        >>> import grammar_rae
        >>> model = grammar_rae.load("expressions").quantized()
        >>> len(model.sample(10, seed=0))
        10
        """
        self._check_trained()
        nets = self.autoencoder_
        if has_int8(nets):
            return self
        if not isinstance(nets.decoder, GRUDecoder):
            raise InputError(
                "only a recurrent decoder can have weights of eight bits", received=type(nets.decoder).__name__
            )
        if self.device.type != "cpu":
            raise InputError(
                "weights of eight bits are for the CPU",
                received=f"a model on {self.device}",
                remedy="Load the model anew, or draw on the accelerator as it is.",
            )
        if check:
            check_count("check", check, "draws")
        fast = deepcopy(nets)
        fast.decoder = with_int8(nets.decoder)
        found = copy(self)
        found.fitted_ = replace(self.fitted_, autoencoder=fast, dials={})
        if check:
            _compare(self, found, check)
        return found


def refuse_int8(nets: nn.Module, what: str) -> None:
    """Raise where some weights have eight bits, for ``what`` needs those that they were rounded from."""
    if has_int8(nets):
        raise InputError(
            f"a model with weights of eight bits cannot be {what}",
            remedy="Use the model that it was made from by quantized().",
        )


def _compare(model: Any, found: Any, n: int) -> None:
    before, after = (one.sample(n, valid_only=False, seed=0).validity for one in (model, found))
    error = math.sqrt(max(before * (1 - before), 1 / n) * 2 / n)
    if before - after > _FAR * error:
        warnings.warn(
            f"with weights of eight bits {after:.1%} of {n} draws are valid, {before:.1%} with its own; draw with the "
            "model as it is where that matters",
            stacklevel=3,
        )
