"""What comes out of each study beside its rows: a file of tables, and pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import goals, image_figures, image_tables, latent_space_tables, search, structured_tables
from benchmarks.grid import Study, measure
from benchmarks.images import classifier_accuracy
from benchmarks.rows import Row
from grammar_rae.cli import files

Studies = Sequence[Any]


class Outcome(NamedTuple):
    """The file of a study's tables, the tables as Markdown, and the pictures where there are any."""

    file: str
    tables: Callable[[Studies, list[Row]], str]
    draw: Callable[[Studies, list[Row]], list[Path]] | None = None


OUTCOMES: dict[str, Outcome] = {
    "table1": Outcome(
        "table1.md",
        lambda studies, rows: image_tables.markdown(rows, classifier_accuracy(studies[0])),
        lambda studies, rows: image_figures.draw(studies[0]),
    ),
    "figure2": Outcome("figure2.md", lambda _, rows: structured_tables.markdown(rows)),
    "figure3": Outcome(
        "figure3.md",
        lambda _, rows: image_tables.figure3_markdown(rows),
        lambda studies, rows: [image_figures.draw_figure3(studies[0].folder / "figure3.png", rows)],
    ),
    "latent-space": Outcome(
        "latent-space.md",
        lambda _, rows: latent_space_tables.markdown(rows),
        lambda studies, rows: [latent_space_tables.draw_frontier(studies[0].folder / "frontier.png", rows)],
    ),
    "search": Outcome("search.md", lambda _, rows: search.markdown(rows)),
    "goals": Outcome("goals.md", lambda _, rows: goals.markdown(rows)),
}
"""The studies by name."""


def conclude(name: str, studies: Sequence[Study], figures: bool = False) -> str:
    """Measure what is missing in some studies of one folder; write their tables and pictures, and return the tables.

    Raises
    ------
    MissingExtraError
        Before any work, when pictures are wanted and matplotlib is not installed.
    """
    outcome, folder = OUTCOMES[name], studies[0].folder
    draw = outcome.draw if figures else None
    if draw is not None:
        image_figures.check_matplotlib()
    rows = [row for study in studies for row in measure(study)]
    tables = outcome.tables(studies, rows) if rows else "Nothing is measured yet.\n"
    if failures := [failure for study in studies for failure in study.failures()]:
        tables += "\n".join(["", "Failed:", "", *(f"- {failure}" for failure in failures)]) + "\n"
    files.write_text(folder / outcome.file, tables)
    files.note(f"written: {folder / outcome.file}")
    if draw is not None and rows:
        files.note("drawn: " + ", ".join(map(str, draw(studies, rows))))
    return tables
