"""What a launcher of several processes says of this one: torchrun, SLURM's ``srun``, or Lightning Fabric itself.

It says so in environment variables, so that this is known before anything heavy is imported: whoever is not the first
process says little and writes nothing, from the first line on.
"""

import os
import re
from typing import NamedTuple

_ALONE = ("bash", "interactive")  # names of SLURM's interactive jobs, whose processes do not belong together


class Started(NamedTuple):
    """What a launcher started: processes on each node, one for each device, and nodes."""

    devices: int
    nodes: int
    launcher: str


def is_first_process() -> bool:
    """Whether this is the first of the processes that were started together, or the only one."""
    if "RANK" in os.environ:
        return _number("RANK") == 0
    if in_slurm_step():
        return _number("SLURM_PROCID") == 0
    return not any(map(_number, ("LOCAL_RANK", "NODE_RANK")))


def started_processes() -> Started | None:
    """How many processes a launcher started together with this one; None where none did."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = max(1, _number("LOCAL_WORLD_SIZE", 1))
        return Started(devices, max(1, _number("WORLD_SIZE", 1) // devices), "torchrun")
    if in_slurm_step():
        nodes = max(1, _number("SLURM_STEP_NUM_NODES") or _number("SLURM_NNODES", 1))
        devices = _number("SLURM_NTASKS_PER_NODE") or _number("SLURM_STEP_NUM_TASKS") // nodes
        return Started(max(1, devices), nodes, "srun")
    return None


def in_slurm_step() -> bool:
    """Whether ``srun`` started several processes; a script of ``sbatch`` knows of its tasks, but is a single one."""
    return _number("SLURM_STEP_NUM_TASKS") > 1 and os.environ.get("SLURM_JOB_NAME") not in _ALONE


def is_node_of_many() -> bool:
    """Whether this process was told its node and where to meet the others: what a launcher would say."""
    return {"NODE_RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def _number(name: str, default: int = 0) -> int:
    """The whole number that a variable begins with, as in ``2(x3)`` of SLURM."""
    found = re.match(r"\d+", os.environ.get(name, ""))
    return default if found is None else int(found[0])
