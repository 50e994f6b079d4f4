"""Recipes: every choice of a model and its training in one frozen object, and the one place that builds from it."""

from typing import TypeVar

from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.recipes.base import Parts, Recipe, build_density, training_settings
from grammar_rae.recipes.files import SUFFIX, read_recipe, recipe_toml
from grammar_rae.recipes.images import (
    ALL_IMAGE_MODELS,
    IMAGE_DATA,
    IMAGE_MODELS,
    IMAGE_RECIPES,
    NETS,
    ImageRecipe,
    build_image,
    image_recipe,
)
from grammar_rae.recipes.structured import (
    STRUCTURED_MODELS,
    STRUCTURED_PROBLEMS,
    STRUCTURED_RECIPES,
    structured_recipe,
)
from grammar_rae.recipes.texts import (
    TEXT_RECIPES,
    TextRecipe,
    build_constraint,
    build_text,
    check_echo,
    learn_codec,
)

__all__ = [
    "ALL_IMAGE_MODELS",
    "IMAGE_DATA",
    "IMAGE_MODELS",
    "NETS",
    "RECIPES",
    "STRUCTURED_MODELS",
    "STRUCTURED_PROBLEMS",
    "ImageRecipe",
    "Parts",
    "Recipe",
    "TextRecipe",
    "build_constraint",
    "build_density",
    "build_image",
    "build_text",
    "check_echo",
    "get_recipe",
    "image_recipe",
    "learn_codec",
    "read_recipe",
    "recipe_toml",
    "structured_recipe",
    "training_settings",
]

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*TEXT_RECIPES, *STRUCTURED_RECIPES, *IMAGE_RECIPES)}
"""The recipes by name, of texts and of images."""


Kind = TypeVar("Kind", bound=Recipe)


def get_recipe(recipe: str | Recipe, kind: type[Kind]) -> Kind:
    """The recipe of a name or of a file ``.toml``, or the recipe itself, checked to be of a kind (``Recipe`` is any).

    Raises
    ------
    UnknownNameError
        For a name that is not in ``RECIPES``.
    InputError
        For a recipe of another kind, or a file whose entries are not those of a recipe.
    DataError
        For a file that cannot be read.
    """
    if isinstance(recipe, str) and recipe.endswith(SUFFIX):
        recipe = read_recipe(recipe)
    if not isinstance(recipe, Recipe):
        if not isinstance(recipe, str) or recipe not in RECIPES:
            of_the_kind = [name for name, one in RECIPES.items() if isinstance(one, kind)]
            raise UnknownNameError("recipe", recipe, of_the_kind, "`grammar-rae list recipes`")
        recipe = RECIPES[recipe]
    if not isinstance(recipe, kind):
        raise InputError(
            "this recipe is of another kind",
            received=f"{recipe.name!r} ({type(recipe).__name__})",
            expected=kind.__name__,
        )
    return recipe
