"""Scores: what a text is worth, as a number.

``SCORES`` is the table; a new score is one row. A score's function takes one text and raises
:class:`~grammar_rae.errors.TextError` where the text has no such number.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError, TextError, UnknownNameError


@dataclass(frozen=True)
class Score:
    """A named function of one text.

    ``higher_is_better`` is the direction in which an optimiser goes unless told otherwise.
    """

    name: str
    function: Callable[[str], float]
    higher_is_better: bool
    description: str


def score(texts: Iterable[str], names: Iterable[str]) -> dict[str, NDArray[np.float64]]:
    """The scores of N texts.

    Parameters
    ----------
    texts
        N texts, for example SMILES.
    names
        Names in :data:`SCORES`.

    Returns
    -------
    dict
        For each name, in the order given, an array (N,) of float64, with nan where a text has no such score (because it
        is no molecule).

    Raises
    ------
    UnknownNameError
        When a name is not in the table.
    """
    for what, given in (("texts", texts), ("names", names)):
        if isinstance(given, str):
            raise InputError(f"the {what} must be a list", received=repr(given), expected=f"[{given!r}]")
    texts, names = list(texts), list(names)
    for name in names:
        if name not in SCORES:
            raise UnknownNameError("score", name, SCORES)
    return {name: _column(SCORES[name].function, texts) for name in names}


def _column(function: Callable[[str], float], texts: list[str]) -> NDArray[np.float64]:
    values = np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        try:
            values[i] = function(text)
        except TextError:
            continue
    return values


def _descriptor(name: str, text: str) -> float:
    # Imported here, so that a table of names costs no import of RDKit.
    from grammar_rae.chem import DESCRIPTORS

    return DESCRIPTORS[name](text)


def _molecular(name: str, higher_is_better: bool, description: str) -> Score:
    return Score(name, partial(_descriptor, name), higher_is_better, description)


SCORES: dict[str, Score] = {
    row.name: row
    for row in (
        _molecular("qed", True, "drug-likeness, 0 to 1"),
        _molecular("logp", True, "octanol-water partition coefficient (Crippen), logarithm"),
        _molecular("sa", False, "synthetic accessibility, 1 (easy) to 10 (hard)"),
        _molecular("weight", False, "molecular weight, g/mol"),
        _molecular("heavy_atoms", False, "number of atoms other than hydrogen"),
        _molecular("rings", False, "number of rings"),
    )
}
