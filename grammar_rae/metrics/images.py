"""Metrics of sets of images, given as features (N, F) by :func:`grammar_rae.metrics.features_of`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError
from grammar_rae.metrics.frechet import Moments, frechet_distance, moments
from grammar_rae.seeds import check_seed

_CHUNK = 1024  # rows compared at once with all others


def frechet(features: NDArray[Any] | Moments, reference: NDArray[Any] | Moments) -> float:
    """The Fréchet distance of two sets of images, 0 or more: FID where the features are Inception's.

    It falls with the number of images, towards a limit: compare only distances of equally many images to the same
    reference. Two samples of one set also differ by more than 0: see :func:`frechet_floor`.

    Parameters
    ----------
    features, reference
        (N, F) and (M, F), or the :func:`grammar_rae.metrics.moments` of them, computed once for many comparisons.

    Raises
    ------
    InputError
        For fewer than two rows, another number of features, or numbers that are not finite.
    """
    ours, theirs = (part if isinstance(part, Moments) else _moments(part) for part in (features, reference))
    return frechet_distance(ours.mean, ours.covariance, theirs.mean, theirs.covariance)


def _moments(features: NDArray[Any]) -> Moments:
    rows = feature_rows(features, least=2)
    return moments(rows[start : start + 8192] for start in range(0, len(rows), 8192))


def frechet_floor(reference: NDArray[Any], n: int, others: NDArray[Any] | None = None, seed: int = 0) -> float:
    """The Fréchet distance of n real images from the reference, which a perfect generator would reach.

    Where few features vary most, as with a classifier's, one draw may differ from the next by half: use several seeds.

    Parameters
    ----------
    reference
        Features (M, F) of the images that generated ones are compared with, usually test images.
    n
        The number of generated images.
    others
        Features (L, F) of other real images, usually training images, of which n are drawn. By default, two disjoint
        parts of the reference are drawn, of n images or half of the reference if that is less, in which case the
        distance is too high, as distances of fewer images are.
    seed
        The seed of the draws.

    Raises
    ------
    InputError
        As for :func:`frechet`, and for fewer than n others.
    """
    chance = np.random.default_rng(check_seed(seed))
    theirs = feature_rows(reference, least=2 if others is not None else 4)
    if others is None:
        order = chance.permutation(len(theirs))
        size = min(n, len(theirs) // 2)
        return frechet(theirs[order[:size]], theirs[order[size : 2 * size]])
    ours = feature_rows(others, least=max(n, 2))
    return frechet(ours[chance.permutation(len(ours))[:n]], theirs)


def nearest_neighbours(features: NDArray[Any], training: NDArray[Any], k: int = 1) -> NDArray[np.int64]:
    """The k nearest training images of each image, nearest first: indices (N, k).

    They show whether generated images are copies. Rows may be features (N, F) and (M, F), or images (N, ...) and (M,
    ...), compared pixel by pixel; uint8 as well as floats. The distance is Euclidean.

    Raises
    ------
    InputError
        For rows of different sizes, numbers that are not finite, or fewer training images than k.
    """
    ours, theirs = feature_pair(features.reshape(len(features), -1), training.reshape(len(training), -1))
    if not 1 <= k <= len(theirs):
        raise InputError("invalid number of neighbours", received=k, expected=f"1 to {len(theirs)}")
    squares = np.einsum("mf,mf->m", theirs, theirs)
    found = []
    for start in range(0, len(ours), _CHUNK):
        distance = squares - 2 * (ours[start : start + _CHUNK] @ theirs.T)  # up to the square of the row itself
        near = np.argpartition(distance, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(distance, near, axis=1), axis=1, kind="stable")
        found.append(np.take_along_axis(near, order, axis=1))
    return np.concatenate(found)


def feature_rows(features: NDArray[Any], least: int = 1) -> NDArray[np.float32]:
    """Check that features (N, F) are finite and have enough rows; return them as float32."""
    rows = np.asarray(features)
    if rows.ndim != 2 or len(rows) < least or rows.shape[1] < 1 or rows.dtype.kind not in "fiub":
        raise InputError(
            "features have the wrong type, shape or number",
            received=f"{rows.dtype}, shape {rows.shape}",
            expected=f"numbers (N, F) with N >= {least}",
        )
    rows = rows.astype(np.float32, copy=False)
    if not np.isfinite(rows).all():
        raise InputError(
            "features hold NaN or infinite values", received=f"{int((~np.isfinite(rows)).any(1).sum())} such rows"
        )
    return rows


def feature_pair(
    first: NDArray[Any], second: NDArray[Any], least: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Check two sets of features of equal width as :func:`feature_rows` does."""
    ours, theirs = feature_rows(first, least), feature_rows(second, least)
    if ours.shape[1] != theirs.shape[1]:
        raise InputError("the two sets of features differ in width", received=f"{ours.shape} and {theirs.shape}")
    return ours, theirs
