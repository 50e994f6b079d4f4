"""Seeds: whole numbers from 0 to 2**64 - 1, checked before any work, or drawn where there is none."""

import secrets
from typing import Any, SupportsInt

from grammar_rae.checks import whole_number
from grammar_rae.errors import InputError

LARGEST_SEED = 2**64 - 1


def check_seed(seed: Any) -> int:
    """The seed as an int.

    Raises
    ------
    InputError
        Unless it is a whole number from 0 to 2**64 - 1.
    """
    number = whole_number(seed)
    if number is None or not 0 <= number <= LARGEST_SEED:
        raise InputError("the seed cannot be used", received=repr(seed), expected="a whole number from 0 to 2**64 - 1")
    return number


def resolve_seed(seed: Any) -> int:
    """The seed as an int; for None a new one, short enough to be typed again.

    Raises
    ------
    InputError
        Unless it is None or a whole number from 0 to 2**64 - 1.
    """
    return secrets.randbelow(2**32) if seed is None else check_seed(seed)


def wrap_seed(seed: SupportsInt) -> int:
    """A seed that was computed from others, within the range that every generator takes."""
    return int(seed) % (LARGEST_SEED + 1)
