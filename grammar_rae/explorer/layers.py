"""Points of the map, in layers: where they come from, their texts and their codes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError

Codes = NDArray[np.float32]


class Look(NamedTuple):
    """How the points of a layer are drawn: a colour that is readable on light and dark, a marker, a size in pixels."""

    colour: str
    marker: str
    size: float


LOOKS: dict[str, Look] = {
    "training": Look("#7d8ca3", "circle", 4),
    "draws": Look("#3f7fee", "circle", 5),
    "rows": Look("#d0711b", "circle", 8),
    "unfamiliar": Look("#e0402f", "x", 11),
}
"""The kinds of layers that a page begins with."""

RESULT_COLOURS = ("#2e9e4f", "#9a4bd0", "#c2408a", "#a98200", "#1f9aa8")
"""The colours of results, one after the other."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Points of one origin.

    Attributes
    ----------
    kind
        A row of :data:`LOOKS`, or ``"result"``.
    title
        What a person calls it.
    texts
        N texts; "" for a code that nobody has decoded yet.
    codes
        float32 (N, D).
    names
        N names, "" where there is none.
    columns
        What else is known of the points, N values a column: similarity to a lead, step of a path.
    note
        A sentence on where the points are from.
    """

    kind: str
    title: str
    texts: list[str]
    codes: Codes
    names: list[str] = field(default_factory=list)
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    note: str = ""

    def __len__(self) -> int:
        return len(self.texts)

    def name(self, row: int) -> str:
        """The name of a point, or ""."""
        return self.names[row] if self.names else ""

    def joined(self, other: "Layer") -> "Layer":
        """The points of both, with the other's title and note."""
        names = []
        if self.names or other.names:
            names = (self.names or [""] * len(self)) + (other.names or [""] * len(other))
        columns = {
            name: [*self.columns.get(name, [None] * len(self)), *values] for name, values in other.columns.items()
        }
        return replace(
            other,
            texts=self.texts + other.texts,
            codes=np.concatenate([self.codes, other.codes]),
            names=names,
            columns=columns,
        )


class Point(NamedTuple):
    """A point of the map: the key of its layer, and its row there."""

    layer: str
    row: int


class Atlas:
    """The layers of one page, in the order in which they are drawn, and which of them are shown.

    Points are numbered over the layers that are shown, as the map has them.
    """

    def __init__(self) -> None:
        self.layers: dict[str, Layer] = {}
        self.looks: dict[str, Look] = {}
        self.hidden: set[str] = set()
        self._results = 0

    def put(self, layer: Layer) -> str:
        """Take a layer in and return its key: that of its kind, which it replaces, or a new one for a result."""
        key = layer.kind
        if key not in LOOKS:
            self._results += 1
            key = f"result-{self._results}"
            self.looks[key] = Look(RESULT_COLOURS[(self._results - 1) % len(RESULT_COLOURS)], "diamond", 9)
        else:
            self.looks[key] = LOOKS[key]
        self.layers[key] = layer
        order = [*(kind for kind in LOOKS if kind in self.layers), *(one for one in self.layers if one not in LOOKS)]
        self.layers = {one: self.layers[one] for one in order}
        return key

    def remove(self, key: str) -> None:
        """Take a layer of results away.

        Raises
        ------
        InputError
            For any other layer.
        """
        if key in LOOKS or key not in self.layers:
            raise InputError("only layers of results can be removed", received=repr(key))
        del self.layers[key], self.looks[key]
        self.hidden.discard(key)

    def show(self, key: str, on: bool) -> None:
        """Show a layer or hide it.

        Raises
        ------
        InputError
            If there is no such layer.
        """
        if key not in self.layers:
            raise InputError("there is no such layer", received=repr(key), expected=", ".join(self.layers))
        (self.hidden.discard if on else self.hidden.add)(key)

    @property
    def shown(self) -> dict[str, Layer]:
        """The layers that are shown."""
        return {key: layer for key, layer in self.layers.items() if key not in self.hidden}

    def points(self) -> list[Point]:
        """All points that are shown, as the map numbers them."""
        return [Point(key, row) for key, layer in self.shown.items() for row in range(len(layer))]

    def numbers(self, points: Sequence[Point]) -> list[int]:
        """The numbers on the map of those points that are shown."""
        starts, total = {}, 0
        for key, layer in self.shown.items():
            starts[key] = total
            total += len(layer)
        return [starts[key] + row for key, row in points if key in starts]

    def text(self, point: Point) -> str:
        """The text of a point; "" where it is not decoded."""
        return self.layers[point.layer].texts[point.row]

    def codes(self, points: Sequence[Point]) -> Codes:
        """The codes of points, float32 (N, D)."""
        return np.stack([self.layers[key].codes[row] for key, row in points])

    def all_codes(self) -> Codes | None:
        """The codes of all that is shown, float32 (N, D); None where nothing is."""
        parts = [layer.codes for layer in self.shown.values() if len(layer)]
        return np.concatenate(parts) if parts else None

    def walk(self) -> Iterator[tuple[Point, str]]:
        """All points with their texts, those of hidden layers too, the latest layer first."""
        for key, layer in reversed(self.layers.items()):
            for row, text in enumerate(layer.texts):
                yield Point(key, row), text
