"""What RDKit changes in a molecule while it reads it is found; what differs in spelling only is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from grammar_rae import chem
from grammar_rae.chem.rewriting import CHARGES, DATIVE, MARKS, rewriting
from grammar_rae.chem.smiles import PARTS
from grammar_rae.codecs import GrammarCodec
from grammar_rae.datasets import TokenDataset, coverage, encode
from grammar_rae.grammar import read_grammar

CHANGED = {
    "CN(=O)=O": CHARGES,  # pentavalent nitrogen
    "OCl(=O)(=O)=O": CHARGES,  # and chlorine
    "CN=N#N": CHARGES,
    "CC=[C@]=CC": MARKS,  # an allene
    "CC1=CC2=C(C=C1)N3CC4=C(C=CC(=C4)C)[N@@]2C3": MARKS,  # Troeger's base
    "C[C@H](C)C": MARKS,
    "C1/C=C\\CCC1": MARKS,
    "CN(C)(C)[Fe]": DATIVE,
}
SAME = (
    *("OCC", "c1cc[nH]c1", "[13CH3]C", "[H]/C(F)=C/F", "F/C=C/C(/F)=C(/F)Cl", "C/C=C/C=C/C", "[Fe++].[Cl-].[Cl-]"),
    *("N[C@@H](C)C(=O)O", "C[N+](=O)[O-]", "C[S@](=O)CC", "CN=[N+]=[N-]", "[NH4+]", "C1CC/C=C/CCC1", "[CH3:1][OH:2]"),
)


@pytest.mark.parametrize("text", CHANGED)
def test_changes_are_found(text):
    for write in (chem.kekule, chem.aromatic):
        assert rewriting(text, write(text)) == CHANGED[text]


@pytest.mark.parametrize("text", SAME)
def test_a_spelling_is_no_change(text):
    for write in (chem.kekule, chem.aromatic):
        assert rewriting(text, write(text, fragments="keep")) is None


@given(st.sampled_from(SAME), st.integers(1, 1000))
def test_no_spelling_is_a_change(text, seed):
    (spelling,) = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(text), 1, randomSeed=seed)
    assert rewriting(spelling, chem.kekule(spelling, fragments="keep")) is None


def test_changes_are_counted(tmp_path):
    codec = GrammarCodec(form="kekule", fragments="largest", table=read_grammar("smiles"))
    texts = ["CCO", "CN(=O)=O", "CCN(=O)=O", "C[C@H](C)C", "CC(", "C[N+](C)(C)C.[Cl-]", "CN(=O)=O.O"]
    expected = {CHARGES: 2, MARKS: 1, PARTS: 1, f"{PARTS}, {CHARGES}": 1}
    assert codec.encode_batch(texts).changed == [
        (1, CHARGES),
        (2, CHARGES),
        (3, MARKS),
        (5, PARTS),
        (6, f"{PARTS}, {CHARGES}"),
    ]
    for jobs in (1,):
        assert encode(texts, codec, tmp_path / str(jobs), jobs=jobs, chunk=2).changed == expected
    assert TokenDataset.open(tmp_path / "1").changed == expected
    found = coverage(texts, codec)
    assert found.changed == expected and found.changed_lines == {
        CHARGES: 2,
        MARKS: 4,
        PARTS: 6,
        f"{PARTS}, {CHARGES}": 7,
    }
    assert encode(texts, codec, duplicates="drop").changed == {CHARGES: 2, MARKS: 1, PARTS: 1}
    assert codec.encode_batch([chem.kekule(texts[1])], prepared=True).changed == []
