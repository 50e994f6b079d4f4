"""What the map and the table show of points: places, colours and structures."""

from functools import lru_cache
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.explorer.layers import Atlas
from grammar_rae.explorer.projections import Projection
from grammar_rae.explorer.values import Values, colour_of, colour_values


class Markers(NamedTuple):
    """The N points of a map, those that are drawn last on top.

    ``x``, ``y``: float32; ``colour``: uint32, 0xRRGGBBAA; ``size``: float32, pixels; ``marker``: names of shapes.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    colour: NDArray[np.uint32]
    size: NDArray[np.float32]
    marker: list[str]
    axes: tuple[str, str]


def mark_points(atlas: Atlas, projection: Projection, values: Values, colour_by: str) -> Markers:
    """How all points that are shown are drawn."""
    codes = atlas.all_codes()
    places = np.zeros((0, 2)) if codes is None else projection.place(codes)
    shown = atlas.shown
    looks = [(atlas.looks[key], len(layer)) for key, layer in shown.items()]
    if colour_by:
        texts = [text for layer in shown.values() for text in layer.texts]
        colours = colour_values(values.known(colour_by, texts))
    else:
        colours = np.repeat(np.array([colour_of(look.colour) for look, _ in looks], np.uint32), [n for _, n in looks])
    sizes = np.repeat(np.array([look.size for look, _ in looks], np.float32), [n for _, n in looks])
    markers = [look.marker for look, n in looks for _ in range(n)]
    return Markers(
        places[:, 0].astype(np.float32), places[:, 1].astype(np.float32), colours, sizes, markers, projection.axes
    )


@lru_cache(maxsize=4096)
def picture(text: str, molecules: bool, size: tuple[int, int] = (220, 150)) -> str:
    """The structure of a molecule as an ``<svg>`` element; any other text as it is, escaped."""
    if not molecules:
        return f"<code>{escape(text)}</code>"
    from grammar_rae.chem import svg

    return svg(text, size)
