"""Several processes train one model as one process does, go on with each other's states, and end together."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import together
from together import SETTINGS, train
from toys import rows, toy

from grammar_rae.errors import InputError, UnknownNameError, WorkerError
from grammar_rae.launchers import Started, is_first_process, started_processes
from grammar_rae.training import TrainingSettings, count_processes, fit, is_main_process
from grammar_rae.training.processes import lost_processes

SCRIPT = str(Path(together.__file__))


def torchrun(rank: int, processes: int = 2, devices: int = 2) -> dict[str, str]:
    return {
        **{"TORCHELASTIC_RUN_ID": "none", "RANK": str(rank), "WORLD_SIZE": str(processes)},
        **{"LOCAL_RANK": str(rank % devices), "LOCAL_WORLD_SIZE": str(devices), "GROUP_RANK": str(rank // devices)},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())},
    }


def srun(rank: int, processes: int = 2, devices: int = 2) -> dict[str, str]:
    return {
        **{"SLURM_JOB_ID": "71", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": str(processes)},
        **{"SLURM_NTASKS_PER_NODE": str(devices), "SLURM_NNODES": str(processes // devices)},
        **{"SLURM_STEP_NUM_TASKS": str(processes), "SLURM_STEP_NUM_NODES": str(processes // devices)},
        **{"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank % devices), "SLURM_NODEID": str(rank // devices)},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())},
    }


def by_hand(node: int) -> dict[str, str]:
    return {"NODE_RANK": str(node), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(launcher: Any, *words: object, script: str = SCRIPT) -> list[tuple[int, str]]:
    """Code and message of each process that a launcher starts; None starts one, and Fabric the other."""
    if launcher is None:
        started: list[Mapping[str, str]] = [{}]
    else:
        first = launcher(0)
        started = [launcher(rank) | {"MASTER_PORT": first["MASTER_PORT"]} for rank in (0, 1)]
    command = [sys.executable, script, *map(str, words)]
    processes = [
        subprocess.Popen(command, env={**os.environ, **extra}, stderr=subprocess.PIPE, text=True) for extra in started
    ]
    try:
        said = [process.communicate(timeout=900)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def close(one: dict[str, Any], other: dict[str, Any]) -> None:
    for ours, theirs in zip(one["weights"], other["weights"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    mine, yours = ([row for row in run["history"]["rows"] if row["validation_loss"]] for run in (one, other))
    for row, twin in zip(mine, yours, strict=True):
        for name in ("step", "epoch", "loss", "reconstruction", "latent", "exact", "validation_loss"):
            assert row[name] == pytest.approx(twin[name], rel=1e-4), name


@pytest.mark.parametrize(
    "launcher", [None, *(pytest.param(launcher, marks=pytest.mark.slow) for launcher in (torchrun, srun))]
)
def test_two_processes_train_as_one_does(launcher: Any, tmp_path: Path) -> None:
    train(tmp_path / "resumed", replace(SETTINGS, epochs=1))  # by one process; two go on
    done = run(launcher, tmp_path)
    assert [code for code, _ in done] == [0] * len(done), done
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    whole = train()
    for result in (first, second):
        close(result["whole"], whole)
        close(result["resumed"], whole)
        close(result["few"], train(settings=replace(SETTINGS, batch_size=4), n=19))
    # Noise, dropout and statistics of batches leave both with the same weights.
    close(first["noisy"], second["noisy"])
    # Together they read every batch of the single process, each row once.
    for mine, other, both in zip(*(run["asked"] for run in (first["whole"], second["whole"], whole)), strict=True):
        assert sorted(mine + other) == sorted(both)
    # And one process goes on with what two have saved.
    longer = replace(SETTINGS, epochs=3)
    close(train(tmp_path / "resumed", longer, resume=True), train(settings=longer))
    # The first process alone writes.
    assert (tmp_path / "written-0" / "history.csv").is_file()
    assert not (tmp_path / "written-1").exists()


@pytest.mark.parametrize("launcher", [torchrun, pytest.param(None, marks=pytest.mark.slow)])
def test_a_process_that_dies_ends_the_other_with_a_message(launcher: Any, tmp_path: Path) -> None:
    first, *_ = run(launcher, tmp_path, 5)
    assert first[0] != 0
    assert "another process of this training has ended" in first[1] or "ended with code 9" in first[1]
    # What was saved before goes on.
    history = fit(
        together.Quiet(), rows(together.N), rows(41, seed=1), replace(SETTINGS, epochs=1), tmp_path, resume=True
    )
    assert history.stopped == "epochs"


@pytest.mark.parametrize(
    ("variables", "first", "started"),
    [
        ({}, True, None),
        (torchrun(0), True, Started(2, 1, "torchrun")),
        (torchrun(1), False, Started(2, 1, "torchrun")),
        (torchrun(2, 8, 2), False, Started(2, 4, "torchrun")),  # the first of its node, not of all
        (torchrun(0, 1, 1), True, Started(1, 1, "torchrun")),
        (srun(0), True, Started(2, 1, "srun")),
        (srun(3, 4, 2), False, Started(2, 2, "srun")),
        (srun(1) | {"SLURM_NTASKS_PER_NODE": "2(x3)"}, False, Started(2, 1, "srun")),
        (srun(0, 1, 1), True, None),
        ({"SLURM_NTASKS": "16", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7"}, True, None),  # a script of sbatch
        (srun(1) | {"SLURM_JOB_NAME": "interactive"}, True, None),
        ({"LOCAL_RANK": "0", "NODE_RANK": "0", "WORLD_SIZE": "2"}, True, None),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2"}, False, None),
        (by_hand(1), False, None),
    ],
)
def test_what_launchers_say(
    variables: dict[str, str], first: bool, started: Started | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() == is_main_process() == first
    assert started_processes() == started
    if started is not None:
        assert count_processes(SETTINGS) == started[:2]
        with pytest.raises(InputError, match="started another number"):
            count_processes(replace(SETTINGS, devices=started.devices + 1))


def test_a_single_process_in_a_job_of_many_tasks_trains_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "16")
    assert fit(toy(), rows(20), rows(4), replace(SETTINGS, epochs=1)).stopped == "epochs"


def test_what_several_processes_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="nobody says which of the nodes"):
        fit(toy(), rows(20), rows(4), replace(SETTINGS, nodes=2))
    with pytest.raises(InputError, match=r"a batch is too small for 8 processes.*16 rows or more"):
        fit(toy(), rows(20), rows(4), replace(SETTINGS, devices=8))
    for name, value in by_hand(1).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"fewer rows than devices.*expected 6 or more"):
        fit(toy(), rows(5), rows(4), replace(SETTINGS, nodes=2, devices=3))
    with pytest.raises(UnknownNameError, match="strategy"):
        TrainingSettings(epochs=1, strategy="fsdp")


def test_only_what_a_lost_process_leaves_becomes_a_worker_error() -> None:
    for text in ("[pair.cc:547] Connection closed by peer [127.0.0.1]:9", "gloo: timed out", "NCCL error in: x.cpp"):
        with pytest.raises(WorkerError, match="has ended or does not answer"), lost_processes():
            raise RuntimeError(text)
    with pytest.raises(RuntimeError, match="shapes"), lost_processes():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
