"""Nets and codes are float32, whatever ``torch.set_default_dtype`` says; a seed draws the same under each."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_lock = threading.Lock()
_inside, _before = 0, torch.float32  # how many are inside, over all threads, and the caller's default


@contextmanager
def single_precision() -> Iterator[None]:
    """Make float32 the default type of new tensors; the caller's is back when the last who is inside has left."""
    global _inside, _before
    with _lock:
        if not _inside:
            _before = torch.get_default_dtype()
            torch.set_default_dtype(torch.float32)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                torch.set_default_dtype(_before)


def in_single_precision(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function that makes tensors: it runs in :func:`single_precision`."""

    @wraps(function)
    def wrapped(*arguments: Arguments.args, **keywords: Arguments.kwargs) -> Result:
        with single_precision():
            return function(*arguments, **keywords)

    return wrapped
