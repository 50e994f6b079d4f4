"""Pictures of a study of images: what its models reconstruct, sample and interpolate, and its curves, as PNG files."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.grid import Run
from benchmarks.images import EXAMPLES, SAMPLED, ImageStudy, examples
from benchmarks.rows import Row
from grammar_rae.errors import MissingExtraError
from grammar_rae.files import replacing

Bytes = NDArray[np.uint8]

_GAP, _MARGIN, _LINE = 2, 120, 14  # pixels


def draw(study: ImageStudy) -> list[Path]:
    """Draw what the models of a study's first seed have kept, and return the files.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    folder = study.folder / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    runs = [run for run in study.runs if run.key["seed"] == study.seeds[0]]
    test = np.rint(255 * study.images.test.batch(range(EXAMPLES)).numpy()).astype(np.uint8)
    files = []
    for name, rows in (
        ("reconstructions", [("test images", test), *_rows(runs, "rec", "images", 1)]),
        ("interpolations", _rows(runs, "interp", "images", 2)),
        ("samples", [row for run in runs for column in SAMPLED for row in _rows([run], column, "images", 1)]),
        (
            "neighbours",
            [row for run in runs for kind in ("images", "neighbours") for row in _rows([run], "gmm", kind, 1)],
        ),
    ):
        if rows:
            files.append(folder / f"{name}.png")
            with replacing(files[-1]) as draft:
                grid(rows).save(draft)
    curves = {(run.name, column): examples(run, column) for run in runs for column in SAMPLED}
    if any("precision" in kept for kept in curves.values()):
        files.append(folder / "prd.png")
        _draw_prd(files[-1], runs, curves)
    return files


def _rows(runs: Sequence[Run], column: str, kind: str, n: int) -> list[tuple[str, Bytes]]:
    """The first ``n`` rows of each run's pictures of a column, with what stands before them."""
    titles = {"rec": "", "interp": "", "n": ", N", "gmm": ", GMM"}
    kind_of = ", nearest" if kind == "neighbours" else titles[column]
    rows = []
    for run in runs:
        kept = examples(run, column).get(kind)
        if kept is not None:
            rows += [
                (f"{run.key['model']}{kind_of}" if i == 0 else "", kept[i * EXAMPLES : (i + 1) * EXAMPLES])
                for i in range(n)
            ]
    return rows


def grid(rows: Sequence[tuple[str, Bytes]]) -> Image.Image:
    """Rows of images, uint8 (N, C, H, W) each, with a name before each row; small images are enlarged."""
    _, channels, height, width = rows[0][1].shape
    scale = max(1, round(48 / height))
    high, wide = height * scale + _GAP, width * scale + _GAP
    sheet = Image.new("RGB", (_MARGIN + wide * max(len(images) for _, images in rows), high * len(rows)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (name, images) in enumerate(rows):
        pen.text((4, i * high + (high - _LINE) // 2), name, fill="black")
        for j, image in enumerate(images):
            pixels = image.transpose(1, 2, 0) if channels == 3 else image[0]
            tile = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
            place = (_MARGIN + j * wide, i * high)
            sheet.paste(tile.resize((width * scale, height * scale), Image.Resampling.NEAREST), place)
    return sheet


def _draw_prd(path: Path, runs: Sequence[Run], curves: dict[tuple[str, str], dict[str, Any]]) -> None:
    columns = [("n", "N"), ("gmm", "GMM")]
    figure, axes = _axes(len(columns))
    for axis, (column, title) in zip(axes, columns, strict=True):
        for i, run in enumerate(runs):
            kept = curves[run.name, column]
            if "precision" in kept:
                axis.plot(kept["recall"], kept["precision"], label=run.key["model"], linestyle=("-", "--")[i // 5 % 2])
        axis.set(title=f"Precision and recall, {title}", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    axes[-1].legend(fontsize=8, loc="lower left")
    with replacing(path) as draft:
        figure.savefig(draft)


def draw_figure3(path: Path, rows: Sequence[Row]) -> Path:
    """Figure 3 of the paper: distances of a VAE by its Monte-Carlo samples, and by the weight of its KL divergence.

    Returns the path.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    figure, axes = _axes(2)
    halves = (("samples", "Monte-Carlo samples k", ("rec",)), ("beta", "weight of the KL divergence", ("rec", "n")))
    names = {"rec": "reconstructions", "n": "samples of the prior"}
    for axis, (option, label, columns) in zip(axes, halves, strict=True):
        for column in columns:
            found: dict[float, list[float]] = {}
            for row in rows:
                if row["column"] == column and option in row["variant"]:
                    found.setdefault(row["variant"][option], []).append(row["distance"])
            x = sorted(found)
            axis.plot(x, [mean(found[value]) for value in x], marker="o", label=names[column])
            for value in x:
                axis.scatter([value] * len(found[value]), found[value], s=8, color="grey")
        axis.set(xlabel=label, ylabel=rows[0]["distance_name"], xscale="log")
        axis.legend()
    axes[0].set_xticks(sorted({row["variant"]["samples"] for row in rows if "samples" in row["variant"]}))
    _label_plainly(axes[0].get_xaxis())
    with replacing(path) as draft:
        figure.savefig(draft)
    return path


def _axes(n: int) -> tuple[Any, Any]:
    check_matplotlib()
    # Neither pyplot nor a backend of the caller's: a figure of its own that knows how to write itself.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * n, 4.2), dpi=120, layout="constrained")
    axes = figure.subplots(1, n)
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure, axes


def _label_plainly(axis: Any) -> None:
    """Whole numbers at the ticks that were set, and no others, though the axis is logarithmic."""
    from matplotlib.ticker import NullLocator, ScalarFormatter

    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_locator(NullLocator())


def check_matplotlib() -> None:
    """Raise a MissingExtraError now rather than after hours of training."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("matplotlib", "figures", "the figures of the benchmark of images") from error
