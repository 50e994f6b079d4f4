"""Layers, numbers on the map, colours and counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grammar_rae.errors import InputError
from grammar_rae.explorer.layers import LOOKS, Atlas, Layer
from grammar_rae.explorer.values import NEAR, colour_of, colour_values, count_near, extremes

KINDS = [*LOOKS, "result", "result"]


def layer(kind, n):
    return Layer(kind, kind, [f"{kind}{row}" for row in range(n)], np.full((n, 3), len(kind), np.float32))


@given(st.permutations(KINDS), st.lists(st.integers(0, 4), min_size=6, max_size=6), st.sets(st.integers(0, 5)))
def test_numbers_on_the_map_lead_back_to_the_points(kinds, sizes, hidden):
    atlas = Atlas()
    keys = [atlas.put(layer(kind, n)) for kind, n in zip(kinds, sizes, strict=True)]
    for one in hidden:
        atlas.show(keys[one], False)
    points = atlas.points()
    assert atlas.numbers(points) == list(range(len(points)))
    assert len(points) == sum(n for one, n in enumerate(sizes) if one not in hidden)
    assert {point.layer for point in points}.isdisjoint({keys[one] for one in hidden})
    assert list(atlas.layers)[: len(LOOKS)] == list(LOOKS)  # training rows below, results on top
    for number, point in enumerate(points[:3]):
        assert atlas.text(point) == atlas.layers[point.layer].texts[point.row]
        assert atlas.numbers([point]) == [number]


def test_results_are_added_and_removed_and_other_layers_replaced():
    atlas = Atlas()
    first, second = atlas.put(layer("result", 1)), atlas.put(layer("result", 2))
    assert first != second
    atlas.put(layer("rows", 2))
    assert len(atlas.layers[atlas.put(layer("rows", 5))]) == 5
    atlas.remove(first)
    assert set(atlas.layers) == {"rows", second}
    for key in ("rows", first, "nothing"):
        with pytest.raises(InputError):
            atlas.remove(key)


def test_layers_that_are_joined_keep_names_and_columns():
    one = Layer("rows", "a", ["x"], np.zeros((1, 2), np.float32), columns={"line": [1]})
    other = Layer("rows", "a", ["y"], np.ones((1, 2), np.float32), ["ypsilon"], {"line": [2], "more": [3]})
    both = one.joined(other)
    assert [both.name(row) for row in range(2)] == ["", "ypsilon"]
    assert both.columns == {"line": [1, 2], "more": [None, 3]}
    np.testing.assert_array_equal(both.codes, [[0, 0], [1, 1]])


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=30))
def test_colours_follow_values_and_are_pale_without_one(values):
    array = np.array(values)
    colours, span = colour_values(array), extremes(array)
    has = np.isfinite(array)
    assert (span is None) == (not has.any())
    assert len(set(colours[~has].tolist())) <= 1
    assert not set(colours[~has].tolist()) & set(colours[has].tolist())
    if span is not None:
        low, high = colours[has][array[has] <= span[0]], colours[has][array[has] >= span[1]]
        assert set(low.tolist()) <= {0x5B5BD6E6} and set(high.tolist()) <= {0xE0B020E6}


def test_a_colour_is_its_bytes():
    assert colour_of("#010203") >> 8 == 0x010203


@given(st.integers(0, 2**32 - 1))
def test_near_rows_are_counted_as_a_loop_counts_them(seed):
    rng = np.random.default_rng(seed)
    columns = {name: np.where(rng.random(40) < 0.2, np.nan, rng.standard_normal(40)) for name in "ab"}
    wanted, deviations = {"a": 0.1, "b": -0.2}, {"a": 2.0, "b": 4.0}
    expected = sum(
        all(abs(columns[name][row] - wanted[name]) <= NEAR * deviations[name] for name in wanted) for row in range(40)
    )
    assert count_near(columns, wanted, deviations) == expected


def test_near_to_nothing_or_to_what_nobody_knows_is_refused():
    with pytest.raises(InputError):
        count_near({"a": np.zeros(2)}, {}, {"a": 1.0})
    with pytest.raises(InputError):
        count_near({"a": np.zeros(2)}, {"b": 1.0}, {"a": 1.0})
