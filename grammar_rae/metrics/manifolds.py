"""Precision and recall of sets of features: fidelity and variety apart, unlike the single number of a Fréchet distance.

Two ways: by the nearest neighbours of each image (:func:`prdc`) and by clusters of all of them (:func:`prd`).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError
from grammar_rae.metrics.images import feature_pair
from grammar_rae.seeds import check_seed

Floats = NDArray[np.float64]

_ENTRIES = 10_000_000  # distances held at once: 80 MB


class PRDC(NamedTuple):
    """The result of :func:`prdc`: all in [0, 1] except ``density``, which may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


class PRDCurve(NamedTuple):
    """Precision (A,) and recall (A,) for each of A angles, from the one that asks for recall to that for precision."""

    precision: Floats
    recall: Floats


def prdc(real: NDArray[Any], fake: NDArray[Any], k: int = 5) -> PRDC:
    """Precision, recall (Kynkäänniemi et al., 2019), density and coverage (Naeem et al., 2020), by nearest neighbours.

    The ball of an image reaches to the k-th nearest other image of its own set; its surface is excluded.

    - precision: the share of fake images inside a real image's ball;
    - recall: the share of real images inside a fake image's ball;
    - density: the mean number of real balls that hold a fake image, over k; a single outlier among the real images,
      whose ball is large, counts for little. 1 is expected of two samples of one distribution;
    - coverage: the share of real images whose ball holds a fake image.

    All depend on the numbers of images: compare only sets of the same sizes, best N = M, and the same k.

    Parameters
    ----------
    real, fake
        Features (N, F) and (M, F).
    k
        5 as in Naeem et al.; Kynkäänniemi et al. take 3.

    Raises
    ------
    InputError
        For k or fewer images in a set, different widths, or numbers that are not finite.
    """
    if k < 1:
        raise InputError("invalid number of neighbours", received=k, expected="1 or more")
    rows, others = (part.astype(np.float64) for part in feature_pair(real, fake, least=k + 1))
    real_radius, fake_radius = _radii(rows, k), _radii(others, k)
    holds = np.zeros(len(others))  # how many real balls hold each fake image
    recalled = covered = 0
    for part, distance in _distances(rows, others):
        inside = distance < real_radius[part, None]
        holds += inside.sum(axis=0)
        covered += int(inside.any(axis=1).sum())
        recalled += int((distance < fake_radius).any(axis=1).sum())
    return PRDC(
        precision=float((holds > 0).mean()),
        recall=recalled / len(rows),
        density=float(holds.mean()) / k,
        coverage=covered / len(rows),
    )


def _radii(rows: Floats, k: int) -> Floats:
    """The squared distance from each row to its k-th nearest other row."""
    radii = np.empty(len(rows))
    for part, distance in _distances(rows, rows):
        distance[np.arange(len(distance)), np.arange(part.start, part.stop)] = np.inf  # itself
        radii[part] = np.partition(distance, k - 1, axis=1)[:, k - 1]
    return radii


def _distances(rows: Floats, others: Floats) -> Iterator[tuple[slice, Floats]]:
    """Slices of the rows, and the squared distances (B, M) of these from all others."""
    square, their_square = (np.einsum("nf,nf->n", part, part) for part in (rows, others))
    size = max(_ENTRIES // len(others), 1)
    for start in range(0, len(rows), size):
        part = slice(start, min(start + size, len(rows)))
        distance = rows[part] @ others.T
        distance *= -2
        distance += square[part, None]
        distance += their_square
        yield part, np.maximum(distance, 0, out=distance)  # rounding


def prd(
    real: NDArray[Any], fake: NDArray[Any], n_clusters: int = 20, n_angles: int = 1001, n_runs: int = 10, seed: int = 0
) -> PRDCurve:
    """The precision-recall curve of two distributions (Sajjadi et al., 2018), on clusters of their features.

    The features of both sets are clustered together by k-means, and the two histograms over the clusters compared by
    :func:`prd_of_histograms`. The curve is the mean of several runs, each with its own clusters. :func:`prd_f` gives
    one number for each of its ends.

    Parameters
    ----------
    real, fake
        Features (N, F) each. Equally many, since a larger set would have more influence on the clusters.
    n_clusters, n_angles, n_runs
        As in the paper.
    seed
        The seed of the clusters.

    Raises
    ------
    InputError
        For sets of different sizes or widths, fewer images than clusters, or numbers that are not finite.
    """
    from sklearn.cluster import MiniBatchKMeans

    rows, others = feature_pair(real, fake, least=max(n_clusters, 2))
    if len(rows) != len(others):
        raise InputError(
            "the two sets differ in size",
            received=f"{len(rows)} real and {len(others)} fake images",
            remedy="Subsample the larger set at random.",
        )
    if n_runs < 1 or n_clusters < 1:
        raise InputError(
            "invalid number of clusters or runs",
            received=f"{n_clusters} clusters, {n_runs} runs",
            expected="1 or more of each",
        )
    both = np.concatenate([rows, others])
    curves = []
    for state in np.random.SeedSequence(check_seed(seed)).generate_state(n_runs):
        cluster = MiniBatchKMeans(n_clusters, n_init=10, random_state=int(state)).fit_predict(both)
        p, q = (np.bincount(part, minlength=n_clusters) for part in np.split(cluster, 2))
        curves.append(prd_of_histograms(p, q, n_angles))
    precision, recall = np.mean(curves, axis=0)
    return PRDCurve(precision, recall)


def prd_of_histograms(real: NDArray[Any], fake: NDArray[Any], n_angles: int = 1001) -> PRDCurve:
    r"""The curve of two histograms (K,), P of real and Q of fake images, each scaled to 1.

    Precision :math:`\alpha = \sum_i \min(\lambda P_i, Q_i)` and recall :math:`\beta = \alpha / \lambda`, for
    :math:`\lambda = \tan\varphi` with angles equally spaced between 0 and a right angle.

    Raises
    ------
    InputError
        For histograms of different sizes, with negative entries or none that is positive, or less than one angle.
    """
    p, q = np.asarray(real, dtype=np.float64), np.asarray(fake, dtype=np.float64)
    fine = p.ndim == 1 and p.shape == q.shape and all((part >= 0).all() and 0 < part.sum() < np.inf for part in (p, q))
    if not fine or n_angles < 1:
        raise InputError(
            "invalid histograms or number of angles",
            received=f"shapes {p.shape} and {q.shape}, {n_angles} angles",
            expected="(K,) twice, entries of 0 or more with a positive sum, and at least one angle",
        )
    p, q = p / p.sum(), q / q.sum()
    edge = 1e-10  # 0 and a right angle themselves would be 0 / 0
    slope = np.tan(np.linspace(edge, np.pi / 2 - edge, n_angles))
    precision = np.minimum(slope[:, None] * p, q).sum(axis=1)
    return PRDCurve(precision.clip(0, 1), (precision / slope).clip(0, 1))  # rounding


def prd_f(precision: Floats, recall: Floats, beta: float = 8) -> tuple[float, float]:
    r"""The two numbers of a curve, :math:`F_\beta` (of recall) and :math:`F_{1/\beta}` (of precision).

    Each is the maximum of :math:`(1 + \beta^2) \, p r / (\beta^2 p + r)` over the curve.

    Raises
    ------
    InputError
        For a beta that is not positive, or an invalid curve.
    """
    p, r = np.asarray(precision, dtype=np.float64), np.asarray(recall, dtype=np.float64)
    if not 0 < beta < np.inf or p.ndim != 1 or p.shape != r.shape or not len(p):
        raise InputError(
            "invalid precision-recall curve or beta", received=f"shapes {p.shape} and {r.shape}, beta {beta}"
        )
    return _largest_f(p, r, beta), _largest_f(p, r, 1 / beta)


def _largest_f(precision: Floats, recall: Floats, beta: float) -> float:
    below = beta**2 * precision + recall
    f = (1 + beta**2) * precision * recall / np.where(below > 0, below, 1)
    return float(f.max())
