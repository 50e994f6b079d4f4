"""Searches whose points an executor evaluates: the same as without, whatever fails, hangs or breaks."""

from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from optimization.digits import Digits, run, same, total

from grammar_rae.errors import DataError, InputError, WorkerError
from grammar_rae.optimization import STRATEGIES
from grammar_rae.scores import Score


class Backwards(Executor):
    """It ends the evaluations that wait when it is asked the next time, the last first."""

    def __init__(self, ends: int = 10**9, hangs: tuple[str, ...] = ()) -> None:
        self.left, self.hangs = ends, hangs
        self.order: list[str] = []
        self.tries: Counter[str] = Counter()

    def submit(self, function: Any, text: str) -> Any:  # type: ignore[override]
        if self.left <= 0:
            raise RuntimeError("cannot schedule new futures after shutdown")
        self.left -= 1
        self.tries[text] += 1
        future: Future[Any] = Future()
        self.order.append(text)
        if text not in self.hangs:
            future.set_result(function(text))
        return future


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_search_is_the_same_whoever_evaluates(strategy: str, tmp_path: Path) -> None:
    whole = run(strategy)
    with ThreadPoolExecutor(3) as pool:
        same(whole, run(strategy, executor=pool, folder=tmp_path / "pool"))
    executor = Backwards()
    same(whole, run(strategy, executor=executor))
    assert max(executor.tries.values()) == 1  # a text whose value is known is not evaluated again
    same(whole, run(strategy, folder=tmp_path / "pool", resume=True))  # and without an executor


def test_what_never_ends_is_a_failure(tmp_path: Path) -> None:
    hangs = tuple(run().history["text"][:2])
    executor = Backwards(hangs=hangs)
    found = run(executor=executor, time_limit=0.05, retries=2, folder=tmp_path)
    reasons = dict(zip(found.history["text"], found.history["reason"], strict=True))
    assert reasons[hangs[0]] == "it took longer than 0.05 s"
    assert executor.tries[hangs[0]] == 3
    assert found.history["total"].notna().sum() >= 10 - len(hangs)


def test_what_fails_is_tried_again() -> None:
    failed: Counter[str] = Counter()

    def flaky(text: str) -> float:
        failed[text] += 1
        if failed[text] <= 2 and text[0] == text[1]:
            raise OSError("the licence server is away")
        return total(text)

    same(run(), run(score=Score("total", flaky, True, ""), executor=Backwards(), retries=2))
    failed.clear()
    found = run(score=Score("total", flaky, True, ""), executor=Backwards(), retries=1)
    assert (found.initial["total"].isna() == [text[0] == text[1] for text in found.initial["text"]]).all()


@pytest.mark.parametrize("ends", [5, 30, 33])
def test_an_executor_that_takes_no_more(ends: int, tmp_path: Path) -> None:
    whole = run()
    with pytest.raises(WorkerError, match=r"takes no more evaluations.*RuntimeError: cannot schedule"):
        run(executor=Backwards(ends), folder=tmp_path)
    executor = Backwards()
    same(whole, run(executor=executor, folder=tmp_path, resume=True))
    every = len(set(whole.initial["text"]) | set(whole.history["text"][whole.history["valid"]]))
    assert sum(executor.tries.values()) == every - ends  # all that was evaluated was kept


def test_an_executor_that_breaks(tmp_path: Path) -> None:
    class Broken(Backwards):
        def submit(self, function: Any, text: str) -> Any:
            future = super().submit(function, text)
            if len(self.order) > 10:
                future = Future()
                future.set_exception(BrokenExecutor("a worker was killed"))
            return future

    with pytest.raises(WorkerError, match="BrokenExecutor: a worker was killed"):
        run(executor=Broken(), folder=tmp_path)
    executor = Backwards()
    same(run(), run(executor=executor, folder=tmp_path, resume=True))
    assert len(executor.order) < len(set(executor.order)) + 10


def test_a_line_of_arrivals_that_was_cut_off(tmp_path: Path) -> None:
    whole = run(executor=Backwards(), folder=tmp_path)
    for name in ("initial.csv", "history.csv"):
        (tmp_path / name).unlink()
    path = tmp_path / "arrived.jsonl"
    blob = path.read_bytes()
    path.write_bytes(blob[:-5])
    executor = Backwards()
    same(whole, run(executor=executor, folder=tmp_path, resume=True))
    assert len(executor.order) == 1 and path.read_bytes() == blob
    path.write_bytes(blob + b'["111", []]\n')
    with pytest.raises(DataError, match="damaged"):
        run(executor=executor, folder=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executor": "pool"}, "no executor"),
        ({"executor": Backwards(), "time_limit": 0}, "time limit cannot be used"),
        ({"executor": Backwards(), "retries": -1}, "retries cannot be used"),
        ({"time_limit": 5}, "of an executor's evaluations"),
        ({"retries": 5}, "of an executor's evaluations"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(model=Digits(), **options)
