"""Numbers of the points: properties and scores, the colours that show them, and how many rows are near to some."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError, TextError, UnknownNameError
from grammar_rae.explorer.jobs import Progress
from grammar_rae.scores import SCORES, evaluate

NEAR = 0.25
"""How far from a value that was told a row counts as near, in standard deviations: as in drawing by properties."""

_CHUNK = 64
_NO_VALUE = 0x9AA5B466  # a pale grey
_RAMP = ((0.0, "#5b5bd6"), (0.35, "#2f8fc0"), (0.65, "#3aa76d"), (1.0, "#e0b020"))
RAMP = ", ".join(colour for _, colour in _RAMP)
"""The colours of values from low to high, for a legend; all are readable on light and dark."""

_OF_EXPRESSIONS = "expression_error"


def property_names() -> tuple[str, ...]:
    """The properties of molecules that have no score of the same name, and those that have."""
    from grammar_rae.chem.properties import PROPERTIES

    return tuple(PROPERTIES)


class Values:
    """Values of texts, each computed once.

    Parameters
    ----------
    molecules
        Whether the texts are molecules: others have no properties.
    """

    def __init__(self, molecules: bool) -> None:
        self.molecules = molecules
        self._known: dict[str, dict[str, float]] = {}

    @property
    def names(self) -> list[str]:
        """What can be computed: properties first, then scores."""
        if not self.molecules:
            return [name for name in SCORES if name == _OF_EXPRESSIONS]
        first = property_names()
        return [*first, *(name for name in SCORES if name not in first and name != _OF_EXPRESSIONS)]

    def compute(self, name: str, texts: Iterable[str], progress: Progress) -> None:
        """Compute a value of all texts that have none yet; nan where a text has no such value.

        Raises
        ------
        UnknownNameError
            For a name that is not among :attr:`names`.
        """
        if name not in self.names:
            raise UnknownNameError("property or score", name, self.names)
        known = self._known.setdefault(name, {})
        missing = [text for text in dict.fromkeys(texts) if text and text not in known]
        for start in range(0, len(missing), _CHUNK):
            progress.check(start, len(missing), f"values of {name}")
            part = missing[start : start + _CHUNK]
            known.update(zip(part, _values(name, part, self.molecules), strict=True))

    def known(self, name: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """The values of texts, (N,); nan where there is none or nobody has computed it."""
        found = self._known.get(name, {})
        return np.array([found.get(text, np.nan) for text in texts], np.float64)

    def computed(self, text: str) -> dict[str, float]:
        """All values of a text that are known, by name."""
        return {name: found[text] for name, found in self._known.items() if np.isfinite(found.get(text, np.nan))}


def _values(name: str, texts: list[str], molecules: bool) -> list[float]:
    if molecules and name in property_names():
        return [_property(text, name) for text in texts]
    return list(evaluate(name, texts).values)


def _property(text: str, name: str) -> float:
    from grammar_rae.chem.properties import properties

    try:
        return float(properties(text, (name,))[0])
    except TextError:
        return float("nan")


def extremes(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """The range that colours span: from the 2nd to the 98th percentile; None without a value."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = (float(one) for one in np.percentile(finite, [2, 98]))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def colour_values(values: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Colours (N,) of values as 0xRRGGBBAA; a pale grey for nan."""
    span = extremes(values)
    found = np.full(len(values), _NO_VALUE, np.uint32)
    if span is None:
        return found
    has = np.isfinite(values)
    share = np.clip((values[has] - span[0]) / (span[1] - span[0]), 0, 1)
    places = [place for place, _ in _RAMP]
    parts = [
        np.interp(share, places, [int(colour[2 * part + 1 : 2 * part + 3], 16) for _, colour in _RAMP])
        for part in range(3)
    ]
    red, green, blue = (np.round(part).astype(np.uint32) for part in parts)
    found[has] = (red << 24) | (green << 16) | (blue << 8) | np.uint32(0xE6)
    return found


def colour_of(text: str) -> int:
    """A colour such as ``#3f7fee`` as 0xRRGGBBAA, a little transparent.

    >>> hex(colour_of("#3f7fee"))
    '0x3f7feed9'
    """
    return (int(text[1:], 16) << 8) | 0xD9


def count_near(
    columns: Mapping[str, NDArray[np.float64]], wanted: Mapping[str, float], deviations: Mapping[str, float]
) -> int:
    """How many of N rows have all values that are wanted, within a quarter of a standard deviation of each.

    Parameters
    ----------
    columns
        By name, the values of the rows (N,); nan counts as not near.
    wanted
        By name, the value.
    deviations
        By name, the standard deviation of the data.

    Raises
    ------
    InputError
        If nothing is wanted, or a name has no column.
    """
    if not wanted:
        raise InputError("no property is told", expected="one or more")
    near = None
    for name, value in wanted.items():
        if name not in columns:
            raise UnknownNameError("property", name, columns)
        with np.errstate(invalid="ignore"):
            one = np.abs(columns[name] - value) <= NEAR * deviations[name]
        near = one if near is None else near & one
    assert near is not None
    return int(near.sum())
