"""The tasks of PMO and GuacaMol: equal to the published functions' values, and to what their definitions say."""

import gzip
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from rdkit.Chem import MolFromSmiles, MolToSmiles

from grammar_rae.errors import TextError, UnknownNameError
from grammar_rae.scores import SCORES, SUITES, evaluate, get_score, score

# Values of TDC's own functions, by RDKit 2026.09.1: of a few molecules here, of 901 where they lie beside the project.
EXCERPT = Path(__file__).with_name("pmo_excerpt.tsv")
REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "data" / "pmo" / "pmo_reference.tsv.gz"
TOLERANCE = {"drd2": 1e-6}

ALBUTEROL = "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1"
SITAGLIPTIN = "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F"
HOPPED = "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C"


def table(lines):
    head, *rows = [line.rstrip("\n").split("\t") for line in lines]
    values = np.array([[float(value) for value in row[1:]] for row in rows])
    return [row[0] for row in rows], dict(zip(head[1:], values.T, strict=True))


def check(task, texts, expected):
    found = evaluate(f"pmo:{task}", texts)
    assert found.failures == []
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=TOLERANCE.get(task, 1e-9))


PMO = sorted(name.removeprefix("pmo:") for name in SUITES["pmo"])


@pytest.mark.parametrize("task", PMO)
def test_values_are_those_of_the_published_functions(task):
    with EXCERPT.open(encoding="utf-8") as lines:
        texts, columns = table(lines)
    assert sorted(columns) == PMO
    check(task, texts, columns[task])


@pytest.mark.slow
@pytest.mark.skipif(not REFERENCE.is_file(), reason="the full table of reference values is not here")
@pytest.mark.parametrize("task", PMO)
def test_all_values_are_those_of_the_published_functions(task):
    with gzip.open(REFERENCE, "rt", encoding="utf-8") as lines:
        texts, columns = table(lines)
    assert len(texts) == 901
    check(task, texts, columns[task])


def test_the_suites_are_whole():
    assert [len(SUITES[suite]) for suite in ("pmo", "guacamol")] == [23, 20]
    common = {name.split(":")[1] for name in SUITES["pmo"]} & {name.split(":")[1] for name in SUITES["guacamol"]}
    assert len(common) == 18
    for suite, rows in SUITES.items():
        for name, row in rows.items():
            assert name == row.name == f"{suite}:{name.split(':')[1]}"
            assert get_score(name) is SCORES[name] is row
            assert row.higher_is_better


@pytest.mark.parametrize("text", [ALBUTEROL, SITAGLIPTIN, "CCO"])
def test_what_both_suites_have_is_the_same(text):
    for name, row in SUITES["guacamol"].items():
        other = SUITES["pmo"].get(name.replace("guacamol", "pmo"))
        assert other is None or other.function(text) == row.function(text)


@pytest.mark.parametrize("name", [name for rows in SUITES.values() for name in rows])
def test_a_score_depends_on_the_molecule_and_not_on_how_it_is_written(name):
    row = SCORES[name]
    molecule = MolFromSmiles(HOPPED)
    values = [row.function(MolToSmiles(molecule, rootedAtAtom=atom, canonical=False)) for atom in (0, 7, 15)]
    assert values == pytest.approx([row.function(HOPPED)] * 3, abs=1e-12)
    assert 0 <= values[0] <= 1
    assert pickle.loads(pickle.dumps(row)).function(HOPPED) == row.function(HOPPED)


@pytest.mark.parametrize("name", ["pmo:qed", "pmo:drd2", "pmo:jnk3", "pmo:scaffold_hop", "guacamol:isomers_c11h24"])
def test_what_is_no_molecule_fails_as_in_every_score(name):
    with pytest.raises(TextError, match="RDKit cannot read"):
        SCORES[name].function("C1CC")
    found = evaluate(name, ["CCO", "C1CC", "", None])
    assert np.isnan(found.values).tolist() == [False, True, True, True]
    assert [index for index, _ in found.failures] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("pmo:albuterol_similarity", ALBUTEROL, 1),
        ("pmo:celecoxib_rediscovery", "Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)(F)F", 1),
        ("guacamol:aripiprazole_similarity", "Clc4cccc(N3CCN(CCCCOc2ccc1c(NC(=O)CC1)c2)CC3)c4Cl", 1),
        ("guacamol:isomers_c11h24", "CC(C)CCCCCCCC", 1),
        ("guacamol:isomers_c11h24", "CCCCCCCCCC", math.exp(-(1 + 4 + 9 / 4) / 2 / 3)),
        ("pmo:isomers_c7h8n2o2", "COc1ccc([N+](=O)[O-])cc1N", math.exp(-(0 + 0 + 0 + 1 + 1 / 4) / 2 / 5)),
        # Itself has its own logP, TPSA and formula; its similarity of 1 is ten deviations from 0.
        ("pmo:sitagliptin_mpo", SITAGLIPTIN, math.exp(-100 / 2 / 4)),
        ("pmo:deco_hop", HOPPED, (1 + 0 + 0 + 1) / 4),
        ("pmo:scaffold_hop", HOPPED, (1 + 1 + 0) / 3),
        ("pmo:valsartan_smarts", SITAGLIPTIN, 0),
        # Single atoms have no pairs, no triples and no environments but themselves.
        ("pmo:mestranol_similarity", "C", 0),
        ("pmo:scaffold_hop", "[Na+].[Cl-]", 1 / 3),
    ],
)
def test_values_that_follow_from_the_definitions(name, text, value):
    assert SCORES[name].function(text) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    "smiles",
    ["CC(C)(C)[C@H]1CCc2c(sc(NC(=O)COc3ccc(Cl)cc3)c2C(N)=O)C1", "CC(C)(C)C1CCc2c(sc(NC(=O)COc3ccc(Cl)cc3)c2C(N)=O)C1"],
)
def test_the_classifiers_give_the_documented_probabilities_without_regard_to_chirality(smiles):
    found = score([smiles], ["pmo:drd2", "pmo:gsk3b", "pmo:jnk3"])
    assert [found[name][0] for name in found] == pytest.approx([0.0015465365340340924, 0.03, 0.01], abs=1e-9)


def test_the_hops_do_not_depend_on_which_was_asked_before():
    before = [SCORES[name].function(HOPPED) for name in ("pmo:deco_hop", "pmo:scaffold_hop")]
    after = [SCORES[name].function(HOPPED) for name in ("pmo:scaffold_hop", "pmo:deco_hop")]
    assert before == after[::-1]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pmo:albuterol", "pmo:albuterol_similarity"),
        ("pmo:DRD2", "pmo:drd2"),
        ("guacamol:median_1", "guacamol:median1"),
        ("guacamol:osimertinib", "guacamol:osimertinib_mpo"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(name, meant):
    with pytest.raises(UnknownNameError, match=f"Did you mean '{meant}'"):
        get_score(name)
