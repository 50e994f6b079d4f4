"""What a score is: a named function of one text, which may depend on means and standard deviations over some data."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from grammar_rae.errors import InputError
from grammar_rae.scores.evaluation import Evaluations, evaluate_function, outcomes, to_number


@dataclass(frozen=True)
class StandardizedSum:
    """A function of one text: the sum of its terms, each as a z-score, ``sum_t (t - mean_t) / std_t``.

    Parameters
    ----------
    terms
        One text -> its terms by name.
    constants
        ``<term>_mean`` and ``<term>_std`` of each term.
    """

    terms: Callable[[str], dict[str, float]]
    constants: Mapping[str, float]

    def __call__(self, text: str) -> float:
        """The sum of the z-scores of a text's terms."""
        return self.combine(self.terms(text))

    def combine(self, terms: Mapping[str, float]) -> float:
        """The sum of the z-scores of terms that are known."""
        constants = self.constants
        return float(
            sum((value - constants[f"{name}_mean"]) / constants[f"{name}_std"] for name, value in terms.items())
        )

    def with_constants(self, constants: Mapping[str, float]) -> "StandardizedSum":
        """The same sum with other constants.

        Raises
        ------
        InputError
            When a constant is missing, unknown or no finite number, or a standard deviation is not positive.
        """
        known = set(constants) == set(self.constants)
        if not known or not all(map(_usable_constant, constants, constants.values())):
            raise InputError(
                "these are not the constants of this score",
                received=dict(constants),
                expected=f"finite numbers for {', '.join(self.constants)}, each std above 0",
            )
        return replace(self, constants=dict(constants))


def _usable_constant(name: str, value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and (value > 0 or not name.endswith("_std"))


@dataclass(frozen=True)
class Score:
    """A named function of one text.

    Attributes
    ----------
    name, description
        For people and for columns of tables.
    function
        One text -> one number. A :class:`StandardizedSum` makes the score one that standardises.
    higher_is_better
        The direction of an optimisation, unless it is set otherwise.
    with_parameter
        Where the score has a parameter: its text -> the function. ``function`` is then the one of the usual parameter.
    """

    name: str
    function: Callable[[str], float]
    higher_is_better: bool
    description: str
    with_parameter: Callable[[str], Callable[[str], float]] | None = field(default=None, kw_only=True)

    @property
    def standardizes(self) -> bool:
        """Whether the score depends on means and standard deviations over some data."""
        return isinstance(self.function, StandardizedSum)

    @property
    def constants(self) -> dict[str, float]:
        """These means and standard deviations; empty for other scores."""
        return dict(self.function.constants) if isinstance(self.function, StandardizedSum) else {}

    def with_constants(self, constants: Mapping[str, float]) -> "Score":
        """The same score, standardised by other constants.

        Raises
        ------
        InputError
            When they are not this score's constants.
        """
        if not isinstance(self.function, StandardizedSum):
            raise InputError(f"the score {self.name!r} has no constants", received=dict(constants))
        return replace(self, function=self.function.with_constants(constants))

    def fit_constants(self, texts: Iterable[str], jobs: int = 1, progress: bool = False) -> "tuple[Score, Evaluations]":
        """The score with the constants of these N texts, and their values by it, in one pass over the texts.

        A score that does not standardise comes back as it is. The standard deviation is that of the N values (not of
        N - 1), so each term of the values has mean 0 and standard deviation 1. A term that is the same for all texts
        gets the standard deviation 1, so that it is counted in its own unit where a new text differs.

        Raises
        ------
        InputError
            When no text has the score, with the first reason; and as :func:`grammar_rae.scores.evaluate`.
        """
        if not isinstance(self.function, StandardizedSum):
            return self, evaluate_function(self.function, texts, jobs, progress)
        rows, failures = outcomes(partial(_terms, self.function.terms), texts, jobs, progress)
        known = [row for row in rows if row is not None]
        if not known:
            reason = failures[0][1] if failures else "there is no text"
            raise InputError(f"the score {self.name!r} cannot be fitted: no text has it ({reason})")
        constants = {}
        for name in known[0]:
            column = np.array([row[name] for row in known])
            constants[f"{name}_mean"] = float(column.mean())
            # Rounding gives equal values a tiny standard deviation.
            constants[f"{name}_std"] = float(column.std() if column.min() < column.max() else 0) or 1.0
        function = self.function.with_constants(constants)
        values = [math.nan if row is None else function.combine(row) for row in rows]
        return replace(self, function=function), Evaluations(np.array(values, dtype=np.float64), failures)


def _terms(terms: Callable[[str], Mapping[str, Any]], text: str) -> dict[str, float]:
    return {name: to_number(value) for name, value in terms(text).items()}
