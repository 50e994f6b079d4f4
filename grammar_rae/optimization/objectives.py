"""What a search is for: names of values, and whether more or less of each is better."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from grammar_rae.errors import InputError
from grammar_rae.optimization.telling import ID, REASON, SMILES, is_named
from grammar_rae.scores import get_score

DIRECTIONS = {"maximize": 1.0, "minimize": -1.0}
"""What may be wanted of an objective, with the sign that makes larger better."""

RESERVED = (ID, SMILES, REASON, "batch", "origin", "nearest", "similarity", "measurements")
"""Columns that are not objectives."""


def check_objectives(objectives: Any) -> dict[str, str]:
    """The objectives, checked: names that can be columns, directions, scores that exist.

    Raises
    ------
    InputError
        For anything else, or a score that depends on data.
    """
    if not isinstance(objectives, Mapping) or not objectives:
        raise InputError("a search needs objectives", received=repr(objectives), expected='{"affinity": "maximize"}')
    columns: Counter[str] = Counter(RESERVED)
    for name, direction in objectives.items():
        if not isinstance(name, str) or not name.strip() or name != name.strip():
            raise InputError("an objective needs a name", received=repr(name), expected="a column's name")
        if not isinstance(direction, str) or direction not in DIRECTIONS:
            raise InputError(f"{name} has no direction", received=repr(direction), expected=" or ".join(DIRECTIONS))
        columns.update([name, f"{name}_expected", f"{name}_spread"])
        if is_named(name) and get_score(name).standardizes:
            raise InputError(
                f"the score {name} depends on data, and a search that is asked has none",
                remedy="Use optimize for it, or tell its values from outside by another name.",
            )
    if taken := [name for name, count in columns.items() if count > 1]:
        raise InputError("the name of an objective is taken", received=taken[0], remedy="Choose another name.")
    return dict(objectives)
