"""Conditions on scores, as text."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grammar_rae.chem.alerts import CATALOGUES, alerts
from grammar_rae.errors import InputError, TextError, UnknownNameError
from grammar_rae.scores import Window, score

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
WEIGHT = float(score([ASPIRIN], ["weight"])["weight"][0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weight < 200", True),
        ("weight < 100", False),
        ("100 <= weight <= 200", True),
        ("100 <= weight <= 150", False),
        ("weight < 100 or logp > -5", True),
        ("not weight < 100 and (qed > 0.1 or rings == 9)", True),
        ("rings == 1 and charge == 0 and stereo_centres != 1", True),
        ("logp > -1e3 and -5 < logp", True),
        ("alerts >= brenk", True),
        (" weight < 200 ", True),
    ],
)
def test_conditions_by_hand(text: str, expected: bool) -> None:
    assert Window(text).has(ASPIRIN) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250 <= weight <= 400 and logp < 4", {"weight": (250, 400), "logp": (-math.inf, 4)}),
        ("weight > 200 and (weight < 300 and 250 < weight)", {"weight": (250, 300)}),
        ("4 > logp and rings == 2", {"logp": (-math.inf, 4), "rings": (2, 2)}),
        ("weight < 300 or logp < 4", {}),
        ("not weight < 300 and logp != 4", {}),
        ("weight < logp", {}),
        ("weight > 400 and weight < 300", {"weight": (400, 300)}),
    ],
)
def test_ranges_that_every_molecule_lies_in(text: str, expected: dict[str, Any]) -> None:
    assert Window(text).ranges == expected


numbers = st.integers(-300, 300).map(str)
comparisons = st.builds(
    lambda parts: " ".join(parts),
    st.tuples(
        st.sampled_from(["weight", "logp", "rings"]), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), numbers
    ),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(lambda a, b, how: f"({a}) {how} ({b})", inner, inner, st.sampled_from(["and", "or"])),
        st.builds(lambda a: f"not ({a})", inner),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(conditions)
def test_windows_agree_with_python_and_stay_in_their_ranges(text: str) -> None:
    values = {name: float(score([ASPIRIN], [name])[name][0]) for name in ("weight", "logp", "rings")}
    window = Window(text)
    assert window.has(ASPIRIN) == eval(text, {"__builtins__": {}}, values)
    if window.has(ASPIRIN):
        assert all(low <= values[name] <= high for name, (low, high) in window.ranges.items())


NOT_WINDOWS = [
    *("", " ", "weight", "weight <", "1 +", "weight < 'a'", "weight < True", "weight + 1 < 2", "f(weight) < 1"),
    *("weight in (1,)", "weight < [1]", "__import__('os')", "weight.real < 1", "(lambda: 1)() < 2", "weight < 1e999"),
    *("weight := 3", "a" * 2_000, "weight is 3", chr(0), "(" * 400 + "weight < 1" + ")" * 400, "weight < 10**10"),
    *("weight < 1j", f"weight < {'9' * 400}"),
]


@pytest.mark.parametrize("text", NOT_WINDOWS, ids=lambda text: repr(text[:20]))
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Window(text)
    assert len(str(caught.value)) < 600


def test_an_error_shows_where() -> None:
    with pytest.raises(InputError) as caught:
        Window("weight < 3 and logp <")
    assert "^" in str(caught.value) and "character" in str(caught.value)
    with pytest.raises(UnknownNameError, match="wieght"):
        Window("wieght < 3")


def test_a_molecule_without_the_score_is_outside() -> None:
    assert not Window("weight > 0").has("no molecule")


def test_alerts_of_known_groups() -> None:
    assert alerts("CC(=O)Cl", "brenk") == ["acid_halide"] and alerts("CC(C)N1CCCC1") == []
    assert set(CATALOGUES) == {"pains", "brenk", "nih"}
    assert len(alerts("O=C1C=CC(=O)C=C1")) >= 1, "a quinone"
    with pytest.raises(UnknownNameError):
        alerts("CCO", "mine")
    with pytest.raises(TextError):
        alerts("C(")
