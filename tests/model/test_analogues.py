"""Analogues: as many, as different and as like as asked, or a warning that says what was found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

import grammar_rae
from grammar_rae.chem import canonical, heavy_atoms, is_plausible, is_valid
from grammar_rae.chem.changes import has_pattern
from grammar_rae.errors import InputError, TextError, UnknownNameError
from grammar_rae.model.neighbours import Neighbours, Source, closeness, find_regrowths, tanimoto
from grammar_rae.model.results import DecodedTexts

NEAR = "CCCN1CCO[C@H](C(=O)c2ccc(OC)c(OC)c2)C1"
LEAD = "COc1ccc(NC(=O)C2CCCCC2)cc1"


@pytest.fixture(scope="module")
def model():
    return grammar_rae.load("molecules")


def test_what_gives_nothing_new_any_more_is_worth_less_and_never_nothing():
    source = Source(0.5, 20.0, 24)
    promising = source.chance
    for _ in range(20):
        source.learn(0.0, 64)
    assert 0 < source.chance < 0.01 < promising


def test_an_analogue_is_worth_most_where_it_is_as_like_as_asked():
    worth = [closeness(like, 0.6) for like in (0.6, 0.65, 0.5, 0.9, 0.0)]
    assert worth == sorted(worth, reverse=True) and worth[0] == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 12), st.floats(0.1, 0.9))
def test_the_nearest_are_hits_first_and_their_mean_is_as_near_as_that_of_the_nearest_alone(likes, n, similarity):
    around = Neighbours(None, "C", None, tanimoto, None, {}, 0, found={str(i): like for i, like in enumerate(likes)})
    found = [around.found[text] for text in around.nearest(n, similarity)]
    alone = sorted(likes, key=lambda like: abs(like - similarity))[:n]
    assert len(found) == min(n, len(likes))
    hits = [sum(abs(like - similarity) <= 0.1 for like in some) for some in (found, alone)]
    assert hits[0] == hits[1]
    assert abs(np.mean(found) - similarity) <= abs(np.mean(alone) - similarity) + 1e-9


def test_tanimoto():
    found = tanimoto("CCO", ["CCO", "OCC", "c1ccccc1"])
    assert found[0] == found[1] == 1 and 0 <= found[2] < 0.3
    assert tanimoto("CCO", []).shape == (0,)


def test_analogues_are_valid_different_and_as_like_as_asked(model):
    found = model.analogues(LEAD, 12, 0.6, seed=0, scores=["logp"])
    assert list(found.columns) == ["lead", "smiles", "similarity", "change", "log_prob", "logp"]
    assert len(found) == found["smiles"].nunique() == 12
    assert canonical(LEAD) not in set(found["smiles"])
    assert all(is_valid(text) and canonical(text) == text for text in found["smiles"])
    assert found["similarity"].is_monotonic_decreasing
    np.testing.assert_allclose(found["similarity"], tanimoto(LEAD, list(found["smiles"])))
    assert abs(found["similarity"].mean() - 0.6) < 0.1
    report = found.attrs["report"][LEAD]
    assert report["hits"] == 1 and report["similarity"] == pytest.approx(found["similarity"].mean())


def test_the_same_seed_gives_the_same_whether_the_dial_was_measured_or_remembered():
    one, other = (grammar_rae.load("molecules") for _ in range(2))
    first = one.analogues(LEAD, 4, 0.5, seed=3, changes=False)
    again = one.analogues(LEAD, 4, 0.5, seed=3, changes=False)
    fresh = other.analogues(LEAD, 4, 0.5, seed=3, changes=False)
    assert first.equals(again) and first.equals(fresh)


def test_more_noise_is_less_alike(model):
    means = [
        model.analogues(LEAD, 8, smoothing=level, seed=1, changes=False)["similarity"].mean() for level in (0.75, 2.0)
    ]
    assert means[0] > means[1]


def test_several_leads_a_pattern_and_a_constraint(model):
    leads = [LEAD, "Cc1ccc(S(=O)(=O)N2CCOCC2)cc1"]
    found = model.analogues(
        leads, 3, 0.5, keep="c1ccccc1", constraint="chemistry; max-heavy-atoms=22", seed=0, changes=False
    )
    assert list(found["lead"].unique()) == [canonical(lead) for lead in leads]
    assert all(has_pattern(text, "c1ccccc1") for text in found["smiles"])
    assert set(found.attrs["report"]) == set(leads)


def test_of_a_salt_the_largest_part_is_the_lead(model):
    with pytest.raises(TextError, match="2 molecules"):
        model.analogues([LEAD, f"Cl.{LEAD}"], 2)
    salt, alone = (model.analogues(lead, 3, seed=0, fragments="largest") for lead in (f"Cl.{LEAD}", canonical(LEAD)))
    assert salt.equals(alone)
    assert set(salt["lead"]) == {canonical(LEAD)}
    assert list(salt.attrs["report"]) == [f"Cl.{LEAD}"], "a report is found by the lead as it was given"


def test_near_analogues_are_regrown_where_noise_has_too_few(model):
    found = model.analogues(NEAR, 60, 0.8, seed=0, max_attempts=700, changes=False)
    report = found.attrs["report"][NEAR]
    assert len(found) == found["smiles"].nunique() == 60
    assert canonical(NEAR) not in set(found["smiles"])
    assert all(is_valid(text) and canonical(text) == text for text in found["smiles"])
    assert all(map(is_plausible, found["smiles"]))
    assert report["regrown"] > 0.5 and report["hits"] > 0.6 and report["attempts"] <= 700


def test_what_regrows_keeps_the_piece_and_its_size(model):
    lead = canonical(NEAR)
    around = Neighbours(model, lead, model.encode([lead])[0], tanimoto, None, {}, seed=0)
    for source in find_regrowths(lead, 0.8, "chemistry; max-heavy-atoms=26")[::6]:
        template = source.regrowth.spec.specs[0]
        texts = around._draw(8, source, 0)
        assert len(texts) == 8
        for piece in template.smiles.split("."):
            kept = Chem.MolFromSmarts(piece.replace("[*:1]", "*"))
            assert all(Chem.MolFromSmiles(text).HasSubstructMatch(kept) for text in texts)
        assert max(map(heavy_atoms, texts)) <= 26


def test_nothing_regrows_that_nobody_makes_but_what_the_lead_has(model):
    peroxide, chloramine = "CC(=O)OO", "CN(C)Cl"
    around = {lead: Neighbours(model, lead, None, tanimoto, None, {}, seed=0) for lead in (NEAR, peroxide)}
    assert not around[NEAR]._may_regrow.has(peroxide) and not around[NEAR]._may_regrow.has(chloramine)
    assert around[peroxide]._may_regrow.has("CCC(=O)OO") and not around[peroxide]._may_regrow.has(chloramine)


def test_an_analogue_is_a_radical_only_where_its_lead_is_one():
    class Writer:
        class recipe_:
            top_p = 1.0

        @staticmethod
        def decode_batch(z, **options):
            return DecodedTexts(["CC[CH]C", "CCCC", "C1CC"], np.array([True, True, False]))

    z, found = np.zeros(4, np.float32), {}
    for lead in ("CCO", "C[CH2]"):
        around = Neighbours(Writer(), lead, z, tanimoto, None, {}, 0)
        around.add_noise(1.0, 1, 3)
        found[lead] = set(around.found), around.n_valid, around.implausible
    assert found == {"CCO": ({"CCCC"}, 2, 1), "C[CH2]": ({"CC[CH]C", "CCCC"}, 2, 0)}


def test_a_pattern_is_kept_by_what_regrows_too(model):
    pattern = "C(=O)C1CNCCO1"
    found = model.analogues(NEAR, 20, 0.8, keep=pattern, unwanted="[Cl,Br]", seed=0, max_attempts=500, changes=False)
    assert len(found) == 20 and found.attrs["report"][NEAR]["regrown"] > 0
    assert all(has_pattern(text, pattern) and not has_pattern(text, "[Cl,Br]") for text in found["smiles"])


@pytest.mark.filterwarnings("ignore:found")
def test_noise_alone_under_a_template_of_ones_own_and_by_hand(model):
    template = "template=COc1ccc(NC(=O)[*:1])cc1"
    one = model.analogues(LEAD, 20, 0.9, constraint=template, seed=0, max_attempts=64, changes=False)
    other = model.analogues(LEAD, 20, smoothing=1.0, seed=0, max_attempts=64, changes=False)
    for found in (one, other):
        report = found.attrs["report"][LEAD]
        assert len(found) and report["regrown"] == 0 and report["attempts"] <= 64
    assert all(has_pattern(text, "COc1ccc(NC=O)cc1") for text in one["smiles"])


def test_a_lead_that_cannot_be_cut_has_nothing_to_regrow():
    assert find_regrowths("x + 1", 0.6, "grammar") == []
    assert find_regrowths(LEAD, 0.6, "none") == []


def test_a_similarity_of_its_own(model):
    def by_length(lead, texts):
        return np.array([min(len(lead), len(text)) / max(len(lead), len(text)) for text in texts])

    found = model.analogues(LEAD, 5, 0.8, measure=by_length, seed=0, changes=False)
    np.testing.assert_allclose(found["similarity"], by_length(canonical(LEAD), list(found["smiles"])))


def test_what_cannot_be_reached_is_said(model):
    with pytest.warns(UserWarning, match="found 0 of 5 analogues"):
        found = model.analogues(LEAD, 5, 0.6, keep="[Si]", max_attempts=64, seed=0)
    assert len(found) == 0 and list(found.columns) == ["lead", "smiles", "similarity", "change", "log_prob"]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"n": 0}, InputError, "n must be"),
        ({"similarity": 1.0}, InputError, "similarity"),
        ({"similarity": "high"}, InputError, "similarity"),
        ({"similarity": float("nan")}, InputError, "similarity"),
        ({"keep": "c1cc"}, InputError, "SMARTS"),
        ({"scores": ["beauty"]}, UnknownNameError, "beauty"),
        ({"max_attempts": 0}, InputError, "max_attempts"),
        ({"leads": "C1CC"}, TextError, "text 1 of 1"),
        ({"leads": []}, InputError, "no leads"),
        ({"leads": 3}, InputError, "list, array, Series or frame"),
        ({"seed": "x"}, InputError, "seed"),
        ({"seed": -1}, InputError, "seed"),
    ],
)
def test_arguments_that_cannot_be_used(model, options, error, match):
    with pytest.raises(error, match=match):
        model.analogues(**({"leads": LEAD} | options))
