"""Parallel parts give the same on a cluster as in one process, and say what is wrong with a cluster."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pytest
from joblib._parallel_backends import ThreadingBackend

from grammar_rae import __version__, cluster
from grammar_rae.chem import describing, traits
from grammar_rae.cluster import check_workers, on_cluster
from grammar_rae.codecs import CharacterCodec
from grammar_rae.datasets import encode
from grammar_rae.errors import GrammarRAEError, InputError, MissingExtraError, UnknownNameError, WorkerError
from grammar_rae.parallel import ROUND, map_parts
from grammar_rae.scores import evaluate

FILES = ("tokens.bin", "offsets.bin", "lines.bin", "meta.json", "rejected.csv")
CODEC = CharacterCodec(characters=("C", "O"))
TEXTS = ["C" * (i % 7) + "O" for i in range(57)] + ["Q", "CO", ""]
WANTED = np.ones((len(TEXTS), 1), bool)


def check_all_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every parallel part as the configuration has it, in a few chunks, against the same in this process."""
    monkeypatch.setattr(traits, "_AT_ONCE", 30)
    monkeypatch.setattr(describing, "CHUNK", 30)
    with joblib.parallel_config(backend="sequential"):
        one = encode(TEXTS, CODEC, folder / "one", chunk=20)
        known = list(traits.compute_traits(TEXTS, ["canonical", "logp"]))
        scores = evaluate("logp", TEXTS[-6:])
        described = describing.describe(TEXTS, ["logp"], WANTED, 64)
    monkeypatch.setattr(describing, "PARALLEL_FROM", 10)
    other = encode(TEXTS, CODEC, folder / "other", chunk=20, jobs=-1)
    for name in FILES:
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes(), name
    assert list(traits.compute_traits(TEXTS, ["canonical", "logp"], jobs=-1)) == known
    again = evaluate("logp", TEXTS[-6:], jobs=-1)
    assert again.failures == scores.failures
    assert np.array_equal(again.values, scores.values, equal_nan=True)
    moved = describing.describe(TEXTS, ["logp"], WANTED, 64, jobs=-1)
    assert np.array_equal(moved.properties, described.properties, equal_nan=True)
    assert np.array_equal(moved.bits, described.bits)


class ListsAlone(ThreadingBackend):
    """A backend that, as Ray's does, gives no results before it has all."""

    supports_return_generator = False


joblib.register_parallel_backend("lists-alone", ListsAlone)


def test_a_backend_that_gives_lists_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with joblib.parallel_config(backend="lists-alone", n_jobs=2):
        check_all_parts(tmp_path, monkeypatch)
        taken: list[int] = []
        found = map_parts(abs, ((taken.append(i) or -i,) for i in range(100)))
        assert next(found) == 0
        assert len(taken) <= 2 * 2 * ROUND  # two rounds of two workers, not all of them
        assert [*found] == list(range(1, 100))


READ = threading.Event()


def wait_until_read(number: int) -> int:
    assert READ.wait(30)
    return number


def test_the_next_round_is_read_while_one_is_worked_on() -> None:
    def parts() -> Iterator[tuple[int]]:
        for number in range(3 * ROUND):
            if number == 2 * ROUND:  # the first that is not in the round of two workers
                READ.set()
            yield (number,)

    with joblib.parallel_config(backend="lists-alone", n_jobs=2):
        assert [*map_parts(wait_until_read, parts())] == list(range(3 * ROUND))


def test_an_error_of_the_source_comes_after_what_was_read() -> None:
    def parts() -> Iterator[tuple[int]]:
        yield from ((i,) for i in range(5))
        raise InputError("the source broke")

    with joblib.parallel_config(backend="lists-alone", n_jobs=2):
        found = map_parts(abs, parts())
        assert [next(found) for _ in range(5)] == list(range(5))
        with pytest.raises(InputError, match="the source broke"):
            next(found)


def test_what_cannot_be_sent_is_refused_before_any_work() -> None:
    lock = threading.Lock()
    with joblib.parallel_config(backend="lists-alone"), pytest.raises(InputError, match="cannot be sent"):
        map_parts(lambda text: lock.locked(), [("C",)])


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        ("slurm:here", UnknownNameError, "unknown kind of cluster.*dask, local, ray"),
        ("", UnknownNameError, "unknown kind of cluster"),
        ("dask", InputError, "no address of a cluster.*dask:tcp://"),
        ("ray:", InputError, "no address of a cluster.*ray:auto"),
        ("local:tcp://host", InputError, "no address of a cluster.*local alone"),
    ],
)
def test_wrong_addresses(where: str, error: type[GrammarRAEError], message: str) -> None:
    with pytest.raises(error, match=message):
        on_cluster(where)


@pytest.mark.parametrize(("where", "package"), [("dask:tcp://host:1", "distributed"), ("ray:auto", "ray")])
def test_without_the_extra(where: str, package: str, hide_package: Callable[[str], None]) -> None:
    hide_package(package)
    extra = where.partition(":")[0]
    with (
        pytest.raises(MissingExtraError, match=rf"needs the package {package}.*grammar_rae\[{extra}\]"),
        on_cluster(where),
    ):
        pass


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("0.0.0", f"another version.*received version 0.0.0.*expected version {__version__}"),
        (None, f"cannot import grammar_rae.*expected version {__version__}"),
        (ModuleNotFoundError("No module"), "cannot import grammar_rae.*received ModuleNotFoundError: No module"),
    ],
)
def test_workers_of_another_version(answer: Any, message: str) -> None:
    class Client:
        def run(self, function: Callable[[], str], on_error: str) -> dict[str, Any]:
            assert on_error == "return"
            return {"tcp://a": function(), "tcp://b": answer}

    with pytest.raises(WorkerError, match=f"tcp://b.*{message}"):
        check_workers(Client(), "dask:tcp://here")


def test_workers_are_asked_once() -> None:
    asked: list[object] = []

    class Client:
        scheduler = SimpleNamespace(address="tcp://here")

        def run(self, function: Callable[[], str], on_error: str) -> dict[str, Any]:
            asked.append(self)
            return {"tcp://a": function()}

    client = Client()
    check_workers(client)
    check_workers(client)
    assert asked == [client]


# --- Dask ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def threads() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    options: dict[str, Any] = {"processes": False, "dashboard_address": None, "n_workers": 2, "threads_per_worker": 1}
    with distributed.LocalCluster(**options) as found:
        yield found


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "WAIT", 0.5)
    where = "dask:tcp://127.0.0.1:9"
    with pytest.raises(WorkerError, match=f"{where}: the cluster cannot be reached"), on_cluster(where):
        pass


def test_a_dask_cluster_of_threads(threads: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = f"dask:{threads.scheduler_address}"
    with on_cluster(where):
        client = joblib.parallel.get_active_backend()[0].client
        assert client.scheduler_comm.recent_message_log.maxlen == cluster.MESSAGES
        check_all_parts(tmp_path, monkeypatch)
    monkeypatch.setattr("grammar_rae.cluster._version_asker", lambda: lambda: "0.0.0")
    with pytest.raises(WorkerError, match=f"version 0.0.0.*{__version__}"), on_cluster(where):
        pass
    threads.scale(0)
    threads.sync(threads._correct_state)
    monkeypatch.setattr(cluster, "WAIT", 0.5)
    with pytest.raises(WorkerError, match="no workers"), on_cluster(where):
        pass


@pytest.mark.slow
def test_a_dask_worker_is_killed_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as found:
        with on_cluster(f"dask:{found.scheduler_address}"):
            check_all_parts(tmp_path, monkeypatch)
            pid = next(iter(found.workers.values())).pid

            def source() -> Iterator[str]:
                for number in range(600):
                    if number == 300:
                        os.kill(pid, signal.SIGKILL)
                    yield "C" * (number % 9) + "O"

            killed = encode(source(), CODEC, tmp_path / "killed", chunk=20, jobs=-1)
        whole = encode(list(source_texts()), CODEC, tmp_path / "whole", chunk=20)
        assert (killed.folder / "tokens.bin").read_bytes() == (whole.folder / "tokens.bin").read_bytes()
        assert killed.n_read == whole.n_read == 600


def source_texts() -> Iterator[str]:
    return ("C" * (number % 9) + "O" for number in range(600))


# --- Ray -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_ray_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        with on_cluster("ray:auto"):
            check_all_parts(tmp_path, monkeypatch)
    finally:
        ray.shutdown()
        time.sleep(0.1)
