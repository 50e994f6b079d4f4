r"""Surrogates: what is known of a score at points that were not evaluated, each by what it sees of a point.

A surrogate is fitted to :class:`Known` points and predicts a mean and a spread for others. The table at the end is all
that there is; a new one is a class with its row.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from grammar_rae.errors import InputError
from grammar_rae.optimization.fingerprints import Packed, fingerprint_counts, tanimoto, unpack
from grammar_rae.optimization.surrogate import SparseGP

Array = NDArray[np.float64]

MOST = 1_000
"""Points that a process on fingerprints is exact up to; of more, the best half of these and others at random."""

RATIOS = np.logspace(-4, 1, 26)
"""Variances of the noise, in that of the values, from which a process on fingerprints takes the likeliest."""

WEIGHED = 400
"""Points that the noise of a process on fingerprints is fitted on, at most."""

JUDGED = 500
"""Points that members of an ensemble are judged after, at most: a judgement needs no more, and costs half of all."""

_TREES, _LEAF, _LEAST_JUDGED = 60, 2, 5


class Points(NamedTuple):
    """N points: their codes (N, D), and packed counts of their fingerprints, or None where they are no molecules."""

    codes: Array
    counts: Packed | None

    def take(self, rows: NDArray[np.int64]) -> "Points":
        """Some of them."""
        return Points(self.codes[rows], None if self.counts is None else self.counts[rows])


@dataclass(frozen=True)
class Known:
    """Points (N), their values (N,), and the iteration that each was observed in (N,)."""

    points: Points
    values: Array
    iterations: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> "Known":
        """Some of them."""
        return Known(self.points.take(rows), self.values[rows], self.iterations[rows])


class Surrogate(ABC):
    """A guess at a score."""

    needs_molecules: ClassVar[bool] = True
    """Whether it reads fingerprints, and nothing else."""

    needs_codes: ClassVar[bool] = False
    """Whether it reads codes, of molecules too."""

    @abstractmethod
    def fit(self, known: Known, seed: int) -> Self:
        """Learn from two or more points with finite values."""

    @abstractmethod
    def predict(self, points: Points) -> tuple[Array, Array]:
        """Mean and standard deviation, (N,) each, at N points."""


class CodesSurrogate(Surrogate):
    """The sparse Gaussian process on codes that the other strategies use: see :class:`SparseGP`."""

    needs_molecules, needs_codes = False, True

    def fit(self, known: Known, seed: int) -> Self:
        """Learn from the points' codes."""
        rows = _few(known.values, seed)
        options = {"n_inducing": 300, "n_fit": 200, "steps": 20}
        self._process = SparseGP.fit(known.points.codes[rows], known.values[rows], seed=seed, **options)
        return self

    def predict(self, points: Points) -> tuple[Array, Array]:
        """Mean and standard deviation at the points' codes."""
        mean, deviation = self._process.predict(torch.from_numpy(points.codes))
        return mean.numpy(), deviation.numpy()


class TanimotoSurrogate(Surrogate):
    r"""A Gaussian process whose covariance is :math:`s^2` times the Tanimoto similarity of counts, with noise.

    The noise in units of :math:`s^2` is the likeliest of :data:`RATIOS` for at most :data:`WEIGHED` points, with the
    likeliest :math:`s^2` for each in closed form: :math:`s^2 = y^\top (K + r I)^{-1} y / N`. The kernel is that of
    Ralaivola et al. (Neural Networks 18, 2005).
    """

    def fit(self, known: Known, seed: int) -> Self:
        """Learn from all points, or from :data:`MOST` of them."""
        rows = _few(known.values, seed)
        self._counts = _counts(known.points.take(rows))
        values = known.values[rows]
        self._offset = float(values.mean())
        gram = tanimoto(self._counts, self._counts)
        self.ratio_ = _likeliest_ratio(gram, values - self._offset, seed)
        self._lower = np.linalg.cholesky(gram + self.ratio_ * np.eye(len(gram)))
        half = solve_triangular(self._lower, values - self._offset, lower=True, check_finite=False)
        self.variance_ = max(float(np.square(half).mean()), 1e-12)
        self._weights = solve_triangular(self._lower, half, lower=True, trans="T", check_finite=False)
        return self

    def predict(self, points: Points) -> tuple[Array, Array]:
        """Mean and standard deviation without noise."""
        across = tanimoto(_counts(points), self._counts)
        explained = np.square(solve_triangular(self._lower, across.T, lower=True, check_finite=False)).sum(0)
        deviation = np.sqrt(self.variance_ * np.maximum(1 - explained, 1e-6))
        return self._offset + across @ self._weights, deviation


def _likeliest_ratio(gram: Array, centred: Array, seed: int) -> float:
    """The likeliest of :data:`RATIOS` for values (N,) of similarities (N, N), or for some of them at random."""
    some = np.random.default_rng([seed, len(gram)]).permutation(len(gram))[:WEIGHED]
    eigenvalues, vectors = np.linalg.eigh(gram[np.ix_(some, some)])
    turned = vectors.T @ centred[some]
    spectra = np.maximum(eigenvalues, 0.0) + RATIOS[:, None]
    variances = np.maximum((turned**2 / spectra).mean(1), 1e-12)
    likelihoods = -0.5 * (len(some) * np.log(variances) + np.log(spectra).sum(1))
    return float(RATIOS[int(likelihoods.argmax())])


class ForestSurrogate(Surrogate):
    """A random forest on fingerprints with counts; the spread is that of its trees."""

    def fit(self, known: Known, seed: int) -> Self:
        """Learn from the points' fingerprints."""
        from sklearn.ensemble import RandomForestRegressor

        rows = _few(known.values, seed)
        bits = unpack(_counts(known.points.take(rows)))
        self._told = bits.min(0) < bits.max(0)  # what all have or none has tells nothing
        if not self._told.any():
            self._told[:1] = True
        forest = RandomForestRegressor(_TREES, max_features="sqrt", min_samples_leaf=_LEAF, random_state=seed % 2**32)
        self._forest = forest.fit(bits[:, self._told], known.values[rows])
        return self

    def predict(self, points: Points) -> tuple[Array, Array]:
        """Mean and standard deviation of the trees' predictions."""
        bits = unpack(_counts(points))[:, self._told]
        trees = np.stack([tree.predict(bits) for tree in self._forest.estimators_])
        return trees.mean(0), trees.std(0)


class EnsembleSurrogate(Surrogate):
    """All that read fingerprints, or codes where there are no molecules, by how well each ranked the last batch.

    A member's weight is the rank correlation of its predictions for the last iteration's points, made without them,
    and at least a twentieth. Without an iteration of five points or more, a random fifth stands for it. The prediction
    is that of the mixture, whose spread includes what the members disagree by.
    """

    needs_molecules = False

    def fit(self, known: Known, seed: int) -> Self:
        """Judge the members, and let each learn from all points."""
        molecules = known.points.counts is not None
        names = [
            name
            for name, one in SURROGATES.items()
            if one is not EnsembleSurrogate and one.needs_molecules == molecules
        ]
        judged = _last(known.iterations, seed)
        merits = np.ones(len(names))
        if len(names) > 1 and min(len(judged), len(known.values) - len(judged)) >= _LEAST_JUDGED:
            others = np.setdiff1d(np.arange(len(known.values)), judged)
            others = others[_few(known.values[others], seed, JUDGED)]
            for index, name in enumerate(names):
                guess, _ = SURROGATES[name]().fit(known.take(others), seed).predict(known.points.take(judged))
                merits[index] = max(rank_correlation(guess, known.values[judged]), 0.05)
        self.weights_ = dict(zip(names, (merits / merits.sum()).tolist(), strict=True))
        self._members = {name: SURROGATES[name]().fit(known, seed) for name in names}
        return self

    def predict(self, points: Points) -> tuple[Array, Array]:
        """Mean and standard deviation of the mixture."""
        found = [(self.weights_[name], *member.predict(points)) for name, member in self._members.items()]
        mean = sum((weight * one for weight, one, _ in found), np.zeros(len(points.codes)))
        square = sum((weight * (spread**2 + one**2) for weight, one, spread in found), np.zeros(len(points.codes)))
        return mean, np.sqrt(np.maximum(square - mean**2, 1e-12))


def rank_correlation(one: Array, other: Array) -> float:
    """Spearman's rank correlation of two columns (N,); 0 where one of them is constant."""
    from scipy.stats import rankdata

    first, second = (rankdata(column) - (len(column) + 1) / 2 for column in (one, other))
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / size if size > 0 else 0.0


def describe_points(codes: Array, texts: Sequence[str]) -> Points:
    """Points of codes (N, D) and N texts, or none where only codes are known."""
    return Points(codes, fingerprint_counts(texts) if texts else None)


def _counts(points: Points) -> Packed:
    if points.counts is None:
        raise InputError(
            "this surrogate reads fingerprints, and not all texts are molecules",
            expected="molecules",
            remedy="Choose the surrogate codes or ensemble.",
        )
    return points.counts


def _few(values: Array, seed: int, most: int | None = None) -> NDArray[np.int64]:
    """The rows to learn from: all, or of more than ``most`` (:data:`MOST`) the best and others at random, half each."""
    most = MOST if most is None else most
    if len(values) <= most:
        return np.arange(len(values))
    order = np.argsort(-values, kind="stable")
    best, others = order[: most // 2], order[most // 2 :]
    return np.concatenate([best, np.random.default_rng(seed).permutation(others)[: most - len(best)]])


def _last(iterations: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The rows of the last iteration; a random fifth where that is the data."""
    last = np.flatnonzero(iterations == iterations.max())
    if iterations.max() > 0 and len(last) >= _LEAST_JUDGED:
        return last
    return np.sort(np.random.default_rng(seed).permutation(len(iterations))[: len(iterations) // 5])


SURROGATES: dict[str, type[Surrogate]] = {
    "codes": CodesSurrogate,
    "tanimoto": TanimotoSurrogate,
    "forest": ForestSurrogate,
    "ensemble": EnsembleSurrogate,
}
"""Surrogates of the strategy ``analogues``: ``Surrogate().fit(known, seed).predict(points)``."""
