"""Numbers of one molecule, fingerprints with counts and pharmacophores, beside RDKit's own functions."""

from collections import Counter

import numpy as np
import pytest
from derivations import molecules
from rdkit.Chem import AddHs, Descriptors, MolFromSmiles, MolToSmiles
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D
from rdkit.DataStructs import TanimotoSimilarity

from grammar_rae import chem
from grammar_rae.chem import COUNT_FINGERPRINTS, folded_counts, measure, pharmacophores
from grammar_rae.errors import TextError

TEXTS = [*molecules(20, every=11), "[Na+].[Cl-]", "[2H]C([2H])O", "[H][H]", "*CC", "C", "OC(=O)c1ccncc1"]
ELEMENTS = ["", "H", "C", "N", "O", "F", "Cl", "Na"]


@pytest.mark.parametrize("text", TEXTS)
def test_atoms_are_counted_with_their_hydrogens(text):
    counts = Counter(atom.GetSymbol() for atom in AddHs(MolFromSmiles(text)).GetAtoms())
    found = dict(zip(ELEMENTS, measure(text, [("atoms", element) for element in ELEMENTS]), strict=True))
    assert found.pop("") == counts.total()
    assert found == {element: counts[element] for element in ELEMENTS[1:]}


@pytest.mark.parametrize("text", TEXTS[:8])
def test_descriptors_are_rdkits_and_differences_to_a_reference(text):
    found, other = MolFromSmiles(text), MolFromSmiles(TEXTS[9])
    functions = {"logp": Descriptors.MolLogP, "tpsa": Descriptors.TPSA, "bertz": Descriptors.BertzCT}
    values = [function(found) for function in functions.values()]
    assert measure(text, [(name, "") for name in functions]) == values
    differences = [function(found) - function(other) for function in functions.values()]
    assert measure(text, [(name, TEXTS[9]) for name in functions]) == differences
    assert measure(text, [("qed", ""), ("rings", "")]) == [chem.qed(text), chem.rings(text)]


@pytest.mark.parametrize("kind", COUNT_FINGERPRINTS)
def test_similarities_are_those_of_counts(kind):
    one, other = (folded_counts(text, kind, 2**23) for text in TEXTS[:2])
    expected = np.minimum(one, other).sum() / np.maximum(one, other).sum()
    found = measure(TEXTS[0], [(kind, TEXTS[1]), (kind, TEXTS[0])])
    assert found == pytest.approx([expected, 1], abs=1e-12)


def test_folding_keeps_the_sum():
    for text in TEXTS[:5]:
        large, small = (folded_counts(text, "FCFP6", size) for size in (2048, 16))
        np.testing.assert_array_equal(large.reshape(-1, 16).sum(axis=0), small)


def test_pharmacophores_are_as_many_and_as_common_as_rdkits():
    texts = TEXTS[:6] + TEXTS[-6:] + ["CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C"]
    theirs = [Generate.Gen2DFingerprint(MolFromSmiles(text), Gobbi_Pharm2D.factory) for text in texts]
    for text, bits in zip(texts, theirs, strict=True):
        assert pharmacophores(text).size == bits.GetNumOnBits()
        for other, other_bits in zip(texts, theirs, strict=True):
            if bits.GetNumOnBits() + other_bits.GetNumOnBits():
                assert measure(text, [("PHCO", other)]) == [TanimotoSimilarity(bits, other_bits)]
            else:
                assert measure(text, [("PHCO", other)]) == [0]


def test_pharmacophores_do_not_depend_on_the_order_of_the_atoms():
    for text in TEXTS[:5]:
        again = MolToSmiles(MolFromSmiles(text), canonical=False, rootedAtAtom=3)
        np.testing.assert_array_equal(pharmacophores(again), pharmacophores(text))


def test_large_molecules_have_pharmacophores_within_reasonable_memory():
    found = pharmacophores("OCC" * 200)
    assert 0 < found.size < 2**18
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("call", [pharmacophores, lambda text: folded_counts(text, "AP", 8), lambda t: measure(t, [])])
def test_what_is_no_molecule_is_refused(call):
    with pytest.raises(TextError, match="RDKit cannot read"):
        call("C1CC")
