"""Fragments of drugs: each piece is one of its drug's, and can be completed; the figures are of what was drawn."""

import pytest
from rdkit import Chem

import grammar_rae
from benchmarks import fragments
from grammar_rae.decoding import Template
from grammar_rae.model import TextModel


@pytest.fixture(scope="module")
def model() -> TextModel:
    return grammar_rae.load("molecules")


@pytest.mark.parametrize("pieces", [fragments.MOTIFS, fragments.ENDS], ids=["motifs", "ends"])
def test_pieces_are_those_of_their_drugs(pieces: dict[str, str]) -> None:
    for name, text in pieces.items():
        drug = Chem.MolFromSmiles(fragments.DRUGS[name])
        for piece in text.split("."):
            query = Chem.MolFromSmiles(piece)
            for atom in query.GetAtoms():
                if atom.GetAtomicNum() == 0:
                    atom.SetAtomMapNum(0)
            assert drug.HasSubstructMatch(Chem.AdjustQueryProperties(query, adjust_dummies())), (name, piece)


def adjust_dummies() -> Chem.AdjustQueryParameters:
    found = Chem.AdjustQueryParameters.NoAdjustments()
    found.makeDummiesQueries = True
    return found


def test_each_is_a_template() -> None:
    templates = {**fragments.decorations(), **fragments.MOTIFS}
    assert len(fragments.decorations()) >= 9
    assert all(Template.parse(text).joints.labels for text in templates.values())
    assert all(Template.parse(text).joints.linked for text in fragments.ENDS.values())


def test_the_quality_is_a_share(model: TextModel) -> None:
    row = fragments._complete(model, [fragments.MOTIFS["eliglustat"]], 6, 1, 0)
    assert row["valid"] == 1 and row["kept"] == 6
    assert row["quality"] * 6 == pytest.approx(round(row["quality"] * 6)) and 0 < row["diversity"] < 1
