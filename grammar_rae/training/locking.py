"""One training at a time in a folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from os import PathLike
from typing import Any, TypeVar

from grammar_rae.errors import DataError, TrainingError
from grammar_rae.locks import FolderLock
from grammar_rae.training.processes import is_main_process

Method = TypeVar("Method", bound=Callable[..., Any])


@contextmanager
def training_lock(folder: str | PathLike[str] | None) -> Iterator[None]:
    """Keep other trainings out of a folder; None, and the processes that DDP adds, lock nothing.

    Raises
    ------
    TrainingError
        When another process trains there; it says which.
    """
    if folder is None or not is_main_process():
        yield
        return
    lock = FolderLock(folder, "a training")
    try:
        lock.acquire()
    except DataError as error:
        raise TrainingError(error.message, received=error.received, where=error.where, remedy=error.remedy) from None
    except OSError:  # who can make no file there is told so where the training writes
        yield
        return
    try:
        yield
    finally:
        lock.release()


def one_training(method: Method) -> Method:
    """Decorate a ``fit`` with a keyword ``folder``: while it runs, no other training may work in that folder."""

    @wraps(method)
    def locked(*arguments: Any, **keywords: Any) -> Any:
        with training_lock(keywords.get("folder")):
            return method(*arguments, **keywords)

    return locked  # type: ignore[return-value]
