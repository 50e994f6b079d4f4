"""Two or more runs side by side: what was chosen differently, and what came of it, as tables and as a page."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grammar_rae import checkpoint
from grammar_rae.errors import InputError
from grammar_rae.report import Table, write_page
from grammar_rae.report.charts import Curve, line_chart
from grammar_rae.report.training import FIGURES, curves_of

EVALUATION = ("evaluation", "results.json")
"""Where in the folder of a run ``evaluate`` writes, unless it is told otherwise."""


@dataclass(frozen=True)
class Comparison:
    """What runs have in common and where they differ.

    Attributes
    ----------
    names
        The runs, each by the shortest end of its path that no other has.
    settings, figures
        By name, a value of each run, None where it has none: the choices that differ, and all figures.
    curves
        By the name of a figure, that of each run over its seconds.
    """

    names: list[str]
    settings: dict[str, list[Any]]
    figures: dict[str, list[Any]]
    curves: dict[str, dict[str, Curve]]

    def tables(self) -> list[Table]:
        """The settings that differ, and the figures."""
        head = ["", *self.names]
        return [
            Table(title, head, [[name, *map(_text, values)] for name, values in rows.items()])
            for title, rows in (("What differs", self.settings), ("Figures", self.figures))
            if rows
        ]


def compare_runs(folders: Sequence[str | os.PathLike[str]]) -> Comparison:
    """Read what trained models say of themselves; their weights are not read.

    Raises
    ------
    InputError
        For fewer than two runs, or one that is named twice.
    CheckpointError
        For a folder that holds no model.
    """
    paths = [Path(folder).resolve() for folder in folders]
    if len(paths) < 2 or len(set(paths)) < len(paths):
        raise InputError(
            "a comparison takes two or more runs, each once",
            received=", ".join(map(str, folders)) or "none",
        )
    metas = [checkpoint.read_meta(path) for path in paths]
    names = _short_names(paths)
    curves = {name: curves_of(meta.get("history", {}).get("rows", [])) for name, meta in zip(names, metas, strict=True)}
    settings = _transpose([_flatten(meta.get("recipe", {})) for meta in metas])
    return Comparison(
        names,
        {name: values for name, values in settings.items() if any(value != values[0] for value in values)},
        _transpose([_figures(path, meta) for path, meta in zip(paths, metas, strict=True)]),
        {figure: {name: one[figure] for name, one in curves.items() if figure in one} for figure in FIGURES},
    )


def write_comparison(path: str | os.PathLike[str], found: Comparison, command: str = "") -> None:
    """Write the page of a comparison; a file of this name is replaced in one step or left as it was.

    Parameters
    ----------
    path, found
        The HTML file, whose folder must exist, and what :func:`compare_runs` found.
    command
        What makes the same page again.

    Raises
    ------
    DataError
        When the folder does not exist or the file cannot be written.
    """
    charts = [
        line_chart(curves, title=figure.replace("_", " ").capitalize(), x_label="seconds")
        for figure, curves in found.curves.items()
        if curves
    ]
    facts: dict[str, str | int | float] = {"runs": len(found.names)}
    write_page(
        path,
        title="Runs compared",
        molecules=[],
        facts=facts,
        tables=found.tables(),
        charts=charts,
        command=command,
    )


def _figures(path: Path, meta: Mapping[str, Any]) -> dict[str, Any]:
    """What a training came to, and what an evaluation beside it found."""
    history = meta.get("history", {})
    rows = history.get("rows", [])
    validated = [row for row in rows if row.get("validation_loss") is not None]
    best: Mapping[str, Any] = next(
        (row for row in reversed(validated) if row.get("step") == history.get("best_step")), {}
    )
    last = rows[-1] if rows else {}
    found = {
        "begun with": (meta.get("start") or {}).get("recipe"),
        "rows known": (meta.get("known") or {}).get("rows"),
        "steps": last.get("step"),
        "seconds": last.get("seconds"),
        "stopped by": history.get("stopped"),
        "best validation loss": best.get("validation_loss"),
        "best validation exact": best.get("validation_exact"),
        "density score": meta.get("density_score"),
        "seed": meta.get("seed"),
    }
    results = path.joinpath(*EVALUATION)
    if results.is_file():
        found |= _evaluated(results)
    return found


def _evaluated(path: Path) -> dict[str, Any]:
    from grammar_rae.errors import DataError

    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        parts = {"reference": data["reference"], **data["moses"], **(data["reconstruction"] or {})}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"these are not the figures of an evaluation ({error!r})", where=str(path)) from error
    return {f"evaluation: {name}": value for name, value in _flatten(parts).items() if value is not None}


def _flatten(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """What is nested, by names with a point between them."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flatten(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found


def _transpose(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """By name the values of all rows, in the order in which names first occur; names without any value are left out."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return {name: values for name, values in columns.items() if any(value is not None for value in values)}


def _short_names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell them apart."""
    for n in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-n:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return list(map(str, paths))


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
