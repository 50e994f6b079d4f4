"""Metrics of images against closed forms and brute force, and the nets that they look through."""

import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from grammar_rae.errors import DataError, InputError, MissingExtraError
from grammar_rae.metrics import (
    ClassifierFeatures,
    InceptionFeatures,
    features_of,
    frechet,
    frechet_floor,
    inception,
    manifolds,
    moments,
    nearest_neighbours,
    prd,
    prd_f,
    prd_of_histograms,
    prdc,
    train_classifier,
)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 scans of digits, uint8 (N, 1, 8, 8), and their classes."""
    found = load_digits()
    return (found.images[:, None] * 15.9).astype(np.uint8), found.target


@pytest.fixture(scope="module")
def classifier() -> ClassifierFeatures:
    images, labels = digits()
    return train_classifier(images[:1400], labels[:1400], seed=1, epochs=4)


def rows(seed: int, n: int, size: int = 4, shift: float = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, size=(n, size))


def drawn(real: bool, *, n: int = 400, modes: int = 4, seed: int = 0) -> np.ndarray:
    """A mixture of narrow Gaussians at the corners of a square, of all four or the first few of them."""
    chance = np.random.default_rng((seed, real))
    corners = np.array([[0, 0], [9, 0], [0, 9], [9, 9]])[chance.integers(modes, size=n)]
    return corners + chance.normal(0, 1, size=(n, 2))


class TestClassifier:
    def test_its_distance_is_no_fid(self, classifier: ClassifierFeatures) -> None:
        assert classifier.distance_name == "FD(classifier)"

    def test_it_learns(self, classifier: ClassifierFeatures) -> None:
        images, labels = digits()
        assert classifier.accuracy(images[1400:], labels[1400:]) > 0.9
        assert classifier.accuracy(images[1400:], (labels[1400:] + 1) % 10) < 0.1

    def test_features_are_standardised_by_the_training_images(self, classifier: ClassifierFeatures) -> None:
        features = features_of(classifier, digits()[0][:1400])
        assert features.dtype == np.float32
        assert features.mean(0) == pytest.approx(np.zeros(features.shape[1]), abs=1e-3)
        assert features.std(0) == pytest.approx(np.ones(features.shape[1]), abs=0.01)

    def test_it_is_restored(self, classifier: ClassifierFeatures) -> None:
        restored = ClassifierFeatures(**classifier.config)
        restored.load_state_dict(classifier.state_dict())
        images = digits()[0][:50]
        assert (features_of(restored, images) == features_of(classifier, images)).all()
        assert restored.training  # taking features leaves the mode as it was, and yet uses the stored statistics

    def test_the_seed_decides_and_nothing_else(self) -> None:
        images, labels = digits()
        before = torch.random.get_rng_state()
        nets = [train_classifier(images[:300], labels[:300], seed, epochs=1) for seed in (3, 3, 4)]
        assert (torch.random.get_rng_state() == before).all()
        first, second, third = (net.state_dict()["head.weight"] for net in nets)
        assert torch.equal(first, second)
        assert not torch.equal(first, third)

    def test_attributes(self) -> None:
        images, labels = digits()
        attributes = np.stack([labels % 2, labels >= 5], axis=1)
        net = train_classifier(images[:1400], attributes[:1400], seed=0, epochs=4)
        assert net.predict(images[1400:]).shape == (397, 2)
        assert net.accuracy(images[1400:], attributes[1400:]) > 0.85

    @pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 20), (1, 28, 28), (3, 32, 32), (3, 64, 64)])
    def test_shapes(self, shape: tuple[int, ...]) -> None:
        features = ClassifierFeatures(shape, 2)(torch.rand(3, *shape))
        assert features.shape == (3, ClassifierFeatures((1, 8, 8), 5)(torch.rand(1, 1, 8, 8)).shape[1])

    @pytest.mark.parametrize(
        ("images", "labels"),
        [
            (np.zeros((4, 1, 8, 8)), np.zeros(4, int)),
            (np.zeros((4, 8, 8), np.uint8), np.zeros(4, int)),
            (np.zeros((1, 1, 8, 8), np.uint8), np.zeros(1, int)),
            (np.zeros((4, 1, 8, 4), np.uint8), np.zeros(4, int)),
            (np.zeros((4, 1, 8, 8), np.uint8), np.zeros(3, int)),
            (np.zeros((4, 1, 8, 8), np.uint8), np.zeros(4)),
            (np.zeros((4, 1, 8, 8), np.uint8), np.array([0, 1, -1, 0])),
            (np.zeros((4, 1, 8, 8), np.uint8), np.array([[0], [1], [2], [0]])),
            (np.zeros((4, 1, 8, 8), np.uint8), np.zeros((4, 0), int)),
        ],
    )
    def test_what_it_cannot_be_trained_on(self, images: np.ndarray, labels: np.ndarray) -> None:
        with pytest.raises(InputError):
            train_classifier(images, labels)

    @pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 1}, {"learning_rate": 0.0}])
    def test_how_it_cannot_be_trained(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(InputError, match="invalid options for training"):
            train_classifier(np.zeros((4, 1, 8, 8), np.uint8), np.zeros(4, int), **wrong)

    def test_other_images(self, classifier: ClassifierFeatures) -> None:
        with pytest.raises(InputError, match=r"received \(1, 8, 9\); expected \(1, 8, 8\)"):
            classifier(torch.zeros(2, 1, 8, 9))
        with pytest.raises(InputError, match="labels do not match"):
            classifier.accuracy(np.zeros((3, 1, 8, 8), np.uint8), np.zeros(2, int))


class TestFeaturesOf:
    def test_all_ways_to_give_images(self, classifier: ClassifierFeatures) -> None:
        images = digits()[0][:50]
        floats = images.astype(np.float32) / 255
        expected = features_of(classifier, images)
        batches: Iterator[np.ndarray] = (floats[i : i + 13] for i in range(0, 50, 13))
        for other in (floats, floats.astype(np.float64), torch.from_numpy(floats), batches, [torch.from_numpy(images)]):
            assert features_of(classifier, other, batch_size=7) == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize(
        "images",
        [
            np.full((2, 1, 8, 8), 1.5),
            np.full((2, 1, 8, 8), -0.1),
            np.full((2, 1, 8, 8), np.nan),
            np.zeros((2, 1, 8, 8), np.int64),
            np.zeros((2, 8, 8), np.uint8),
            np.zeros((0, 1, 8, 8), np.uint8),
            [],
        ],
    )
    def test_what_is_no_image(self, classifier: ClassifierFeatures, images: Any) -> None:
        with pytest.raises(InputError):
            features_of(classifier, images)


class Extractor(torch.nn.Module):
    """In the place of torch-fidelity's: shows what it is given."""

    def __init__(self, name: str, wanted: list[str], feature_extractor_weights_path: str) -> None:
        super().__init__()
        assert wanted == ["2048"]
        self.weights = Path(feature_extractor_weights_path).read_bytes()

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        assert pixels.dtype == torch.uint8
        return (pixels.reshape(len(pixels), -1).double(),)


class TestInception:
    @pytest.fixture(autouse=True)
    def package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        package, module = ModuleType("torch_fidelity"), ModuleType("torch_fidelity.feature_extractor_inceptionv3")
        module.FeatureExtractorInceptionV3 = Extractor  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, package.__name__, package)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    @pytest.fixture
    def weights(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        path = tmp_path / "weights.pth"
        path.write_bytes(b"weights")
        monkeypatch.setattr(inception, "_SHA256", sha256(b"weights").hexdigest())
        return path

    def test_grey_images_are_repeated_and_rounded(self, weights: Path) -> None:
        net = InceptionFeatures(weights)
        assert net.distance_name == "FID"
        features = net(torch.tensor([0.0, 0.4999, 1.0]).reshape(1, 1, 1, 3))
        assert features.dtype == np.float32
        assert features.tolist() == [[0, 127, 255] * 3]

    def test_bytes_come_through(self, weights: Path) -> None:
        images = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16).repeat(3, axis=1)
        assert (features_of(InceptionFeatures(weights), images) == images.reshape(1, -1)).all()

    def test_other_channels(self, weights: Path) -> None:
        with pytest.raises(InputError, match=r"\(2, 4, 8, 8\)"):
            InceptionFeatures(weights)(torch.zeros(2, 4, 8, 8))

    def test_a_file_that_is_not_known_is_not_read(self, tmp_path: Path) -> None:
        (tmp_path / "weights.pth").write_bytes(b"something else")
        with pytest.raises(DataError, match="not hold the Inception weights of the FID"):
            InceptionFeatures(tmp_path / "weights.pth")
        with pytest.raises(DataError, match=r"cannot be read .* features of a classifier"):
            InceptionFeatures(tmp_path / "none.pth")

    @pytest.mark.parametrize("error", [ConnectionError("no network"), ValueError("wrong hash")])
    def test_no_download(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        def retrieve(*arguments: Any, **options: Any) -> str:
            assert f"sha256:{inception._SHA256}" in arguments
            raise error

        monkeypatch.setattr("pooch.retrieve", retrieve)
        with pytest.raises(DataError, match="by hand and pass its path, or use the features of a classifier"):
            InceptionFeatures()

    def test_a_download(self, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pooch.retrieve", lambda *arguments, **options: str(weights))
        assert InceptionFeatures()._net.weights == b"weights"  # type: ignore[attr-defined]

    def test_without_the_package(self, hide_package: Callable[[str], None]) -> None:
        hide_package("torch_fidelity")
        with pytest.raises(MissingExtraError, match=r"pip install 'grammar_rae\[fid\]'"):
            InceptionFeatures()


class TestFrechet:
    @given(st.integers(0, 2**32), st.floats(-5, 5), st.floats(0.1, 3))
    def test_moved_and_stretched(self, seed: int, step: float, factor: float) -> None:
        ours = rows(seed, 50)
        centre = ours.mean(0)
        theirs = centre + (ours - centre) * factor + step
        expected = 4 * step**2 + (1 - factor) ** 2 * ours.var(0, ddof=1).sum()
        assert frechet(theirs, ours) == pytest.approx(expected, abs=1e-4, rel=1e-4)

    def test_moments_stand_for_features(self) -> None:
        ours, theirs = rows(0, 9000).astype(np.float32), rows(1, 50).astype(np.float32)
        assert frechet(moments([ours]), theirs) == pytest.approx(frechet(ours, moments([theirs])))

    def test_the_floor_falls_as_one_over_n(self) -> None:
        training, test = rows(0, 20000), rows(1, 20000)
        floors = [np.mean([frechet_floor(test, n, training, seed) for seed in range(5)]) for n in (100, 1000)]
        assert floors[1] < floors[0] / 5
        assert floors[0] < frechet(rows(2, 100, shift=1), test)

    def test_the_floor_of_a_reference_alone(self) -> None:
        test = rows(0, 1000)
        assert frechet_floor(test, 100) == frechet_floor(test, 100) != frechet_floor(test, 100, seed=1)
        # Two parts of one set share no row: each of half of it, their means lie as far on either side of the whole's.
        assert frechet_floor(np.array([[0.0], [0.0], [1.0], [1.0]]), 9) in (0, pytest.approx(1))
        with pytest.raises(InputError):
            frechet_floor(test[:3], 2)
        with pytest.raises(InputError):
            frechet_floor(test, 101, rows(1, 100))

    @pytest.mark.parametrize(
        "wrong", [rows(0, 1), rows(0, 9, size=3), np.full((9, 4), np.nan), np.zeros(9), np.zeros((9, 0))]
    )
    def test_bad_features(self, wrong: np.ndarray) -> None:
        for pair in ((wrong, rows(0, 9)), (rows(0, 9), wrong)):
            with pytest.raises(InputError):
                frechet(*pair)


class TestNearestNeighbours:
    @given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 6))
    def test_against_scikit_learn(self, seed: int, n: int, k: int) -> None:
        ours, theirs = rows(seed, n), rows(seed + 1, 10)
        expected = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(theirs).kneighbors(ours)[1]
        assert (nearest_neighbours(ours, theirs, k) == expected).all()

    def test_bytes_do_not_overflow(self) -> None:
        images = digits()[0][:300]
        assert (nearest_neighbours(images[100:200], images)[:, 0] == range(100, 200)).all()

    def test_chunks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = nearest_neighbours(rows(0, 30), rows(1, 20), 3)
        monkeypatch.setattr("grammar_rae.metrics.images._CHUNK", 7)
        assert (nearest_neighbours(rows(0, 30), rows(1, 20), 3) == whole).all()

    @pytest.mark.parametrize("k", [0, 6])
    def test_more_than_there_are(self, k: int) -> None:
        with pytest.raises(InputError, match="1 to 5"):
            nearest_neighbours(rows(0, 3), rows(1, 5), k)
        with pytest.raises(InputError, match="width"):
            nearest_neighbours(rows(0, 3), rows(1, 5, size=3))


def brute_force(real: np.ndarray, fake: np.ndarray, k: int) -> tuple[float, ...]:
    """The definitions, one pair at a time."""

    def away(a: np.ndarray, b: np.ndarray) -> float:
        return float(((a - b) ** 2).sum())

    def radius(rows: np.ndarray, i: int) -> float:
        return sorted(away(rows[i], row) for j, row in enumerate(rows) if j != i)[k - 1]

    real_balls = [radius(real, i) for i in range(len(real))]
    fake_balls = [radius(fake, j) for j in range(len(fake))]
    held = [[away(x, y) < r for x, r in zip(real, real_balls, strict=True)] for y in fake]
    recalled = [any(away(x, y) < r for y, r in zip(fake, fake_balls, strict=True)) for x in real]
    covered = [any(row[i] for row in held) for i in range(len(real))]
    return np.mean([any(row) for row in held]), np.mean(recalled), np.sum(held) / k / len(fake), np.mean(covered)


class TestPRDC:
    @given(st.data())
    def test_against_the_definition(self, data: st.DataObject) -> None:
        # Small whole numbers: distances tie, rows repeat, and float64 makes no rounding error.
        k = data.draw(st.integers(1, 3))
        row = st.lists(st.integers(-3, 3), min_size=2, max_size=2)
        real, fake = (np.array(data.draw(st.lists(row, min_size=k + 1, max_size=9)), float) for _ in range(2))
        assert prdc(real, fake, k) == pytest.approx(brute_force(real, fake, k))

    def test_chunks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real, fake = rows(0, 60), rows(1, 40, shift=1)
        whole = prdc(real, fake)
        monkeypatch.setattr(manifolds, "_ENTRIES", 500)
        assert prdc(real, fake) == whole == pytest.approx(brute_force(real, fake, 5))

    def test_against_the_package(self) -> None:
        package = pytest.importorskip("prdc")
        real, fake = rows(0, 500, 16), rows(1, 400, 16, shift=0.3)
        expected = package.compute_prdc(real.astype(np.float32), fake.astype(np.float32), nearest_k=5)
        assert prdc(real, fake)._asdict() == pytest.approx(expected)

    def test_a_set_and_itself(self) -> None:
        found = prdc(rows(0, 100), rows(0, 100))
        assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
        assert found.density == pytest.approx(1, abs=0.01)

    def test_two_samples_of_one_distribution(self) -> None:
        assert prdc(rows(0, 2000), rows(1, 2000)).density == pytest.approx(1, abs=0.05)

    def test_sets_far_apart(self) -> None:
        assert prdc(rows(0, 50), rows(1, 50, shift=100)) == (0, 0, 0, 0)

    def test_dropped_modes_cost_recall_and_noise_costs_precision(self) -> None:
        real = drawn(True)
        dropped = prdc(real, drawn(False, modes=2))
        assert dropped.precision > 0.9
        assert dropped.recall < 0.6
        assert dropped.coverage < 0.6
        noisy = prdc(real, drawn(False) + np.random.default_rng(0).normal(0, 4, size=(400, 2)))
        assert noisy.precision < 0.7
        assert noisy.recall > 0.9

    @pytest.mark.parametrize(
        ("fake", "k"), [(rows(0, 5), 5), (rows(0, 9, size=3), 5), (np.full((9, 4), np.inf), 5), (rows(0, 9), 0)]
    )
    def test_bad_input(self, fake: np.ndarray, k: int) -> None:
        for pair in ((fake, rows(1, 9)), (rows(1, 9), fake)):
            with pytest.raises(InputError):
                prdc(*pair, k)


histograms = st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any).map(np.array)


class TestPRD:
    @given(histograms, histograms)
    def test_the_curve_is_that_of_the_definition(self, real: np.ndarray, fake: np.ndarray) -> None:
        p, q = real / real.sum(), fake / fake.sum()
        precision, recall = prd_of_histograms(real, fake, n_angles=3)
        # At 45 degrees both are what the histograms share; at the ends, what one has where the other has any.
        assert precision[1] == pytest.approx(recall[1]) == pytest.approx(np.minimum(p, q).sum())
        assert (recall[0], precision[2]) == pytest.approx((p[q > 0].sum(), q[p > 0].sum()), abs=1e-6)
        assert (precision[0], recall[2]) == pytest.approx((0, 0), abs=1e-6)

    @given(histograms, histograms)
    def test_swapped_sets_swap_precision_and_recall(self, real: np.ndarray, fake: np.ndarray) -> None:
        precision, recall = prd_of_histograms(real, fake, 11)
        others = prd_of_histograms(fake, real, 11)
        assert precision == pytest.approx(others.recall[::-1], abs=1e-6)
        assert recall == pytest.approx(others.precision[::-1], abs=1e-6)

    def test_half_of_two_modes(self) -> None:
        """With P = (1/2, 1/2) and Q = (1, 0): precision is min(lambda / 2, 1), recall min(1/2, 1 / lambda)."""
        precision, recall = prd_of_histograms(np.array([1, 1]), np.array([7, 0]))
        slope = np.tan(np.linspace(1e-10, np.pi / 2 - 1e-10, 1001))
        assert precision == pytest.approx(np.minimum(slope / 2, 1))
        assert recall == pytest.approx(np.minimum(0.5, 1 / slope))
        # The corner (1, 1/2) is the best of both figures, up to the angles.
        f = {beta: (1 + beta**2) / 2 / (beta**2 + 0.5) for beta in (8, 1 / 8)}
        assert prd_f(precision, recall) == pytest.approx((f[8], f[1 / 8]), abs=1e-3)

    def test_a_set_and_itself(self) -> None:
        precision, recall = prd(rows(0, 100), rows(0, 100), n_runs=2)
        assert precision[500] == pytest.approx(1)
        assert recall[500] == pytest.approx(1)
        assert prd_f(precision, recall) == pytest.approx((1, 1))

    def test_sets_far_apart(self) -> None:
        curve = prd(rows(0, 50), rows(1, 50, shift=100), n_clusters=4, n_runs=2)
        assert max(map(np.max, curve)) == 0
        assert prd_f(*curve) == (0, 0)

    def test_dropped_modes_cost_recall_and_noise_costs_precision(self) -> None:
        real = drawn(True)
        recall, precision = prd_f(*prd(real, drawn(False, modes=2), n_runs=3))
        assert precision > 0.9
        assert recall < 0.6
        recall, precision = prd_f(*prd(drawn(False, modes=2), real, n_runs=3))
        assert precision < 0.6
        assert recall > 0.9

    def test_the_seed_decides(self) -> None:
        state = np.random.get_state()[1].copy()
        curves = [prd(rows(0, 60), rows(1, 60), n_angles=5, n_runs=2, seed=seed).precision for seed in (0, 0, 1)]
        assert (curves[0] == curves[1]).all()
        assert (curves[0] != curves[2]).any()
        assert (np.random.get_state()[1] == state).all()

    @pytest.mark.parametrize(
        ("fake", "options"),
        [
            (rows(0, 31), {}),
            (rows(0, 30, size=3), {}),
            (np.full((30, 4), np.nan), {}),
            (rows(0, 30), {"n_clusters": 31}),
            (rows(0, 30), {"n_clusters": 0}),
            (rows(0, 30), {"n_runs": 0}),
            (rows(0, 30), {"n_angles": 0}),
        ],
    )
    def test_bad_input(self, fake: np.ndarray, options: dict[str, int]) -> None:
        with pytest.raises(InputError):
            prd(rows(1, 30), fake, **options)

    @pytest.mark.parametrize(("real", "fake"), [([1, 1], [1]), ([0, 0], [1, 1]), ([1, -1], [1, 1]), ([1], [np.nan])])
    def test_bad_histograms(self, real: list[float], fake: list[float]) -> None:
        with pytest.raises(InputError):
            prd_of_histograms(np.array(real), np.array(fake))

    def test_no_curve(self) -> None:
        with pytest.raises(InputError):
            prd_f(np.zeros(3), np.zeros(2))
        with pytest.raises(InputError):
            prd_f(np.zeros(3), np.zeros(3), beta=0)
