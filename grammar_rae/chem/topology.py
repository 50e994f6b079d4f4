"""The rings of a molecule."""

from typing import NamedTuple

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule


class Ring(NamedTuple):
    """One ring: how many atoms it has, and whether all of its bonds are aromatic."""

    size: int
    aromatic: bool


@quiet
def ring_list(text: str) -> list[Ring]:
    """The rings of a molecule, as RDKit finds them (its symmetrised smallest set of smallest rings).

    Raises :class:`TextError` when RDKit refuses the text.

    Examples
    --------
    >>> ring_list("c1ccccc1C1CC1")
    [Ring(size=3, aromatic=False), Ring(size=6, aromatic=True)]
    """
    found = molecule(text)
    bonds = [[found.GetBondWithIdx(bond) for bond in ring] for ring in found.GetRingInfo().BondRings()]
    return sorted(Ring(len(ring), all(bond.GetIsAromatic() for bond in ring)) for ring in bonds)
