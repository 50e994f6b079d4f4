"""Rows that are the same molecule, or the same text: found by a 64-bit key of their tokens.

A codec parses molecules in a canonical spelling, so that two spellings of one molecule have the same tokens. Of n
different rows, two have the same key with a probability of about n squared / 2**65: one in 3,700 for 100 million.
"""

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from grammar_rae.checks import check_choice

Duplicates: TypeAlias = Literal["keep", "drop"]
DUPLICATES = ("keep", "drop")
"""What to do with a row that is the same molecule as an earlier one."""

REPEATED = "the same molecule or text is in an earlier row"
"""Why such a row is left out."""

Keys: TypeAlias = npt.NDArray[np.uint64]

_CHUNK = 2**20  # tokens that are hashed at a time


def check_duplicates(duplicates: object) -> None:
    """Raise UnknownNameError unless the choice is one of :data:`DUPLICATES`."""
    check_choice("choice of duplicates", duplicates, DUPLICATES)


def row_keys(tokens: npt.NDArray[np.uint16], offsets: npt.NDArray[np.int64]) -> Keys:
    """The key of each row of tokens that lie end to end: uint64 (N,)."""
    n = len(offsets) - 1
    keys = np.zeros(n, np.uint64)
    first = 0
    while first < n:
        last = int(np.searchsorted(offsets, offsets[first] + _CHUNK, side="right")) - 1
        last = min(max(last, first + 1), n)
        starts = offsets[first : last + 1] - offsets[first]
        lengths = np.diff(starts)
        part = tokens[offsets[first] : offsets[last]].astype(np.uint64)
        steps = np.arange(len(part)) - np.repeat(starts[:-1], lengths)
        # The sum of a row wraps around, and so do the differences of the sums.
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(_mix((part << 32) + steps.astype(np.uint64)))))
        keys[first:last] = _mix(sums[starts[1:]] - sums[starts[:-1]] + lengths.astype(np.uint64))
        first = last
    return keys


def rank_keys(keys: Keys, seed: int) -> Keys:
    """A number for each key that looks random, and that the key and the seed decide: uint64 (N,)."""
    return _mix(keys ^ _mix(np.array([seed], np.uint64)))


def _mix(values: Keys) -> Keys:
    """Spread every bit over all others (the finaliser of SplitMix64: Steele, Lea and Flood, 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class SeenKeys:
    """The keys that came so far, at 8 bytes each: sorted runs, merged as they grow."""

    def __init__(self) -> None:
        self._runs: list[Keys] = []

    def add(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which of these keys come for the first time: bool (K,)."""
        unique, first = np.unique(keys, return_index=True)
        known = np.zeros(len(unique), dtype=bool)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, unique), len(run) - 1)
            known |= run[at] == unique
        new = np.zeros(len(keys), dtype=bool)
        new[first[~known]] = True
        if not known.all():
            self._runs.append(unique[~known])
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            joined = np.concatenate((self._runs[-2], self._runs[-1]))
            joined.sort(kind="stable")  # two runs in order are merged in one pass
            self._runs[-2:] = [joined]
        return new


class BloomFilter:
    """Which keys came before, in memory that does not grow: a few new keys in a million are taken for known ones.

    Bloom, "Space/time trade-offs in hash coding with allowable errors" (1970), with two hashes for all (Kirsch and
    Mitzenmacher, 2006).

    Parameters
    ----------
    n
        How many different keys may come: each takes 19.2 bits. When all have come, a new one is taken for a known one
        with a probability of 1e-4, and of all new ones one in about 140,000 was.
    """

    _HASHES, _BITS_A_KEY = 13, 19.2  # -ln(p) / ln(2) and the same over ln(2), for p = 1e-4

    def __init__(self, n: int) -> None:
        self._words = np.zeros(int(n * self._BITS_A_KEY) // 64 + 1, np.uint64)

    def add(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which of these keys come for the first time: bool (K,)."""
        first = np.zeros(len(keys), dtype=bool)
        first[np.unique(keys, return_index=True)[1]] = True
        step = _mix(keys) | np.uint64(1)
        known = np.ones(len(keys), dtype=bool)
        places = []
        for number in range(self._HASHES):
            bit = (keys + np.uint64(number) * step) % np.uint64(64 * len(self._words))
            places.append((bit >> np.uint64(6), np.uint64(1) << (bit & np.uint64(63))))
            known &= (self._words[places[-1][0]] & places[-1][1]) != 0
        for word, mask in places:
            np.bitwise_or.at(self._words, word, mask)
        return first & ~known
