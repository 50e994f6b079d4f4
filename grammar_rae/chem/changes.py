"""What differs between two molecules, and whether one has a substructure."""

from typing import Any

from rdkit import Chem
from rdkit.Chem import rdFMCS

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule
from grammar_rae.errors import InputError

TIMEOUT = 2
"""Seconds that the search for a common substructure may take; what was found by then counts."""

_fmcs: Any = rdFMCS


@quiet
def has_pattern(text: str, smarts: str) -> bool:
    """Whether a molecule has a substructure.

    Raises
    ------
    InputError
        When ``smarts`` is not a SMARTS pattern.
    TextError
        When RDKit refuses the text.
    """
    return bool(molecule(text).HasSubstructMatch(read_pattern(smarts)))


@quiet
def read_pattern(smarts: str) -> Any:
    """RDKit's pattern of a SMARTS.

    Raises
    ------
    InputError
        When it is not one.
    """
    pattern = Chem.MolFromSmarts(smarts) if isinstance(smarts, str) and smarts.strip() else None
    if pattern is None:
        raise InputError("cannot read the SMARTS pattern", received=repr(smarts), expected="for example 'c1ccccc1'")
    return pattern


@quiet
def change(lead: str, text: str) -> str:
    """What a molecule has in the place of what a lead has, ``*O>>*F``: all that is not common to both.

    Whole rings only are common. Pieces are joined by ".", each with a ``*`` for every bond to what is common; one side
    is empty where nothing was removed or added.

    Raises
    ------
    TextError
        When RDKit refuses one of the texts.

    Examples
    --------
    >>> change("Oc1ccccc1", "Fc1ccccc1")
    '*O>>*F'
    """
    both = [molecule(lead), molecule(text)]
    common = _fmcs.FindMCS(both, ringMatchesRingOnly=True, completeRingsOnly=True, timeout=TIMEOUT)
    if not common.numAtoms:
        return f"{Chem.MolToSmiles(both[0])}>>{Chem.MolToSmiles(both[1])}"
    core = Chem.MolFromSmarts(common.smartsString)
    return ">>".join(_outside(one, core) for one in both)


def _outside(found: Any, core: Any) -> str:
    """The pieces of RDKit's molecule that are not in the core."""
    inside = set(found.GetSubstructMatch(core))
    cut = [bond for bond in found.GetBonds() if (bond.GetBeginAtomIdx() in inside) != (bond.GetEndAtomIdx() in inside)]
    if not cut:
        return ""
    # Every bond to the core becomes one to a dummy atom; the core itself falls into pieces of atoms all inside.
    opened = Chem.FragmentOnBonds(found, [bond.GetIdx() for bond in cut], dummyLabels=[(0, 0)] * len(cut))
    pieces = []
    for atoms in Chem.GetMolFrags(opened):
        if not inside & set(atoms):
            pieces.append(Chem.MolFragmentToSmiles(opened, list(atoms)))
    return ".".join(sorted(pieces))
