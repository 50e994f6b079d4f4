"""Scores: how good a text is, as a number.

``SCORES`` is the table; a new score is one row. A score's function takes one text and raises
:class:`~grammar_rae.errors.TextError` where the text has no such number. :func:`get_score` makes a score of a name, of
a name with a parameter, or of any function of one text; :func:`evaluate` computes it for many texts, and says why some
have no value.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError, TextError, UnknownNameError
from grammar_rae.expressions import GRID
from grammar_rae.expressions import evaluate as evaluate_expression
from grammar_rae.scores.base import Score, StandardizedSum
from grammar_rae.scores.classifiers import Classifier
from grammar_rae.scores.evaluation import Evaluations, as_list, evaluate_function
from grammar_rae.scores.suites import SUITES
from grammar_rae.scores.windows import Window

__all__ = [
    "SCORES",
    "SUITES",
    "TARGET",
    "ZINC250K",
    "Evaluations",
    "Score",
    "StandardizedSum",
    "Window",
    "evaluate",
    "get_score",
    "score",
]

#: The function that searches among expressions look for (Kusner, Paige and Hernández-Lobato, ICML 2017).
TARGET = "1/3+x+sin(x*x)"

#: Means and standard deviations of penalized_logp's terms over ZINC250k, as they are published. Their rings are those
#: of a cycle basis, which is not unique and has longer ones than RDKit's, which this package takes: with these the ring
#: term has about the mean -0.038 and the standard deviation 0.22. Molecules without a ring of more than six atoms have
#: the same z-score of 0.17 by either.
ZINC250K = {
    "logp_mean": 2.4570953396190123,
    "logp_std": 1.434324401111988,
    "sa_mean": -3.0525811293166134,
    "sa_std": 0.8335207024513095,
    "ring_mean": -0.0485696876403053,
    "ring_std": 0.2860212110245455,
}


def get_score(
    what: str | Score | Callable[[str], float], constants: Mapping[str, Mapping[str, float]] | None = None
) -> Score:
    """The score of a name or a function.

    Parameters
    ----------
    what
        A name in :data:`SCORES`; such a name with a parameter, as in ``"expression_error=1/3+x"``; a :class:`Score`; or
        any function of one text, whose score has the function's name, and higher is better.
    constants
        By the name of a score, its means and standard deviations, as a model keeps them. They are used where the score
        is among them.

    Raises
    ------
    UnknownNameError
        When a name is not in the table.
    InputError
        When the score has no parameter, or the parameter or the constants do not fit.
    DataError
        When the score is a trained classifier that this installation lacks.
    """
    if isinstance(what, Score):
        found = what
    elif isinstance(what, str):
        found = _row(what)
    elif callable(what):
        named = what.func if isinstance(what, partial) else what
        name = str(getattr(named, "__name__", type(named).__name__))
        found = Score(name, what, True, " ".join((named.__doc__ or "a function of one text").split("\n\n")[0].split()))
    else:
        raise InputError(
            "this is not a score",
            received=f"{what!r}, a {type(what).__name__}",
            expected="a name, a Score or a function of one text",
        )
    if constants and found.standardizes and found.name in constants:
        return found.with_constants(constants[found.name])
    return found


def _row(text: str) -> Score:
    name, equals, parameter = text.partition("=")
    if name not in SCORES:
        raise UnknownNameError("score", name, SCORES, "`grammar-rae list scores`")
    row = SCORES[name]
    if isinstance(row.function, Classifier):
        row.function.path()  # so that a missing file is reported before any work
    if not equals:
        return row
    if row.with_parameter is None:
        raise InputError(f"the score {name!r} has no parameter", received=repr(text), expected=repr(name))
    return replace(row, name=text, function=row.with_parameter(parameter))


def evaluate(
    score: str | Score | Callable[[str], float], texts: Iterable[str], jobs: int = 1, progress: bool = False
) -> Evaluations:
    """The values of one score for N texts, whatever its function does to some of them.

    An exception of the function, or a result that is not a finite number, is a failure of that text, with its reason.
    Only KeyboardInterrupt and SystemExit pass.

    Parameters
    ----------
    score
        What :func:`get_score` takes.
    texts
        N texts; anything else (None, where a decoding gave nothing) is a failure.
    jobs
        Worker processes, -1 for one per processor core; useful where the function takes a millisecond or more.
    progress
        Whether to show a progress bar.

    Raises
    ------
    InputError
        For ``jobs`` of 0, a single text in place of a list, or a function that cannot be sent to another process.
    """
    return evaluate_function(get_score(score).function, texts, jobs, progress)


def score(texts: Iterable[str], names: Iterable[str]) -> dict[str, NDArray[np.float64]]:
    """The scores of N texts.

    Parameters
    ----------
    texts
        N texts, for example SMILES.
    names
        Names in :data:`SCORES`, also with a parameter.

    Returns
    -------
    dict
        For each name, in the order of ``names``, an array (N,) of float64, with nan where a text has no such score, for
        example because it is not a molecule. An error that is not about the text is not caught.

    Raises
    ------
    UnknownNameError
        When a name is not in the table.
    """
    texts, names = as_list("texts", texts), as_list("names", names)
    rows = {name: _row(name) for name in names}
    return {name: _column(row.function, texts) for name, row in rows.items()}


def _column(function: Callable[[str], float], texts: list[str]) -> NDArray[np.float64]:
    values = np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        try:
            values[i] = function(text)
        except TextError:
            continue
    return values


def _descriptor(name: str, text: str) -> float:
    # Imported here, so that a table of names costs no import of RDKit.
    from grammar_rae.chem import DESCRIPTORS

    return DESCRIPTORS[name](text)


def _molecular(name: str, higher_is_better: bool, description: str) -> Score:
    return Score(name, partial(_descriptor, name), higher_is_better, description)


def _penalized_logp_terms(text: str) -> dict[str, float]:
    from grammar_rae.chem.descriptors import logp_sa_and_largest_ring

    # RDKit's rings: a cycle basis, which the published scores take, depends on the order of the atoms.
    logp, sa, largest = logp_sa_and_largest_ring(text)
    return {"logp": logp, "sa": -sa, "ring": -max(largest - 6.0, 0.0)}


def _expression_error(target: str) -> Callable[[str], float]:
    """``log(1 + mean(min((f(x) - y)^2, 1000)))`` over the grid, y the target's values; log(1001) for what has none."""
    if not np.isfinite(_target_values(target)).all():
        raise InputError("the target of expression_error must be finite on the grid", received=repr(target))
    return partial(_error_to, target)


def _error_to(target: str, text: str) -> float:
    worst = 1000.0
    try:
        values = evaluate_expression(text, GRID)
    except TextError:
        return math.log1p(worst)
    with np.errstate(over="ignore"):
        mean = float(np.minimum((values - _target_values(target)) ** 2, worst).mean())
    # An infinite value counts as the worst at its point, as the formula has it. One nan spoils the whole.
    return math.log1p(worst if math.isnan(mean) else mean)


@lru_cache(maxsize=16)
def _target_values(target: str) -> NDArray[np.float64]:
    return evaluate_expression(target, GRID)


SCORES: dict[str, Score] = {
    row.name: row
    for row in (
        _molecular("qed", True, "drug-likeness, 0 to 1"),
        _molecular("logp", True, "octanol-water partition coefficient (Crippen), logarithm"),
        _molecular("sa", False, "synthetic accessibility, 1 (easy) to 10 (hard)"),
        _molecular("weight", False, "molecular weight, g/mol"),
        _molecular("heavy_atoms", False, "number of atoms other than hydrogen"),
        _molecular("rings", False, "number of rings"),
        _molecular("largest_ring", False, "number of atoms in the largest ring"),
        Score(
            "penalized_logp",
            StandardizedSum(_penalized_logp_terms, ZINC250K),
            True,
            "z(logP) + z(-SA) + z(-max(largest ring - 6, 0)), each standardised over the training data (else ZINC250k)",
        ),
        Score(
            "expression_error",
            partial(_error_to, TARGET),
            False,
            f"log(1 + mean squared error, at most 1000 a point) to {TARGET}, or to the f of expression_error=f",
            with_parameter=_expression_error,
        ),
        *(row for suite in SUITES.values() for row in suite.values()),
    )
}
