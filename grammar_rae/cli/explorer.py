"""A page to look at a model's latent space and to work in it: ``explore``."""

from pathlib import Path
from typing import Annotated

import typer

from grammar_rae.cli import arguments, files


def explore(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A file of molecules to show: .smi, .txt, .csv, .tsv (each also .gz) or .parquet.",
            show_default=False,
            callback=arguments.readable,
        ),
    ] = None,
    model: arguments.Model = arguments.IN_THE_BOX,
    column: arguments.Column = None,
    draws: Annotated[int, typer.Option(min=0, max=50_000, help="The number of the model's draws to show.")] = 500,
    training_rows: Annotated[
        int, typer.Option(min=0, max=50_000, help="The most training rows to show, where the run has them.")
    ] = 10_000,
    seed: arguments.Seed = 0,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="The port; without it, the first free one from 5006 on.", show_default=False
        ),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Show a model's latent space on a page in the browser."""
    from grammar_rae.explorer import explore as show

    show(
        model,
        file,
        column=column,
        draws=draws,
        training_rows=training_rows,
        seed=seed,
        port=port,
        open_browser=browser,
        say=files.note,
    )
