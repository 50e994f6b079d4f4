"""Transforms and means of goals: closed forms and properties."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grammar_rae.errors import InputError, TextError, UnknownNameError
from grammar_rae.scores.goals import (
    Goal,
    Mean,
    Term,
    arithmetic_mean,
    at_least,
    at_most,
    clip,
    gaussian,
    geometric_mean,
    invert,
    isomer,
)

numbers = st.floats(-1e6, 1e6)
positive = st.floats(1e-3, 1e3)
shares = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (clip(0.3, 0.75), 0.4),
        (clip(0.75, 0.75), 1),
        (clip(3, 0.75), 1),
        (clip(-1, 0.75), 0),
        (gaussian(4, 4, 0.1), 1),
        (gaussian(6, 4, 2), math.exp(-0.5)),
        (gaussian(0, 4, 2), math.exp(-2)),
        (at_most(4, 4, 1), 1),
        (at_most(-9, 4, 1), 1),
        (at_most(5, 4, 1), math.exp(-0.5)),
        (at_least(4, 4, 1), 1),
        (at_least(99, 4, 1), 1),
        (at_least(3, 4, 1), math.exp(-0.5)),
        (invert(0.25), 0.75),
        (geometric_mean([0.5, 0.5, 0.5]), 0.5),
        (geometric_mean([0.25, 1]), 0.5),
        (geometric_mean([0, 1]), 0),
        (geometric_mean([1e-200, 1e-200]), 1e-200),
        (arithmetic_mean([0, 0.5, 1]), 0.5),
    ],
)
def test_closed_forms(value, expected):
    assert value == pytest.approx(expected, rel=1e-12)


@given(numbers, numbers, positive)
def test_one_side_is_full_and_the_other_a_gaussian(value, limit, deviation):
    bell = gaussian(value, limit, deviation)
    assert 0 <= bell <= 1
    assert {at_most(value, limit, deviation), at_least(value, limit, deviation)} == {1.0, bell}
    assert at_most(value, limit, deviation) == at_least(-value, -limit, deviation)


@given(numbers, numbers, positive)
def test_clip_never_falls(one, other, upper):
    low, high = sorted((one, other))
    assert 0 <= clip(low, upper) <= clip(high, upper) <= 1


@given(shares)
def test_means_lie_between_their_values_and_the_geometric_is_the_lesser(values):
    geometric, arithmetic = geometric_mean(values), arithmetic_mean(values)
    assert min(values) - 1e-12 <= geometric <= arithmetic + 1e-12
    assert arithmetic <= max(values) + 1e-12
    assert geometric_mean(values[::-1]) == geometric
    assert geometric_mean([1.0] * len(values)) == 1


@given(shares, shares)
def test_a_tree_takes_its_numbers_in_order(first, second):
    tree = Mean(
        (Mean(tuple(Term("logp") for _ in first)), *(Term("tpsa", "", invert) for _ in second)), arithmetic_mean
    )
    assert [term.measure for term in tree.terms()] == ["logp"] * len(first) + ["tpsa"] * len(second)
    expected = arithmetic_mean([geometric_mean(first), *(1 - value for value in second)])
    assert tree.combine(iter([*first, *second])) == expected


@given(st.dictionaries(st.sampled_from(["C", "H", "N", "O", "F", "Cl", "Br", "P"]), st.integers(1, 40), min_size=1))
def test_a_formula_is_read_and_full_at_its_own_numbers(counts):
    tree = isomer("".join(f"{symbol}{number if number > 1 else ''}" for symbol, number in counts.items()))
    assert [term.about for term in tree.terms()] == [*counts, ""]
    exact = [*counts.values(), sum(counts.values())]
    assert tree.combine(iter(exact)) == 1
    off = tree.combine(iter([exact[0] + 1, *exact[1:-1], exact[-1] + 1]))
    assert off == pytest.approx(math.exp(-(1 + 1 / 4) / 2 / len(exact)))


def test_a_goal_reads_the_molecule_once_for_all_terms():
    goal = Goal(Mean((Term("atoms", "C"), Mean((Term("rings"), Term("atoms", "O")), arithmetic_mean)), arithmetic_mean))
    assert goal("O=C1CCCCC1") == (6 + (1 + 1) / 2) / 2
    with pytest.raises(TextError):
        goal("no molecule")


@pytest.mark.parametrize(
    ("term", "error", "words"),
    [
        (Term("logP"), UnknownNameError, "Did you mean 'logp'"),
        (Term("atoms", "Xx"), InputError, "no such element.*'Xx'"),
        (Term("substructure", "C("), InputError, "SMARTS.*C"),
        (Term("ECFP4", "C1"), TextError, "RDKit cannot read"),
        (Term("logp", "C1"), TextError, "RDKit cannot read"),
        (Term("PHCO", "C1"), TextError, "RDKit cannot read"),
    ],
)
def test_a_term_of_nothing_is_refused(term, error, words):
    with pytest.raises(error, match=words):
        Goal(term)("CCO")
