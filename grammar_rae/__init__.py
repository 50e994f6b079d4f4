"""Grammar autoencoders: deterministic, regularised, and made to sample valid molecules.

>>> import grammar_rae
>>> model = grammar_rae.train("molecules.smi")  # doctest: +SKIP
>>> grammar_rae.sample(1000).smiles  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from grammar_rae.errors import GrammarRAEError, MissingModelError

if TYPE_CHECKING:
    from os import PathLike

    from grammar_rae.decoding import Choice
    from grammar_rae.model import GenerativeModel, SampleResult
    from grammar_rae.recipes import Recipe

__version__ = "0.1.0"
__all__ = ["GenerativeModel", "GrammarRAEError", "Recipe", "SampleResult", "load", "sample", "train"]

_LAZY = {"GenerativeModel": "model", "SampleResult": "model", "Recipe": "recipes"}
_ROOMS = ("chem", "codecs", "datasets", "density", "grammar", "recipes", "scores", "training")
_current: "GenerativeModel | None" = None


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
) -> "GenerativeModel":
    """Train a model on a file of SMILES (or on an iterable of texts), and remember it for :func:`sample`.

    Parameters
    ----------
    source, column, folder, resume, progress, jobs
        As in :meth:`GenerativeModel.fit`.
    recipe, epochs, time_limit, seed
        As for :class:`GenerativeModel`.
    overrides
        Other choices than the recipe's, for example ``latent=32`` or ``learning_rate=1e-3``.
    """
    from grammar_rae.model import GenerativeModel

    model = GenerativeModel(recipe, epochs=epochs, time_limit=time_limit, seed=seed, overrides=overrides or None)
    model.fit(source, column=column, folder=folder, resume=resume, progress=progress, jobs=jobs)
    return _remember(model)


def load(folder: "str | PathLike[str]") -> "GenerativeModel":
    """The model saved in a folder; it becomes the one that :func:`sample` uses."""
    from grammar_rae.model import GenerativeModel

    return _remember(GenerativeModel.load(folder))


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
    """
    from grammar_rae.model import GenerativeModel

    if model is None:
        model = _current
    if model is None:
        raise MissingModelError(
            "there is no model to sample from yet",
            remedy="Train one with grammar_rae.train('molecules.smi'), load one with grammar_rae.load('run/'), "
            "or try the command: grammar-rae demo",
        )
    if not isinstance(model, GenerativeModel):
        model = GenerativeModel.load(model)
    return model.sample(n, valid_only, seed=seed, temperature=temperature, top_p=top_p, constraint=constraint)


def _remember(model: "GenerativeModel") -> "GenerativeModel":
    global _current
    _current = model
    return model
