"""What grew at the points of a template, as molecules of their own."""

from typing import Any

from rdkit import Chem

from grammar_rae.chem.log import quiet
from grammar_rae.errors import TextError


@quiet
def cut_group(text: str, first: int, end: int, entry: int, other: int) -> str:
    """Return a run of atoms of a molecule as a SMILES with points where single bonds lead out of it.

    >>> cut_group("CCOC1CC1", 1, 3, 1, 2)
    'C(O[*:2])[*:1]'

    Parameters
    ----------
    text
        The molecule.
    first, end
        The atoms, by their places in the text, up to the one before ``end``.
    entry, other
        The number of the point at the bond that leads from the first atom to one before it, and that of others.

    Raises
    ------
    TextError
        For a text that RDKit refuses.
    """
    settings: Any = Chem.SmilesParserParams()
    settings.removeHs = False
    mol: Any = Chem.MolFromSmiles(text, settings)
    if mol is None:
        raise TextError("RDKit cannot read this molecule", text=text)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    inside = range(first, end)
    crossing, labels = [], []
    for bond in mol.GetBonds():
        a, b = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        if (a in inside) != (b in inside):
            label = entry if b == first and entry not in labels else other
            crossing.append(bond.GetIdx())
            labels.append(label)
    if crossing:
        mol = Chem.FragmentOnBonds(mol, crossing, dummyLabels=[(label, label) for label in labels])
    of_atom: list[int] = []
    parts = Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False, frags=of_atom)
    group: Any = parts[of_atom[first]]
    for atom in group.GetAtoms():
        if atom.GetAtomicNum() == 0:
            atom.SetAtomMapNum(atom.GetIsotope())
            atom.SetIsotope(0)
    Chem.SanitizeMol(group)
    return str(Chem.MolToSmiles(Chem.RemoveHs(group)))
