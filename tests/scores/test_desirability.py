"""Transforms against their formulas, means against theirs, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.scores.desirability import MEANS, TRANSFORMS, build_transform, preferred

EXAMPLES: dict[str, dict[str, Any]] = {
    "linear": {"low": 1, "high": 5},
    "sigmoid": {"low": 1, "high": 5, "k": 0.3},
    "reverse sigmoid": {"low": 1, "high": 5},
    "double sigmoid": {"low": 200, "high": 500},
    "step": {"low": 1, "high": 5},
    "window": {"low": 1, "high": 5, "margin": 2},
    "value map": {"values": {"0": 1, "2": 0.25}, "otherwise": 0.1},
}


def built(kind: str, **more: Any) -> Any:
    return build_transform({"kind": kind, **EXAMPLES[kind], **more}, "here")


@pytest.mark.parametrize("kind", TRANSFORMS)
@given(values=st.lists(st.floats(-1e9, 1e9) | st.just(math.nan), min_size=1, max_size=20))
def test_a_desirability_lies_between_0_and_1(kind: str, values: list[float]) -> None:
    given = np.array(values)
    found = built(kind)(given)
    assert found.shape == given.shape
    np.testing.assert_array_equal(np.isnan(found), np.isnan(given))
    assert ((found >= 0) & (found <= 1))[~np.isnan(given)].all()


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("linear", 1, 0),
        ("linear", 4, 0.75),
        ("linear", 9, 1),
        ("sigmoid", 3, 0.5),
        ("sigmoid", 5, 1 / (1 + 10 ** (-10 * 0.3 * 2 / 4))),
        ("reverse sigmoid", 5, 1 / (1 + 10 ** (10 * 0.5 * 2 / 4))),
        (
            "double sigmoid",
            201,
            10 ** (150 * 2.01) / (10 ** (150 * 2.01) + 10 ** (150 * 2.0)),
        ),  # far from the high side
        ("double sigmoid", 350, 1),
        ("double sigmoid", 900, 0),
        ("step", 1, 1),
        ("step", 5, 1),
        ("step", 5.001, 0),
        ("window", 3, 1),
        ("window", 0, 0.5),
        ("window", 7, 0),
        ("value map", 2, 0.25),
        ("value map", 0, 1),
        ("value map", 1, 0.1),
    ],
)
def test_transforms_are_their_formulas(kind: str, value: float, expected: float) -> None:
    assert built(kind)(np.array([float(value)]))[0] == pytest.approx(expected, abs=1e-9)


def test_a_linear_transform_may_fall_and_a_step_may_have_one_end() -> None:
    np.testing.assert_allclose(built("linear", low=5, high=1)(np.array([1.0, 2.0, 5.0])), [1, 0.75, 0])
    assert build_transform({"kind": "step", "high": 3}, "")(np.array([3.0, -1e9, 3.1])).tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("sigmoid", "table with its kind"),
        ({"low": 1}, "table with its kind"),
        ({"kind": "sigmoyd", "low": 1, "high": 2}, "'sigmoid'"),
        ({"kind": "sigmoid", "low": 1}, "high is missing"),
        ({"kind": "sigmoid", "low": 2, "high": 1}, "low is not below high"),
        ({"kind": "sigmoid", "low": 1, "hihg": 2}, "'high'"),
        ({"kind": "sigmoid", "low": 1, "high": math.inf}, "finite"),
        ({"kind": "sigmoid", "low": True, "high": 2}, "finite"),
        ({"kind": "sigmoid", "low": 1, "high": 2, "k": 0}, "k cannot"),
        ({"kind": "linear", "low": 1, "high": 1}, "the same"),
        ({"kind": "step"}, "low or a high"),
        ({"kind": "step", "low": 2, "high": 1}, "not below"),
        ({"kind": "window", "low": 1, "high": 2}, "margin is missing"),
        ({"kind": "window", "low": 1, "high": 2, "margin": 0}, "margin cannot"),
        ({"kind": "double sigmoid", "low": 1, "high": 2, "coef_si": -1}, "coef_si cannot"),
        ({"kind": "value map", "values": {"a": 1}}, "cannot be read"),
        ({"kind": "value map", "values": {"1": 2}}, "between 0 and 1"),
        ({"kind": "value map", "values": {}}, "between 0 and 1"),
    ],
)
def test_what_means_nothing_is_refused(table: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        build_transform(table, "[objectives.logp]")
    assert "[objectives.logp]" in str(caught.value) or isinstance(caught.value, UnknownNameError)


def test_means_are_their_formulas() -> None:
    values, weights = np.array([[0.5, 0.2], [1.0, 0.0], [math.nan, 1.0]]), np.array([0.75, 0.25])
    np.testing.assert_allclose(MEANS["arithmetic"](values, weights), [0.425, 0.75, math.nan])
    np.testing.assert_allclose(MEANS["geometric"](values, weights), [0.5**0.75 * 0.2**0.25, 0, math.nan])


def test_the_preferred_part_of_a_range() -> None:
    low, high = preferred(built("window"), -10, 10) or (0, 0)
    assert low == pytest.approx(1 - 0.2, abs=0.06) and high == pytest.approx(5 + 0.2, abs=0.06)
    assert preferred(built("window"), 2, 4) is None  # all of it
    assert preferred(built("step"), 6, 9) is None  # none of it
