"""Cuts of molecules: what is kept is part of the molecule, and what may grow has a place to."""

import pytest
from rdkit import Chem

from grammar_rae.chem import canonical, read_points
from grammar_rae.chem.cutting import MOST_LINKING, cut_molecule
from grammar_rae.errors import TextError

MOLECULES = (
    "COc1ccc(NC(=O)C2CCCCC2)cc1",
    "CCCCC(=O)N1CSC[C@@H]1C(=O)N[C@H]1c2ccccc2C[C@H]1O",
    "CC1(C)C[NH+]=C(N2CCN([C@@H]3CCN(CC(F)(F)F)C3=O)CC2)S1",
    "O=[N+]([O-])c1ccc(S(=O)(=O)NCC(=O)[O-])cc1",
    "C/C=C/c1c[nH]cc1C#N",
)


@pytest.mark.parametrize("text", MOLECULES)
def test_what_is_kept_is_a_part_of_the_molecule(text):
    whole = Chem.MolFromSmiles(text)
    cuts = cut_molecule(text)
    assert cuts and len({cut.template for cut in cuts}) == len(cuts)
    for cut in cuts:
        pieces = cut.template.split(".")
        assert len(pieces) == 1 + bool(read_points(cut.template).linked)
        kept = [Chem.MolFromSmarts(piece.replace("[*:1]", "[*,#1]")) for piece in pieces]
        with_hydrogen = Chem.AddHs(whole)
        assert all(with_hydrogen.HasSubstructMatch(piece) for piece in kept)
        n_kept = sum(atom.GetAtomicNum() > 1 for atom in Chem.MolFromSmiles(cut.template).GetAtoms())
        assert n_kept + cut.heavy_atoms == whole.GetNumHeavyAtoms()
        assert n_kept >= cut.heavy_atoms or len(pieces) == 2


@pytest.mark.parametrize("text", MOLECULES)
def test_the_most_alike_come_first(text):
    likeness = [cut.likeness for cut in cut_molecule(text)]
    assert likeness == sorted(likeness, reverse=True) and 0 <= likeness[-1] <= likeness[0] < 1


def test_ends_middles_and_hydrogen_are_cut():
    cuts = {cut.template: cut.heavy_atoms for cut in cut_molecule("c1ccccc1COC1CC1")}
    for template, size in (
        ("C1CC1[*:1].c1ccc([*:1])cc1", 2),
        ("c1ccc(CO[*:1])cc1", 3),
        ("c1ccc(COC2CC2)c([*:1])c1", 0),
    ):
        assert cuts[Chem.CanonSmiles(template)] == size


def test_what_is_not_cut():
    assert cut_molecule("[Na+].CC(=O)[O-]") == []
    nitro = [cut.template for cut in cut_molecule("O=[N+]([O-])c1ccccc1") if "[N+]" in cut.template]
    assert nitro and all("[O-]" in template for template in nitro)
    long = [cut for cut in cut_molecule("C1CC1CCCCCCCCC1CC1") if "." in cut.template]
    assert long and max(cut.heavy_atoms for cut in long) == MOST_LINKING
    stereo = "C[C@H](O)c1ccccc1"
    at_hydrogen = [canonical(cut.template) for cut in cut_molecule(stereo) if not cut.heavy_atoms]
    assert at_hydrogen and all("[C@" in one and "H]" in one for one in at_hydrogen)


def test_a_text_that_is_no_molecule():
    with pytest.raises(TextError):
        cut_molecule("x + 1")
