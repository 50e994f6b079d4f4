"""A SMILES in Kekulé form with its atoms in the order in which they were written."""

import re
from typing import Any

from rdkit import Chem

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import canonical
from grammar_rae.errors import TextError

PIECE = re.compile(r"\[[^\]]*\]|Br|Cl|[A-Za-z*]|%\d\d|.")
_BARE = re.compile(r"\[([bcnops])H?\]")  # an aromatic atom whose hydrogen needs no brackets in Kekulé form
_AROMATIC = re.compile(r"(\[\d*)([a-z])")
_SYMBOLS = {1.0: "", 2.0: "=", 3.0: "#"}
_DIRECTIONS = "/\\"


@quiet
def kekule_as_written(text: str) -> str:
    """The same SMILES, atom for atom and ring number for ring number, with double bonds in place of aromatic atoms.

    >>> kekule_as_written("c1ccccc1C(=O)N")
    'C1C=CC=CC=1C(=O)N'

    Raises
    ------
    TextError
        When RDKit refuses the text, or the text cannot be written so.
    """
    text = text.strip()
    before = canonical(text)
    settings: Any = Chem.SmilesParserParams()
    settings.removeHs = False
    read: Any = Chem.MolFromSmiles(text, settings)
    Chem.Kekulize(read, clearAromaticFlags=True)
    written = "".join(_rewrite(text, read))
    if canonical(written) != before:
        raise TextError(
            "this SMILES cannot be written in Kekulé form with its atoms in this order", text=text, received=written
        )
    return written


def _rewrite(text: str, read: Any) -> list[str]:
    out: list[str] = []
    rings: dict[str, int] = {}
    branches: list[int] = []
    last, atoms, bond = -1, 0, ""
    for piece in PIECE.findall(text):
        if piece[0] in "-=#:$" or piece in _DIRECTIONS:
            bond = piece
        elif piece == "(":
            branches.append(last)
            out.append(piece)
        elif piece == ")":
            last = branches.pop()
            out.append(piece)
        elif piece == ".":
            last = -1
            out.append(piece)
        elif piece[0] == "%" or piece.isdigit():
            number = piece.lstrip("%").lstrip("0") or "0"
            opened = rings.pop(number, None)
            if opened is None:
                rings[number] = last
            symbol = "" if opened is None else _symbol(read, opened, last)
            out.append((bond if bond and bond in _DIRECTIONS else symbol) + piece)
            bond = ""
        else:
            if last >= 0:
                out.append(bond if bond and bond in _DIRECTIONS else _symbol(read, last, atoms))
            out.append(_atom(piece))
            last, atoms, bond = atoms, atoms + 1, ""
    return out


def _symbol(read: Any, a: int, b: int) -> str:
    return _SYMBOLS[read.GetBondBetweenAtoms(a, b).GetBondTypeAsDouble()]


def _atom(piece: str) -> str:
    bare = _BARE.fullmatch(piece)
    if bare:
        return bare[1].upper()
    return _AROMATIC.sub(lambda found: found[1] + found[2].upper(), piece) if piece[0] == "[" else piece.capitalize()
