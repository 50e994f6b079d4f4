"""A resumable grid: runs (most often trainings) and their cells, one row of ``results.jsonl`` each.

A study says which runs it has; :func:`measure` does what is still missing and skips what is there. A cell whose
training or decoding fails keeps the reason in its row, and is tried again when the study is run again.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from benchmarks.rows import Row, append
from grammar_rae import checkpoint
from grammar_rae.errors import DecodingError, GrammarRAEError, InputError, TrainingError, UnknownNameError
from grammar_rae.evaluation import provenance
from grammar_rae.model.latent import LatentModel
from grammar_rae.recipes import Recipe, training_settings

M = TypeVar("M", bound=LatentModel[Any])

FAILURE = "failure"
"""The entry of a row that holds the reason why there are no figures."""

KEPT_FAILURES = (TrainingError, DecodingError)
"""What a model does, rather than whoever asked for the study: the grid goes on with other cells."""


class Cell(NamedTuple):
    """One row of a study.

    Attributes
    ----------
    key
        What tells its row from the others of its run.
    measure
        Its figures, measured with what the run prepares.
    """

    key: Row
    measure: Callable[[Any], Row]


@dataclass(frozen=True)
class Run:
    """Cells that share what has to be prepared for them, most often a trained model.

    Attributes
    ----------
    name
        The name that the progress bar shows.
    folder
        The folder of the run's files.
    key
        What tells its rows from those of other runs.
    prepare
        Gives what the cells measure; called once, and only where a cell is missing.
    cells
        In the order of the table.
    """

    name: str
    folder: Path
    key: Row
    prepare: Callable[[], Any]
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Study:
    """What to train and measure, and where: the base of all studies.

    Attributes
    ----------
    folder
        The folder of the study, with ``results.jsonl`` and the folders of its runs.
    progress
        Whether to show progress bars.
    """

    folder: Path
    progress: bool = field(default=True, kw_only=True)

    @property
    def results(self) -> Path:
        """The file of the rows."""
        return self.folder / "results.jsonl"

    @property
    def runs(self) -> list[Run]:
        """The runs, in the order in which they are made."""
        raise NotImplementedError

    def rows(self) -> list[Row]:
        """The rows measured so far; InputError when a line holds none."""
        return read_rows(self.results)

    def show(self, row: Row) -> Row:
        """A row as tables show it."""
        return row

    def failures(self) -> list[str]:
        """What failed, a sentence for each cell of the study that has no figures."""
        rows = self.rows()
        last = [latest(rows, run.key | cell.key) for run in self.runs for cell in run.cells]
        return [f"{_spell(row)}: {row[FAILURE]}" for row in last if row is not None and FAILURE in row]


def measure(study: Study) -> Iterator[Row]:
    """Train and measure what is missing; the rows of the study's cells, as they are ready, less those that failed."""
    from tqdm.auto import tqdm

    runs = study.runs
    bar = tqdm(runs, disable=not study.progress, unit="run", desc=study.folder.name)
    for run in bar:
        bar.set_postfix_str(run.name)
        prepared = _Once(run.prepare)
        for cell in run.cells:
            row = latest(study.rows(), run.key | cell.key)
            if row is None or FAILURE in row:
                row = {**run.key, **cell.key, **_figures(prepared, cell), **provenance().to_dict()}
                append(study.results, [row])
            if FAILURE not in row:
                yield study.show(row)


class _Once:
    """What a run prepares, made when it is first asked for; a failure is raised again."""

    def __init__(self, prepare: Callable[[], Any]) -> None:
        self._prepare = prepare
        self._found: list[Any] = []
        self._error: GrammarRAEError | None = None

    def __call__(self) -> Any:
        if self._error is not None:
            raise self._error
        if not self._found:
            try:
                self._found.append(self._prepare())
            except KEPT_FAILURES as error:
                self._error = error
                raise
        return self._found[0]


def _figures(prepared: _Once, cell: Cell) -> Row:
    try:
        return cell.measure(prepared())
    except KEPT_FAILURES as error:
        return {FAILURE: str(error)}


def _spell(row: Row) -> str:
    return ", ".join(f"{name} {row[name]}" for name in ("model", "recipe", "part", "column", "seed") if name in row)


def check_names(kind: str, names: Iterable[str], table: Collection[str], listed_by: str | None = None) -> None:
    """Raise an UnknownNameError for the first name that is not in a table."""
    for name in names:
        if name not in table:
            raise UnknownNameError(kind, name, table, listed_by)


def check_least(study: Study, **least: int) -> None:
    """Raise an InputError for the first of a study's numbers that is too small."""
    for name, number in least.items():
        if getattr(study, name) < number:
            raise InputError(f"{name} cannot be used", received=getattr(study, name), expected=f"{number} or more")


def read_rows(path: Path) -> list[Row]:
    """The rows of a file of JSON lines, none where there is no file.

    Raises
    ------
    InputError
        When a line holds no row.
    """
    if not path.is_file():
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise InputError(
                "this line holds no result",
                where=f"{path}, line {number}",
                remedy="Remove the line; its cell is measured again.",
            ) from error
    return rows


def latest(rows: list[Row], wanted: Mapping[str, Any]) -> Row | None:
    """The last row with these entries."""
    found = [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]
    return found[-1] if found else None


def load_or_train(
    kind: type[M],
    recipe: Recipe,
    data: Any,
    folder: Path,
    *,
    seed: int,
    progress: bool,
    free: tuple[str, ...] = ("description",),
) -> M:
    """A run's model: loaded, or trained, from where an interrupted training stopped.

    Parameters
    ----------
    kind, recipe, data, folder, seed, progress
        The model's class, what it trains on, and where.
    free
        Fields in which a model that is found may differ from the recipe.

    Raises
    ------
    InputError
        When the folder holds a model of another recipe.
    TrainingError
        When the training diverges, and again whenever it is asked for after that.
    """
    found = kind.load(folder) if checkpoint.exists(folder) else None
    # Ctrl-C and a training that diverged leave a model, too: one that is not trained to the end.
    if found is None or found.history.stopped in (None, "interrupted"):
        model = kind(recipe, seed=seed)
        model.fit(data, folder=folder, resume=checkpoint.exists(folder / "state"), progress=progress)
        if model.history.stopped == "interrupted":
            raise KeyboardInterrupt
        return model
    # As it is saved: what was a tuple is a list there.
    mine, its = (json.loads(json.dumps(_all_settings(one))) for one in (recipe, found.recipe_))
    if different := [name for name in mine if name not in free and mine[name] != its[name]]:
        raise InputError(
            "the folder holds a run of another recipe",
            received=", ".join(f"{name} {its[name]}" for name in different),
            expected=", ".join(f"{name} {mine[name]}" for name in different),
            where=str(folder),
            remedy="Choose another folder for the study, or remove the run.",
        )
    return found


def _all_settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe with every setting of its training, also those that it leaves as they are."""
    return recipe.to_dict() | {"training": asdict(training_settings(recipe))}
