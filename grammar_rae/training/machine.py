"""What depends on the machine: its bfloat16 units, its memory, and Ctrl-C."""

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import torch


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
