"""Specs: their texts, what they mean together, and texts that mean nothing."""

import pytest

from grammar_rae.decoding import (
    AllOf,
    Chemistry,
    Elements,
    Grammatical,
    MaxHeavyAtoms,
    RingSizes,
    ScaffoldPrefix,
    Unconstrained,
    parse_spec,
)
from grammar_rae.errors import InputError, UnknownNameError


@pytest.mark.parametrize(
    "spec",
    [
        Unconstrained(),
        Grammatical(),
        Chemistry(),
        MaxHeavyAtoms(38),
        Elements("CNOSFClBr"),
        RingSizes(5, 6),
        RingSizes(),
        ScaffoldPrefix("c1ccccc1C(=O)N"),
        AllOf(Chemistry(), RingSizes(6, 5), Elements("CN"), ScaffoldPrefix("C=C")),
    ],
)
def test_specs_and_their_texts(spec):
    assert parse_spec(str(spec)) == spec
    assert parse_spec(spec) is spec
    assert str(parse_spec(str(spec))) == str(spec)


def test_texts_are_read_generously():
    assert parse_spec(" chemistry ;ring-sizes = 6 5") == AllOf(Chemistry(), RingSizes(5, 6))
    assert parse_spec("elements=C, N, Cl") == Elements("CNCl")


@pytest.mark.parametrize(
    "text",
    [
        "max-heavy-atoms=0", "max-heavy-atoms=x", "max-heavy-atoms", "max-heavy-atoms=3,4", "elements=", "elements=c",
        "ring-sizes=2", "ring-sizes=5;ring-sizes=x", "chemistry=1", "none; chemistry", "scaffold-prefix=c1cc",
        "scaffold-prefix=",
    ],
)  # fmt: skip
def test_texts_that_mean_nothing(text):
    with pytest.raises(InputError):
        parse_spec(text)


@pytest.mark.parametrize("text", ["", "chem", "chemistry;", "Grammar"])
def test_names_that_are_unknown(text):
    with pytest.raises(UnknownNameError, match="constraint"):
        parse_spec(text)


def test_nothing_to_combine():
    with pytest.raises(InputError, match="nothing to combine"):
        AllOf()
