"""What a page asks for, read with care: a page is a program that anybody may have changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from grammar_rae.checks import is_number, whole_number
from grammar_rae.errors import InputError

LONGEST = 2000
"""The most characters of a text that a page may send."""


def read_count(message: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """A whole number of a message.

    Raises
    ------
    InputError
        Unless it is one from ``least`` to ``most``.
    """
    number = whole_number(message.get(name))
    if number is None or not least <= number <= most:
        raise InputError(f"{name} cannot be used", received=repr(message.get(name)), expected=f"{least} to {most}")
    return number


def read_number(message: Mapping[str, Any], name: str, least: float, most: float) -> float:
    """A number of a message.

    Raises
    ------
    InputError
        Unless it is one from ``least`` to ``most``.
    """
    value: Any = message.get(name)
    if not is_number(value) or not least <= float(value) <= most:
        raise InputError(f"{name} cannot be used", received=repr(value), expected=f"{least:g} to {most:g}")
    return float(value)


def read_text(message: Mapping[str, Any], name: str, what: str) -> str:
    """A text of a message, without blanks around it.

    Raises
    ------
    InputError
        Unless there is one, and it is not too long.
    """
    value = message.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"there is no {what}", expected=f"a {what} in the field")
    if len(value) > LONGEST:
        raise InputError(f"the {what} is too long", received=f"{len(value)} characters", expected=f"at most {LONGEST}")
    return value.strip()


def read_numbers(message: Mapping[str, Any], name: str, known: Sequence[str]) -> dict[str, float]:
    """The numbers of a message by name.

    Raises
    ------
    InputError
        For another name, or what is no number.
    """
    values = message.get(name)
    if not isinstance(values, Mapping) or not all(key in known and is_number(one) for key, one in values.items()):
        raise InputError(f"the {name} cannot be used", received=repr(values), expected=f"numbers of {', '.join(known)}")
    return {str(key): float(one) for key, one in values.items()}
