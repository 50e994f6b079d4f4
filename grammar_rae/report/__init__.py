"""One self-contained HTML file about a run: its molecules, its facts and its curves.

The page loads nothing from the network, follows the reader's light or dark theme, and prints well. Its molecules are a
:func:`grammar_rae.gallery.gallery`, whose one script sorts, filters and enlarges them.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

import grammar_rae
from grammar_rae.errors import DataError
from grammar_rae.files import explain_write_errors, write_text
from grammar_rae.gallery import gallery, show_number
from grammar_rae.report.charts import Curve, line_chart
from grammar_rae.report.page import template

__all__ = ["Curve", "Table", "draw_charts", "line_chart", "write_page", "write_report"]


class Table(NamedTuple):
    """A table of cells that are ready to be read, the head apart, and a note below."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


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
    heading: str = "Training",
    values: Mapping[str, Sequence[Any]] | None = None,
    command: str = "",
) -> None:
    """Write the report; a file of this name is replaced in one step or left as it was.

    Parameters
    ----------
    path
        The HTML file; its folder must exist.
    molecules
        The texts to show, in this order; one that is not a molecule is shown as text.
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
    x_label, heading
        What the curves' x counts, and what stands over the curves.
    values
        Name -> a number for each of the molecules, by which the reader sorts and filters them.
    command
        What makes the same page again, for the reader to copy.

    Raises
    ------
    InputError
        When legends, values or curves do not fit together, or ``columns`` is below 1.
    UnknownNameError
        When the kind is unknown.
    DataError
        When the folder does not exist or the file cannot be written.
    """
    write_page(
        path,
        title=title,
        molecules=molecules,
        legends=legends,
        facts=facts,
        charts=draw_charts(curves, x_label),
        heading=heading,
        columns=columns,
        kind=kind,
        values=values,
        command=command,
    )


def write_page(
    path: str | os.PathLike[str],
    *,
    title: str,
    molecules: Sequence[str],
    legends: Sequence[str] | None = None,
    facts: Mapping[str, str | int | float],
    remarks: Sequence[str] = (),
    tables: Sequence[Table] = (),
    charts: Sequence[str] = (),
    heading: str = "Training",
    columns: int = 5,
    kind: str = "molecules",
    values: Mapping[str, Sequence[Any]] | None = None,
    command: str = "",
) -> None:
    """:func:`write_report` with remarks and tables, and with charts that are drawn already.

    Parameters
    ----------
    remarks
        What a reader should bear in mind, one sentence each; shown below the facts.
    tables
        Shown between these and the charts.
    charts
        What :func:`line_chart` gives.
    heading
        The heading of the charts.
    command
        What makes the same page again, for the reader to copy.
    """
    cards = gallery(molecules, values, legends=legends, kind=kind, columns=columns)
    target = Path(path)
    _check_folder(target)
    page = template().render(
        title=title,
        kind=kind,
        n=len(molecules),
        cards=cards,
        facts={name: show_number(value) for name, value in facts.items()},
        remarks=remarks,
        tables=tables,
        charts=[Markup(chart) for chart in charts],
        heading=heading,
        command=command,
        made=f"Made with grammar_rae {grammar_rae.__version__} on {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}.",
    )
    _replace(target, page)


def draw_charts(curves: Mapping[str, Curve], x_label: str) -> list[str]:
    """Charts of curves; those whose names end in the same word share one, as in :func:`write_report`."""
    charts: dict[str, dict[str, Curve]] = {}
    for name, curve in curves.items():
        words = name.replace("_", " ").split() or [""]
        charts.setdefault(words[-1], {})[" ".join(words)] = curve
    return [
        line_chart(group, title=subject[:1].upper() + subject[1:], x_label=x_label) for subject, group in charts.items()
    ]


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
    """A reader never sees half a page, and a full disk costs nothing old."""
    remedy = "Check the space that is left on the disk and the permissions of the folder."
    with explain_write_errors("the report", received=str(target), remedy=remedy):
        write_text(target, page, errors="replace")
