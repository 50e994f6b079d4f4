"""Metrics against closed forms, against other implementations, and on sets whose figures are known."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from grammar_rae import chem
from grammar_rae.datasets import read_texts
from grammar_rae.errors import InputError, MissingExtraError, TextError
from grammar_rae.metrics import (
    chemnet_moments,
    fcd,
    frechet_distance,
    moments,
    ring_statistics,
    uniqueness,
    validity,
)
from grammar_rae.resources import bundled_file

FEW = ["CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1", "C1CC1C1CCCCCCCC1"]


def molecules(n: int) -> list[str]:
    return [text for _, text in islice(read_texts(bundled_file("data/moses_sample.smi.gz")), n)]


def gaussian(seed: int, size: int, rank: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A mean, and a covariance of that rank."""
    chance = np.random.default_rng(seed)
    factor = chance.normal(size=(size, size if rank is None else rank))
    return chance.normal(size=size), factor @ factor.T


class TestFrechetDistance:
    @given(st.integers(0, 2**32), st.integers(1, 6))
    def test_diagonal_covariances(self, seed: int, size: int) -> None:
        chance = np.random.default_rng(seed)
        m1, m2 = chance.normal(size=(2, size))
        s1, s2 = chance.exponential(size=(2, size))
        expected = ((m1 - m2) ** 2).sum() + ((s1 - s2) ** 2).sum()
        assert frechet_distance(m1, np.diag(s1**2), m2, np.diag(s2**2)) == pytest.approx(expected)

    def test_one_feature(self) -> None:
        assert frechet_distance(np.array(1.0), np.array([[4.0]]), np.array(4.0), np.array([[9.0]])) == pytest.approx(10)

    @given(st.integers(0, 2**32), st.integers(2, 8))
    def test_the_matrix_root(self, seed: int, size: int) -> None:
        (m1, c1), (m2, c2) = gaussian(seed, size), gaussian(seed + 1, size)
        root = np.trace(sqrtm(c1 @ c2)).real
        expected = ((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * root
        assert frechet_distance(m1, c1, m2, c2) == pytest.approx(expected, rel=1e-6)

    @given(st.integers(0, 2**32))
    def test_it_is_a_distance(self, seed: int) -> None:
        (m1, c1), (m2, c2), (m3, c3) = (gaussian(seed + i, 5, rank=1 + (seed + i) % 5) for i in range(3))
        assert frechet_distance(m1, c1, m1, c1) == pytest.approx(0, abs=1e-9)
        assert frechet_distance(m1, c1, m2, c2) == pytest.approx(frechet_distance(m2, c2, m1, c1))
        # Of its root the triangle inequality holds.
        sides = [frechet_distance(*a, *b) ** 0.5 for a, b in (((m1, c1), (m2, c2)), ((m2, c2), (m3, c3)))]
        assert frechet_distance(m1, c1, m3, c3) ** 0.5 <= sum(sides) * (1 + 1e-9)

    def test_covariances_of_few_vectors_in_other_directions(self) -> None:
        along, across = np.diag([4.0, 0.0]), np.diag([0.0, 9.0])
        assert frechet_distance(np.zeros(2), along, np.zeros(2), across) == pytest.approx(13)

    @pytest.mark.parametrize("wrong", range(4))
    def test_shapes_that_do_not_fit(self, wrong: int) -> None:
        parts: list[np.ndarray] = [np.zeros(3), np.eye(3), np.zeros(3), np.eye(3)]
        parts[wrong] = np.zeros((4, 4)[: parts[wrong].ndim])
        with pytest.raises(InputError, match=r"shapes .*\(4,"):
            frechet_distance(*parts)


class TestMoments:
    @given(st.integers(0, 2**32), st.lists(st.integers(0, 5), min_size=1, max_size=6))
    def test_of_batches_are_those_of_all_rows(self, seed: int, sizes: list[int]) -> None:
        chance = np.random.default_rng(seed)
        batches = [chance.normal(1000, 1, size=(size, 3)) for size in sizes]
        rows = np.concatenate(batches)
        if len(rows) < 2:
            with pytest.raises(InputError, match="2 or more"):
                moments(batches)
            return
        found = moments(batches)
        assert found.n == len(rows)
        assert found.mean == pytest.approx(rows.mean(0))
        assert found.covariance == pytest.approx(np.cov(rows.T), abs=1e-9)

    def test_float32_is_summed_in_float64(self) -> None:
        rows = np.random.default_rng(0).normal(1e4, 1, size=(5000, 2)).astype(np.float32)
        assert moments([rows]).covariance == pytest.approx(np.cov(rows.T.astype(np.float64)))


class TestFCD:
    @pytest.fixture(autouse=True)
    def chemnet(self) -> Any:
        return pytest.importorskip("fcd_torch")

    def test_of_a_set_with_itself(self) -> None:
        texts = molecules(60)
        reference = chemnet_moments(texts)
        assert reference.n == 60
        assert reference.mean.shape == (512,)
        assert reference.covariance.shape == (512, 512)
        assert fcd(texts, reference) == pytest.approx(0, abs=1e-6)
        # Neither the order nor the spelling matters, nor how many are read at once.
        assert fcd([chem.kekule(text) for text in reversed(texts)], texts) == pytest.approx(0, abs=1e-4)
        assert chemnet_moments(texts, batch_size=7).mean == pytest.approx(reference.mean, abs=1e-5)

    def test_against_the_package(self, chemnet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(np, "row_stack", np.vstack, raising=False)  # which NumPy gives up, and the package calls
        features = chemnet.FCD(n_jobs=1).get_predictions(molecules(100)).astype(np.float64)
        (m1, c1), (m2, c2) = ((part.mean(0), np.cov(part.T)) for part in (features[:50], features[50:]))
        # Roots of matrices of low rank are inexact: hence the tolerance.
        expected = ((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * np.trace(sqrtm(c1 @ c2)).real
        assert fcd(molecules(50), molecules(100)[50:]) == pytest.approx(expected, rel=1e-3)

    def test_it_grows_as_molecules_are_spoilt(self) -> None:
        texts = molecules(120)
        reference = chemnet_moments(texts[:60])
        spoilt = [*texts[60:90], *["C" * (n + 1) for n in range(30)]]
        assert fcd(texts[60:], reference) < fcd(spoilt, reference)

    @pytest.mark.parametrize(
        ("texts", "error"), [(["CCO", "C1CC"], TextError), (["CCO"], InputError), ([], InputError), ("CCO", InputError)]
    )
    def test_what_it_refuses(self, texts: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            chemnet_moments(texts)


def test_fcd_without_its_package(hide_package: Callable[[str], None]) -> None:
    hide_package("fcd_torch")
    with pytest.raises(MissingExtraError, match=r"pip install 'grammar_rae\[metrics\]'"):
        fcd(FEW, FEW)


def test_ring_statistics() -> None:
    found = ring_statistics(FEW)
    # Rings of 6, 6, 5 and 6, 3 and 9.
    assert found == {
        "rings": pytest.approx(6 / 5),
        "aromatic_rings": pytest.approx(3 / 5),
        "rings_of_3": pytest.approx(1 / 6),
        "rings_of_4": 0,
        "rings_of_5": pytest.approx(1 / 6),
        "rings_of_6": pytest.approx(3 / 6),
        "rings_of_7": 0,
        "rings_of_8+": pytest.approx(1 / 6),
    }
    assert ring_statistics(map(chem.kekule, FEW)) == found  # type: ignore[arg-type]


def test_ring_statistics_of_chains_and_of_nothing() -> None:
    found = ring_statistics(["CCO"])
    assert found["rings"] == found["aromatic_rings"] == 0
    assert np.isnan(found["rings_of_6"])
    with pytest.raises(InputError, match="no molecule"):
        ring_statistics([])
    with pytest.raises(TextError, match="C1CC"):
        ring_statistics(["CCO", "C1CC"])


def test_validity_and_uniqueness() -> None:
    texts = ["CCO", "OCC", "C(C)(C)(C)(C)C", "", "C"]
    assert validity(texts) == pytest.approx(3 / 5)
    assert uniqueness(texts) == pytest.approx(2 / 3)
    assert np.isnan(validity([]))
    assert np.isnan(uniqueness(["C1CC"]))


@pytest.mark.parametrize("metric", [validity, uniqueness, ring_statistics])
def test_one_text_is_no_set(metric: Any) -> None:
    with pytest.raises(InputError, match="list of strings"):
        metric("CCO")


@pytest.mark.parametrize(
    ("text", "expected"), [("c1ccc2ccccc2c1", [(6, True)] * 2), ("C1CC1", [(3, False)]), ("C", [])]
)
def test_ring_list(text: str, expected: list[tuple[int, bool]]) -> None:
    assert chem.ring_list(text) == expected
