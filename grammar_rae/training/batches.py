"""Batches of rows."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class DataSet(Protocol):
    """The interface of a data set; ``lengths`` (N,) and ``fingerprint`` (a string) are used where they exist."""

    def __len__(self) -> int: ...

    def batch(self, indices: NDArray[np.int64], /) -> Any:
        """The rows of some indices: what the autoencoder takes, anything that ``to(device)`` moves."""
        ...


def plan_batches(
    rows: int, batch_size: int, seed: int, epoch: int, lengths: NDArray[Any] | None = None, smallest: int = 2
) -> list[NDArray[np.int64]]:
    """Plan the batches of one epoch: every row once, shuffled, rows of similar lengths together.

    Parameters
    ----------
    lengths
        The lengths (N,) of the rows. Rows are sorted by length within pools of 50 batches, so that batches need little
        padding; then the batches are shuffled.
    smallest
        A remainder of fewer rows joins another batch: batch normalisation needs more than one row, and every process
        at least one.
    """
    # The generator draws the order of the rows, then that of the batches.
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(rows)
    batches: list[NDArray[np.int64]] = []
    for start in range(0, rows, 50 * batch_size):
        pool = order[start : start + 50 * batch_size]
        if lengths is not None:
            pool = pool[np.argsort(np.asarray(lengths)[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    if len(batches) > 1 and len(batches[-1]) < smallest:
        rest = batches.pop()
        batches[-1] = np.concatenate([batches[-1], rest])
    return [batches[i] for i in rng.permutation(len(batches))]
