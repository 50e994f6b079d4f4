"""The rows of a study of latent spaces as Markdown and as a picture."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.latent_space import CONDITIONED, MODELS
from benchmarks.rows import Row
from grammar_rae.errors import MissingExtraError
from grammar_rae.files import replacing

_COLUMNS = ("exact", "valid", "unique", "novel")


def markdown(rows: Sequence[Row]) -> str:
    """The points as a table, those of one model together."""
    first = rows[0]
    lines = [
        f"{first['rows']:,} training molecules, {first['epochs']} epochs, seed {first['seed']}. Reconstruction: test "
        f"molecules that come back exactly from their codes, greedily. Of {first['n']:,} draws: raw validity, and of "
        "the valid ones the share of different ones, of those not trained on, and the Fréchet ChemNet distance "
        f"from {first['n']:,} test molecules; that of as many training molecules is {first['floor']:.2f}.",
        "",
        "| model | density | smoothing | temperature | constraint | reconstruction | valid | unique | novel | FCD |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        distance = "-" if row["fcd"] is None else f"{row['fcd']:.2f}"
        shares = " | ".join(f"{row[name]:.3f}" for name in _COLUMNS)
        lines.append(
            f"| {row['model']} | {row['density']} | {row['smoothing']:g} | {row['temperature']:g} | "
            f"{row['constraint']} | {shares} | {distance} |"
        )
    names = [f"- `{name}`: {MODELS[name].description}" for name in dict.fromkeys(row["model"] for row in rows)]
    return "\n".join([*lines, "", *names]) + "\n"


def draw_frontier(path: Path, rows: Sequence[Row]) -> Path:
    """Draw reconstruction against FCD, one point a row, those of one model in one colour and joined by a line.

    Raises a MissingExtraError without matplotlib.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullFormatter
    except ImportError as error:
        raise MissingExtraError("matplotlib", "figures", "drawing the study") from error
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    colours = colormaps["tab20"]
    for index, name in enumerate(dict.fromkeys(row["model"] for row in rows)):
        mine = sorted(
            (row for row in rows if row["model"] == name and row["fcd"] is not None), key=lambda row: row["fcd"]
        )
        at = [100 * row["exact"] for row in mine], [row["fcd"] for row in mine]
        colour = colours(index % colours.N)
        axes.plot(*at, color=colour, linewidth=1, alpha=0.6)
        axes.scatter(
            *at,
            s=[12 + 60 * row["valid"] for row in mine],
            color=colour,
            marker="D" if name in CONDITIONED else "o",
            alpha=0.8,
            label=name,
        )
    axes.axhline(rows[0]["floor"], color="grey", linestyle=":", label="training molecules")
    axes.set(
        xlabel="exact reconstruction of test molecules, %",
        ylabel="FCD of draws (smaller is better)",
        yscale="log",
        title="Each point is one way of drawing; the larger, the more draws are valid",
    )
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    with replacing(path) as draft:
        figure.savefig(draft, dpi=150)
    return path
