"""Evaluations by any executor: in whatever order they end, with time limits and retries."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass
from typing import Any, NamedTuple

from grammar_rae.checks import check_count, is_number
from grammar_rae.errors import InputError, WorkerError, shorten
from grammar_rae.optimization.start import join_row
from grammar_rae.scores import Score
from grammar_rae.scores.evaluation import row_call

_POLL = 0.5  # seconds between two looks at the time limits

Row = tuple[tuple[float, ...], str]
"""The values of a text, and why one is missing, else ""."""

Result = list[tuple[float | None, str | None]] | tuple[None, str]
"""What each score gave, or None and the reason; or that for all of them."""


@dataclass(frozen=True)
class Evaluating:
    """Who evaluates the points of a search, and how patiently.

    Parameters
    ----------
    executor
        Any ``concurrent.futures.Executor``: a pool of processes or threads, Dask's ``client.get_executor()``, MPI's.
    time_limit
        Seconds that one evaluation may take; None for any number. They count from when it runs in a pool of Python's
        own, and elsewhere from when it was handed over. One that takes longer has failed; the executor's worker may
        still be busy with it.
    retries
        How often an evaluation that failed is tried again.

    Raises
    ------
    InputError
        For anything else.
    """

    executor: Executor
    time_limit: float | None = None
    retries: int = 0

    def __post_init__(self) -> None:
        if not callable(getattr(self.executor, "submit", None)):
            raise InputError(
                "this is no executor",
                received=type(self.executor).__name__,
                expected="an object with submit(function, argument), as in concurrent.futures",
            )
        if self.time_limit is not None and not (is_number(self.time_limit) and self.time_limit > 0):
            raise InputError("the time limit cannot be used", received=repr(self.time_limit), expected="seconds > 0")
        check_count("retries", self.retries, least=0)


class _Try(NamedTuple):
    text: str
    number: int


class _Work:
    """The evaluations that are under way, until the executor takes no more: then the rest of them end."""

    def __init__(self, how: Evaluating, call: Any) -> None:
        self.how, self.call = how, call
        self.running: dict[Future[Any], _Try] = {}
        self.lost: BaseException | None = None
        self._since: dict[Future[Any], float] = {}
        self._waits = isinstance(how.executor, ThreadPoolExecutor | ProcessPoolExecutor)  # and tells when it is over

    def submit(self, text: str, number: int = 0) -> None:
        """Hand an evaluation over, unless the executor is lost."""
        if self.lost is not None:
            return
        try:
            future = self.how.executor.submit(self.call, text)
        except RuntimeError as error:  # it was shut down, or broke
            self.lost = error
            return
        self.running[future] = _Try(text, number)
        if not self._waits:
            self._since[future] = time.monotonic()

    def collect(self) -> list[tuple[_Try, Result]]:
        """What has ended by now, or has had its time; it waits for a moment where nothing has."""
        limit = self.how.time_limit
        ended, _ = wait(self.running, _POLL if limit is None else min(_POLL, limit / 4), FIRST_COMPLETED)
        found = []
        for future in [*ended, *(self._overdue(limit) - ended if limit is not None else ())]:
            one = self.running.pop(future)
            self._since.pop(future, None)
            result = self._result(future) if future in ended else (None, f"it took longer than {limit:g} s")
            if result is not None:
                found.append((one, result))
            future.cancel()
        return found

    def _overdue(self, limit: float) -> set[Future[Any]]:
        now = time.monotonic()
        for future in self.running:
            if future.running():
                self._since.setdefault(future, now)
        return {future for future, begun in self._since.items() if now - begun > limit}

    def _result(self, future: Future[Any]) -> Result | None:
        """What an evaluation gave, or why it failed; None where its executor is lost."""
        try:
            found: list[tuple[float | None, str | None]] = future.result()
            return found
        except BrokenExecutor as error:
            self.lost = error
            return None
        except (Exception, CancelledError) as error:
            return None, shorten(f"{type(error).__name__}: {error}")


def evaluate_as_they_come(scores: Sequence[Score], texts: Sequence[str], how: Evaluating) -> Iterator[tuple[str, Row]]:
    """Each text with its values, as soon as they are known: in whatever order evaluations end.

    Parameters
    ----------
    scores
        What is evaluated.
    texts
        Different texts.
    how
        See :class:`Evaluating`.

    Raises
    ------
    WorkerError
        When the executor takes no more work, or breaks; what came before has come.
    """
    work = _Work(how, row_call([one.function for one in scores]))
    for text in texts:
        work.submit(text)
    try:
        while work.running:
            for (text, number), result in work.collect():
                parts: Sequence[tuple[float | None, str | None]]
                parts = result if isinstance(result, list) else [result] * len(scores)
                row = join_row(scores, parts)
                if row[1] and number < how.retries:
                    work.submit(text, number + 1)
                else:
                    yield text, row
    finally:
        for future in work.running:
            future.cancel()
    if work.lost is not None:
        raise WorkerError(
            "the executor takes no more evaluations",
            received=shorten(f"{type(work.lost).__name__}: {work.lost}"),
            remedy="Resume the search with another one; what was evaluated is kept.",
        ) from work.lost
