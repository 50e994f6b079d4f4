"""What can be told to be wrong before anything heavy is imported: names, files, and what a model says of itself.

Importing PyTorch and RDKit takes seconds, and a slip of the pen should cost none of them. What is checked here is
checked again where it is used; nothing is accepted here that is refused there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grammar_rae.cli import arguments
from grammar_rae.errors import UnknownNameError
from grammar_rae.launchers import started_processes
from grammar_rae.threads import use_threads

RECIPE_FILE = ".toml"


def limit_threads(threads: str | None, devices: int | None = None) -> None:
    """Compute with so many threads, as :func:`use_threads` takes them; None leaves it as it is."""
    if threads is not None:
        started = started_processes()
        use_threads(threads, devices or (1 if started is None else started.devices))


def check_scores(names: list[str]) -> None:
    """Raise UnknownNameError for a score that does not exist, or DataError for one that this installation lacks."""
    if names:
        from grammar_rae.scores import get_score

        for name in names:
            get_score(name)


def check_constraint(rules: list[str] | None) -> None:
    """Raise for a constraint that does not exist, or a value that it does not take."""
    if rules:
        from grammar_rae.decoding.specs import parse_spec

        parse_spec(arguments.constraint_text(rules) or "")


def check_template(template: str, rings: bool) -> None:
    """Raise InputError for limits that cannot be read, without RDKit, or a template that cannot be used, with it."""
    from grammar_rae.decoding.molecule_specs import Template, read_limits

    smiles, *limits = template.split("|")
    points, closed = read_limits(limits)
    Template(smiles.strip(), points, rings or closed)


def check_window(where: str | None) -> None:
    """Raise for a window that cannot be read, or names that it does not know."""
    if where is not None:
        from grammar_rae.scores.windows import Window

        Window(where)


def check_model(model: Path, properties: Mapping[str, Any] | None = None) -> None:
    """Raise CheckpointError for a folder without a model, UnknownNameError for properties that it does not know."""
    from grammar_rae import checkpoint

    if properties or not checkpoint.exists(model):
        recipe = checkpoint.read_meta(model).get("recipe", {})  # an error, where there is none, says what to do
        names = _property_names(recipe)
        for name in names and (properties or {}):
            if name not in names:
                raise UnknownNameError("property", name, names, "model.property_ranges_")


def _property_names(recipe: Any) -> tuple[str, ...]:
    """The properties that a model's decoder is told, as its recipe has them; none where it says nothing of them."""
    from grammar_rae.facts import PROPERTY_NAMES

    if not isinstance(recipe, dict) or recipe.get("condition") != "properties":
        return ()
    return tuple(map(str, recipe.get("condition_options", {}).get("names", PROPERTY_NAMES)))


def check_recipe(name: str) -> None:
    """Raise UnknownNameError for a recipe that does not exist; a file is read later."""
    from grammar_rae.cli.recipe_names import RECIPE_NAMES

    if name.endswith(RECIPE_FILE):
        check_file(Path(name))
    elif name not in RECIPE_NAMES:
        raise UnknownNameError("recipe", name, RECIPE_NAMES, "`grammar-rae list recipes`")


def check_file(path: Path | None) -> None:
    """Raise DataError for a file that does not exist; pipes and devices are checked when they are read."""
    if path is not None and not path.exists() and str(path) != "-":
        from grammar_rae.datasets.reading import check_is_file

        check_is_file(path)
