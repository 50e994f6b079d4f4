"""Molecules as blocks of atoms and bonds (V2000 and V3000): reading them, and writing records of an SDF."""

import re
from collections.abc import Mapping
from typing import Any

from rdkit import Chem
from rdkit.Chem import rdDepictor

from grammar_rae.chem.log import capture_errors, quiet
from grammar_rae.errors import InputError

LONGEST = 500_000
"""Characters of a block that is handed to RDKit, at most; see :data:`grammar_rae.chem.smiles.MAX_CHARACTERS`."""

_END = "M  END"
_depictor: Any = rdDepictor


def is_block(text: str) -> bool:
    """Whether a text is the block of a molecule, and no SMILES."""
    return _END in text and "\n" in text


def block_or_none(text: str) -> Any:
    """RDKit's sanitised molecule of a block, or None; callers keep the log quiet."""
    if len(text) > LONGEST:
        return None
    try:
        found = Chem.MolFromMolBlock(text)
    except (ValueError, RuntimeError):
        return None
    return found if found is not None and found.GetNumAtoms() else None


def block_reason(text: str) -> str:
    """Why a block is refused, in RDKit's words where there are any."""
    if len(text) > LONGEST:
        return f"it is too long: {len(text)} characters"
    try:
        found, lines = capture_errors(lambda: Chem.MolFromMolBlock(text))
    except (ValueError, RuntimeError) as error:
        return str(error)
    if found is not None:
        return "it has no atoms"
    return "; ".join(lines[:2]) or "no reason given"


@quiet
def write_record(text: str, values: Mapping[str, Any], layout: bool = True) -> str:
    """A record of an SDF: the molecule of a SMILES with a 2-D layout, and values by name, those that are None left out.

    Parameters
    ----------
    text
        A SMILES; what RDKit refuses is written as a molecule without atoms.
    values
        Name -> value, written as a text. The title is the value of ``name``, where there is one.
    layout
        Whether to lay the atoms out; without it they all lie in one place.

    Raises
    ------
    InputError
        For a name or value that SDF has no place for.
    """
    found = Chem.MolFromSmiles(text) if text else None
    found = Chem.Mol() if found is None else found
    if layout and found.GetNumAtoms():
        _depictor.Compute2DCoords(found)
    if values.get("name") is not None:
        found.SetProp("_Name", re.sub(r"\s+", " ", str(values["name"])))
    parts = [Chem.MolToMolBlock(found)]
    for name, value in values.items():
        if value is None or name == "name":
            continue
        if re.search(r"[<>\n\r]", name):
            raise InputError("an SDF cannot have a value of this name", received=repr(name))
        lines = str(value).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if any(line.startswith("$$$$") for line in lines):
            raise InputError("an SDF cannot have a value with the line '$$$$'", received=f"{name}: {value!r}")
        # A blank line would end the value.
        parts.append(f">  <{name}>\n" + "".join(f"{line or ' '}\n" for line in lines) + "\n")
    return "".join(parts) + "$$$$\n"
