"""The profile of what a search is for: objectives, what their values are worth, hard limits and diversity.

A profile is written as a TOML file, or as the mapping that such a file holds. :class:`Profile` turns the values of
objectives, as they are told or computed, into the columns that a strategy sees, larger better everywhere: one, the
desirability, where objectives are merged; else one for each objective, of which a strategy seeks the Pareto front.
"""

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grammar_rae.datasets import read_rows
from grammar_rae.errors import DataError, InputError, UnknownNameError
from grammar_rae.optimization.base import Array
from grammar_rae.optimization.diversity import Diversity, read_diversity
from grammar_rae.optimization.telling import ID, REASON, SMILES
from grammar_rae.scores import SCORES, Window
from grammar_rae.scores.components import COMPONENTS, named, names
from grammar_rae.scores.desirability import MEANS, Transform, build, build_transform
from grammar_rae.scores.programs import resolve

DIRECTIONS = {"maximize": 1.0, "minimize": -1.0}
"""What may be wanted of an objective, with the sign that makes larger better."""

RESERVED = (ID, SMILES, REASON, "batch", "origin", "nearest", "similarity", "measurements")
"""Columns that are not objectives."""

DESIRABILITY = "desirability"
"""The column of merged objectives."""

PARETO = "pareto"
MERGES = (*MEANS, PARETO)
"""How several objectives become one, or do not."""

_ORDERED = Diversity()
_KEYS = ("merge", "limits", "objectives", "diversity")
_OWN = ("score", "direction", "transform", "weight", "at_least", "at_most")
_FILES = {"similarity": ("to",), "predictor": ("domain",)}  # keys that may be the name of a file of molecules
_LARGEST = 1_000_000  # bytes of a file of objectives


class Target(NamedTuple):
    """A column that a strategy sees: its name in tables, and the sign of its values there."""

    name: str
    sign: float


@dataclass(frozen=True)
class Objective:
    """One thing that is wanted.

    Attributes
    ----------
    name
        The column of its values.
    direction
        A row of :data:`DIRECTIONS`; with a transform it says nothing.
    function
        One molecule -> its value; None where values are told from outside.
    score
        The name of the function.
    transform
        Value -> desirability, or None.
    weight
        In the mean of a profile that merges.
    at_least, at_most
        Hard limits of the value.
    """

    name: str
    direction: str = "maximize"
    function: Callable[[str], float] | None = None
    score: str = ""
    transform: Transform | None = None
    weight: float = 1.0
    at_least: float = -math.inf
    at_most: float = math.inf

    def worth(self, values: Array) -> Array:
        """What values (N,) are worth: the desirability, or the value with its sign."""
        return DIRECTIONS[self.direction] * values if self.transform is None else self.transform(values)

    def allows(self, values: Array) -> Any:
        """Whether values (N,) are within the hard limits; one that is not known is."""
        return ~((values < self.at_least) | (values > self.at_most))


@dataclass(frozen=True)
class Profile:
    """What a search is for.

    Attributes
    ----------
    objectives
        In the order of their columns.
    merge
        One of :data:`MERGES`.
    limits
        A condition that molecules must fulfil to be asked for at all; None for none.
    diversity
        How molecules of a search are kept apart.
    table
        The mapping it was read from, and ``folder``, where its files are.
    """

    objectives: tuple[Objective, ...]
    merge: str = PARETO
    limits: Window | None = None
    diversity: Diversity = _ORDERED
    table: Mapping[str, Any] | None = None

    @property
    def names(self) -> list[str]:
        """The names of the objectives."""
        return [one.name for one in self.objectives]

    @property
    def directions(self) -> dict[str, str]:
        """By name, what is wanted of each objective."""
        return {one.name: one.direction for one in self.objectives}

    @cached_property
    def functions(self) -> dict[str, Callable[[str], float]]:
        """The objectives that are computed, and by what."""
        return {one.name: one.function for one in self.objectives if one.function is not None}

    @property
    def merged(self) -> bool:
        """Whether all objectives become one desirability."""
        return self.merge != PARETO

    @property
    def targets(self) -> list[Target]:
        """The columns that a strategy sees."""
        if self.merged:
            return [Target(DESIRABILITY, 1.0)]
        return [
            Target(one.name, DIRECTIONS[one.direction])
            if one.transform is None
            else Target(f"{one.name}_{DESIRABILITY}", 1.0)
            for one in self.objectives
        ]

    @property
    def weights(self) -> Array:
        """The weights (K,), which add up to 1."""
        found = np.array([one.weight for one in self.objectives])
        return np.asarray(found / found.sum())

    def worths(self, values: Array) -> Array:
        """What the values (N, K) of the objectives are worth, each for itself, (N, K)."""
        columns = [one.worth(column) for one, column in zip(self.objectives, values.T, strict=True)]
        return np.stack(columns, axis=1) if len(values) else np.zeros((0, len(columns)))

    def values(self, values: Array) -> Array:
        """The columns (N, M) that a strategy sees of the values (N, K) of the objectives; nan where one is missing.

        Beyond a hard limit, a merged molecule has the desirability 0, and one of several columns has no values.
        """
        worths = self.worths(values)
        allowed = self.allowed(values)
        if not self.merged:
            return np.where(allowed[:, None], worths, np.nan)
        merged = MEANS[self.merge](worths, self.weights)
        return np.where(allowed | np.isnan(merged), merged, 0.0)[:, None]

    def allowed(self, values: Array) -> Any:
        """Whether the values (N, K) of molecules are within all hard limits, (N,)."""
        return np.all([one.allows(column) for one, column in zip(self.objectives, values.T, strict=True)], axis=0)

    def has(self, text: str) -> bool:
        """Whether a molecule may be asked for."""
        return self.limits is None or self.limits.has(text)


def read_objectives(what: Any) -> Profile:
    """The profile of whatever a search takes as objectives: a file, what it holds, or name -> direction.

    Raises
    ------
    InputError, UnknownNameError, DataError
        As :func:`read_profile`.
    """
    if not isinstance(what, Mapping) or isinstance(what.get("objectives"), Mapping):
        return read_profile(what)
    if not what:
        raise InputError("a search needs objectives", received=repr(what), expected='{"affinity": "maximize"}')
    objectives = []
    for name, direction in what.items():
        _check_name(name)
        if not isinstance(direction, str) or direction not in DIRECTIONS:
            raise InputError(f"{name} has no direction", received=repr(direction), expected=" or ".join(DIRECTIONS))
        function = named(name) if name.partition("=")[0] in SCORES else None
        objectives.append(Objective(name, direction, function, "" if function is None else name))
    found = Profile(tuple(objectives))
    _check_columns(found)
    return found


def read_profile(what: str | PathLike[str] | Mapping[str, Any]) -> Profile:
    """The profile of a TOML file, or of a mapping that has what such a file has.

    Parameters
    ----------
    what
        The file, or the mapping; that may have the folder of files that it names as ``folder``.

    Raises
    ------
    DataError
        For a file that cannot be read, or is not TOML.
    InputError
        For a key or a value that means nothing, or objectives that contradict each other.
    UnknownNameError
        For a key, a score, a transform or a way to merge that does not exist; it names the nearest.
    """
    table, where = _read(what)
    _check_keys(table, (*_KEYS, "folder"), "the objectives" if where is None else where)
    rows = table.get("objectives")
    if not isinstance(rows, Mapping) or not rows:
        raise InputError("there are no objectives", expected="a table such as [objectives.qed]", where=where)
    folder = Path(table.get("folder") or ".")
    objectives = tuple(_read_objective(name, row, folder) for name, row in rows.items())
    merge = table.get("merge", PARETO if len(objectives) == 1 and objectives[0].transform is None else None)
    if merge is None:
        raise InputError(
            "it is not said how objectives are merged", expected=f'merge = "{MERGES[0]}", or {", ".join(MERGES[1:])}'
        )
    if merge not in MERGES:
        raise UnknownNameError("way to merge objectives", merge, MERGES)
    _check_merge(objectives, merge)
    limits = table.get("limits")
    window = None if limits is None else Window(limits)
    if window is not None:
        for name, (low, high) in window.ranges.items():
            if low > high:
                raise InputError(f"the limits contradict themselves: no {name} is in them", received=repr(limits))
    diversity = read_diversity(table.get("diversity", {}))
    if diversity.minimum and merge == PARETO:
        raise InputError("a minimum of diversity is one of the desirability", remedy="Merge the objectives.")
    found = Profile(objectives, merge, window, diversity, table)
    _check_columns(found)
    return found


def _check_columns(found: Profile) -> None:
    """Raise where two columns of a search's tables have one name."""
    taken = [*RESERVED, *found.names]
    for target in found.targets:
        taken += [f"{target.name}_expected", f"{target.name}_spread"]
        taken += [target.name] if found.merged or target.name not in found.names else []
    if twice := [name for name in taken if taken.count(name) > 1]:
        raise InputError("the name of an objective is taken", received=twice[0], remedy="Choose another name.")


def _read(what: Any) -> tuple[dict[str, Any], str | None]:
    """A profile's table, with the folder of its files, and the path of the file, if it is one."""
    if isinstance(what, Mapping):
        return dict(what), None
    if not isinstance(what, str | PathLike):
        raise InputError("these are no objectives", received=repr(what), expected='a TOML file, or {"qed": "maximize"}')
    path = Path(what)
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError("the file of objectives is too large", expected=f"{_LARGEST:,} bytes", where=str(path))
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # tomllib's errors and those of the encoding are ValueErrors
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"the objectives cannot be read ({reason})", where=str(path)) from error
    if "folder" in table:
        raise UnknownNameError(f"key of {path}", "folder", _KEYS)
    return {**table, "folder": str(path.absolute().parent)}, str(path)


def _check_keys(table: Any, known: Sequence[str], what: str) -> None:
    if not isinstance(table, Mapping):
        raise InputError(f"{what} is not a table", received=repr(table))
    for key in table:
        if key not in known:
            raise UnknownNameError(f"key of {what}", key, [one for one in known if one != "folder"])


def _read_objective(name: Any, row: Any, folder: Path) -> Objective:
    where = f"[objectives.{name}]"
    _check_name(name)
    if not isinstance(row, Mapping):
        raise InputError(f"{where} is not a table", received=repr(row), expected="score, transform, weight, ...")
    score, function = _find_function(name, row, folder, where)
    direction = row.get("direction", "maximize")
    if not isinstance(direction, str) or direction not in DIRECTIONS:
        raise InputError(f"{name} has no direction", received=repr(direction), expected=" or ".join(DIRECTIONS))
    transform = build_transform(row["transform"], where) if "transform" in row else None
    if transform is not None and "direction" in row:
        raise InputError(
            f"{name} has a transform and a direction",
            where=where,
            remedy="Leave the direction out: the transform says what is better.",
        )
    numbers = {key: row[key] for key in ("weight", "at_least", "at_most") if key in row}
    found: Objective = build(Objective, {"name": name, **numbers}, where)
    if not found.weight > 0:
        raise InputError("a weight is above 0", received=found.weight, where=where)
    if found.at_least > found.at_most:
        raise InputError(
            f"no {name} is within its limits", received=f"at least {found.at_least:g}, at most {found.at_most:g}"
        )
    return Objective(name, direction, function, score, transform, **numbers)


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name.strip() or name != name.strip():
        raise InputError("an objective needs a name", received=repr(name), expected="a column's name")


def _find_function(
    name: str, row: Mapping[str, Any], folder: Path, where: str
) -> tuple[str, Callable[[str], float] | None]:
    """The score of an objective, and its function; none where values are told from outside."""
    score = row.get("score")
    options = {key: value for key, value in row.items() if key not in _OWN}
    if score is not None and not isinstance(score, str):
        raise InputError("a score is a name", received=repr(score), where=where)
    if score in COMPONENTS:
        return str(score), build(COMPONENTS[str(score)], _find_files(str(score), options, folder), where)
    if options:
        known = _OWN
        raise UnknownNameError(f"key of {where}", next(iter(options)), known)
    function = named(name if score is None else score)
    if function is None and score is not None:
        raise UnknownNameError(f"score in {where}", score, names())
    return (score or name, function) if function is not None else ("", None)


def _find_files(score: str, options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A component's options, with what they say of files read, or found in the folder of the profile."""
    found = dict(options)
    for key in _FILES.get(score, ()):
        if isinstance(found.get(key), str):
            rows = list(read_rows(folder / found[key], None))
            found[key] = [row.text for row in rows if row.problem is None]
            if not found[key]:
                raise DataError("there is no molecule in the file", where=str(folder / options[key]))
    if score == "predictor" and isinstance(found.get("file"), str):
        found["file"] = str(folder / found["file"])
    command = found.get("command")
    if score == "program" and isinstance(command, list) and all(isinstance(part, str) for part in command):
        found["command"] = resolve(command, folder)
    return found


def _check_merge(objectives: Sequence[Objective], merge: str) -> None:
    if merge == PARETO:
        if weighted := [one.name for one in objectives if one.weight != 1]:
            raise InputError(
                f"{weighted[0]} has a weight, and a Pareto front has none", remedy="Leave it out, or merge by a mean."
            )
        return
    if plain := [one.name for one in objectives if one.transform is None]:
        raise InputError(
            f"{plain[0]} has no transform, and desirabilities from 0 to 1 are merged",
            expected='for example transform = { kind = "linear", low = 0, high = 1 }',
            where=f"[objectives.{plain[0]}]",
        )
