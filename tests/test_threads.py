"""How many threads compute, and how they wait."""

import os
from pathlib import Path

import pytest
import torch

from grammar_rae import threads
from grammar_rae.errors import InputError
from grammar_rae.threads import count_cores, count_free_cores, use_threads, wait_asleep


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # monkeypatch puts it back, whatever a test sets
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)


@pytest.mark.parametrize("threads", [3, "3"])
def test_a_number_is_for_this_process_and_those_that_it_starts(
    threads: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    assert use_threads(threads, processes=2) == 3
    assert told == [3] and os.environ["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(("free", "processes", "each"), [(8, 1, 8), (8, 3, 2), (2, 2, 1), (1, 4, 1)])
def test_processes_share_the_free_cores(free: int, processes: int, each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "count_free_cores", lambda: free)
    assert use_threads("auto", processes) == each


def test_a_process_that_another_one_started_takes_its_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "count_free_cores", lambda: 8)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert use_threads("auto") == 1


@pytest.mark.parametrize("wrong", [0, -1, "0", "two", "", 1.0, True, None])
def test_what_is_no_number_of_threads(wrong: object) -> None:
    with pytest.raises(InputError, match="threads cannot be used"):
        use_threads(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "cores"),
    [("max 100000", 4), ("200000 100000", 2), ("50000 100000", 1), ("800000 100000", 4), ("", 4), (None, 4)],
)
def test_cores_are_those_bound_within_the_quota(
    content: str | None, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "cpu.max").write_text(content)
    monkeypatch.setattr(threads, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 5}, raising=False)
    assert count_cores() == cores


@pytest.mark.parametrize(("idle", "free"), [((1.0, 1.0), 2), ((1.0, 0.1), 1), ((0.0, 0.0), 1), ((0.9, 0.8), 2)])
def test_free_cores_are_those_that_were_idle(
    idle: tuple[float, float], free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A core that this process may not use is idle, too, and does not count."""
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        write(*(round(1000 * share * seconds) for share in idle), 1000)

    def write(*ticks: int) -> None:
        lines = [f"cpu{core} 9 9 9 {100 + tick} 0 9 9" for core, tick in enumerate(ticks)]
        (tmp_path / "stat").write_text("\n".join(["cpu 1 2 3 4 5", *lines, "intr 1"]))

    write(0, 0, 0)
    monkeypatch.setattr(threads, "_TIMES", tmp_path / "stat")
    monkeypatch.setattr(threads, "count_cores", lambda: 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    monkeypatch.setattr(os, "sysconf", lambda name: 1000, raising=False)
    monkeypatch.setattr(threads.time, "sleep", sleep)
    monkeypatch.setattr(threads.time, "monotonic", lambda: clock[0])
    assert count_free_cores() == free
    monkeypatch.setattr(threads, "_TIMES", tmp_path / "none")
    assert count_free_cores() == 2


def test_threads_sleep_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    wait_asleep()
    assert "OMP_WAIT_POLICY" not in os.environ
    monkeypatch.delenv("GOMP_SPINCOUNT")
    wait_asleep()
    assert os.environ.pop("OMP_WAIT_POLICY") == "PASSIVE"
