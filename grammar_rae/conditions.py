"""Conditions: what the decoder is told besides the code, and how training hides it.

``size`` says how many numbers a row is told; ``mask(rows, generator)`` gives them in training, where parts are
hidden at random, ``tell_order(rows)`` in validation, where nothing but the order of atoms is told, ``tell(n, values)``
what somebody asks for. ``standardise(rows)`` are the standardised values that a head may be asked to predict.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.facts import PROPERTY_NAMES, SCALES, Described, Facts

FARTHEST = 6.0
"""Standardised values are cut off here: an outlier shall not drown the others."""


class Condition(nn.Module):
    """What a decoder may be told; by itself, nothing."""

    needs_facts: ClassVar[bool] = False
    names: tuple[str, ...] = ()
    size = 0

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """By the name of each property that can be told, the range that the data have."""
        return {}

    def adopt(self, facts: Facts) -> None:
        """Take what training needs to know of the data set's facts."""

    def mask(self, rows: Described, generator: torch.Generator | None = None) -> Tensor:
        """What the decoder is told of each row in training: (B, size)."""
        return torch.zeros(len(rows.x), self.size, device=rows.x.device)

    def tell_order(self, rows: Described) -> Tensor:
        """What the decoder is told of each row in validation: (B, size)."""
        return torch.zeros(len(rows.x), self.size, device=rows.x.device)

    def tell(self, n: int, values: Mapping[str, Tensor | float] | None = None, reordered: bool = False) -> Tensor:
        """What to tell the decoder for n rows: (n, size).

        Raises
        ------
        InputError
            For values that this model's decoder cannot be told.
        """
        if values or reordered:
            raise InputError(
                "this model's decoder is told nothing but the code",
                received=", ".join(values or ()) or "another order of atoms",
                remedy="Train with the condition properties.",
            )
        return torch.zeros(n, 0)

    def standardise(self, rows: Described) -> Tensor:
        """Standardised values (B, K), NaN where not known."""
        return torch.zeros(len(rows.x), 0, device=rows.x.device)


class NoCondition(Condition):
    """Nothing is told."""


class Properties(Condition):
    r"""Properties of the row, each with a mask, and whether its order of atoms is the canonical one.

    The decoder sees :math:`(m \odot x, m, r)` with standardised values x (K,), a mask m of those that are told, and a
    mark r: 2 K + 1 numbers. In training nothing is told of a share of the rows; of another share one of the known
    properties alone, as somebody would ask for it; and of all others each known one with probability u, uniform and
    drawn anew for each row.

    Parameters
    ----------
    names
        Of the K properties, which the data set must know.
    none, alone
        The share of rows of which no property is told, and the share of the others of which one alone is.
    jitter
        The standard deviation of what is added to told values in training, in that of the data: somebody who asks for a
        property hardly names a value that some molecule has to the last digit.
    """

    needs_facts = True
    mean: Tensor
    deviation: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(
        self, names: Sequence[str] = PROPERTY_NAMES, none: float = 0.3, alone: float = 0.5, jitter: float = 0.0
    ) -> None:
        super().__init__()
        self.names = tuple(names)
        if not self.names or len(set(self.names)) < len(self.names) or not all(type(one) is str for one in self.names):
            raise InputError("properties need names, each once", received=repr(names))
        for name, share in (("none", none), ("alone", alone), ("jitter", jitter)):
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                what = "a deviation" if name == "jitter" else "a share of rows"
                raise InputError(f"{name} is {what}", received=repr(share), expected="0 to 1")
        self.none, self.alone, self.jitter = none, alone, jitter
        self.size = 2 * len(self.names) + 1
        for scale in SCALES:  # buffers, so that they travel with the weights
            self.register_buffer(scale, torch.zeros(len(self.names)))
        self.deviation.fill_(1)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """By the name of each property, the range that the data have."""
        return dict(zip(self.names, zip(self.lowest.tolist(), self.highest.tolist(), strict=True), strict=True))

    def adopt(self, facts: Facts) -> None:
        """Take the scales of a data set's properties.

        Raises
        ------
        InputError
            When the data set does not know just these properties, in this order.
        """
        if facts.names != self.names:
            raise InputError(
                "the data set knows other properties than the model is told",
                received=", ".join(facts.names),
                expected=", ".join(self.names),
            )
        for scale in SCALES:
            getattr(self, scale).copy_(torch.tensor(facts.scales[scale], dtype=torch.float32))

    def standardise(self, rows: Described) -> Tensor:
        """Standardised values (B, K), NaN where not known."""
        return self._standardise(rows.properties)

    def mask(self, rows: Described, generator: torch.Generator | None = None) -> Tensor:
        """What the decoder is told of each row in training: (B, 2 K + 1)."""
        values = self.standardise(rows)

        def uniform(columns: int) -> Tensor:
            return torch.rand(len(values), columns, generator=generator, device=values.device)

        chosen = uniform(len(self.names)) < uniform(1)
        one = uniform(len(self.names)).masked_fill(values.isnan(), -1).argmax(dim=1, keepdim=True)
        single = torch.zeros_like(chosen).scatter(1, one, True)
        chosen = torch.where(uniform(1) < self.alone, single, chosen) & (uniform(1) >= self.none)
        if self.jitter:
            noise = torch.randn(values.shape, generator=generator, device=values.device)
            values = values + self.jitter * noise
        return self._join(values, chosen, rows.reordered)

    def tell_order(self, rows: Described) -> Tensor:
        """What the decoder is told of each row in validation, its order of atoms: (B, 2 K + 1)."""
        values = self.standardise(rows)
        return self._join(values, torch.zeros_like(values, dtype=torch.bool), rows.reordered)

    def tell(self, n: int, values: Mapping[str, Tensor | float] | None = None, reordered: bool = False) -> Tensor:
        """What to tell the decoder for n rows: (n, 2 K + 1).

        Parameters
        ----------
        values
            Name -> the value asked for, one or n of them, as the property itself has it; NaN asks for nothing.
        reordered
            Whether any order of atoms may be written.

        Raises
        ------
        UnknownNameError
            For a property that the decoder is not told.
        """
        device = self.mean.device
        table = torch.full((n, len(self.names)), torch.nan, device=device)
        for name, value in (values or {}).items():
            if name not in self.names:
                raise UnknownNameError("property", name, self.names, "the condition's names")
            table[:, self.names.index(name)] = torch.as_tensor(value, dtype=torch.float32, device=device)
        marks = torch.full((n,), reordered, device=device)
        return self._join(self._standardise(table), torch.ones_like(table, dtype=torch.bool), marks)

    def _standardise(self, values: Tensor) -> Tensor:
        return ((values - self.mean) / self.deviation).clamp(-FARTHEST, FARTHEST)  # NaN stays NaN

    def _join(self, values: Tensor, chosen: Tensor, reordered: Tensor) -> Tensor:
        chosen = chosen & ~values.isnan()
        return torch.cat([values.masked_fill(~chosen, 0), chosen.float(), reordered.float().unsqueeze(1)], dim=1)


CONDITIONS: dict[str, type[Condition]] = {"none": NoCondition, "properties": Properties}
"""What the decoder is told: ``Condition(**options)``."""
