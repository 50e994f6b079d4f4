"""The current model: the one that the package's functions use where none is named."""

import threading
from contextvars import ContextVar
from functools import lru_cache
from os import PathLike
from typing import Any, TypeVar

from grammar_rae.errors import InputError
from grammar_rae.model import LatentModel, TextModel, load_model
from grammar_rae.resources import DEFAULT_MODEL, model_folder

AnyModel = TypeVar("AnyModel", bound=LatentModel[Any])

_of_context: ContextVar[LatentModel[Any] | None] = ContextVar("grammar_rae_current_model", default=None)
_of_main_thread: list[LatentModel[Any]] = []
"""The model that the main thread trained or loaded last, or none."""
_loading = threading.Lock()


def current_model() -> LatentModel[Any]:
    """The model that this thread or asyncio task trained or loaded last, else the main thread's, else the bundled one.

    So a thread with a model of its own is not affected by what others train or load.
    """
    if (model := _of_context.get()) is not None:
        return model
    if _of_main_thread:
        return _of_main_thread[-1]
    with _loading:  # so that threads do not load it several times
        return _load_default()


def remember_model(model: AnyModel) -> AnyModel:
    """Make a model the current one of this thread or asyncio task."""
    _of_context.set(model)
    if threading.current_thread() is threading.main_thread():
        _of_main_thread[:] = [model]
    return model


def forget_models() -> None:
    """Leave this thread and the main one without a model of their own."""
    _of_context.set(None)
    _of_main_thread.clear()


def find_model(model: Any = None) -> TextModel:
    """A model of texts: the model itself, one loaded from a folder or by its name, or the current one for None.

    Raises
    ------
    InputError
        If it is not a model of texts.
    """
    if model is None:
        found: Any = current_model()
    else:
        found = load_model(model_folder(model)) if isinstance(model, str | PathLike) else model
    if not isinstance(found, TextModel):
        raise InputError(
            "this function takes models of texts",
            received=type(found).__name__,
            remedy="Call the model's own method, for example grammar_rae.load('run/').sample(100).",
        )
    return found


@lru_cache(maxsize=1)
def _load_default() -> LatentModel[Any]:
    return load_model(model_folder(DEFAULT_MODEL))
