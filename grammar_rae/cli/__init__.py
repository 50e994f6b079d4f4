"""The command line: thin commands that read arguments, call the package and write what comes back.

Importing this module imports nothing heavy; the commands import what they need when they run.
"""

import gc
from typing import Annotated

import typer

from grammar_rae import __version__
from grammar_rae.cli import (
    analogues,
    asking,
    catalogue,
    comparison,
    decorating,
    demo,
    density,
    evaluation,
    explorer,
    export,
    latent,
    optimization,
    sampling,
    terminal,
    training,
)
from grammar_rae.cli.failures import EXAMPLE, Debug, new_app
from grammar_rae.threads import wait_asleep

HELP = "Generative models of molecules and other strings of a grammar. Start with: grammar-rae demo"

JOBS = {
    "Train and adapt": (
        (demo.demo, "grammar-rae demo"),
        (training.train, "grammar-rae train molecules.smi -o run/ --time-limit 10m"),
        (density.refit, "grammar-rae refit gmm -m run/ --set n_components=20"),
        (export.export, "grammar-rae export -m run/ -o to-hand-on/"),
    ),
    "Draw molecules": (
        (sampling.sample, "grammar-rae sample -n 1000 --scores qed,sa -o out.csv"),
        (analogues.analogues, "grammar-rae analogues 'CC(=O)Nc1ccc(O)cc1' -n 50"),
        (decorating.decorate, "grammar-rae decorate 'c1cc([*:1])ccc1N[*:2]' -n 50"),
        (sampling.interpolate, "grammar-rae interpolate CCO c1ccccc1O"),
        (explorer.explore, "grammar-rae explore molecules.smi"),
    ),
    "Codes": (
        (latent.encode, "grammar-rae encode molecules.smi -o codes.npy"),
        (latent.decode, "grammar-rae decode codes.npy -o out.csv"),
        (latent.reconstruct, "grammar-rae reconstruct molecules.smi -o back.csv"),
    ),
    "Search for scores": (
        (optimization.optimize, "grammar-rae optimize --score qed -o search/"),
        (asking.ask, "grammar-rae ask -s lab/ --objective potency=maximize -n 20"),
        (asking.tell, "grammar-rae tell measured.csv -s lab/"),
    ),
    "Measure and look up": (
        (evaluation.evaluate, "grammar-rae evaluate -m run/ --reference held-out.smi"),
        (comparison.compare, "grammar-rae compare run-1/ run-2/ --html compared.html"),
        (catalogue.check, "grammar-rae check molecules.smi"),
        (catalogue.list_names, "grammar-rae list scores"),
    ),
}
"""What commands are for, the commands, and an example of each."""

app = new_app("grammar-rae", HELP, add_completion=True)
for _job, _commands in JOBS.items():
    for _command, _example in _commands:
        _name = _example.split()[1]
        app.command(_name, rich_help_panel=_job, epilog=EXAMPLE + _example)(_command)

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
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="No progress bars and no advice; may stand behind the command.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object on the standard output; may stand behind the command.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Read the options that all commands have."""
    # The others act elsewhere: the version in its callback, debug in failures.Commands.
    del version, debug
    terminal.choose(quiet=quiet, json=json)


def main() -> None:
    """The console script."""
    # What is imported lives as long as the process; looking through it again and again is a tenth of the start.
    gc.set_threshold(100_000, 50, 50)
    wait_asleep()
    app(prog_name="grammar-rae")
