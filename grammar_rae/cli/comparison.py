"""Trained models side by side: ``compare``."""

from pathlib import Path
from typing import Annotated

import typer

from grammar_rae.cli import files, formats, pages, terminal
from grammar_rae.resources import model_folder


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN ...", help="Folders of trained models, or names.", show_default=False),
    ],
    html: Annotated[Path | None, typer.Option(help="An HTML page to write, with curves.", show_default=False)] = None,
) -> None:
    """Compare trained models: choices, figures and curves."""
    files.check_writable(html, formats=formats.PAGES)
    from grammar_rae.report.comparison import compare_runs, write_comparison

    found = compare_runs([model_folder(run) for run in runs])
    for table in found.tables():
        terminal.say(table.title)
        rows = [list(table.head), *map(list, table.rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for first, *rest in rows:
            cells = [first.ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(rest, widths[1:], strict=True))]
            terminal.say("  " + "  ".join(cells).rstrip())
        terminal.say("")
    if html is not None:
        write_comparison(html, found, pages.command_line())
        terminal.hint(f"open {html} in a browser")
    terminal.report(runs=found.names, settings=found.settings, figures=found.figures)
