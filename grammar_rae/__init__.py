"""Grammar autoencoders: deterministic, regularised, and able to sample molecules that are always valid.

>>> import grammar_rae
>>> grammar_rae.sample(1000).smiles  # from the bundled model  # doctest: +SKIP
>>> model = grammar_rae.train("molecules.smi")  # one of your own  # doctest: +SKIP

The functions of this module use the model that was trained or loaded last in the same thread or asyncio task, else the
one of the main thread, else the bundled ``molecules``, unless they are passed another one.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, overload

from grammar_rae.errors import GrammarRAEError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from numpy.typing import NDArray

    from grammar_rae.datasets import ImageDataset
    from grammar_rae.decoding import ConstraintSpec
    from grammar_rae.model import ImageModel, SampleResult, TextModel
    from grammar_rae.optimization import Optimization
    from grammar_rae.recipes import ImageRecipe, Recipe, TextRecipe

__version__ = "0.1.0"
__all__ = [
    "GenerativeModel",
    "GrammarRAEError",
    "ImageModel",
    "ImageRecipe",
    "MoleculeVectorizer",
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
    "GenerativeModel": "model",
    "TextModel": "model",
    "ImageModel": "model",
    "SampleResult": "model",
    "MoleculeVectorizer": "model",
    "TextRecipe": "recipes",
    "ImageRecipe": "recipes",
}
_ROOMS = (
    *("chem", "codecs", "datasets", "density", "expressions", "grammar"),
    *("metrics", "optimization", "recipes", "scores", "training"),
)


def __getattr__(name: str) -> Any:
    # The module is there at once; the nets behind it are imported when they are used.
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_ROOMS})


@overload
def train(source: Any, recipe: "ImageRecipe", **options: Any) -> "ImageModel": ...


@overload
def train(source: "ImageDataset", recipe: str, **options: Any) -> "ImageModel": ...


@overload
def train(source: Any, recipe: "TextRecipe" = ..., **options: Any) -> "TextModel": ...


@overload
def train(source: Any, recipe: "str | Recipe", **options: Any) -> Any: ...


def train(
    source: Any,
    recipe: "str | Recipe" = "molecules",
    *,
    start: Any = "auto",
    folder: "str | PathLike[str] | None" = None,
    column: str | None = None,
    epochs: int | None = None,
    time_limit: float | None = None,
    seed: int | None = 0,
    resume: bool = False,
    progress: bool = True,
    jobs: int = -1,
    duplicates: 'Literal["keep", "drop"]' = "keep",
    **overrides: Any,
) -> Any:
    """Train a model on a file of SMILES (or on an iterable of texts, or on images); it becomes the current model.

    Parameters
    ----------
    start
        The model of texts to begin with, as for :meth:`TextModel.fit`; None trains from nothing. ``"auto"`` begins with
        the bundled model ``molecules`` if the recipe is ``molecules``, no nets are chosen and the source is not encoded
        by another codec, and says so; else it trains from nothing.
    source, folder, resume, progress
        As for :meth:`TextModel.fit`, or for :meth:`ImageModel.fit` with a recipe of images.
    column, jobs, duplicates
        As for :meth:`TextModel.fit`; images have no columns, and are not compared with each other.
    recipe, epochs, time_limit, seed
        As for :class:`TextModel` and :class:`ImageModel`.
    overrides
        Other choices than the recipe's, for example ``latent=32`` or ``learning_rate=1e-3``.

    Returns
    -------
    TextModel or ImageModel
        Depending on the recipe.
    """
    from grammar_rae.model import ImageModel, model_type
    from grammar_rae.model.current import remember_model

    model: Any = model_type(recipe)(recipe, epochs, time_limit, seed, overrides or None)
    if isinstance(start, str) and start == "auto":
        from grammar_rae.model.adapting import find_automatic_start

        start = find_automatic_start(source, recipe, overrides, folder if resume else None)
    if isinstance(model, ImageModel):
        if column is not None:
            raise InputError("images have no column", received=column, remedy="Leave column out.")
        if start is not None:
            raise InputError("images have no model to begin with", received=str(start), remedy="Leave start out.")
        if duplicates != "keep":
            raise InputError("images are not compared with each other", received=duplicates, expected="'keep'")
        model.fit(source, folder=folder, resume=resume, progress=progress)
    else:
        of_texts: dict[str, Any] = {"column": column, "jobs": jobs, "start": start, "duplicates": duplicates}
        model.fit(source, folder=folder, resume=resume, progress=progress, **of_texts)
    return remember_model(model)


@overload
def load(folder: Literal["molecules", "moses", "expressions"]) -> "TextModel": ...


@overload
def load(folder: "str | PathLike[str]") -> Any: ...


def load(folder: "str | PathLike[str]") -> Any:
    """Load the model saved in a folder, or a bundled one by its name; it becomes the current model.

    Returns
    -------
    TextModel or ImageModel
        As it was trained. ``"molecules"``, ``"moses"`` and ``"expressions"`` are bundled. If the kind is known,
        ``TextModel.load`` and ``ImageModel.load`` are typed.
    """
    from grammar_rae.model import load_model
    from grammar_rae.model.current import remember_model
    from grammar_rae.resources import model_folder

    return remember_model(load_model(model_folder(folder)))


def sample(
    n: int,
    valid_only: bool = True,
    model: "TextModel | str | PathLike[str] | None" = None,
    seed: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    constraint: "str | ConstraintSpec | None" = None,
    smoothing: float | None = None,
    properties: "Mapping[str, Any] | None" = None,
    **options: Any,
) -> "SampleResult":
    """Draw n texts; see :meth:`TextModel.sample`.

    Parameters
    ----------
    model
        A model, the folder of one, or the name of a bundled one; None for the current model: the one that was trained
        or loaded last in this thread or asyncio task, else in the main thread, else the bundled ``molecules``.

    The other parameters are those of :meth:`TextModel.sample`.

    Raises
    ------
    InputError
        If the model is one of images, which has a ``sample`` of its own.
    """
    return _find_model(model).sample(
        n,
        valid_only,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        constraint=constraint,
        smoothing=smoothing,
        properties=properties,
        **options,
    )


def encode(
    texts: Any,
    model: "TextModel | str | PathLike[str] | None" = None,
    errors: 'Literal["raise", "nan"]' = "raise",
    unknown: str = "warn",
    fragments: str | None = None,
    polish: int | None = None,
) -> Any:
    """Latent codes of texts, float32 (N, D), or a frame of them for a frame: see :meth:`TextModel.encode`.

    ``model`` is as for :func:`sample`.
    """
    found = _find_model(model)
    return found.encode(texts, errors=errors, unknown=unknown, fragments=fragments, polish=polish)


def decode(z: "NDArray[Any]", model: "TextModel | str | PathLike[str] | None" = None, **options: Any) -> list[str]:
    """Texts of latent codes (N, D): see :meth:`TextModel.decode`; ``model`` is as for :func:`sample`."""
    return _find_model(model).decode(z, **options)


def interpolate(
    a: str, b: str, steps: int = 9, model: "TextModel | str | PathLike[str] | None" = None, **options: Any
) -> list[str]:
    """Texts between two texts: see :meth:`TextModel.interpolate`; ``model`` is as for :func:`sample`."""
    return _find_model(model).interpolate(a, b, steps, **options)


def optimize(
    score: Any, data: Any = None, *, model: "TextModel | str | PathLike[str] | None" = None, **options: Any
) -> "Optimization":
    """Search for texts with high scores: see :func:`grammar_rae.optimization.optimize`.

    ``model`` is as for :func:`sample`; it stores the constants that a score was standardised by.
    """
    from grammar_rae.optimization import optimize as search

    found = _find_model(model)
    result = search(found, score, data, **options)
    found.store_score_constants(result.constants)
    return result


def _find_model(model: "TextModel | str | PathLike[str] | None") -> "TextModel":
    from grammar_rae.model.current import find_model

    return find_model(model)
