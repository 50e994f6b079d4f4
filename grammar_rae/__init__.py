"""Grammar autoencoders: deterministic, regularised, and made to sample valid molecules.

>>> import grammar_rae
>>> model = grammar_rae.train("molecules.smi")  # doctest: +SKIP
>>> grammar_rae.sample(1000).smiles  # doctest: +SKIP
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from grammar_rae.errors import GrammarRAEError, InputError, MissingModelError

if TYPE_CHECKING:
    from os import PathLike

    from grammar_rae.decoding import Choice
    from grammar_rae.model import GenerativeModel, ImageModel, SampleResult
    from grammar_rae.recipes import BaseRecipe, Recipe

__version__ = "0.1.0"
__all__ = [
    "GenerativeModel",
    "GrammarRAEError",
    "ImageModel",
    "ImageRecipe",
    "Recipe",
    "SampleResult",
    "load",
    "sample",
    "train",
]

_LAZY = {
    "GenerativeModel": "model",
    "ImageModel": "model",
    "SampleResult": "model",
    "Recipe": "recipes",
    "ImageRecipe": "recipes",
}
_ROOMS = (
    *("chem", "codecs", "datasets", "density", "expressions", "grammar"),
    *("metrics", "optimization", "recipes", "scores", "training"),
)
_current: "GenerativeModel | ImageModel | None" = None


def __getattr__(name: str) -> Any:
    # The face is there at once; the nets behind it are imported when they are used.
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_ROOMS})


def train(
    source: Any,
    recipe: "str | BaseRecipe" = "molecules",
    *,
    folder: "str | PathLike[str] | None" = None,
    column: str | None = None,
    epochs: int | None = None,
    time_limit: float | None = None,
    seed: int = 0,
    resume: bool = False,
    progress: bool = True,
    jobs: int = -1,
    **overrides: Any,
) -> Any:
    """Train a model on a file of SMILES (or on an iterable of texts, or on images), and remember it for :func:`sample`.

    Parameters
    ----------
    source, folder, resume, progress
        As in :meth:`GenerativeModel.fit`, or in :meth:`ImageModel.fit` for a recipe of images.
    column, jobs
        As in :meth:`GenerativeModel.fit`; there is nothing like it for images.
    recipe, epochs, time_limit, seed
        As for :class:`GenerativeModel` and :class:`ImageModel`.
    overrides
        Other choices than the recipe's, for example ``latent=32`` or ``learning_rate=1e-3``.

    Returns
    -------
    GenerativeModel or ImageModel
        As the recipe is one of texts or of images.
    """
    from grammar_rae.model import ImageModel, model_type

    model = model_type(recipe)(recipe, epochs, time_limit, seed, overrides or None)
    if isinstance(model, ImageModel):
        if column is not None:
            raise InputError("images have no column", received=column, remedy="Leave column out.")
        model.fit(source, folder=folder, resume=resume, progress=progress)
    else:
        model.fit(source, column=column, folder=folder, resume=resume, progress=progress, jobs=jobs)
    return _remember(model)


def load(folder: "str | PathLike[str]") -> Any:
    """The model saved in a folder, a GenerativeModel or an ImageModel; it becomes the one that :func:`sample` uses."""
    from grammar_rae.model import load_model

    return _remember(load_model(folder))


def sample(
    n: int,
    valid_only: bool = True,
    model: "GenerativeModel | str | PathLike[str] | None" = None,
    seed: int | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    constraint: "str | Choice | None" = None,
) -> "SampleResult":
    """Draw n texts from a model, from a saved model, or from the one trained or loaded last in this process.

    See :meth:`GenerativeModel.sample`.

    Raises
    ------
    MissingModelError
        When there is none.
    InputError
        When it is a model of images, which has a ``sample`` of its own.
    """
    from grammar_rae.model import GenerativeModel, load_model

    if model is None:
        model = _current
    if model is None:
        raise MissingModelError(
            "there is no model to sample from yet",
            remedy="Train one with grammar_rae.train('molecules.smi'), load one with grammar_rae.load('run/'), "
            "or try the command: grammar-rae demo",
        )
    found = load_model(model) if isinstance(model, str | os.PathLike) else model
    if not isinstance(found, GenerativeModel):
        raise InputError(
            "grammar_rae.sample draws texts, and this model makes none",
            received=type(found).__name__,
            remedy="Call the model's own sample, for example grammar_rae.load('run/').sample(100).",
        )
    return found.sample(n, valid_only, seed=seed, temperature=temperature, top_p=top_p, constraint=constraint)


def _remember(model: Any) -> Any:
    global _current
    _current = model
    return model
