"""The command line: thin commands that read arguments, call the package and write what comes back.

Importing this module imports nothing heavy; the commands import what they need when they run.
"""

from typing import Annotated

import typer

from grammar_rae import __version__
from grammar_rae.cli import (
    benchmark,
    catalogue,
    density,
    evaluation,
    export,
    expressions,
    latent,
    optimization,
    sampling,
    studies,
    training,
)
from grammar_rae.cli.failures import Commands

HELP = "Generative models of molecules and other strings of a grammar. Start with: grammar-rae demo"

app = typer.Typer(
    name="grammar-rae",
    help=HELP,
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(training.demo)
app.command()(training.train)
app.command()(sampling.sample)
app.command()(sampling.interpolate)
app.command()(optimization.optimize)
app.command()(latent.encode)
app.command()(latent.decode)
app.command()(latent.reconstruct)
app.command()(evaluation.evaluate)
app.command()(density.refit)
app.command()(export.export)
app.command()(catalogue.recipes)
app.command()(density.densities)
app.command()(catalogue.constraints)
app.command()(expressions.expressions)
app.add_typer(catalogue.grammar_app, name="grammar")

benchmark_app = typer.Typer(help="Measure the package.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(benchmark_app, name="benchmark")
for measure in (
    benchmark.text,
    benchmark.training,
    benchmark.profile,
    benchmark.constraints,
    studies.images,
    studies.structured,
    studies.search,
    studies.latent_space,
    benchmark.iteration,
    benchmark.steps,
    benchmark.sampling,
    benchmark.densities,
):
    benchmark_app.command()(measure)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"grammar-rae {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="GRAMMAR_RAE_DEBUG", help="Show the traceback of an error.")
    ] = False,
) -> None:
    # Both act elsewhere: the version in its callback, debug in failures.Commands.
    del version, debug


def main() -> None:
    """The console script."""
    app(prog_name="grammar-rae")
