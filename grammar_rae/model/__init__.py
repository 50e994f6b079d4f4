"""Trained models: of texts and of images, what they draw, and how they are saved."""

from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from grammar_rae import checkpoint
from grammar_rae.checks import check_path
from grammar_rae.errors import CheckpointError
from grammar_rae.model.estimator import NotTrainedError
from grammar_rae.model.fitted import Fitted, FittedImages, FittedTexts
from grammar_rae.model.images import ImageModel
from grammar_rae.model.known import Known
from grammar_rae.model.latent import LatentModel
from grammar_rae.model.results import DecodedTexts, EncodedTexts, Reconstruction
from grammar_rae.model.samples import SampleResult
from grammar_rae.model.sources import DATA_FOLDER
from grammar_rae.model.texts import TextModel
from grammar_rae.recipes import Recipe, get_recipe

if TYPE_CHECKING:
    from grammar_rae.model.vectorizer import MoleculeVectorizer

__all__ = [
    "DATA_FOLDER",
    "MODELS",
    "DecodedTexts",
    "EncodedTexts",
    "Fitted",
    "FittedImages",
    "FittedTexts",
    "GenerativeModel",
    "ImageModel",
    "Known",
    "LatentModel",
    "MoleculeVectorizer",
    "NotTrainedError",
    "Reconstruction",
    "SampleResult",
    "TextModel",
    "load_model",
    "model_type",
]

GenerativeModel = TextModel
"""Another name of :class:`TextModel`."""

MODELS: dict[str, type[LatentModel[Any]]] = {model.kind: model for model in (TextModel, ImageModel)}
"""The kinds of models, by what ``model.json`` calls them."""


def __getattr__(name: str) -> Any:
    if name == "MoleculeVectorizer":  # scikit-learn's own base class takes as long to import as PyTorch
        from grammar_rae.model.vectorizer import MoleculeVectorizer

        return MoleculeVectorizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_model(folder: str | PathLike[str]) -> LatentModel[Any]:
    """The model saved in a folder, of whatever kind.

    Raises
    ------
    CheckpointError
        When the folder holds no model, or one that is damaged or of a newer format.
    """
    kind = checkpoint.read_meta(check_path(folder)).get("kind")
    if not isinstance(kind, str) or kind not in MODELS:
        raise CheckpointError("this folder holds no model", received=repr(kind), where=fspath(folder))
    return MODELS[kind].load(folder)


def model_type(recipe: str | Recipe) -> type[LatentModel[Any]]:
    """The kind of model that a recipe is for.

    Raises
    ------
    UnknownNameError
        If there is no recipe of this name.
    """
    found = get_recipe(recipe, Recipe)
    return next(model for model in MODELS.values() if isinstance(found, model.recipe_type))
