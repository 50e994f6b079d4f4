"""Analogues: as many, as different and as like as asked, or a warning that says what was found."""

import numpy as np
import pytest

import grammar_rae
from grammar_rae.chem import canonical, is_valid
from grammar_rae.chem.changes import has_pattern
from grammar_rae.errors import InputError, TextError, UnknownNameError
from grammar_rae.model.analogues import Dial, tanimoto

LEAD = "COc1ccc(NC(=O)C2CCCCC2)cc1"


@pytest.fixture(scope="module")
def model():
    return grammar_rae.load("molecules")


def test_the_dial_prefers_levels_that_gave_what_is_wanted_and_rules_out_none():
    dial = Dial((0.5, 1.0), ({"a": 0.9, "b": 0.6}, {"c": 0.6, "d": 0.62, "e": 0.2}))
    chances = dial.chances(lambda like: abs(like - 0.6) <= 0.1, 24)
    assert 0 < chances[0] < chances[1] < 1
    assert (dial.chances(lambda like: False, 24) > 0).all()


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
