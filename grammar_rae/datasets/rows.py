"""Row indices of a data set: checks, and a split into training and validation."""

import numpy as np
import numpy.typing as npt

from grammar_rae.checks import check_count, is_number
from grammar_rae.errors import DataError, InputError
from grammar_rae.seeds import check_seed

Indices = npt.ArrayLike
Rows = npt.NDArray[np.int64]

_PERMUTED = 2**22  # rows, of which the permutation takes 32 MB


def check_rows(indices: Indices, n: int) -> Rows:
    """Convert integers, negative ones counting from the end, or N booleans to row numbers 0..N-1 (B,).

    Raises IndexError outside -N..N-1, and InputError for anything that is not an index.
    """
    try:
        chosen = np.asarray(indices)
    except (ValueError, OverflowError, TypeError) as error:
        raise InputError(f"invalid row indices ({error})", received=repr(indices), expected="integers (B,)") from error
    if chosen.dtype == np.bool_ and chosen.shape == (n,):
        chosen = np.flatnonzero(chosen)
    if chosen.size == 0:
        chosen = chosen.astype(np.int64)  # numpy makes floats of an empty list
    if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
        raise InputError(
            "invalid row indices",
            received=f"{chosen.dtype} of shape {chosen.shape}",
            expected=f"integers of shape (B,) or booleans of shape ({n},)",
        )
    if ((chosen < -n) | (chosen >= n)).any():
        raise IndexError(f"an index is outside -{n}..{n - 1}")
    rows: Rows = np.where(chosen < 0, chosen + n, chosen).astype(np.int64)
    return rows


def choose_rows(rng: np.random.Generator, n: int, most: int) -> Rows:
    """At most so many of n rows, chosen at random, in a random order; of very many without a permutation of all."""
    if n <= _PERMUTED or most >= n:
        return rng.permutation(n)[:most]
    return rng.choice(n, most, replace=False)


def split_rows(
    n: int,
    fraction: float,
    seed: int,
    maximum: int | None = None,
    keys: npt.NDArray[np.uint64] | None = None,
) -> tuple[Rows, Rows]:
    """Split rows into training and validation, each in ascending order; this depends only on N, the seed and the keys.

    ``fraction`` of the rows, at least one and at most ``maximum``, go into the second. Rows of one key go together;
    without equal keys, the keys change nothing. Raises InputError for a fraction outside (0, 1) or a maximum below 1,
    DataError for fewer than two rows, or keys.
    """
    if not is_number(fraction) or not 0 < fraction < 1:
        raise InputError("the fraction must lie between 0 and 1", received=repr(fraction), expected="0 < fraction < 1")
    if maximum is not None:
        check_count("maximum", maximum)
    if n < 2:
        raise DataError("too few rows to split", received=n, expected="two or more")
    size = min(max(round(n * fraction), 1), n - 1, maximum or n)
    order = np.random.default_rng(check_seed(seed)).permutation(n)
    if keys is not None and (groups := np.unique(keys, return_inverse=True, return_counts=True))[0].size < n:
        return _split_groups(groups[1], groups[2], order, size)
    # Sorted, so that a view reads the file in order.
    return np.sort(order[size:]), np.sort(order[:size])


def _split_groups(
    group: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], order: Rows, size: int
) -> tuple[Rows, Rows]:
    """The same for rows of which some belong together: ``group`` (N,) of each row, ``counts`` the rows of each group.

    Groups come in the order in which that of the rows meets them, and are taken until ``size`` rows are; those that are
    larger are passed over.
    """
    if len(counts) < 2:
        raise DataError(
            "all rows are the same: there is nothing to validate on",
            received=f"{len(group)} rows of one molecule or text",
            expected="two different ones or more",
        )
    _, met = np.unique(group[order], return_index=True)
    ranked = np.argsort(met)
    sizes = counts[ranked]
    fits = sizes <= size
    taken = fits & (np.cumsum(np.where(fits, sizes, 0)) <= size)
    if not taken.any():
        taken[sizes.argmin()] = True
    validates = np.zeros(len(counts), dtype=bool)
    validates[ranked[taken]] = True
    return np.flatnonzero(~validates[group]), np.flatnonzero(validates[group])
