"""Line charts as SVG: axes, ticks, labels and a legend, readable on light and dark pages."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby, pairwise

from grammar_rae.errors import InputError

Curve = tuple[Sequence[float], Sequence[float]]

#: Colours that differ on light and dark pages and for most colour-blind readers; the dashes help in print.
_LINES = (
    ("#2f6fde", ""),
    ("#d9622b", "6 4"),
    ("#23946a", "2 3"),
    ("#9a55c9", "9 3 2 3"),
    ("#b88a00", "12 4"),
    ("#c9406f", "4 2"),
)
_MOST_POINTS = 600  # more than the chart has pixels


def line_chart(
    curves: Mapping[str, Curve],
    *,
    title: str,
    x_label: str,
    size: tuple[int, int] = (520, 300),
) -> str:
    """Curves over one pair of axes, with ticks, labels and a legend, as an ``<svg>`` element.

    Parameters
    ----------
    curves
        Name -> (x, y), of equal lengths; points that are not finite leave a gap.
    size
        Width and height in pixels; the element shrinks with its container.

    Raises
    ------
    InputError
        When a curve has different numbers of x and y.
    """
    width, height = size
    left, right, top, bottom = 58, width - 24, 58, height - 44
    runs = {name: _runs(name, *curve) for name, curve in curves.items()}
    points = [point for pieces in runs.values() for piece in pieces for point in piece]
    x_ticks = _ticks(*_range([x for x, _ in points]), 7)
    y_ticks = _ticks(*_range([y for _, y in points]), 6)

    def px(x: float) -> float:
        return left + (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (right - left)

    def py(y: float) -> float:
        return bottom - (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (bottom - top)

    parts = [_text(left, 20, title, "font-size='14' font-weight='600'"), _legend(list(runs), left, right)]
    for x, label in zip(x_ticks, _tick_labels(x_ticks), strict=True):
        parts.append(f"<path d='M{px(x):.1f} {bottom}v5' stroke='currentColor' stroke-opacity='.5'/>")
        parts.append(_text(px(x), bottom + 18, label, "text-anchor='middle' fill-opacity='.75'"))
    for y, label in zip(y_ticks, _tick_labels(y_ticks), strict=True):
        parts.append(f"<path d='M{left} {py(y):.1f}H{right}' stroke='currentColor' stroke-opacity='.14'/>")
        parts.append(_text(left - 8, py(y) + 4, label, "text-anchor='end' fill-opacity='.75'"))
    parts.append(f"<path d='M{left} {top}V{bottom}H{right}' stroke='currentColor' stroke-opacity='.5'/>")
    parts.append(_text((left + right) / 2, height - 8, x_label, "text-anchor='middle' fill-opacity='.75'"))
    for i, pieces in enumerate(runs.values()):
        parts += [_line([(px(x), py(y)) for x, y in piece], i) for piece in pieces]
    if not points:
        parts.append(_text((left + right) / 2, (top + bottom) / 2, "no values", "text-anchor='middle'"))
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}' "
        f"role='img' aria-label='{escape(title)} over {escape(x_label)}' font-size='12' fill='none' "
        f"font-family=\"system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif\">{''.join(parts)}</svg>"
    )


def stairs(values: Sequence[float]) -> Curve:
    """The curve of what holds after 0, 1, ... steps, level between its changes.

    >>> stairs([1, 1, 3, 3])
    ([0, 2, 2, 3], [1, 1, 3, 3])
    """
    xs, ys = [0], list(values[:1])
    for x, (before, after) in enumerate(pairwise(values), start=1):
        if after != before:
            xs += [x, x]
            ys += [before, after]
    return [*xs[: len(ys)], *([len(values) - 1] if values else [])], [*ys, *values[-1:]]


def _runs(name: str, xs: Sequence[float], ys: Sequence[float]) -> list[list[tuple[float, float]]]:
    """The finite points of a curve, thinned out, in pieces between its gaps."""
    if len(xs) != len(ys):
        raise InputError(
            f"the curve {name!r} has different numbers of x and y",
            received=f"{len(xs)} x and {len(ys)} y",
            expected="equal lengths",
        )
    points = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
    step = -(-len(points) // _MOST_POINTS) or 1
    points = points[:-1:step] + points[-1:]
    pieces = groupby(points, key=lambda point: math.isfinite(point[0]) and math.isfinite(point[1]))
    return [list(piece) for finite, piece in pieces if finite]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    pad = abs(low) / 2 or 0.5
    return low - pad, high + pad


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers, at most ``most`` of them, that begin at or below ``low`` and end at or above ``high``."""
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1, 2, 2.5, 5, 10, 20):
        step = factor * power
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < most:
            break
    return [i * step for i in range(first, last + 1)]


def _tick_labels(ticks: Sequence[float]) -> list[str]:
    step = ticks[1] - ticks[0]
    largest = max(map(abs, ticks))
    if largest >= 1e9 or step < 1e-4:
        return [f"{tick:.4g}" for tick in ticks]
    places = next(p for p in range(8) if abs(round(step, p) - step) < step * 1e-6)
    return [f"{tick:,.{places}f}" for tick in ticks]


def _line(points: Sequence[tuple[float, float]], index: int) -> str:
    colour, dash = _LINES[index % len(_LINES)]
    if len(points) == 1:
        return f"<circle cx='{points[0][0]:.1f}' cy='{points[0][1]:.1f}' r='3' fill='{colour}'/>"
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dashes = f" stroke-dasharray='{dash}'" if dash else ""
    return f"<path d='M{path}' stroke='{colour}' stroke-width='2' stroke-linejoin='round'{dashes}/>"


def _legend(names: Sequence[str], left: float, right: float) -> str:
    """A line of samples and names under the title."""
    room = (right - left) / max(len(names), 1)
    letters = max(int((room - 40) / 6.4), 3)
    parts = []
    x = float(left)
    for i, name in enumerate(names):
        short = name if len(name) <= letters else name[: letters - 1] + "…"
        parts.append(_line([(x, 38), (x + 24, 38)], i) + _text(x + 30, 42, short, ""))
        x += min(room, 44 + 6.8 * len(short))
    return "".join(parts)


def _text(x: float, y: float, text: str, look: str) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' fill='currentColor' {look}>{escape(text)}</text>"
