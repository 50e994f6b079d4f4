"""What molecules must contain and must not: patterns, read once and asked of many."""

from collections.abc import Sequence
from typing import Any

from grammar_rae.chem.changes import read_pattern
from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule
from grammar_rae.errors import InputError


class Substructures:
    """Substructures that a molecule must have, all of them, and such as it must not have, none of them.

    Parameters
    ----------
    wanted, unwanted
        SMARTS patterns, one or several.

    Raises
    ------
    InputError
        For a pattern that is no SMARTS.

    Examples
    --------
    >>> patterns = Substructures(wanted="c1ccccc1", unwanted=["[Cl]", "[Br]"])
    >>> patterns.has("Cc1ccccc1"), patterns.has("Clc1ccccc1"), patterns.has("CCO")
    (True, False, False)
    """

    def __init__(self, wanted: str | Sequence[str] = (), unwanted: str | Sequence[str] = ()) -> None:
        self.wanted, self.unwanted = _listed(wanted), _listed(unwanted)
        self._wanted: list[Any] = [read_pattern(one) for one in self.wanted]
        self._unwanted: list[Any] = [read_pattern(one) for one in self.unwanted]

    def __bool__(self) -> bool:
        return bool(self.wanted or self.unwanted)

    @quiet
    def has(self, text: str) -> bool:
        """Whether a molecule has what is wanted, and nothing that is unwanted.

        Raises
        ------
        TextError
            When RDKit refuses the text.
        """
        found = molecule(text)
        return all(map(found.HasSubstructMatch, self._wanted)) and not any(map(found.HasSubstructMatch, self._unwanted))


def _listed(patterns: str | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(patterns, str | Sequence):
        raise InputError("patterns must be SMARTS", received=repr(patterns), expected="one, or a list of them")
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)
