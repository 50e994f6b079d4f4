"""Which of several points nothing else beats in every score."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_on_front(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each row of values (N, M), larger is better, is on the Pareto front: bool (N,).

    A row is off the front when another is at least as good in every column and better in one; equal rows are on it or
    off it together. Rows with nan are off it.
    """
    found = np.zeros(len(values), dtype=bool)
    known = ~np.isnan(values).any(axis=1)
    rows, place = np.unique(values[known], axis=0, return_inverse=True)
    best = np.zeros(len(rows), dtype=bool)
    # From the largest first value down, no row can be beaten by one that comes later: the first that is left is on the
    # front, and takes away all that are larger nowhere.
    left = np.arange(len(rows))[::-1]
    while len(left):
        first, left = left[0], left[1:]
        best[first] = True
        left = left[(rows[left] > rows[first]).any(axis=1)]
    found[known] = best[place.reshape(-1)]
    return found
