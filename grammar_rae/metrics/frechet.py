"""The Fréchet distance of two sets of feature vectors, each taken as a Gaussian."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError

Floats = NDArray[np.float64]


class Moments(NamedTuple):
    """The ``mean`` (F,) and the ``covariance`` (F, F) of ``n`` vectors, with n - 1 in the denominator."""

    n: int
    mean: Floats
    covariance: Floats


def moments(batches: Iterable[NDArray[np.floating]]) -> Moments:
    """Compute mean and covariance of vectors from batches (B, F), in float64; no batch is kept.

    Batches are joined as in Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance" (1983), which loses
    no digits when the mean is far from 0.

    Raises
    ------
    InputError
        For fewer than two vectors.
    """
    n = 0
    mean = scatter = np.zeros(0)
    for batch in batches:
        rows = batch.astype(np.float64)
        more = len(rows)
        if more == 0:
            continue
        centre = rows.mean(axis=0)
        around = rows - centre
        if n == 0:
            mean, scatter = np.zeros(len(centre)), np.zeros((len(centre), len(centre)))
        step = centre - mean
        scatter = scatter + around.T @ around + np.outer(step, step) * (n * more / (n + more))
        mean = mean + step * (more / (n + more))
        n += more
    if n < 2:
        raise InputError("a covariance needs at least two vectors", received=n, expected="2 or more")
    return Moments(n, mean, scatter / (n - 1))


def subtract_moments(every: Moments, part: Moments) -> Moments:
    """The moments of the vectors outside a part, as :func:`moments` would give them.

    Raises
    ------
    InputError
        When fewer than two vectors are left.
    """
    n = every.n - part.n
    if n < 2:
        raise InputError("a covariance needs at least two vectors", received=n, expected="2 or more")
    mean = (every.n * every.mean - part.n * part.mean) / n
    step = part.mean - mean
    scatter = (every.n - 1) * every.covariance - (part.n - 1) * part.covariance
    scatter = scatter - np.outer(step, step) * (n * part.n / every.n)
    return Moments(n, mean, scatter / (n - 1))


def frechet_distance(mean1: Floats, covariance1: Floats, mean2: Floats, covariance2: Floats) -> float:
    """The squared 2-Wasserstein distance of two Gaussians, as FID and FCD use it.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))  (Dowson and Landau, 1982).

    With C1 = A A' and C2 = B B', the trace of the root is the sum of the singular values of A'B. So no root of a
    matrix that is not symmetric is needed, and covariances of few vectors, which lack full rank, do no harm.

    Parameters
    ----------
    mean1, mean2
        (F,)
    covariance1, covariance2
        (F, F), symmetric and positive semi-definite up to rounding.

    Raises
    ------
    InputError
        For shapes that do not match.
    """
    first, second = np.atleast_1d(mean1), np.atleast_1d(mean2)
    shapes = [np.shape(part) for part in (first, second, covariance1, covariance2)]
    if first.ndim != 1 or shapes != [first.shape, first.shape, first.shape * 2, first.shape * 2]:
        raise InputError(
            "means and covariances do not match in shape",
            received=f"shapes {', '.join(map(str, shapes))}",
            expected="(F,), (F,), (F, F), (F, F)",
        )
    root = np.linalg.svd(_factor(covariance1).T @ _factor(covariance2), compute_uv=False).sum()
    gap = first - second
    distance = gap @ gap + np.trace(covariance1) + np.trace(covariance2) - 2 * root
    return max(float(distance), 0.0)  # rounding


def _factor(covariance: Floats) -> Floats:
    """A with A A' = covariance."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, dtype=np.float64))
    factor: Floats = vectors * np.sqrt(values.clip(min=0))
    return factor
