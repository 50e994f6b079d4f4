"""Row indices of a data set: checks, and a split into training and validation."""

import numpy as np
import numpy.typing as npt

from grammar_rae.errors import DataError, InputError
from grammar_rae.seeds import check_seed

Indices = npt.ArrayLike
Rows = npt.NDArray[np.int64]


def check_rows(indices: Indices, n: int) -> Rows:
    """Convert integers, negative ones counting from the end, or N booleans to row numbers 0..N-1 (B,).

    Raises IndexError outside -N..N-1, and InputError for anything that is not an index.
    """
    chosen = np.asarray(indices)
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


def split_rows(n: int, fraction: float, seed: int, maximum: int | None = None) -> tuple[Rows, Rows]:
    """Split rows into training and validation, each in ascending order; this depends only on N and the seed.

    ``fraction`` of the rows, at least one and at most ``maximum``, go into the second. Raises InputError for a
    fraction outside (0, 1) or a maximum below 1, DataError for fewer than two rows.
    """
    if not 0 < fraction < 1:
        raise InputError("the fraction must lie between 0 and 1", received=fraction, expected="0 < fraction < 1")
    if maximum is not None and maximum < 1:
        raise InputError(
            "the validation set needs at least one row", received=f"maximum {maximum}", expected="maximum >= 1"
        )
    if n < 2:
        raise DataError("too few rows to split", received=n, expected="two or more")
    size = min(max(round(n * fraction), 1), n - 1, maximum or n)
    order = np.random.default_rng(check_seed(seed)).permutation(n)
    # Sorted, so that a view reads the file in order.
    return np.sort(order[size:]), np.sort(order[:size])
