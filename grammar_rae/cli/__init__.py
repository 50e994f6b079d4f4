"""The command line: thin commands that read arguments, call the package and write what comes back.

Importing this module imports nothing heavy; the commands import what they need when they run.
"""

from typing import Annotated

import typer

from grammar_rae import __version__
from grammar_rae.cli import (
    analogues,
    asking,
    catalogue,
    decorating,
    demo,
    density,
    evaluation,
    explorer,
    export,
    latent,
    optimization,
    sampling,
    training,
)
from grammar_rae.cli.failures import Debug, new_app

HELP = "Generative models of molecules and other strings of a grammar. Start with: grammar-rae demo"

app = new_app("grammar-rae", HELP)
for command in (
    demo.demo,
    training.train,
    sampling.sample,
    analogues.analogues,
    decorating.decorate,
    explorer.explore,
    sampling.interpolate,
    latent.reconstruct,
    latent.encode,
    latent.decode,
    optimization.optimize,
    asking.ask,
    asking.tell,
    evaluation.evaluate,
    density.refit,
    export.export,
    catalogue.check,
):
    app.command()(command)
app.command("list")(catalogue.list_names)

_grammar = typer.Typer(help="Another name of check.", no_args_is_help=True, rich_markup_mode=None)
_grammar.command()(catalogue.check)
app.add_typer(_grammar, name="grammar", hidden=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"grammar-rae {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
    debug: Debug = False,
) -> None:
    """Read the options that all commands have."""
    # Both act elsewhere: the version in its callback, debug in failures.Commands.
    del version, debug


def main() -> None:
    """The console script."""
    app(prog_name="grammar-rae")
