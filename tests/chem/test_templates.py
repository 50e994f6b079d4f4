"""Templates as texts: which points they have, and in which Kekulé texts they can be written."""

import random

import pytest
from derivations import molecules
from rdkit import Chem

from grammar_rae import chem
from grammar_rae.errors import TextError

TEMPLATES = {
    "c1cc([*:1])ccc1C(=O)N[*:2]": ("C1=CC(C)=CC=C1C(=O)NC", ((3, 1), (10, 2))),
    "n1([*:1])cccc1": ("N1(C)C=CC=C1", ((1, 1),)),
    "N[C@@]([*:4])(F)C(=O)[*:2]": ("N[C@@](C)(F)C(=O)C", ((2, 4), (6, 2))),
    "*c1cc([*:1])ccc1": ("C1(C)=CC=CC(C)=C1", ((1, 2), (6, 1))),  # it cannot begin with a point
    "C(/[*])=C/C": ("C(/C)=C/C", ((1, 1),)),
}


@pytest.mark.parametrize("text", TEMPLATES)
def test_the_first_text_has_the_order_of_the_template(text):
    first = chem.spell_template(text)[0]
    assert (first.text, first.points) == TEMPLATES[text]
    assert sorted(chem.read_points(text).labels) == sorted(label for _, label in first.points)


@pytest.mark.parametrize("text, kept", [("n1([*:1])cccc1", "[nH]1cccc1"), ("C[N+](C)(C)[*:1]", "C[NH+](C)C")])
def test_empty_points_hold_hydrogen(text, kept):
    for one in chem.spell_template(text, empty=(1,)):
        assert chem.canonical(one.text) == chem.canonical(kept) and one.points == ()


def test_centres_keep_their_parity_without_a_point():
    (one, *_) = chem.spell_template("N[C@@]([*:1])(F)C(=O)O", empty=(1,))
    assert chem.canonical(one.text) == chem.canonical("N[C@@]([H])(F)C(=O)O")
    (one, *_) = chem.spell_template("[*:1]/C=C/C", empty=(1,))
    assert "[H]" not in one.atoms


def test_all_texts_of_real_molecules_are_the_template():
    """Random molecules with points for some of their hydrogen, in random orders."""
    chance = random.Random(1)
    for smiles in molecules(300)[::5]:
        mol = Chem.RWMol(Chem.MolFromSmiles(smiles))
        hosts = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetTotalNumHs() and not atom.IsInRing()]
        if not hosts:
            continue
        for label, host in enumerate(chance.sample(hosts, min(2, len(hosts))), 1):
            point = mol.AddAtom(Chem.Atom(0))
            mol.GetAtomWithIdx(point).SetAtomMapNum(label)
            mol.AddBond(host, point, Chem.BondType.SINGLE)
            atom = mol.GetAtomWithIdx(host)
            atom.SetNumExplicitHs(max(atom.GetNumExplicitHs() - 1, 0))
        template = Chem.MolToSmiles(mol, doRandom=True)
        if Chem.MolFromSmiles(template) is None:
            continue
        expected = chem.canonical(chem.canonical(template).replace("[*:1]", "C").replace("[*:2]", "C"))
        for one in chem.spell_template(template):
            assert chem.canonical(one.text) == expected
            assert {label for _, label in one.points} == set(chem.read_points(template).labels)


@pytest.mark.parametrize(
    "text", ["", "c1ccccc1", "C=[*:1]", "C[*:1]C", "[*:1][*:2]", "C[*:1].C", "C[1*]", "C([*:1])[*:1]"]
)
def test_what_is_no_template(text):
    with pytest.raises(TextError):
        chem.read_points(text)
