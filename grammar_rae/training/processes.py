"""Processes that train one model together: how many, what each does first, and what they agree on.

Each takes a part of every batch, and DDP averages their gradients. Weights and optimiser are on every one of them: a
model of this package is small, and so is what would be saved by dividing them.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from grammar_rae.errors import GrammarRAEError, InputError, TrainingError, WorkerError
from grammar_rae.launchers import is_first_process, is_node_of_many, started_processes
from grammar_rae.training.settings import TrainingSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_STARTED_LATE = ("ddp_fork", "ddp_spawn")  # strategies whose processes begin with the training itself
_PREPARATION = timedelta(days=30)  # the others wait for the first process, which may have 10^9 rows to read
_LOST = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe", "socket timeout")


def is_main_process() -> bool:
    """Whether this process writes files and shows progress; of several that train together, only the first one does."""
    # Fabric knows of processes that it forked; of all others their launcher's word is enough.
    fabric = sys.modules.get("lightning_fabric.utilities.rank_zero")
    forked = 0 if fabric is None else int(getattr(fabric.rank_zero_only, "rank", 0) or 0)
    return forked == 0 and is_first_process()


def count_processes(settings: TrainingSettings) -> tuple[int, int]:
    """The devices of each node and the nodes that train together: those chosen, else what the launcher started, else 1.

    Raises
    ------
    InputError
        When a launcher started another number than was chosen, or several nodes have nobody who starts them.
    """
    started = started_processes()
    if started is None:
        devices, nodes = settings.devices or 1, settings.nodes or 1
        if nodes > 1 and not is_node_of_many():
            raise InputError(
                "nobody says which of the nodes this one is",
                received=f"{nodes} nodes",
                remedy="Start the training by torchrun or srun, or set NODE_RANK, MASTER_ADDR and MASTER_PORT on each.",
            )
        return devices, nodes
    chosen = settings.devices or started.devices, settings.nodes or started.nodes
    if chosen != started[:2]:
        raise InputError(
            f"{started.launcher} started another number of processes than was asked for",
            received=f"{chosen[0]} devices on each of {chosen[1]} nodes",
            expected=f"{started.devices} on each of {started.nodes}",
            remedy="Leave devices and nodes out: they follow the launcher.",
        )
    return chosen


def choose_strategy(settings: TrainingSettings, processes: int) -> str:
    """The strategy of these settings, with "auto" resolved."""
    if settings.strategy != "auto" or processes == 1:
        return settings.strategy
    return "ddp_fork" if hasattr(sys, "ps1") else "ddp"  # a notebook cannot be started again from its first line


def check_share(settings: TrainingSettings, rows: int) -> None:
    """Raise InputError for fewer rows, in all or in a batch, than so many processes can share."""
    devices, nodes = count_processes(settings)
    processes = devices * nodes
    if rows < processes:
        raise InputError("fewer rows than devices", received=rows, expected=f"{processes} or more")
    if processes > 1 and settings.batch_size < 2 * processes:
        raise InputError(
            f"a batch is too small for {processes} processes",
            received=f"batch_size {settings.batch_size}",
            expected=f"{2 * processes} rows or more",
            remedy="Take larger batches, or fewer processes.",
        )


@contextmanager
def first_process_first(settings: TrainingSettings) -> Iterator[None]:
    """What the first of the processes does inside, the others do afterwards; who trains alone does it at once.

    So the first one reads and writes what the others then find.

    Raises
    ------
    InputError
        As :func:`count_processes`, or for what Lightning Fabric refuses.
    WorkerError
        In the other processes, when the first one failed inside; in all of them, when one ends.
    """
    devices, nodes = count_processes(settings)
    if devices * nodes == 1 or choose_strategy(settings, devices * nodes) in _STARTED_LATE:
        yield
        return
    from grammar_rae.training.fabric import make_fabric

    with lost_processes():
        make_fabric(settings).launch()
        group = distributed.new_group(backend="gloo", timeout=_PREPARATION)
    done = torch.zeros(1)
    if distributed.get_rank() == 0:
        try:
            yield
            done += 1
        finally:
            with suppress(RuntimeError) if not done else lost_processes():
                distributed.broadcast(done, 0, group=group)
    else:
        with lost_processes():
            distributed.broadcast(done, 0, group=group)
        if not done:
            raise WorkerError("the first process could not prepare the training", remedy="Its own message says why.")
        yield


def wait_for_others() -> None:
    """Wait until all processes that train together are here, or one has ended."""
    if distributed.is_available() and distributed.is_initialized():
        with suppress(RuntimeError):
            distributed.barrier()


@contextmanager
def lost_processes() -> Iterator[None]:
    """Turn what a collective operation says when a process is gone into a WorkerError."""
    try:
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        gone = isinstance(error, distributed.DistError) or any(sign in text.lower() for sign in _LOST)
        if isinstance(error, GrammarRAEError) or not gone:
            raise
        raise WorkerError(
            "another process of this training has ended or does not answer",
            received=text[:200],
            remedy="Look at its own message; the state that was saved last is whole, and resume goes on from it.",
        ) from error


class Processes:
    """One of the processes that train together, and what they share.

    Attributes
    ----------
    rank, count
        Its number, and how many there are.
    """

    def __init__(self, fabric: "Fabric") -> None:
        self.fabric, self.rank, self.count = fabric, fabric.global_rank, fabric.world_size

    def share(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], float]:
        """The part of a batch that is this process's, and the weight of its mean in the mean of all processes.

        With K processes each takes every K-th row, so that all have rows of similar lengths. When a batch has fewer
        than two rows for each process, every process computes the whole batch, which keeps batches independent of K.
        """
        if len(rows) < 2 * self.count:
            return rows, 1.0
        mine = rows[self.rank :: self.count]
        return mine, len(mine) * self.count / len(rows)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes."""
        return cast(Tensor, self.fabric.all_reduce(values, reduce_op="mean")) if self.count > 1 else values

    def largest(self, *values: float) -> list[float]:
        """The largest of each value over the processes."""
        if self.count == 1:
            return list(values)
        mine = torch.tensor(values, dtype=torch.float64, device=self.fabric.device)
        return cast(list[float], cast(Tensor, self.fabric.all_reduce(mine, reduce_op="max")).tolist())

    def share_buffers(self, module: nn.Module) -> None:
        """Give all processes the first one's buffers: DDP does so before a step, not before a validation."""
        if self.count > 1:
            buffers = list(module.buffers())
            for mine, first in zip(buffers, self.fabric.broadcast([b.cpu() for b in buffers]), strict=True):
                mine.copy_(first)

    def agree(self, identity: Mapping[str, Any], problem: GrammarRAEError | None = None) -> None:
        """Begin together, or not at all.

        Parameters
        ----------
        identity
            What must be the same for all, as JSON holds it.
        problem
            What keeps this process from beginning.

        Raises
        ------
        GrammarRAEError
            The problem.
        TrainingError
            In the other processes, and for another identity.
        """
        text = json.dumps(identity, sort_keys=True)
        digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest())  # a float64 holds it exactly
        failed, largest, smallest = self.largest(problem is not None, digest, -digest)
        if problem is not None:
            raise problem
        if failed:
            raise TrainingError("another process cannot begin this training", remedy="Its own message says why.")
        if largest != -smallest:
            raise TrainingError(
                "the processes of this training do not have the same data and settings",
                remedy="Let all of them see the same folder, and start them with the same arguments.",
            )
