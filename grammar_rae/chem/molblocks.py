"""Molecules with coordinates for other programs: SDF, as MDL describes it, with two-dimensional coordinates."""

from collections.abc import Mapping, Sequence
from typing import Any

from rdkit import Chem
from rdkit.Chem import rdDepictor

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule
from grammar_rae.errors import InputError, TextError

_depictor: Any = rdDepictor


@quiet
def sdf(
    texts: Sequence[str], names: Sequence[str] | None = None, columns: Mapping[str, Sequence[Any]] | None = None
) -> tuple[str, list[int]]:
    """Molecules as one SDF text, and the rows of those that RDKit cannot write.

    Parameters
    ----------
    texts
        N SMILES.
    names
        N names, for the first line of each record; None for the SMILES.
    columns
        By name, N values: the data fields. An empty one (None, nan or "") is left out.

    Raises
    ------
    InputError
        When the numbers of texts, names and values differ.
    """
    columns = columns or {}
    given: dict[str, Sequence[Any]] = dict(columns) if names is None else {"names": names, **columns}
    for what, values in given.items():
        if len(values) != len(texts):
            raise InputError(f"every molecule needs one of {what}", received=str(len(values)), expected=str(len(texts)))
    records: list[str] = []
    refused: list[int] = []
    for row, text in enumerate(texts):
        try:
            found = molecule(text)
        except TextError:
            refused.append(row)
            continue
        _depictor.Compute2DCoords(found)
        found.SetProp("_Name", _one_line(names[row] if names is not None and names[row] else text))
        records.append(Chem.MolToMolBlock(found))
        for name, values in columns.items():
            value = values[row]
            if value is not None and value == value and value != "":
                records.append(f">  <{_one_line(name).replace('>', ' ').replace('<', ' ')}>\n{_one_line(value)}\n\n")
        records.append("$$$$\n")
    return "".join(records), refused


def _one_line(value: Any) -> str:
    """A value as one line: an empty one would end its field, and four dollars the record."""
    line = " ".join(str(value).split())[:1000]
    return line.replace("$$$$", "$ $ $ $")
