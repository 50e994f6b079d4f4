"""What the studies share: a folder of trained runs and a file of rows, so that a study that was stopped goes on."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from grammar_rae import checkpoint
from benchmarks.rows import Row
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.model.latent import LatentModel
from grammar_rae.recipes import Recipe, training_settings

M = TypeVar("M", bound=LatentModel)


def check_names(kind: str, names: Iterable[str], table: Collection[str]) -> None:
    """Raise an UnknownNameError for the first name that is not in a table."""
    for name in names:
        if name not in table:
            raise UnknownNameError(kind, name, table)


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


def trained(
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
    mine, its = (json.loads(json.dumps(_all_of(one))) for one in (recipe, found.recipe_))
    if different := [name for name in mine if name not in free and mine[name] != its[name]]:
        raise InputError(
            "the folder holds a run of another recipe",
            received=", ".join(f"{name} {its[name]}" for name in different),
            expected=", ".join(f"{name} {mine[name]}" for name in different),
            where=str(folder),
            remedy="Choose another folder for the study, or remove the run.",
        )
    return found


def _all_of(recipe: Recipe) -> dict[str, Any]:
    """The recipe with every setting of its training, also those that it leaves as they are."""
    return recipe.to_dict() | {"training": asdict(training_settings(recipe))}
