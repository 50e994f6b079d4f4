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
    known = np.flatnonzero(~np.isnan(values).any(axis=1))
    # No row can be beaten by a later one in this order.
    order = known[np.lexsort(-values[known].T[::-1])]
    front = np.empty((0, values.shape[1]))
    for row in order:
        beaten = (front >= values[row]).all(1) & (front > values[row]).any(1)
        if not beaten.any():
            found[row] = True
            front = np.vstack([front, values[row]])
    return found
