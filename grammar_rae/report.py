"""One self-contained HTML file about a run: its molecules, its facts and its curves.

The page asks nothing of the network, runs no script, follows the reader's light or dark theme, and prints well.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from grammar_rae.errors import DataError, InputError, UnknownNameError

Curve = tuple[Sequence[float], Sequence[float]]


class Card(NamedTuple):
    """One cell of the grid: the text, its picture (or the text itself again) and the line below."""

    text: str
    picture: Markup
    legend: str


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    molecules: Sequence[str],
    legends: Sequence[str] | None = None,
    facts: Mapping[str, str | int | float],
    curves: Mapping[str, Curve],
    columns: int = 5,
    kind: str = "molecules",
    x_label: str = "seconds",
) -> None:
    """Write the report; a file of this name is replaced in one step or left as it was.

    Parameters
    ----------
    path
        The HTML file; its folder must exist.
    molecules
        The texts to show, in this order; one that is no molecule is shown as such.
    legends
        A line under each of them.
    facts
        Name and value, in the order of display: draws, validity, recipe, seed, versions.
    curves
        Name -> (x, y). Curves whose names end in the same word share a chart: "loss" and "validation loss" are one,
        "exact" and "validation exact" another. Values that are not finite leave a gap.
    columns
        The largest number of columns of the grid; a narrow window has fewer.
    kind
        ``"molecules"`` draws the texts as SMILES, ``"text"`` shows them as they are (expressions).
    x_label
        What the curves' x counts.

    Raises
    ------
    InputError
        When legends or curves do not fit together, or ``columns`` is below 1.
    UnknownNameError
        When there is no such kind.
    DataError
        When the folder does not exist or the file cannot be written.
    """
    if kind not in CARDS:
        raise UnknownNameError("kind of report", kind, CARDS)
    if legends is not None and len(legends) != len(molecules):
        raise InputError(
            "each text of a report needs one legend", received=f"{len(legends)} legends", expected=str(len(molecules))
        )
    if columns < 1:
        raise InputError("a grid needs a column", received=f"columns={columns}", expected="1 or more")
    target = Path(path)
    _check_folder(target)
    page = _TEMPLATE.render(
        title=title,
        kind=kind,
        cards=CARDS[kind](molecules, legends or [""] * len(molecules)),
        facts={name: _shown(value) for name, value in facts.items()},
        charts=_charts(curves, x_label),
        columns=columns,
    )
    _replace(target, page)


def _molecule_cards(texts: Sequence[str], legends: Sequence[str]) -> list[Card]:
    from grammar_rae.chem import svg  # here, so that a report of expressions needs no RDKit

    # The drawings come escaped from svg.
    return [Card(text, Markup(svg(text)), legend) for text, legend in zip(texts, legends, strict=True)]


def _text_cards(texts: Sequence[str], legends: Sequence[str]) -> list[Card]:
    code = Markup("<code>{}</code>")
    return [Card(text, code.format(text), legend) for text, legend in zip(texts, legends, strict=True)]


#: kind -> (texts, legends) -> the cards of the grid.
CARDS: dict[str, Callable[[Sequence[str], Sequence[str]], list[Card]]] = {
    "molecules": _molecule_cards,
    "text": _text_cards,
}


def _shown(value: str | int | float) -> str:
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return "none"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def _check_folder(target: Path) -> None:
    if not target.parent.is_dir():
        raise DataError(
            "the folder of the report does not exist",
            received=str(target),
            expected="a file in an existing folder",
            remedy=f"Make the folder first: mkdir -p {target.parent}",
        )
    if target.is_dir():
        raise DataError("the report's name is that of a folder", received=str(target), expected="the name of a file")


def _replace(target: Path, page: str) -> None:
    """Write beside the target and rename: a reader never sees half a page, and a full disk costs nothing old."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(page, encoding="utf-8")
        os.replace(draft, target)
    except OSError as error:
        raise DataError(
            f"the report cannot be written ({error.strerror or error})",
            received=str(target),
            remedy="Check the space that is left on the disk and the permissions of the folder.",
        ) from error
    finally:
        draft.unlink(missing_ok=True)


# ---- charts


#: Colours that are told apart on light and dark and by most colour-blind readers; the dashes help in print.
_LINES = (
    ("#2f6fde", ""),
    ("#d9622b", "6 4"),
    ("#23946a", "2 3"),
    ("#9a55c9", "9 3 2 3"),
    ("#b88a00", "12 4"),
    ("#c9406f", "4 2"),
)
_MOST_POINTS = 600  # more than the chart has pixels


def _charts(curves: Mapping[str, Curve], x_label: str) -> list[Markup]:
    def subject(name: str) -> str:
        return (name.replace("_", " ").split() or [name])[-1]

    order = {word: i for i, word in reversed(list(enumerate(map(subject, curves))))}
    names = sorted(curves, key=lambda name: order[subject(name)])
    return [
        Markup(line_chart({name.replace("_", " "): curves[name] for name in group}, title=word, x_label=x_label))
        for word, group in groupby(names, key=subject)
    ]


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
        When a curve has not as many x as y.
    """
    width, height = size
    left, right, top, bottom = 58, width - 16, 58, height - 44
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


def _runs(name: str, xs: Sequence[float], ys: Sequence[float]) -> list[list[tuple[float, float]]]:
    """The finite points of a curve, thinned out, in pieces between its gaps."""
    if len(xs) != len(ys):
        raise InputError(
            f"the curve {name!r} needs as many y as x",
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
    if low < high:
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
    if largest >= 1e6 or step < 1e-4:
        return [f"{tick:.3g}" for tick in ticks]
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


# ---- the page

_TEMPLATE = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True).from_string(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1b2330; --soft: #5c6675; --edge: #e1e5eb; }
@media (prefers-color-scheme: dark) {
  :root { --page: #11151b; --card: #1a2028; --ink: #e8ecf2; --soft: #9aa5b4; --edge: #2c3541; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.45;
  font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; }
main { max-width: 1320px; margin: 0 auto; padding: 2.2rem clamp(.9rem, 3vw, 2.5rem) 3rem; }
h1 { font-size: clamp(1.4rem, 3vw, 1.9rem); line-height: 1.2; margin: 0 0 1.4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2.2rem 0 .8rem; }
h2 span { color: var(--soft); font-weight: 400; margin-left: .35rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 9.5rem), 1fr)); gap: 1px; margin: 0;
  background: var(--edge); border: 1px solid var(--edge); border-radius: 12px; overflow: hidden; }
.facts div { background: var(--card); padding: .75rem 1rem; }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: .1rem 0 0; font-size: 1.12rem; font-weight: 600; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: .9rem; }
.charts > div, figure { background: var(--card); border: 1px solid var(--edge); border-radius: 12px; }
.charts > div { padding: .8rem; }
svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.grid { --gap: .9rem; display: grid; gap: var(--gap); grid-template-columns: repeat(auto-fill, minmax(
  max(min(100%, 9.5rem), calc((100% - {{ columns - 1 }} * var(--gap)) / {{ columns }})), 1fr)); }
figure { margin: 0; padding: .6rem; display: flex; flex-direction: column; min-width: 0; break-inside: avoid; }
figure > svg { margin: auto; }
figure > code { margin: auto 0; padding: .5rem .3rem; font-size: 1rem; overflow-wrap: anywhere; text-align: center; }
figcaption { margin-top: .5rem; padding-top: .45rem; border-top: 1px solid var(--edge); font-size: .82rem; }
figcaption p { margin: 0; white-space: pre-line; overflow-wrap: anywhere; }
figcaption code { display: block; color: var(--soft); font-size: .74rem; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; user-select: all; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.none { color: var(--soft); }
@media print {
  :root { --page: #fff; --card: #fff; --ink: #000; --soft: #444; --edge: #bbb; }
  main { padding: 0; max-width: none; }
}
</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% if facts %}
<dl class="facts">
{% for name, value in facts.items() %}
<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{% endfor %}
</dl>
{% endif %}
{% if charts %}
<h2>Training</h2>
<div class="charts">
{% for chart in charts %}
<div>{{ chart }}</div>
{% endfor %}
</div>
{% endif %}
<h2>{{ "Molecules" if kind == "molecules" else "Texts" }}<span>{{ "{:,}".format(cards | length) }}</span></h2>
{% if cards %}
<div class="grid">
{% for card in cards %}
<figure>{{ card.picture }}
{% if card.legend or kind == "molecules" %}
<figcaption>
{% if card.legend %}
<p>{{ card.legend }}</p>
{% endif %}
{% if kind == "molecules" %}
<code title="{{ card.text }}">{{ card.text }}</code>
{% endif %}
</figcaption>
{% endif %}
</figure>
{% endfor %}
</div>
{% else %}
<p class="none">There is nothing to show.</p>
{% endif %}
</main>
</body>
</html>
"""
)
