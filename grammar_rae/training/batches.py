"""Batches of rows."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.int64]


class DataSet(Protocol):
    """The interface of a data set; ``lengths`` (N,) and ``fingerprint`` (a string) are used where they exist.

    Where N numbers would take too much memory, ``lengths`` is an object whose ``of(rows)`` gives the lengths of some.
    """

    def __len__(self) -> int: ...

    def batch(self, indices: NDArray[np.int64], /) -> Any:
        """The rows of some indices: what the autoencoder takes, anything that ``to(device)`` moves."""
        ...


BLOCK = 2**14
"""Rows that stay together, in the order of the data, until a buffer mixes them with others."""

BUFFER = 64 * BLOCK
"""Rows that are mixed at a time, about: a million, for 8 MB. Data of fewer rows are shuffled as a whole."""


def plan_batches(
    rows: int, batch_size: int, seed: int, epoch: int, lengths: Any = None, smallest: int = 2
) -> Sequence[Rows]:
    """Plan the batches of one epoch: every row once, shuffled, rows of similar lengths together.

    Parameters
    ----------
    lengths
        The lengths (N,) of the rows, or an object whose ``of(rows)`` gives those of some. Rows are sorted by length
        within pools of 50 batches, so that batches need little padding; then the batches are shuffled.
    smallest
        A remainder of fewer rows joins another batch: batch normalisation needs more than one row, and every process
        at least one.

    Returns
    -------
    The batches, each the numbers of its rows: a list, or for more than :data:`BUFFER` rows a :class:`BlockPlan`.
    """
    if rows > BUFFER:
        return BlockPlan(rows, batch_size, seed, epoch, lengths, smallest)
    # The generator draws the order of the rows, then that of the batches.
    rng = np.random.default_rng([seed, epoch])
    batches = _cut(rng.permutation(rows), batch_size, lengths, smallest)
    return [batches[i] for i in rng.permutation(len(batches))]


class BlockPlan(Sequence[Rows]):
    """The batches of an epoch over more rows than anyone wants to permute: memory is constant in their number.

    Blocks of rows are shuffled, and cut into buffers of about :data:`BUFFER` rows; the rows of a buffer are shuffled
    when the first of its batches is asked for, by a seed of its own. So any batch can be asked for, in any order, and a
    training goes on at any step. Parameters are those of :func:`plan_batches`.
    """

    def __init__(self, rows: int, batch_size: int, seed: int, epoch: int, lengths: Any, smallest: int) -> None:
        self._rows, self._batch_size, self._lengths, self._smallest = rows, batch_size, lengths, smallest
        self._seed = [seed, epoch]
        order = np.random.default_rng(self._seed).permutation(-(-rows // BLOCK))
        self._buffers = np.array_split(order, max(1, round(rows / BUFFER)))
        counts = [self._count(sum(self._size(block) for block in buffer)) for buffer in self._buffers]
        self._starts = np.cumsum([0, *counts])
        self._filled: tuple[int, list[Rows]] = (-1, [])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not isinstance(index, int | np.integer):
            raise TypeError(f"a batch is asked for by its number, not by {type(index).__name__}")
        index = index + len(self) if index < 0 else index
        if not 0 <= index < len(self):
            raise IndexError(f"the epoch has {len(self)} batches")
        buffer = int(np.searchsorted(self._starts, index, side="right")) - 1
        if self._filled[0] != buffer:
            self._filled = (buffer, self._fill(buffer))
        return self._filled[1][int(index) - int(self._starts[buffer])]

    def _fill(self, buffer: int) -> list[Rows]:
        starts = [(int(block) * BLOCK, self._size(block)) for block in self._buffers[buffer]]
        order = np.concatenate([np.arange(first, first + size) for first, size in starts])
        rng = np.random.default_rng([*self._seed, buffer])
        rng.shuffle(order)
        batches = _cut(order, self._batch_size, self._lengths, self._smallest)
        return [batches[i] for i in rng.permutation(len(batches))]

    def _size(self, block: int) -> int:
        return min(BLOCK, self._rows - int(block) * BLOCK)

    def _count(self, rows: int) -> int:
        """How many batches :func:`_cut` makes."""
        count = -(-rows // self._batch_size)
        last = rows - (count - 1) * self._batch_size
        return count - (count > 1 and last < self._smallest)


def _cut(order: Rows, batch_size: int, lengths: Any, smallest: int) -> list[Rows]:
    """Rows in a random order as batches, of like lengths within pools of 50."""
    if lengths is not None:
        lengths_of = getattr(lengths, "of", None) or np.asarray(lengths).__getitem__
    batches: list[Rows] = []
    for start in range(0, len(order), 50 * batch_size):
        pool = order[start : start + 50 * batch_size]
        if lengths is not None:
            pool = pool[np.argsort(lengths_of(pool), kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    if len(batches) > 1 and len(batches[-1]) < smallest:
        rest = batches.pop()
        batches[-1] = np.concatenate([batches[-1], rest])
    return batches
