"""The trained thing, and what it draws."""

from os import PathLike, fspath
from pathlib import Path

from grammar_rae import checkpoint
from grammar_rae.errors import CheckpointError
from grammar_rae.model.generative import TextModel
from grammar_rae.model.images import ImageModel
from grammar_rae.model.latent import LatentModel
from grammar_rae.model.samples import SampleResult
from grammar_rae.model.sources import DATA_FOLDER
from grammar_rae.recipes import Recipe, get_recipe

__all__ = [
    "DATA_FOLDER",
    "MODELS",
    "ImageModel",
    "LatentModel",
    "SampleResult",
    "TextModel",
    "load_model",
    "model_type",
]

MODELS: dict[str, type[LatentModel]] = {model.kind: model for model in (TextModel, ImageModel)}
"""The kinds of models, by what ``model.json`` calls them."""


def load_model(folder: str | PathLike[str]) -> LatentModel:
    """The model saved in a folder, of whatever kind.

    Raises
    ------
    CheckpointError
        When the folder holds no model, or one that is damaged or of a newer format.
    """
    kind = checkpoint.read_meta(Path(folder)).get("kind")
    if not isinstance(kind, str) or kind not in MODELS:
        raise CheckpointError("this folder holds no model", received=repr(kind), where=fspath(folder))
    return MODELS[kind].load(folder)


def model_type(recipe: str | Recipe) -> type[LatentModel]:
    """The kind of model that a recipe is for.

    Raises
    ------
    UnknownNameError
        For the name of no recipe.
    """
    found = get_recipe(recipe, Recipe)
    return next(model for model in MODELS.values() if isinstance(found, model.recipe_type))
