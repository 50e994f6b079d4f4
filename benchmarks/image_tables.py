"""What a study of images found, as Markdown: the table beside the paper's, and which of its claims hold."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean

from benchmarks.rows import Row
from grammar_rae.recipes import ALL_IMAGE_MODELS, IMAGE_MODELS

Cells = Mapping[tuple[str, str], list[float]]
"""(model, column) -> the distances of its seeds."""

TITLES = {"rec": "REC", "n": "N", "gmm": "GMM", "interp": "Interp."}

_PAPER_DATA = ("mnist", "cifar10", "celeba")
_PAPER_ROWS: dict[str, tuple[tuple[float | None, ...], ...]] = {
    "vae": ((18.26, 19.21, 17.66, 18.21), (57.94, 106.37, 103.78, 88.62), (39.12, 48.12, 45.52, 44.49)),
    "cv-vae": ((15.15, 33.79, 17.87, 25.12), (37.74, 94.75, 86.64, 69.71), (40.41, 48.87, 49.30, 44.96)),
    "wae": ((10.03, 20.42, 9.39, 14.34), (35.97, 117.44, 93.53, 76.89), (34.81, 53.67, 42.73, 40.93)),
    "2svae": ((20.31, 18.81, None, 18.35), (62.54, 109.77, None, 89.06), (42.04, 49.70, None, 47.54)),
    "rae-gp": ((14.04, 22.21, 11.54, 15.32), (32.17, 83.05, 76.33, 64.08), (39.71, 116.30, 45.63, 47.00)),
    "rae-l2": ((10.53, 22.22, 8.69, 14.54), (32.24, 80.80, 74.16, 62.54), (43.52, 51.13, 47.97, 45.98)),
    "rae-sn": ((15.65, 19.67, 11.74, 15.15), (27.61, 84.25, 75.30, 63.62), (36.01, 44.74, 40.95, 39.53)),
    "rae": ((11.67, 23.92, 9.81, 14.67), (29.05, 83.87, 76.28, 63.27), (40.18, 48.20, 44.68, 43.67)),
    "ae": ((12.95, 58.73, 10.66, 17.12), (30.52, 84.74, 76.47, 61.57), (40.79, 127.85, 45.10, 50.94)),
    "ae-l2": ((None, 315.15, 9.36, None), (None, 247.48, 75.40, None), (None, 346.29, 48.42, None)),
}
PAPER = {data: {model: row[i] for model, row in _PAPER_ROWS.items()} for i, data in enumerate(_PAPER_DATA)}
"""Table 1 of the paper, by data set and model: FID of REC, N, GMM and Interp.; None where it has none."""


def distances(rows: Iterable[Row]) -> dict[tuple[str, str], list[float]]:
    """The distances of all seeds, by model and column."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        found.setdefault((row["model"], row["column"]), []).append(float(row["distance"]))
    return found


def markdown(rows: Sequence[Row], accuracy: float | None = None) -> str:
    """A study's rows as Markdown: distances beside the paper's, precision and recall, the paper's claims.

    Parameters
    ----------
    rows
        The rows of one data set, net and feature net, and of one or more seeds and models.
    accuracy
        The accuracy of the feature net, where it is a classifier.
    """
    if not rows:
        return "Nothing is measured yet.\n"
    first = rows[0]
    name, floor = first["distance_name"], mean(row["floor"] for row in rows)
    seeds = sorted({row["seed"] for row in rows})
    about = (
        f"{first['data']}, {first['net']} nets, {first['epochs']} epochs, seeds {', '.join(map(str, seeds))}. "
        f"{name} of {first['n']:,} images against the test images; floor (as many training images) {floor:.2f}"
    )
    about += f"; the classifier names {accuracy:.2%} of the test images correctly." if accuracy is not None else "."
    parts = [about, _distance_table(rows, name), _coverage_table(rows), _claims(distances(rows))]
    return "\n\n".join(part for part in parts if part) + "\n"


def figure3_markdown(rows: Sequence[Row]) -> str:
    """The rows of Figure 3 as Markdown: one line a variant of the VAE."""
    if not rows:
        return "Nothing is measured yet.\n"
    first = rows[0]
    lines = [
        f"VAE on {first['data']}, {first['net']} nets, {first['epochs']} epochs; {first['distance_name']} of "
        f"{first['n']:,} images, floor {mean(row['floor'] for row in rows):.2f}",
        "",
        f"| variant | {' | '.join(TITLES.values())} |",
        "|---" * (len(TITLES) + 1) + "|",
    ]
    variants = {str(row["variant"]): row["variant"] for row in rows}
    for key, variant in variants.items():
        cells = distances(row for row in rows if str(row["variant"]) == key)
        options = ", ".join(f"{name} {value:g}" for name, value in variant.items())
        lines.append(f"| {options} | {' | '.join(_with_spread(cells.get(('vae', c), [])) for c in TITLES)} |")
    return "\n".join(lines) + "\n"


def _distance_table(rows: Sequence[Row], name: str) -> str:
    cells = distances(rows)
    paper = PAPER.get(rows[0]["data"], {})
    heads = [f"{title}" for title in TITLES.values()] + [f"{title} (paper)" for title in TITLES.values() if paper]
    lines = [f"| {name} | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for model in _models(rows):
        shown = [_with_spread(cells.get((model, column), [])) for column in TITLES]
        if paper:
            shown += ["-" if value is None else f"{value:.2f}" for value in paper.get(model, (None,) * len(TITLES))]
        lines.append(f"| {model} | {' | '.join(shown)} |")
    note = "\n\nThe paper's figures are FID, of another net: compare their order, not their size." if paper else ""
    return "\n".join(lines) + (note if not name.startswith("FID") else "")


def _coverage_table(rows: Sequence[Row]) -> str:
    names = ("precision", "recall", "density", "coverage", "prd_f8", "prd_f1/8")
    heads = [f"{name} {TITLES[column]}" for name in names for column in ("n", "gmm")]
    lines = [f"| model | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for model in _models(rows):
        shown = []
        for name in names:
            for column in ("n", "gmm"):
                values = [row[name] for row in rows if (row["model"], row["column"]) == (model, column)]
                shown.append(f"{mean(values):.3f}" if values else "-")
        lines.append(f"| {model} | {' | '.join(shown)} |")
    return "\n".join(lines)


def claims(cells: Cells) -> dict[str, bool | None]:
    """The paper's claims about Table 1, and whether they hold, by means over seeds; None where cells are missing."""
    means = {key: mean(values) for key, values in cells.items()}

    def gain(model: str) -> float | None:
        n, gmm = means.get((model, "n")), means.get((model, "gmm"))
        return None if n is None or gmm is None else n - gmm

    gains = {model: found for model in IMAGE_MODELS if (found := gain(model)) is not None}
    claimed: dict[str, bool | None] = {f"GMM <= N for {model}": found >= 0 for model, found in gains.items()}
    plain, others = ("ae", "ae-l2"), [model for model in gains if not model.startswith("ae")]
    enough = all(model in gains for model in plain) and others
    claimed["AE and AE-L2 gain most from GMM"] = (
        min(gains[model] for model in plain) >= max(gains[model] for model in others) if enough else None
    )
    regularised = [
        value for model in IMAGE_MODELS if model.startswith("rae") and (value := means.get((model, "gmm"))) is not None
    ]
    for column, name in (("n", "its prior"), ("gmm", "GMM")):
        rival = means.get(("vae", column))
        claimed[f"the best RAE with GMM beats the VAE with {name}"] = (
            None if rival is None or not regularised else min(regularised) < rival
        )
    return claimed


def _claims(cells: Cells) -> str:
    words = {True: "holds", False: "does not hold", None: "not measured"}
    lines = [f"| {claim} | {words[holds]} |" for claim, holds in claims(cells).items()]
    return "\n".join(["| the paper's claim | here |", "|---|---|", *lines])


def _models(rows: Sequence[Row]) -> list[str]:
    there = {row["model"] for row in rows}
    return [model for model in ALL_IMAGE_MODELS if model in there]


def _with_spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    half = (max(values) - min(values)) / 2
    return f"{mean(values):.2f}" + (f" ± {half:.2f}" if len(values) > 1 else "")
