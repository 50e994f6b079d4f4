"""Grammar autoencoders: deterministic, regularised, and made to sample valid molecules.

>>> import grammar_rae
>>> grammar_rae.sample(1000).smiles  # of the model in the box  # doctest: +SKIP
>>> model = grammar_rae.train("molecules.smi")  # one of your own  # doctest: +SKIP
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from grammar_rae.errors import GrammarRAEError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from grammar_rae.decoding import ConstraintSpec
    from grammar_rae.model import ImageModel, SampleResult, TextModel
    from grammar_rae.optimization import Optimization
    from grammar_rae.recipes import Recipe, TextRecipe

__version__ = "0.1.0"
__all__ = [
    "GrammarRAEError",
    "ImageModel",
    "ImageRecipe",
    "SampleResult",
    "TextModel",
    "TextRecipe",
    "decode",
    "encode",
    "interpolate",
    "load",
    "optimize",
    "sample",
    "train",
]

_LAZY = {
    "TextModel": "model",
    "ImageModel": "model",
    "SampleResult": "model",
    "TextRecipe": "recipes",
    "ImageRecipe": "recipes",
}
_ROOMS = (
    *("chem", "codecs", "datasets", "density", "expressions", "grammar"),
    *("metrics", "optimization", "recipes", "scores", "training"),
)
_current: "TextModel | ImageModel | None" = None


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
    recipe: "str | Recipe" = "molecules",
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
        As in :meth:`TextModel.fit`, or in :meth:`ImageModel.fit` for a recipe of images.
    column, jobs
        As in :meth:`TextModel.fit`; there is nothing like it for images.
    recipe, epochs, time_limit, seed
        As for :class:`TextModel` and :class:`ImageModel`.
    overrides
        Other choices than the recipe's, for example ``latent=32`` or ``learning_rate=1e-3``.

    Returns
    -------
    TextModel or ImageModel
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
    """The model saved in a folder, or one in the box by its name; it becomes the one that :func:`sample` uses.

    Returns
    -------
    TextModel or ImageModel
        As it was trained. ``"molecules"`` and ``"expressions"`` are in the box.
    """
    return _remember(_loaded(folder))


def sample(
    n: int,
    valid_only: bool = True,
    model: "TextModel | str | PathLike[str] | None" = None,
    seed: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    constraint: "str | ConstraintSpec | None" = None,
    smoothing: float | None = None,
) -> "SampleResult":
    """Draw n texts; see :meth:`TextModel.sample`.

    Parameters
    ----------
    model
        A model, the folder of one, or the name of one in the box; None for the one that was trained or loaded last in
        this process, or else the molecules in the box.

    The other parameters are those of :meth:`TextModel.sample`.

    Raises
    ------
    InputError
        When it is a model of images, which has a ``sample`` of its own.
    """
    return _texts_model(model).sample(
        n,
        valid_only,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        constraint=constraint,
        smoothing=smoothing,
    )


def encode(texts: "Sequence[str]", model: "TextModel | str | PathLike[str] | None" = None) -> "NDArray[Any]":
    """Latent codes of texts, float32 (N, D): see :meth:`TextModel.encode`; the model is :func:`sample`'s."""
    return _texts_model(model).encode(texts)


def decode(z: "NDArray[Any]", model: "TextModel | str | PathLike[str] | None" = None, **options: Any) -> list[str]:
    """Texts of latent codes (N, D): see :meth:`TextModel.decode`; the model is :func:`sample`'s."""
    return _texts_model(model).decode(z, **options)


def interpolate(a: str, b: str, steps: int = 9, model: "TextModel | str | PathLike[str] | None" = None) -> list[str]:
    """Texts on the way from one to another: see :meth:`TextModel.interpolate`; the model is :func:`sample`'s."""
    return _texts_model(model).interpolate(a, b, steps)


def optimize(
    score: Any, data: Any = None, *, model: "TextModel | str | PathLike[str] | None" = None, **options: Any
) -> "Optimization":
    """Texts with a high score: see :func:`grammar_rae.optimization.optimize`; the model is :func:`sample`'s."""
    from grammar_rae.optimization import optimize as search

    return search(_texts_model(model), score, data, **options)


def _remember(model: Any) -> Any:
    global _current
    _current = model
    return model


def _loaded(folder: "str | PathLike[str]") -> Any:
    from grammar_rae.model import load_model
    from grammar_rae.resources import model_folder

    return load_model(model_folder(folder))


def _texts_model(model: "TextModel | str | PathLike[str] | None") -> "TextModel":
    from grammar_rae.model import TextModel
    from grammar_rae.resources import DEFAULT_MODEL

    if model is None:
        # The one in the box becomes the current one: loading it takes longer than drawing from it.
        model = _remember(_loaded(DEFAULT_MODEL)) if _current is None else _current
    found = _loaded(model) if isinstance(model, str | os.PathLike) else model
    if not isinstance(found, TextModel):
        raise InputError(
            "this function is for models of texts, and this is none",
            received=type(found).__name__,
            remedy="Call the model's own method, for example grammar_rae.load('run/').sample(100).",
        )
    return found
