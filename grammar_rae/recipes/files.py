"""Recipes as TOML files: printed by ``list recipes --show``, edited by people, named in the place of a recipe."""

import json
import tomllib
from pathlib import Path
from typing import Any

from grammar_rae.errors import DataError
from grammar_rae.recipes.base import Recipe
from grammar_rae.recipes.images import ImageRecipe
from grammar_rae.recipes.texts import TextRecipe

SUFFIX = ".toml"
_NONE = "None"  # what stands for None, which TOML does not have


def recipe_toml(recipe: Recipe) -> str:
    """A recipe as TOML: its own fields, then a table for each set of options."""
    fields = recipe.to_dict()
    lines = [f"{name} = {_value(value)}" for name, value in fields.items() if not isinstance(value, dict)]
    for name, options in fields.items():
        if isinstance(options, dict):
            lines += ["", f"[{name}]", *(f"{option} = {_value(value)}" for option, value in options.items())]
    return "\n".join(lines) + "\n"


def read_recipe(name: str) -> Recipe:
    """The recipe of a file in TOML.

    Raises
    ------
    DataError
        When the file does not exist or is not TOML.
    InputError
        When its entries are not those of a recipe.
    """
    try:
        data = tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError("there is no such file", where=name) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"the file cannot be read as TOML ({error})", where=name) from error
    return (TextRecipe if "codec" in data else ImageRecipe).from_dict(_with_none(data))


def _value(value: Any) -> str:
    return json.dumps(_NONE if value is None else value, ensure_ascii=False)


def _with_none(value: Any) -> Any:
    """The same with None where its mark stands."""
    if isinstance(value, dict):
        return {name: _with_none(part) for name, part in value.items()}
    return None if value == _NONE else value
