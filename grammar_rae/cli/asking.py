"""A search whose values come from outside: ``ask`` for molecules, ``tell`` what came of them."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from grammar_rae.cli import arguments, files, formats, preflight, terminal

Folder = Annotated[
    Path,
    typer.Option(
        "-s", "--search", parser=arguments.folder, metavar="PATH", help="The folder of the search.", show_default=False
    ),
]


def ask(
    search: Folder,
    model: arguments.Model = arguments.IN_THE_BOX,
    n: Annotated[int, typer.Option("-n", min=1, help="The number of molecules.")] = 50,
    output: arguments.Output = files.STDOUT,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DIRECTION",
            help="What is wanted, to begin a search: NAME=maximize or NAME=minimize; repeat for several. A name from "
            "`grammar-rae list scores` is computed, any other is told.",
            show_default=False,
        ),
    ] = None,
    objectives: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file of objectives with transforms, limits and diversity, in place of --objective.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="A table of molecules, with values where they are known, to begin a search with.", show_default=False
        ),
    ] = None,
    constraint: arguments.Constraint = None,
    strategy: Annotated[
        str | None, typer.Option(help="The search strategy; of a new search, analogues.", show_default=False)
    ] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="The most molecules to ask for in all.", show_default=False)
    ] = None,
    seed: arguments.OptionalSeed = None,
) -> None:
    """Ask a search for molecules to evaluate.

    The first call begins the search. The table has an empty column for each objective and one for the reason of a
    failure, to be filled in.
    """
    files.check_writable(output, formats=formats.TABLES)
    preflight.check_constraint(constraint)
    preflight.check_file(data)
    preflight.check_model(model)
    from grammar_rae.model import TextModel
    from grammar_rae.optimization import Search, read_table
    from grammar_rae.optimization.telling import REASON

    if objective and objectives is not None:
        raise typer.BadParameter("expected --objective or --objectives, not both", param_hint="--objectives")
    wanted = _read_objectives(objective) if objectives is None else objectives
    known = None if data is None else read_table(data)
    found = Search(
        TextModel.load(model),
        wanted,
        data=known,
        constraint=arguments.constraint_text(constraint),
        strategy=strategy,
        budget=budget,
        seed=seed,
        folder=search,
    )
    batch = found.ask(n)
    table = batch.assign(**dict.fromkeys([*found.objectives, REASON], ""))
    written = files.write_table(output, table)
    files.note(f"{len(batch)} molecules; {len(found.pending)} pending in {search}")
    terminal.hint(f"fill in the values, then grammar-rae tell {output} -s {shlex.quote(str(search))}")
    terminal.report(asked=len(batch), pending=len(found.pending), search=search, **written)


def tell(
    table: Annotated[
        Path,
        typer.Argument(
            help="A CSV file with the column id or smiles, a column for each objective, and reason; - is the standard "
            "input.",
            show_default=False,
            callback=arguments.readable_table,
        ),
    ],
    search: Folder,
    correct: Annotated[
        bool, typer.Option("--correct", help="Put the values in the place of earlier ones, not beside them.")
    ] = False,
    jobs: arguments.Jobs = 1,
) -> None:
    """Tell a search what came of molecules."""
    from grammar_rae.optimization import Search, read_table

    found = Search.open(search)
    preflight.check_file(table)
    told = found.tell(read_table(table), correct=correct, jobs=jobs)
    files.note(str(told))
    leaders = {}
    for name, sign in found.profile.targets:
        best = found.best(1, name)
        if len(best):
            leaders[name] = {"smiles": best["smiles"].iloc[0], "value": best[name].iloc[0]}
            direction = "maximize" if sign > 0 else "minimize"
            files.note(f"best to {direction} {name}: {best[name].iloc[0]:.6g} {best['smiles'].iloc[0]}")
    terminal.hint(f"grammar-rae ask -s {shlex.quote(str(search))} -n 50 -o next.csv")
    terminal.report(told=str(told), best=leaders, search=search)


def _read_objectives(asked: list[str] | None) -> dict[str, str] | None:
    """The objectives of ``--objective`` options; None without any."""
    found: dict[str, str] = {}
    for text in asked or ():
        name, _, direction = text.rpartition("=")  # a score's parameter may have an =, too
        if name in found or not name:
            raise typer.BadParameter(
                f"expected NAME=maximize or NAME=minimize, each name once, not {text!r}", param_hint="--objective"
            )
        found[name] = direction
    return found or None
