"""Properties that a search may ask its model for: those that the objectives are functions of, where they are best."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from grammar_rae.optimization.base import Array
from grammar_rae.optimization.profile import Profile
from grammar_rae.scores.desirability import Transform, preferred
from grammar_rae.scores.goals import Goal

UPPER = 0.2
"""The share of a property's range that is asked for where more of it is always better."""

Ranges = Mapping[str, tuple[float, float]]


def find_wishes(profile: Profile, ranges: Ranges) -> dict[str, tuple[float, float]]:
    """The range of each property in which the objectives are best, as far as they are functions of properties.

    Parameters
    ----------
    profile
        The objectives. A transform of a property says where it is best; so do the terms of a goal
        (:class:`grammar_rae.scores.goals.Goal`) and the hard limits.
    ranges
        By name, the ranges of the properties that the model can be told.
    """
    found: dict[str, tuple[float, float]] = {}

    def add(name: str, part: tuple[float, float] | None) -> None:
        if part is not None:
            low, high = found.get(name, ranges[name])
            found[name] = (max(low, part[0]), min(high, part[1]))

    for objective in profile.objectives:
        if objective.score in ranges:
            worth = objective.worth if objective.transform is None else objective.transform
            if objective.transform is None:
                add(objective.score, _end(objective.direction, *ranges[objective.score]))
            else:
                add(objective.score, preferred(worth, *ranges[objective.score]))
        elif isinstance(objective.function, Goal) and objective.direction == "maximize":
            for name, transform in _terms(objective.function, ranges):
                add(name, preferred(transform, *ranges[name]))
    for name, (low, high) in ({} if profile.limits is None else profile.limits.ranges).items():
        if name in ranges:
            add(name, (low, high))
    # Where objectives want different things of a property, it is not asked for.
    return {name: (low, high) for name, (low, high) in found.items() if low <= high}


def _end(direction: str, low: float, high: float) -> tuple[float, float]:
    room = UPPER * (high - low)
    return (high - room, high) if direction == "maximize" else (low, low + room)


def _terms(goal: Goal, ranges: Ranges) -> list[tuple[str, Transform]]:
    """The terms of a goal that are functions of properties."""
    from grammar_rae.chem import measure

    found: list[tuple[str, Transform]] = []
    for term in goal.tree.terms():
        if term.measure in ranges:
            # A term about a molecule is one of the difference to it.
            offset = measure(term.about, [(term.measure, "")])[0] if term.about else 0.0
            found.append((term.measure, partial(_each, term.transform, offset)))
    return found


def _each(transform: Callable[[float], float], offset: float, values: Array) -> Any:
    return np.array([transform(float(value) - offset) for value in values])
