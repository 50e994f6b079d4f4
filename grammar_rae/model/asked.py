"""What somebody asks of draws: properties, as values or ranges that each row draws from, and a window of scores."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grammar_rae.conditions import Condition
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.heads import Head, LinearHead
from grammar_rae.model.echoing import find_readers
from grammar_rae.scores.windows import Window

TOLERANCE = 0.25
"""How far a molecule may be from a value that was asked for, in standard deviations of the data."""


class Asked:
    """Properties that are asked for of a model's molecules.

    Parameters
    ----------
    properties
        Name -> a value, or (lowest, highest).
    condition, head
        What the model's decoder is told, and how its codes are read.
    window
        A condition that molecules must fulfil. Of the properties that it bounds, those that the decoder is told and
        that are not asked for themselves are asked for, too.
    substructures
        What molecules must contain and must not: :class:`grammar_rae.chem.substructures.Substructures`, or None.

    Raises
    ------
    InputError
        For a model whose decoder is told no properties, or values that are no finite numbers, contradict each other or
        lie outside the data's range.
    UnknownNameError
        For a property that the decoder is not told.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        condition: Condition,
        head: Head,
        window: Window | None = None,
        substructures: Any = None,
    ) -> None:
        if not isinstance(properties, Mapping):
            raise InputError("properties must be a mapping", received=repr(properties), expected='{"logp": 2.5}')
        self.window, self.substructures = window, substructures
        if properties and not condition.names:
            raise InputError(
                "this model's decoder is told no properties",
                received=", ".join(map(str, properties)),
                remedy="Use the bundled model molecules, or train with the condition properties.",
            )
        self.condition, self.head = condition, head
        self.ranges = {name: self._read(name, value) for name, value in properties.items()}
        self.wanted = dict(self.ranges)
        for name, (low, high) in ({} if window is None else window.ranges).items():
            if low > high:
                raise InputError(
                    f"the window contradicts itself: no {name} is in it", received=repr(window.text if window else "")
                )
            if name in condition.names and name not in self.ranges:
                lowest, highest = condition.ranges[name]
                if max(low, lowest) <= min(high, highest):
                    self.ranges[name] = (max(low, lowest), min(high, highest))

    def _read(self, name: str, value: Any) -> tuple[float, float]:
        if name not in self.condition.names:
            raise UnknownNameError("property", name, self.condition.names, "model.property_ranges_")
        ends = value if isinstance(value, tuple | list) else (value, value)
        numbers = len(ends) == 2 and all(
            isinstance(end, int | float | np.integer | np.floating) and not isinstance(end, bool) and math.isfinite(end)
            for end in ends
        )
        if not numbers or ends[0] > ends[1]:
            raise InputError(
                f"{name} cannot be asked for", received=repr(value), expected="a number, or (lowest, highest)"
            )
        lowest, highest = self.condition.ranges[name]
        if ends[1] < lowest or ends[0] > highest:
            raise InputError(
                f"{name} lies outside of what the model was trained on",
                received=repr(value),
                expected=f"{lowest:.4g} to {highest:.4g}",
            )
        return float(ends[0]), float(ends[1])

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """A value of each property for n rows, from a normal with the data's mean and deviation, cut to its range."""
        found = {}
        for name, (low, high) in self.ranges.items():
            column = self.condition.names.index(name)
            mean, deviation = (float(getattr(self.condition, scale)[column]) for scale in ("mean", "deviation"))
            share = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
            ends = torch.tensor([low, high], dtype=torch.float64, device=share.device)
            first, last = torch.special.ndtr((ends - mean) / deviation)
            value = mean + deviation * torch.special.ndtri(first + (last - first) * share)
            found[name] = value.clamp(low, high).float()
        return found

    def judge(self, text: str) -> tuple[bool, float]:
        """Whether a valid molecule has what was asked for, and how far it is from it.

        It has it within each range, or near each value, if it keeps the rest, too. How far is a distance, in standard
        deviations of the data: 0 within each range.
        """
        from grammar_rae.chem.properties import properties

        values = properties(text, tuple(self.wanted)) if self.wanted else ()
        misses = [
            max(low - value, value - high, 0.0) for value, (low, high) in zip(values, self.wanted.values(), strict=True)
        ]
        near = all(miss <= room for miss, room in zip(misses, self._rooms(), strict=True))
        near = near and (self.window is None or self.window.has(text))
        has = near and (self.substructures is None or self.substructures.has(text))
        return has, math.hypot(*(miss / scale for miss, scale in zip(misses, self._deviations(), strict=True)))

    def _rooms(self) -> list[float]:
        """How far from each value or range that was asked for a molecule may be."""
        return [
            TOLERANCE * scale if low == high else 0.0
            for scale, (low, high) in zip(self._deviations(), self.wanted.values(), strict=True)
        ]

    def _deviations(self) -> list[float]:
        """The data's standard deviation of each property that was asked for."""
        columns = [self.condition.names.index(name) for name in self.wanted]
        return [float(self.condition.deviation[column]) for column in columns]  # type: ignore[index]

    def tell(self, values: Mapping[str, Tensor]) -> Tensor:
        """What the decoder is told of values of the properties (n,) each: (n, size)."""
        return self.condition.tell(len(next(iter(values.values()))), values)

    def standardise(self, values: Mapping[str, Tensor]) -> Tensor:
        """Values of the properties (n,) each, standardised: (n, M) in the order of :attr:`columns`."""
        return self.tell(values)[:, self.columns]

    def readers(self) -> tuple[Tensor, Tensor] | None:
        """W (M, D) and b (M,), by which the standardised properties are read from codes; None where they are not."""
        if not isinstance(self.head, LinearHead):
            return None
        return find_readers(self.head, self.columns)

    def move(self, codes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the decoder is told of codes (n, D), and the codes, moved as little as makes them read so."""
        values = self.draw(len(codes), generator)
        told, readers = self.tell(values), self.readers()
        if readers is None:
            return told, codes
        weight, bias = (part.to(codes) for part in readers)
        missing = self.standardise(values).to(codes) - codes @ weight.T - bias
        return told, codes + missing @ torch.linalg.pinv(weight).T

    @property
    def columns(self) -> list[int]:
        """The places of the properties among those of the condition."""
        return [self.condition.names.index(name) for name in self.ranges]
