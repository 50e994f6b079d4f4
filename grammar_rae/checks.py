"""Numbers and paths that a caller passes: checked before anything is done with them."""

import math
import operator
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from grammar_rae.errors import InputError, UnknownNameError

_MOST_JOBS = 10_000


def whole_number(value: Any) -> int | None:
    """The value as an int; None unless it is a whole number, of Python or of another library."""
    if isinstance(value, bool) or getattr(value, "shape", ()) != ():
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError, RuntimeError):  # a tensor of something else
        return None


def is_number(value: Any) -> bool:
    """Whether the value is one real number that float64 can hold, not infinite, no text and no flag."""
    if isinstance(value, bool | str | bytes | complex) or getattr(value, "shape", ()) != ():
        return False
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return False


def check_count(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """The value as an int.

    Raises
    ------
    InputError
        Unless it is a whole number from ``least`` to ``most``.
    """
    number = whole_number(value)
    if number is None or number < least or (most is not None and number > most):
        bound = f"{name} >= {least}" if most is None else f"{least} to {most}"
        raise InputError(f"{name} cannot be used", received=f"{name} {value!r}", expected=f"{bound}, a whole number")
    return number


def check_jobs(jobs: Any) -> int:
    """The number of processes as an int.

    Raises
    ------
    InputError
        Unless it is 1 or more, or -1 for one a core.
    """
    number = whole_number(jobs)
    if number is None or number == 0 or not -1 <= number <= _MOST_JOBS:
        raise InputError(
            "the number of processes cannot be used", received=f"jobs {jobs!r}", expected="jobs >= 1, or -1 for all"
        )
    return number


def check_flag(name: str, value: Any) -> None:
    """Raise InputError unless the value is True or False."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise InputError(f"{name} cannot be used", received=repr(value), expected="True or False")


def check_choice(kind: str, value: Any, known: Collection[str]) -> None:
    """Raise UnknownNameError unless the value is one of the names."""
    if not isinstance(value, str) or value not in known:
        raise UnknownNameError(kind, value, known)


def check_path(path: Any) -> Path:
    """The path as a Path.

    Raises
    ------
    InputError
        Unless it is a text or a path that a file may have.
    """
    try:
        found = Path(path)
        whole = b"\0" not in os.fsencode(found) and all(len(os.fsencode(part)) < 256 for part in found.parts)
    except (TypeError, ValueError) as error:
        raise InputError("this is not a path", received=repr(path), expected="a text or a Path") from error
    if not whole:
        raise InputError("no file can have this path", received=repr(path), expected="names of at most 255 bytes")
    return found
