"""Lightning Fabric for a training's settings; only a training imports it, because that takes as long as PyTorch."""

from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from lightning_fabric.utilities.exceptions import MisconfigurationException

from grammar_rae.errors import InputError
from grammar_rae.training.machine import has_bfloat16
from grammar_rae.training.settings import TrainingSettings


class _Autocast(MixedPrecision):
    """Autocast only: Fabric's own also rounds the batch, but pixels are targets as well as inputs."""

    def convert_input(self, data: Any) -> Any:
        return data


def make_fabric(settings: TrainingSettings) -> Fabric:
    """Build Fabric for these settings, with "auto" resolved.

    Raises
    ------
    InputError
        For an accelerator, number of devices or strategy that is not available.
    """
    accelerator = settings.accelerator
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    bf16 = settings.precision == "bf16-mixed" or (settings.precision == "auto" and has_bfloat16(accelerator))
    kind = "cuda" if accelerator == "gpu" else accelerator
    plugin: Precision = _Autocast("bf16-mixed", kind) if bf16 else Precision()
    try:
        return Fabric(accelerator=accelerator, devices=settings.devices, strategy=settings.strategy, plugins=[plugin])
    except (ValueError, TypeError, RuntimeError, ImportError, MisconfigurationException) as error:
        raise InputError(
            f"Lightning Fabric refuses these settings ({error})",
            received=f"{settings.accelerator!r}, {settings.devices} devices, strategy {settings.strategy!r}",
            remedy="Leave accelerator and strategy at 'auto' and devices at 1, or see Lightning Fabric's manual.",
        ) from error
