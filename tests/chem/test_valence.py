"""grammar_rae.chem.valence: the capacities of atoms."""

import random
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from grammar_rae import chem
from grammar_rae.chem.log import quiet

# Without a charged oxygen atom that could take a double bond: beside one, neutral iodine takes less.
COMMON = {
    **{"B": 3, "C": 4, "N": 3, "O": 2, "P": 5, "S": 6, "F": 1, "Cl": 1, "Br": 1, "I": 5},
    **{"[C@@H]": 3, "[C@H]": 3, "[C@]": 4, "[C@@]": 4, "[CH-]": 2, "[C-]": 3, "[C+]": 3, "[13CH2]": 2, "[CH3:7]": 1},
    **{"[N+]": 4, "[NH+]": 3, "[NH2+]": 2, "[NH3+]": 1, "[NH4+]": 0, "[N-]": 2, "[N]": 3, "[NH]": 2, "[N@+]": 4},
    **{"[O-]": 1, "[O]": 2, "[OH]": 1, "[S-]": 5, "[S+]": 5, "[S@@]": 6, "[S@+]": 5, "[SH]": 5},
    **{"[P@@]": 5, "[P+]": 4, "[PH]": 4, "[B-]": 4, "[BH3-]": 1, "[Si]": 4, "[SiH2]": 2, "[Se]": 6},
    **{"[2H]": 1, "[H]": 1, "[HH]": 0, "[H+]": 0, "[Cl-]": 0, "[CH4]": 0, "[F]": 1},
}
LIMITED = sorted(text for text, most in COMMON.items() if text != "[H+]")  # RDKit drops that one where it is bonded
BONDS = {1: "", 2: "=", 3: "#", 4: "$"}


def star(atom, neighbours, place):
    """An atom with neighbours (order, text), ``place`` of them written before it."""
    branches = [f"({BONDS[order]}{text})" for order, text in neighbours]
    if not place:
        return atom + "".join(branches)
    order, text = neighbours[0]
    return text + BONDS[order] + atom + "".join(branches[1:])


@quiet
def accepted(text):
    """Whether RDKit reads a SMILES, with its hydrogen atoms merged and with all of them, and its canonical form."""
    keep = Chem.SmilesParserParams()
    keep.removeHs = False
    return Chem.MolFromSmiles(text, keep) is not None and chem.is_valid(text) and chem.is_valid(chem.canonical(text))


@st.composite
def stars(draw, atoms):
    """Stars in which neither the centre nor a neighbour goes beyond its capacity, and how much of it is used."""
    atom = draw(st.sampled_from([text for text in LIMITED if text in atoms]))
    left, neighbours = draw(st.integers(0, atoms[atom])), []
    while left:
        text = draw(st.sampled_from([text for text in atoms if atoms[text]]))
        order = draw(st.integers(1, min(left, atoms[text], 4)))
        filled = draw(st.integers(0, atoms[text] - order))
        neighbours.append((order, text + "(C)" * filled))
        left -= order
    return star(atom, neighbours, draw(st.integers(0, 1)) if neighbours else 0)


def test_known_capacities():
    assert chem.capacities(COMMON) == COMMON


def test_the_organic_subset_is_what_needs_no_brackets():
    found = chem.capacities(chem.ORGANIC)
    assert found == {text: COMMON[text] for text in sorted(chem.ORGANIC)}
    assert list(found) == sorted(chem.ORGANIC)


def test_the_order_of_the_atoms_does_not_matter():
    shuffled = [*COMMON, *COMMON, "[O+]"]
    random.Random(0).shuffle(shuffled)
    assert list(chem.capacities(iter(shuffled)).items()) == list(chem.capacities(sorted({*shuffled})).items())
    assert chem.capacities([]) == {}


@pytest.mark.parametrize("text", ["*", "[*]", "[2*]", "[Fe]", "[Na+]", "[Pt@SP1]"])
def test_what_takes_any_number_of_bonds(text):
    assert chem.capacities([text]) == {text: chem.LARGEST_CAPACITY}
    assert accepted(text + "(C)" * 30)


@pytest.mark.parametrize(
    "text",
    [
        *("n", "c", "[n]", "[nH]", "[n+]", "[se]", "[c@H]"),  # aromatic
        *("[CH5]", "[NH4]", "[OH4+]", "[FH2]"),  # too many hydrogen atoms
        *("[Xx]", "[", "[C", "C]", "", " ", "C C", "é", "R"),  # no atom
        *("CC", "[H]C", "[H][H]", "C.C", "C1", "C=", "(", "C" * 6000),  # not one atom
    ],
)
def test_what_has_no_capacity_is_left_out(text):
    assert chem.capacities([text, "O"]) == {"O": 2}


@given(st.data())
def test_a_star_within_its_capacity_is_a_molecule(data):
    assert accepted(data.draw(stars(COMMON)))


@pytest.mark.parametrize("atom", LIMITED)
def test_one_single_bond_more_is_too_much(atom):
    neighbours = [(1, "C")] * (COMMON[atom] + 1)
    assert accepted(star(atom, neighbours[1:], 0))
    assert not any(accepted(star(atom, neighbours, place)) for place in (0, 1))


@pytest.mark.parametrize("text", ["CN(=O)=O", "CN=N#N", "C1=CC=CN(=O)=C1"])
def test_what_is_valid_only_because_rdkit_rewrites_it_does_not_count(text):
    assert accepted(text) and "+" in chem.canonical(text)
    assert chem.capacities(["N"]) == {"N": 3}


@pytest.mark.parametrize(("oxygen", "neighbour"), [("[O+]", "[O+]C"), ("[OH+]", "[OH+]"), ("[18O+]", "[18O+](C)")])
def test_iodine_beside_an_oxygen_cation(oxygen, neighbour):
    """RDKit rewrites I(=O)O to [I+]([O-])O; a double-bonded cation in place of that oxygen it makes impossible."""
    assert accepted("OI=O") and not accepted(f"OI={neighbour}") and not accepted(f"I={neighbour}")
    assert accepted(f"I{oxygen}")
    found = chem.capacities([*COMMON, oxygen, "[IH]", "[I+]"])
    assert found == COMMON | {"I": 1, "[IH]": 1, "[I+]": 6, oxygen: found[oxygen]} and found[oxygen] > 1


@cache
def rarer():
    more = ["[O+]", "[OH+]", "[O+2]", "[I]", "[IH2]", "[I-]", "[Te]", "[Fe+2]", "[H-]", "*", "[As@]", "[Pt@SP1]"]
    return chem.capacities([*COMMON, *more])


@given(st.data())
def test_a_star_of_oxygen_cations_and_rarer_atoms_within_its_capacity_is_a_molecule(data):
    assert accepted(data.draw(stars(rarer())))


def test_rdkit_stays_silent(capfd):
    chem.capacities(["N", "[NH4]", "xyz"])
    assert capfd.readouterr() == ("", "")
