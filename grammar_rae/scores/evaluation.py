"""A function's values for many texts, even if it fails for some of them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from grammar_rae.checks import check_jobs
from grammar_rae.errors import InputError, TextError
from grammar_rae.parallel import map_parts

_T = TypeVar("_T")


class Evaluations(NamedTuple):
    """The values of one score for N texts.

    Attributes
    ----------
    values
        float64, (N,), with nan where there is none.
    failures
        The index of each text without a value, and the reason in words, in the order of the texts.
    """

    values: NDArray[np.float64]
    failures: list[tuple[int, str]]


def evaluate_function(function: Callable[[str], Any], texts: Iterable[str], jobs: int, progress: bool) -> Evaluations:
    """The values of a function of one text; parameters and errors as in :func:`grammar_rae.scores.evaluate`."""
    if isinstance(function, Batched):
        pairs = list(_many(function, as_list("texts", texts)))
        failures = [(row, reason) for row, (_, reason) in enumerate(pairs) if reason is not None]
        return Evaluations(np.array([math.nan if value is None else value for value, _ in pairs], float), failures)
    values, failures = outcomes(partial(_value, function), texts, jobs, progress)
    return Evaluations(np.array([math.nan if value is None else value for value in values], np.float64), failures)


class Batched(ABC):
    """A function of one text that is better asked about many at once, such as another program."""

    at_once: int
    """Texts to ask about at once, at most."""

    @abstractmethod
    def many(self, texts: Sequence[str]) -> list[float | str]:
        """The value of each text, or the reason why it has none."""

    def __call__(self, text: str) -> float:
        """The value of one text.

        Raises
        ------
        TextError
            When it has none.
        """
        (found,) = self.many([text])
        if isinstance(found, str):
            raise TextError(found, text=text)
        return found


def _many(function: Batched, texts: Sequence[str]) -> Iterator[tuple[float | None, str | None]]:
    for start in range(0, len(texts), function.at_once):
        for found in function.many(texts[start : start + function.at_once]):
            yield (None, _shorten(found)) if isinstance(found, str) else (found, None)


def _value(function: Callable[[str], Any], text: str) -> float:
    return to_number(function(text))


def as_list(what: str, values: Iterable[str]) -> list[str]:
    """The values as a list; a single text in place of a list is an error."""
    if isinstance(values, str):
        raise InputError(f"the {what} must be a list", received=repr(values), expected=f"[{values!r}]")
    return list(values)


def outcomes(
    call: Callable[[str], _T], texts: Iterable[str], jobs: int, progress: bool
) -> tuple[list[_T | None], list[tuple[int, str]]]:
    """What ``call`` gives for each text, or None and the reason."""
    texts = as_list("texts", texts)
    check_jobs(jobs)
    results: list[_T | None] = []
    failures: list[tuple[int, str]] = []
    for i, (result, reason) in enumerate(_with_progress(_attempts(call, texts, jobs), len(texts), progress)):
        results.append(result)
        if reason is not None:
            failures.append((i, reason))
    return results, failures


def evaluate_rows(
    functions: Sequence[Callable[[str], Any]], texts: Sequence[str], jobs: int
) -> Iterator[list[tuple[float | None, str | None]]]:
    """For each text, as soon as it and those before it are ready: what each function gives, or None and the reason."""
    check_jobs(jobs)
    single = [one for one in functions if not isinstance(one, Batched)]
    batched = [_many(one, texts) if isinstance(one, Batched) else None for one in functions]
    for row, _ in _attempts(row_call(single), texts, jobs):
        assert row is not None
        others = iter(row)
        yield [next(others if pairs is None else pairs) for pairs in batched]


def row_call(functions: Sequence[Callable[[str], Any]]) -> Callable[[str], list[tuple[float | None, str | None]]]:
    """A function of one text, for other processes: what each of the functions gives, or None and the reason."""
    return partial(_row, [partial(_value, one) for one in functions])


def _row(calls: Sequence[Callable[[str], float]], text: str) -> list[tuple[float | None, str | None]]:
    return [_attempt(call, text) for call in calls]


def _attempts(call: Callable[[str], _T], texts: Sequence[str], jobs: int) -> Iterator[tuple[_T | None, str | None]]:
    return map_parts(_attempt, ((call, text) for text in texts), jobs, "auto")


def _attempt(call: Callable[[str], _T], text: object) -> tuple[_T | None, str | None]:
    if not isinstance(text, str):
        return None, f"a text was expected, not {_shorten(repr(text))}"
    try:
        return call(text), None
    except TextError as error:
        return None, _shorten(error.message)
    except _NoNumberError as error:
        return None, str(error)
    except (Exception, SystemExit) as error:  # a user's function may raise anything, and may end its process
        return None, _shorten(f"{type(error).__name__}: {error}").removesuffix(":")


def _with_progress(pairs: Iterable[_T], total: int, progress: bool) -> Iterator[_T]:
    if not progress:
        yield from pairs
        return
    from grammar_rae.bars import bar_type

    tqdm = bar_type()

    yield from tqdm(pairs, desc="scoring", total=total, unit=" texts")


LARGEST = 1e100
"""The largest score, and the smallest with a minus: squares of such numbers can still be added up."""


class _NoNumberError(Exception):
    """A function returned something that is not a finite number; the message is the reason."""


def to_number(value: Any) -> float:
    """A function's result as a float; arrays and tensors are taken when they are of the shape () or (1,)."""
    if value is None:
        raise _NoNumberError("the score gave None")
    shape = tuple(np.shape(value))
    if shape == (1,):
        value = value[0]
    elif shape:
        raise _NoNumberError(f"the score gave an array of shape {shape} where a number was expected")
    if isinstance(value, np.ndarray):
        value = value[()]
    # float() would read a text, and drop what is imaginary.
    if isinstance(value, str | bytes | complex | np.complexfloating):
        raise _NoNumberError(f"the score gave {_shorten(repr(value))} where a number was expected")
    number = float(value)
    if not math.isfinite(number):
        raise _NoNumberError("the score is not a number" if math.isnan(number) else "the score is infinite")
    if abs(number) > LARGEST:
        raise _NoNumberError(f"the score {number:.3g} is too large to compare with others, beyond {LARGEST:g}")
    return number


def _shorten(text: str) -> str:
    """One line for a table of failures."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:197]}..."
