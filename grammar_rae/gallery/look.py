"""The templates of galleries, which escape their input, with their style and their script."""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    import jinja2


@cache
def fragment(name: str) -> "jinja2.Template":
    """The template ``cards`` or ``facts``, compiled on first use."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.globals.update(style=Markup(_read("gallery.css")), script=Markup(_read("gallery.js")))
    return environment.from_string(_read(f"{name}.html"))


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
