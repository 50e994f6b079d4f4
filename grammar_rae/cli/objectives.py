"""A search for several objectives that a file describes: ``optimize --objectives``."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from grammar_rae.cli import files, pages
from grammar_rae.cli.beside import append_columns, read_beside
from grammar_rae.errors import DataError

if TYPE_CHECKING:
    from grammar_rae.optimization import Search

PAGE, BEST, HISTORY = "report.html", "best.csv", "history.csv"
N_INITIAL, SHOWN = 100, 10


def refuse_for_objectives(**given: bool) -> None:
    """Refuse options that a file of objectives leaves nothing to say for."""
    for name, is_given in given.items():
        if is_given:
            raise typer.BadParameter("expected --score with it, not --objectives", param_hint=f"--{name}")


def search_objectives(
    objectives: Path,
    model: Path,
    output: Path,
    budget: int,
    batch_size: int,
    *,
    data: Path | None,
    constraint: str | None,
    strategy: str | None,
    n_initial: int | None,
    seed: int,
    jobs: int,
    resume: bool,
    progress: bool,
) -> None:
    """Run a search to its end, or from where it was stopped, and write what it found."""
    from grammar_rae.datasets import read_rows
    from grammar_rae.model import TextModel
    from grammar_rae.optimization import Search, read_objectives, read_table
    from grammar_rae.optimization.ledger import SETTINGS
    from grammar_rae.report.search import write_search_report

    if (output / SETTINGS).exists() and not resume:
        raise DataError(
            "the folder holds a search",
            where=str(output),
            remedy="Continue it with --resume, or choose another folder.",
        )
    read_objectives(objectives)  # so that a mistake in it is told before any work
    known = None
    if data is not None:
        is_table = {".csv", ".tsv"} & set(data.suffixes)
        known = read_table(data) if is_table else [row.text for row in read_rows(data) if row.problem is None]
    search = Search(
        TextModel.load(model),
        objectives,
        data=known,
        constraint=constraint,
        strategy=strategy,
        n_initial=(None if resume else N_INITIAL) if n_initial is None else n_initial,
        seed=seed,
        folder=output,
    )
    search.run(budget, batch_size=batch_size, jobs=jobs, progress=progress)
    history, best = search.history(), search.best(max(1, len(search)))
    if data is not None:
        canonical = search.model.codec.canonical
        names, cells = read_beside(history["smiles"].tolist(), data, None, canonical)
        there = dict(zip(history["smiles"], cells, strict=True))
        history = append_columns(history, names, cells, search.profile.names)
        best = append_columns(best, names, [there[text] for text in best["smiles"]], search.profile.names)
    files.write_frame(output / HISTORY, history)
    files.write_frame(output / BEST, best)
    write_search_report(output / PAGE, search, command=pages.command_line())
    _print(search, output)


def _print(search: "Search", output: Path) -> None:
    """The best molecules on the standard output, and what was found and written on stderr."""
    names = list(dict.fromkeys([*(one.name for one in search.profile.targets), *search.profile.names]))
    shown = search.best(SHOWN) if len(search.profile.targets) == 1 else search.front().head(SHOWN)
    for row in shown[[*names, "smiles"]].itertuples(index=False):
        typer.echo("\t".join([*(f"{value:.6g}" for value in row[:-1]), row[-1]]))
    history = search.history()
    for reason, count in history.loc[history["reason"] != "", "reason"].value_counts().items():
        files.note(f"{count} without a value: {reason}")
    files.note(f"{len(history)} molecules; columns: {', '.join(names)}")
    files.note(f"written {output / HISTORY}, {output / BEST} and {output / PAGE}")
