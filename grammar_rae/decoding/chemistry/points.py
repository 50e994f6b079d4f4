"""What a template may grow at one of its points."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from grammar_rae.errors import InputError

_FLAGS = ("optional", "closed")
_ELEMENTS = "elements"


@dataclass(frozen=True)
class Point:
    """What may grow at a point of a template.

    Parameters
    ----------
    max_heavy_atoms
        The most atoms other than hydrogen; None for no limit.
    elements
        The elements that may be written, as one text: ``"CNO"``; None for any.
    ring_sizes
        The sizes that the smallest rings of what grows may have, none for no rings; None for any.
    optional
        Whether the point may stay empty, with hydrogen in its place.
    closed
        Whether it always does.

    Raises
    ------
    InputError
        For limits that cannot be used or contradict each other.
    """

    max_heavy_atoms: int | None = None
    elements: str | None = None
    ring_sizes: tuple[int, ...] | None = None
    optional: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        most = self.max_heavy_atoms
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise InputError(
                "what grows at a point has an atom or more",
                received=f"max_heavy_atoms={most!r}",
                expected="1 or more",
                remedy="Close the point for nothing but hydrogen: closed=True, or 'closed' in a text.",
            )
        check_elements(self.elements)
        if self.ring_sizes is not None:
            object.__setattr__(self, "ring_sizes", check_ring_sizes(self.ring_sizes))
        if self.closed and str(self) != "closed":
            raise InputError("a closed point takes no limits", received=str(self))

    @property
    def element_set(self) -> frozenset[str] | None:
        """The elements as a set."""
        return None if self.elements is None else split_elements(self.elements)

    @classmethod
    def parse(cls, text: str) -> "Point":
        """Return the point of a text such as ``max-heavy-atoms=6 elements=CNO ring-sizes=5,6 optional``.

        Raises
        ------
        InputError
            For words that mean nothing here.
        """
        found: dict[str, object] = {}
        for word in text.split():
            name, equals, value = word.partition("=")
            key = name.replace("-", "_")
            numbers = [*re.split(",", value)] if value else []
            whole = all(number.isdecimal() for number in numbers)
            if key in found:
                raise InputError(f"a point has two values of {name}", received=text)
            if name in _FLAGS and not equals:
                found[key] = True
            elif name == _ELEMENTS and value:
                found[key] = value
            elif key == "ring_sizes" and equals and whole:
                found[key] = tuple(map(int, numbers))
            elif key == "max_heavy_atoms" and whole and len(numbers) == 1:
                found[key] = int(value)
            else:
                raise InputError(
                    "this limit of a point cannot be read",
                    received=word,
                    expected="max-heavy-atoms=6, elements=CNO, ring-sizes=5,6, optional or closed, with blanks between",
                )
        return cls(**found)  # type: ignore[arg-type]

    def __str__(self) -> str:
        words = [] if self.max_heavy_atoms is None else [f"max-heavy-atoms={self.max_heavy_atoms}"]
        words += [] if self.elements is None else [f"elements={self.elements}"]
        words += [] if self.ring_sizes is None else [f"ring-sizes={','.join(map(str, self.ring_sizes))}"]
        return " ".join(words + [flag for flag in _FLAGS if getattr(self, flag)])


def check_elements(symbols: str | None) -> None:
    """Raise an InputError for what is no text of elements."""
    if symbols is not None and (not isinstance(symbols, str) or not re.fullmatch(r"([A-Z][a-z]?)+", symbols)):
        raise InputError("expected symbols of elements", received=repr(symbols), expected="for example 'CNOSFClBr'")


def split_elements(symbols: str) -> frozenset[str]:
    """Return the elements of a text such as ``CNOSFClBr``."""
    return frozenset(re.findall(r"[A-Z][a-z]?", symbols))


def check_ring_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes in order, each once; raise an InputError for one that a ring cannot have."""
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int) or not 3 <= size <= 100:
            raise InputError("a ring cannot have this size", received=repr(size), expected="3 to 100 atoms")
    return tuple(sorted(set(sizes)))
