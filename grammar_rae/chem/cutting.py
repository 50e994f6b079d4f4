"""Cuts of a molecule: templates of what is kept, with a point where something else is to grow."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from rdkit import Chem

from grammar_rae.chem.fingerprints import packed_morgan
from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule

MOST_LINKING = 4
"""Heavy atoms of the largest piece that is cut out from between two others."""

BITS = 2048


class Cut(NamedTuple):
    """A molecule with a part cut off.

    Attributes
    ----------
    template
        What is kept, with a point ``[*:1]`` where the part was; in two pieces where it lay between them.
    heavy_atoms
        Those of the part; none where the point stands in the place of hydrogen.
    likeness
        The Tanimoto similarity of Morgan fingerprints to the molecule, were the part replaced by one with as many
        bits, none of them in common.
    """

    template: str
    heavy_atoms: int
    likeness: float


@quiet
def cut_molecule(text: str) -> list[Cut]:
    """All cuts of a molecule, the most alike first.

    A part is cut off at an acyclic single bond, of which at least half of the heavy atoms are kept; or a small one is
    cut out from between two such bonds; or a hydrogen atom is replaced, but none of a stereo centre, of a charged atom
    or of a saturated one with three neighbours. A text of several molecules is not cut.

    Raises
    ------
    TextError
        When RDKit refuses the text.

    Examples
    --------
    >>> [cut.template for cut in cut_molecule("CO")]
    ['C[*:1]', 'O[*:1]', 'OC[*:1]', 'CO[*:1]']
    """
    found = molecule(text)
    if len(Chem.GetMolFrags(found)) > 1:
        return []
    bits = _bits(found)
    cuts: dict[str, Cut] = {}
    for pieces, size in (*_without_ends(found), *_without_middles(found), *_without_hydrogen(found)):
        template = str(Chem.MolToSmiles(pieces))
        if template not in cuts:
            kept = int((bits & _bits(pieces)).sum())
            cuts[template] = Cut(template, size, kept / max(2 * int(bits.sum()) - kept, 1))
    return sorted(cuts.values(), key=lambda cut: -cut.likeness)


def _bits(found: Any) -> Any:
    return np.unpackbits(packed_morgan(found, BITS)).astype(bool)


def _without_ends(found: Any) -> Iterator[tuple[Any, int]]:
    for bond in _single_bonds(found):
        pieces = _open_bonds(found, bond)
        for kept, lost in (pieces, pieces[::-1]):
            if _size(kept) >= _size(lost):
                yield kept, _size(lost)


def _without_middles(found: Any) -> Iterator[tuple[Any, int]]:
    for bonds in combinations(_single_bonds(found), 2):
        pieces = _open_bonds(found, *bonds)
        ends = [piece for piece in pieces if _count_points(piece) == 1]
        (middle,) = (piece for piece in pieces if _count_points(piece) == 2)
        if len(ends) == 2 and 0 < _size(middle) <= MOST_LINKING:
            kept = Chem.CombineMols(*ends)
            Chem.SanitizeMol(kept)
            yield kept, _size(middle)


def _without_hydrogen(found: Any) -> Iterator[tuple[Any, int]]:
    for atom in found.GetAtoms():
        crowded = atom.GetDegree() > 2 and not atom.GetIsAromatic() and atom.GetHybridization() == _SP3
        if not atom.GetTotalNumHs() or atom.GetFormalCharge() or atom.GetChiralTag() or crowded:
            continue
        grown: Any = Chem.RWMol(found)
        point = Chem.Atom(0)
        point.SetAtomMapNum(1)
        grown.AddBond(atom.GetIdx(), grown.AddAtom(point), Chem.BondType.SINGLE)
        place = grown.GetAtomWithIdx(atom.GetIdx())
        place.SetNumExplicitHs(max(place.GetNumExplicitHs() - 1, 0))
        Chem.SanitizeMol(grown)
        yield grown.GetMol(), 0


_SP3 = Chem.HybridizationType.SP3


def _single_bonds(found: Any) -> list[int]:
    """The acyclic single bonds that hold two parts together; none between charges, as in a nitro group."""
    return [
        bond.GetIdx()
        for bond in found.GetBonds()
        if bond.GetBondType() == Chem.BondType.SINGLE
        and not bond.IsInRing()
        and not (bond.GetBeginAtom().GetFormalCharge() and bond.GetEndAtom().GetFormalCharge())
    ]


def _open_bonds(found: Any, *bonds: int) -> tuple[Any, ...]:
    """The pieces between bonds, with a point at each end of these."""
    opened = Chem.FragmentOnBonds(found, bonds, dummyLabels=[(0, 0)] * len(bonds))
    for atom in opened.GetAtoms():
        if not atom.GetAtomicNum():
            atom.SetAtomMapNum(1)
    return tuple(Chem.GetMolFrags(opened, asMols=True))


def _count_points(piece: Any) -> int:
    return sum(not atom.GetAtomicNum() for atom in piece.GetAtoms())


def _size(piece: Any) -> int:
    return sum(atom.GetAtomicNum() > 1 for atom in piece.GetAtoms())
