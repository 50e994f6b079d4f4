"""RDKit's log: silent while this package calls RDKit, read where its reason is wanted, untouched otherwise."""

import re
from collections.abc import Callable
from contextlib import ContextDecorator
from threading import Lock
from typing import Any

from rdkit import rdBase

_TIME = re.compile(r"^\[\d\d:\d\d:\d\d\]\s*")


class _Quiet(ContextDecorator):
    """A context (or decorator) in which RDKit writes no log.

    The switch belongs to the whole process and ``rdBase.BlockLogs`` puts back what it found; of two threads that block
    in turns, the first to leave would let the other one's messages through. So all share one block, and the last to
    leave takes it away.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._block: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._block = rdBase.BlockLogs()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._block = None


quiet = _Quiet()

# RDKit redirects the log of the whole process: a second capture inside the first would be left
# pointing to a stream that is gone.
_capture_lock = Lock()


@quiet
def capture_errors(call: Callable[[], Any]) -> tuple[Any, list[str]]:
    """Run ``call()``; return its result and the lines that RDKit logs as errors, without their time of day."""
    with _capture_lock, rdBase.CaptureErrorLog() as log:
        result = call()
    return result, [_TIME.sub("", line) for line in log.messages.splitlines()]
