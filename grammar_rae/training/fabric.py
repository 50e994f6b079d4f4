"""Lightning Fabric for a training's settings; only a training imports it, because that takes as long as PyTorch."""

import logging
import re
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from lightning_fabric.utilities.exceptions import MisconfigurationException

from grammar_rae.errors import InputError
from grammar_rae.launchers import started_processes
from grammar_rae.training.machine import has_bfloat16
from grammar_rae.training.processes import choose_strategy, count_processes
from grammar_rae.training.settings import TrainingSettings


class _Autocast(MixedPrecision):
    """Autocast only: Fabric's own also rounds the batch, but pixels are targets as well as inputs."""

    def convert_input(self, data: Any) -> Any:
        return data


class _Ended(logging.Filter):
    """Fabric's last words before it ends all processes because one has ended, in a sentence that is shown."""

    def filter(self, record: logging.LogRecord) -> bool:
        code = re.search(r"code (-?\d+)", record.getMessage())
        record.msg, record.args = (
            "error: a process of this training ended with code %s; the others are ended, too. The state that was saved "
            "last is whole, and resume goes on from it.",
            (code[1] if code else "unknown",),
        )
        record.levelno = logging.ERROR
        return True


def _let_speak() -> None:
    """Let Fabric say why it ends all processes, and nothing else that is no warning."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    observer = logging.getLogger("lightning_fabric.strategies.launchers.subprocess_script")
    if not observer.handlers:
        observer.setLevel(logging.INFO)  # it says nothing else
        observer.propagate = False
        observer.addFilter(_Ended())
        observer.addHandler(logging.StreamHandler())


def make_fabric(settings: TrainingSettings) -> Fabric:
    """Build Fabric for these settings, with "auto" resolved.

    Raises
    ------
    InputError
        For an accelerator, number of devices or strategy that is not available.
    """
    _let_speak()
    accelerator = settings.accelerator
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    bf16 = settings.precision == "bf16-mixed" or (settings.precision == "auto" and has_bfloat16(accelerator))
    kind = "cuda" if accelerator == "gpu" else accelerator
    devices, nodes = count_processes(settings)
    plugins: list[Any] = [_Autocast("bf16-mixed", kind) if bf16 else Precision()]
    if started_processes() is None:  # Fabric takes a single process in a job of SLURM for one of all the job's tasks
        plugins.append(LightningEnvironment())
    strategy = choose_strategy(settings, devices * nodes)
    try:
        return Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes, strategy=strategy, plugins=plugins)
    except (ValueError, TypeError, RuntimeError, ImportError, MisconfigurationException) as error:
        raise InputError(
            f"Lightning Fabric refuses these settings ({error})",
            received=f"{settings.accelerator!r}, {devices} devices, {nodes} nodes, strategy {settings.strategy!r}",
            remedy="Leave accelerator and strategy at 'auto' and devices at 1, or see Lightning Fabric's manual.",
        ) from error
