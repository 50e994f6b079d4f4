"""What depends on the machine: its bfloat16 units, Fabric, and Ctrl-C."""

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_fabric.utilities.rank_zero import rank_zero_only

from grammar_rae.errors import InputError
from grammar_rae.training.settings import TrainingSettings


def has_bfloat16(accelerator: str) -> bool:
    """Whether the machine has native bfloat16; emulating it would be slower than float32."""
    if accelerator in ("cuda", "gpu"):
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return accelerator == "cpu" and not {"avx512_bf16", "amx_bf16"}.isdisjoint(_cpu_flags())


def _cpu_flags() -> set[str]:
    try:
        return {flag for flag, there in torch.cpu.get_capabilities().items() if there is True}
    except (AttributeError, RuntimeError):  # older versions of torch
        try:
            text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
        except OSError:
            return set()
        return {flag for line in text.splitlines() if line.startswith("flags") for flag in line.split()}


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


def is_main_process() -> bool:
    """Whether this process writes files and shows progress; with DDP, only the first one does."""
    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0


def release_memory() -> None:
    """Return unused memory to the system, where the C library can (glibc).

    Batches differ in length, so their tensors fit badly into the gaps that earlier ones left, and the heap grows to a
    multiple of what is in use. It takes some 40 ms, too long for every step.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_memory() -> None:
    """Let the C library (glibc) keep freed memory for the next step, which needs as much.

    By default it returns large blocks to the system at once, which then clears the same pages again in every step: up
    to a quarter of the time of a step of images. The setting is permanent for the whole process; :func:`release_memory`
    still returns what a training does not use.
    """
    trim_threshold, mmap_threshold = -1, -3  # as malloc.h numbers them
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 1 << 30)
        # Older versions take no more than 32 MB.
        mallopt(mmap_threshold, 1 << 30) or mallopt(mmap_threshold, 1 << 25)


class Interrupt(threading.Event):
    """Set when the training is to stop after the current step."""

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the second one interrupts at once."""
        if self.is_set():
            raise KeyboardInterrupt
        self.set()


@contextmanager
def ctrl_c() -> Iterator[Interrupt]:
    """Turn the first Ctrl-C into a flag, so that the current step is completed; the second one interrupts at once."""
    interrupt = Interrupt()
    # Only the main thread receives signals; a handler that ignores Ctrl-C (as under nohup) is left alone.
    if threading.current_thread() is not threading.main_thread() or not callable(signal.getsignal(signal.SIGINT)):
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt.handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
