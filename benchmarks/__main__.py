"""``python -m benchmarks NAME ...``: the benchmarks by name."""

from typing import Annotated

import typer

from benchmarks import commands, expressions, studies
from grammar_rae.cli.failures import Commands

app = typer.Typer(
    name="benchmarks",
    help="Measure grammar_rae: the paper's table and figures, and the package's own figures.",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for benchmark in (
    studies.images,
    studies.structured,
    studies.latent_space,
    studies.search,
    commands.text,
    commands.training,
    commands.profile,
    commands.constraints,
    commands.iteration,
    commands.steps,
    commands.sampling,
    commands.densities,
    expressions.expressions,
):
    app.command()(benchmark)


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="GRAMMAR_RAE_DEBUG", help="Show the traceback of an error.")
    ] = False,
) -> None:
    del debug  # failures.Commands reads it


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
