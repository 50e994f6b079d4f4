"""Maps: principal components are scikit-learn's, and whatever is placed has a place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from grammar_rae.errors import UnknownNameError
from grammar_rae.explorer.projections import Embedded, PrincipalComponents, available, fit_projection


def codes(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32) * np.arange(1, d + 1)


def test_principal_components_are_those_of_scikit_learn():
    z = codes(60, 5)
    found, expected = PrincipalComponents(z).place(z), PCA(2).fit_transform(z.astype(np.float64))
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-8)


@given(st.integers(1, 6), st.integers(1, 5), st.booleans())
def test_any_number_of_codes_has_finite_places(n, d, same):
    z = np.repeat(codes(1, d), n, axis=0) if same else codes(n, d)
    found = PrincipalComponents(z)
    if d >= 2:
        assert found.place(z).shape == (n, 2) and np.isfinite(found.place(z)).all()


def test_a_code_that_was_fitted_stands_where_the_method_put_it():
    z, places = codes(40, 6), codes(40, 2, seed=1)
    found = Embedded("t-SNE", z, places)
    np.testing.assert_allclose(found.place(z), places, atol=1e-4)
    between = found.place(z[:1] + 0.01)
    assert np.linalg.norm(between - places[:1]) < 0.5


def test_tsne_keeps_two_heaps_apart_and_is_the_same_again():
    z = np.concatenate([codes(20, 4), codes(20, 4, seed=1) + 60])
    found = fit_projection("t-SNE", z).place(z)
    heaps = found[:20], found[20:]
    apart = np.linalg.norm(heaps[0].mean(0) - heaps[1].mean(0))
    assert apart > max(heap.std() for heap in heaps)
    np.testing.assert_array_equal(found, fit_projection("t-SNE", z).place(z))


def test_an_unknown_map_is_refused_and_the_known_ones_are_there():
    assert available()[:2] == ["PCA", "t-SNE"]
    with pytest.raises(UnknownNameError, match="PCA"):
        fit_projection("PCB", codes(5, 3))
