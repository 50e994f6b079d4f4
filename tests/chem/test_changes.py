"""What differs between two molecules."""

import pytest

from grammar_rae.chem.changes import change, has_pattern, read_pattern
from grammar_rae.errors import InputError, TextError


@pytest.mark.parametrize(
    ("lead", "text", "expected"),
    [
        ("Oc1ccccc1", "Fc1ccccc1", "*O>>*F"),
        ("c1ccccc1", "Fc1ccccc1", ">>*F"),
        ("COc1ccccc1", "Oc1ccccc1", "*C>>"),
        ("Cc1ccc(C)cc1", "Fc1ccc(Cl)cc1", "*C.*C>>*Cl.*F"),
        ("CCO", "CCO", ">>"),
        ("C", "N", "C>>N"),
    ],
)
def test_change(lead, text, expected):
    assert change(lead, text) == expected


def test_a_bridge_has_a_mark_for_each_bond():
    assert change("c1ccccc1CCc1ccccc1", "c1ccccc1COc1ccccc1").count("*") >= 2


def test_patterns():
    assert has_pattern("CC(=O)Nc1ccccc1", "C(=O)N") and not has_pattern("CCO", "c1ccccc1")
    for smarts in ("c1ccc", "", "  ", None, 3):
        with pytest.raises(InputError, match="SMARTS"):
            read_pattern(smarts)
    with pytest.raises(TextError):
        has_pattern("C1CC", "C")
