"""What a person or a pipeline is told: notes on stderr, results on the standard output, and which of them are wanted.

``--quiet`` leaves out progress and advice; what was found, left out or went wrong is told. ``--json`` puts one object
on the standard output, in the place of what a command would print there. Of several processes that train together, the
first one tells what there is to tell, and each its own errors.
"""

import json
import logging
import math
import os
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

import typer

from grammar_rae.errors import InputError
from grammar_rae.launchers import is_first_process


class Wanted(NamedTuple):
    """What the global options ask for."""

    quiet: bool = False
    json: bool = False


_ALL = Wanted()
_wanted: ContextVar[Wanted] = ContextVar("grammar_rae_wanted", default=_ALL)


def choose(*, quiet: bool, json: bool) -> None:
    """Take what the global options say, for the command that follows; the package's log is progress, too."""
    logging.getLogger("grammar_rae").setLevel(logging.ERROR if quiet else logging.NOTSET)
    _wanted.set(Wanted(quiet, json))


def is_quiet() -> bool:
    """Whether progress and advice are to be left out."""
    return _wanted.get().quiet


def wants_json() -> bool:
    """Whether the standard output is to hold one object of JSON."""
    return _wanted.get().json


def note(text: str) -> None:
    """A line for the person, on stderr: the standard output is for results."""
    if is_first_process():
        typer.echo(text, err=True)


def hint(text: str) -> None:
    """What to do next, on stderr, unless it is to be quiet."""
    if not is_quiet():
        note(f"next: {text}")


def say(text: str, **options: Any) -> None:
    """A line on the standard output, where no JSON is wanted there."""
    if not wants_json():
        typer.echo(text, **options)


def paint(text: str, colour: str) -> None:
    """A line on stderr, coloured on a terminal unless ``NO_COLOR`` is set."""
    typer.secho(text, fg=colour, err=True, color=False if os.environ.get("NO_COLOR") else None)


def report(**figures: Any) -> None:
    """The figures of a command as one object of JSON on the standard output, where that is wanted."""
    if wants_json() and is_first_process():
        sys.stdout.write(json.dumps(_plain(figures), ensure_ascii=False, allow_nan=False) + "\n")
        sys.stdout.flush()


def refuse_json(command: str) -> None:
    """Raise InputError where JSON is wanted of a command that reports no figures."""
    if wants_json():
        raise InputError(f"{command} reports no figures", received="--json", remedy="Leave --json out.")


def _plain(value: Any) -> Any:
    """What JSON can hold: numbers of NumPy as Python's, what is no finite number as null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
