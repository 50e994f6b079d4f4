r"""Desirabilities: what a value is worth, from 0 to 1, and the means that join several of them.

``TRANSFORMS`` has the functions of one value, each a class whose fields are its parameters; they take and return arrays
and leave nan as it is. The sigmoids are those of REINVENT (Loeffler et al., J. Cheminform. 16, 2024), parameter by
parameter. ``MEANS`` has the weighted means.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError, UnknownNameError

Array = NDArray[np.float64]

GOOD = 0.9
"""The share of its highest desirability from which on a value is one to ask for."""


class Transform(Protocol):
    """Values (N,) -> desirabilities (N,), from 0 to 1; nan where there is no value."""

    def __call__(self, values: Array) -> Array:
        """The desirabilities of values."""
        ...


def _decades(power: Array) -> Array:
    r""":math:`1 / (1 + 10^{-p})`, also where the power overflows."""
    from scipy.special import expit

    return np.asarray(expit(math.log(10) * power), np.float64)


@dataclass(frozen=True)
class Linear:
    """0 up to ``low``, 1 from ``high`` on, straight between; with ``low`` above ``high`` it falls."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low == self.high:
            raise InputError("low and high are the same", received=self.low, expected="two numbers")

    def __call__(self, values: Array) -> Array:
        """The desirabilities of values."""
        return np.clip((values - self.low) / (self.high - self.low), 0, 1)


@dataclass(frozen=True)
class Sigmoid:
    r""":math:`1 / (1 + 10^{-10 k (x - m) / (h - l)})`, m the middle of l (``low``) and h (``high``)."""

    low: float
    high: float
    k: float = 0.5
    sign: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)
        _check_positive("k", self.k)

    def __call__(self, values: Array) -> Array:
        """The desirabilities of values."""
        middle = (self.low + self.high) / 2
        return _decades(self.sign * 10 * self.k * (values - middle) / (self.high - self.low))


@dataclass(frozen=True)
class ReverseSigmoid(Sigmoid):
    """1 less the :class:`Sigmoid`: for values that should be small."""

    sign: ClassVar[float] = -1.0


@dataclass(frozen=True)
class DoubleSigmoid:
    r"""High between ``low`` and ``high``: :math:`s(c_e (x - l) / d) - s(c_i (x - h) / d)`.

    There :math:`s(p) = 1 / (1 + 10^{-p})`, d is ``coef_div``, :math:`c_e` is ``coef_se`` (of the rising side) and
    :math:`c_i` is ``coef_si`` (of the falling one).
    """

    low: float
    high: float
    coef_div: float = 100.0
    coef_si: float = 150.0
    coef_se: float = 150.0

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)
        for name in ("coef_div", "coef_si", "coef_se"):
            _check_positive(name, getattr(self, name))

    def __call__(self, values: Array) -> Array:
        """The desirabilities of values."""
        rise = _decades(self.coef_se * (values - self.low) / self.coef_div)
        fall = _decades(self.coef_si * (values - self.high) / self.coef_div)
        return np.clip(rise - fall, 0, 1)


@dataclass(frozen=True)
class Step:
    """1 from ``low`` to ``high``, both included, else 0; either end may be left out."""

    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if self.low == -math.inf and self.high == math.inf:
            raise InputError("a step needs a low or a high end", received="neither")
        if self.low > self.high:
            _check_order(self.low, self.high)

    def __call__(self, values: Array) -> Array:
        """The desirabilities of values."""
        inside = ((values >= self.low) & (values <= self.high)).astype(np.float64)
        return np.where(np.isnan(values), np.nan, inside)


@dataclass(frozen=True)
class Trapezoid:
    """1 from ``low`` to ``high``; outside it falls to 0 within ``margin``, straight."""

    low: float
    high: float
    margin: float

    def __post_init__(self) -> None:
        if self.low > self.high:
            _check_order(self.low, self.high)
        _check_positive("margin", self.margin)

    def __call__(self, values: Array) -> Array:
        """The desirabilities of values."""
        missing = np.maximum(self.low - values, values - self.high)
        return np.clip(1 - missing / self.margin, 0, 1)


@dataclass(frozen=True)
class ValueMap:
    """A desirability for each of some values, and ``otherwise`` for all others."""

    values: Mapping[str, float]
    otherwise: float = 0.0
    _table: Mapping[float, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            table = {float(key): float(value) for key, value in self.values.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(
                "the values of a value map cannot be read",
                received=repr(self.values),
                expected='{"0" = 1.0, "1" = 0.5}',
            ) from error
        if not table or not all(0 <= one <= 1 for one in (*table.values(), self.otherwise)):
            raise InputError(
                "desirabilities lie between 0 and 1", received=f"{dict(self.values)}, otherwise {self.otherwise}"
            )
        object.__setattr__(self, "_table", table)

    def __call__(self, values: Array) -> Array:
        """The desirabilities of values."""
        found = np.full(np.shape(values), float(self.otherwise))
        for key, worth in self._table.items():
            found[values == key] = worth
        return np.where(np.isnan(values), np.nan, found)


def _check_order(low: float, high: float) -> None:
    if not low < high:
        raise InputError("low is not below high", received=f"{low:g} and {high:g}")


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise InputError(f"{name} cannot be used", received=value, expected="a number above 0")


TRANSFORMS: dict[str, type[Any]] = {
    "linear": Linear,
    "sigmoid": Sigmoid,
    "reverse sigmoid": ReverseSigmoid,
    "double sigmoid": DoubleSigmoid,
    "step": Step,
    "window": Trapezoid,
    "value map": ValueMap,
}
"""Transforms by their names: ``TRANSFORMS[name](**parameters)(values)``."""


def build_transform(table: Any, where: str) -> Transform:
    """The transform that a table describes: its ``kind`` and its parameters.

    Raises
    ------
    InputError
        For anything but a table, a parameter that is missing, or one that is no finite number.
    UnknownNameError
        For a kind or a parameter that does not exist.
    """
    if not isinstance(table, Mapping) or "kind" not in table:
        raise InputError(
            "a transform is a table with its kind",
            received=repr(table),
            expected='{ kind = "sigmoid", low = 5, high = 9 }',
            where=where,
        )
    kind = table["kind"]
    if not isinstance(kind, str) or kind not in TRANSFORMS:
        raise UnknownNameError(f"kind of transform in {where}", kind, TRANSFORMS)
    options = {name: value for name, value in table.items() if name != "kind"}
    found: Transform = build(TRANSFORMS[kind], options, f"the transform {kind!r} of {where}")
    return found


def build(kind: type[Any], options: Mapping[str, Any], what: str) -> Any:
    """An object of a dataclass from its fields by name, where fields of the type float get finite numbers.

    Raises
    ------
    InputError, UnknownNameError
        As :func:`build_transform`; and what the class itself refuses, with ``what`` as the place.
    """
    known = {one.name: one for one in fields(kind) if one.init}
    for name, value in options.items():
        if name not in known:
            raise UnknownNameError(f"key of {what}", name, known)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if known[name].type is float and not number:
            raise InputError(f"{name} is not a finite number", received=repr(value), where=what)
        if known[name].type is str and not isinstance(value, str):
            raise InputError(f"{name} is not a text", received=repr(value), where=what)
        if known[name].type is int and not (type(value) is int and value > 0):
            raise InputError(f"{name} is not a whole number above 0", received=repr(value), where=what)
    needed = [name for name, one in known.items() if one.default is MISSING and one.default_factory is MISSING]
    if missing := [name for name in needed if name not in options]:
        raise InputError(f"{missing[0]} is missing", expected=", ".join(known), where=what)
    try:
        return kind(**options)
    except InputError as error:
        error.where = error.where or what
        raise


def preferred(transform: Transform, low: float, high: float) -> tuple[float, float] | None:
    """The part of a range that a transform holds nearly as good as the best of it; None where all of it is.

    It is the longest run of values that have :data:`GOOD` of the highest desirability in the range.
    """
    grid = np.linspace(low, high, 401)
    worth = transform(grid)
    good = worth >= GOOD * worth.max()
    if good.all() or not worth.max() > 0:
        return None
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(int)))
    starts, ends = edges[::2], edges[1::2]
    longest = int((ends - starts).argmax())
    return float(grid[starts[longest]]), float(grid[ends[longest] - 1])


# ---- means


def arithmetic(values: Array, weights: Array) -> Array:
    """The weighted sums (N,) of desirabilities (N, K), for weights (K,) that add up to 1."""
    return np.asarray(values @ weights, np.float64)


def geometric(values: Array, weights: Array) -> Array:
    """The weighted products (N,) of desirabilities (N, K), for weights (K,) that add up to 1; 0 where one is 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(np.log(values) @ weights), np.float64)


MEANS: dict[str, Callable[[Array, Array], Array]] = {"arithmetic": arithmetic, "geometric": geometric}
"""Means of desirabilities (N, K) by weights (K,)."""
