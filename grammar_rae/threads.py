"""How many threads a process computes with, and how they wait for each other.

PyTorch's threads share every single operation, so two of them wait for each other a thousand times a second. By default
they do so by spinning, on cores that something else may need; then the one that is waited for does not run either.
"""

import os
import sys
import time
from pathlib import Path

from grammar_rae.errors import InputError

AUTO = "auto"
_WAITING = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}
_THREADS = "OMP_NUM_THREADS"
_LOOK = 0.2  # seconds in which the other work of the machine is looked at
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_TIMES = Path("/proc/stat")


def wait_asleep() -> None:
    """Let threads that wait for each other sleep, unless the environment says how they wait.

    It has to be called before PyTorch is imported. Nothing that is computed depends on it.
    """
    if not _WAITING & os.environ.keys():
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def use_threads(threads: int | str, processes: int = 1) -> int:
    """Compute with so many threads in this process, and in those that it starts.

    Parameters
    ----------
    threads
        A number, or ``"auto"``: the cores that nobody uses now, shared by the processes, and at least one for each.
        Sums of float32 in another order differ in their last digits, so a result that must be the same to the last bit
        needs a number.
    processes
        Processes of this machine that compute at once, as those that train together.

    Returns
    -------
    The number of threads.

    Raises
    ------
    InputError
        For anything else.
    """
    number = _read(threads)
    if number is None and "LOCAL_RANK" in os.environ and _THREADS in os.environ:
        number = _read(os.environ[_THREADS])  # whoever started this process has looked
    if number is None:
        number = max(1, count_free_cores() // processes)
    os.environ[_THREADS] = str(number)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(number)
    return number


def count_cores() -> int:
    """The cores that this process may use: those that it is bound to, and no more than its group's quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        return max(1, min(bound, int(quota) // int(period)))
    except (OSError, ValueError):  # there is no group, or it has no quota
        return bound


def count_free_cores() -> int:
    """The cores that this process may use and nobody uses now, at least one; all of them where nothing says so."""
    cores, before = count_cores(), _idle_ticks()
    began = time.monotonic()
    time.sleep(_LOOK)
    ticks = (time.monotonic() - began) * (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)
    if before is None or (after := _idle_ticks()) is None:
        return cores
    return max(1, min(cores, round((after - before) / ticks)))


def _idle_ticks() -> int | None:
    """For how many ticks the cores that this process may use have been idle, all together; None where nobody knows."""
    bound = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    try:
        lines = (line.split() for line in _TIMES.read_text(encoding="ascii").splitlines())
        idle = [int(line[4]) + int(line[5]) for line in lines if line and line[0] in {f"cpu{core}" for core in bound}]
    except (OSError, ValueError, IndexError):
        return None
    return sum(idle) if idle else None


def _read(threads: int | str) -> int | None:
    """A number of threads; None for "auto"."""
    if threads == AUTO:
        return None
    try:
        number = int(threads)
    except (TypeError, ValueError):
        number = 0
    if number < 1 or isinstance(threads, float | bool):
        raise InputError(
            "threads cannot be used", received=repr(threads), expected="a whole number, 1 or more, or auto"
        )
    return number
