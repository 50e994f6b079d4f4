"""A folder in which one process works; the lock ends with the process that holds it."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from grammar_rae import locks
from grammar_rae.errors import DataError, TrainingError
from grammar_rae.locks import FolderLock
from grammar_rae.training import one_training

ROOT = Path(__file__).parents[1]
HOLD = """
import sys, time
from grammar_rae.locks import FolderLock
with FolderLock(sys.argv[1], "a training"):
    print("held", flush=True)
    time.sleep(600)
"""


def holder(folder: Path) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_at_once_and_told_by_whom(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(DataError) as caught, FolderLock(tmp_path, "a training"):
            pass
        said = str(caught.value)
        assert f"process {process.pid} on " in said and "since 20" in said and str(tmp_path) in said
    finally:
        process.kill()
        process.wait()
    with FolderLock(tmp_path, "a training"):  # the lock died with its process
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX's signals")
def test_a_stopped_process_still_holds_it(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(DataError), FolderLock(tmp_path, "a training"):
            pass
    finally:
        process.kill()
        process.wait()


def test_folders_that_were_made_for_it_go_when_they_are_empty(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "a" / "b", "a training"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with FolderLock(tmp_path / "a" / "b", "a training"):
        (tmp_path / "a" / "b" / "model").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["model"]


def test_one_of_many_threads_has_it(tmp_path: Path) -> None:
    inside, most, done = 0, 0, []

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with FolderLock(tmp_path, "work", wait=60):
                inside += 1
                most = max(most, inside)
                time.sleep(0.0005)
                inside -= 1
        done.append(True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(done)) == (1, 4) and list(tmp_path.iterdir()) == []


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(locks, "_lock", refuse)


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_locks(monkeypatch)
    with (
        FolderLock(tmp_path, "a training"),
        pytest.raises(DataError, match=f"process {os.getpid()} on "),
        FolderLock(tmp_path, "a training"),
    ):
        pass
    with FolderLock(tmp_path, "a training"):
        pass


def test_there_a_dead_process_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_locks(monkeypatch)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    lock = FolderLock(tmp_path, "a training")
    lock.acquire()
    held = tmp_path / f"{locks.LOCK}.pid"
    held.write_text(held.read_text().replace(str(os.getpid()), str(process.pid)))
    with FolderLock(tmp_path, "a training", wait=5):
        pass


def test_a_training_is_refused_while_another_one_runs(tmp_path: Path) -> None:
    class Model:
        @one_training
        def fit(self, data: object, *, folder: object = None) -> str:
            """Train."""
            return "trained"

    assert Model.fit.__doc__ == "Train."
    with FolderLock(tmp_path, "a training"):
        with pytest.raises(TrainingError, match="in use"):
            Model().fit([], folder=tmp_path)
        assert Model().fit([]) == Model().fit([], folder=tmp_path / "other") == "trained"
    assert Model().fit([], folder=tmp_path) == "trained"


def test_models_and_searches_take_it(tmp_path: Path) -> None:
    import grammar_rae
    from grammar_rae.optimization import optimize

    with FolderLock(tmp_path, "another work"):
        with pytest.raises(TrainingError, match="in use"):
            grammar_rae.train(["CCO"] * 8, recipe="tiny", folder=tmp_path)
        with pytest.raises(DataError, match="in use"):
            optimize(object(), "qed", ["CCO", "CCN"], folder=tmp_path)  # type: ignore[arg-type]
        assert [path.name for path in tmp_path.iterdir()] == [locks.LOCK]
