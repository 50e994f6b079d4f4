"""What a surrogate sees of molecules besides their codes: how often each environment of atoms occurs."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import TextError

SIZE, LEVELS = 1024, 4
"""Places that environments are folded into, and the count from which on all are the same."""

Packed = NDArray[np.uint8]

_REMEMBERED = 50_000
_ROWS = 1024  # of the first that are unpacked at once
_FEW = 64  # of the others, for which a product of matrices is slower


def fingerprint_counts(texts: Sequence[str]) -> Packed | None:
    """Morgan counts (radius 2) of N molecules in unary: uint8 (N, ``SIZE * LEVELS / 8``); None if one is no molecule.

    A count of 3 is three bits that are set. So the common bits of two rows are the sum of the lesser counts, and all
    bits that of the greater: a product of matrices gives the Tanimoto similarity of counts.
    """
    try:
        rows = [_unary(text) for text in texts]
    except TextError:
        return None
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), SIZE * LEVELS // 8)


@lru_cache(maxsize=_REMEMBERED)
def _unary(text: str) -> bytes:
    # Imported here, so that a search among other texts needs no RDKit.
    from grammar_rae.chem import folded_counts

    counts = folded_counts(text, "ECFP4", SIZE)
    return np.packbits(counts > np.arange(LEVELS)[:, None]).tobytes()


def unpack(packed: Packed) -> NDArray[np.float32]:
    """The bits (N, F) of packed rows."""
    return np.unpackbits(packed, axis=1).astype(np.float32)


def tanimoto(one: Packed, other: Packed) -> NDArray[np.float64]:
    """The similarity of each of N packed rows to each of K others, (N, K): common bits over all bits, 1 where none is.

    There may be many of the first.
    """
    mine, theirs = _count_bits(one), _count_bits(other)
    found = np.empty((len(one), len(other)))
    count_common, size = (_and_bits, _ROWS * 16) if len(other) <= _FEW else (_multiply_bits, _ROWS)
    for start in range(0, len(one), size):
        rows = slice(start, start + size)
        common = count_common(other if one is other and len(one) <= size else one[rows], other)
        union = mine[rows, None] + theirs - common
        found[rows] = np.where(union > 0, common / np.maximum(union, 1), 1.0)
    return found


def _multiply_bits(one: Packed, other: Packed) -> NDArray[np.float32]:
    """Common bits (N, K) as a product of matrices, of the places that the others have.

    That of a matrix with itself takes half of the time, if it is the same array.
    """
    used = np.flatnonzero(np.unpackbits(np.bitwise_or.reduce(other, axis=0)))
    first, second = (np.unpackbits(packed, axis=1)[:, used].astype(np.float32) for packed in (one, other))
    return (second if one is other else first) @ second.T


def _and_bits(one: Packed, other: Packed) -> NDArray[np.uint16]:
    """The same for a few others, 64 bits of one at a time, where it has any."""
    columns = np.ascontiguousarray(np.ascontiguousarray(one).view(np.uint64).T)
    found = np.zeros((len(other), len(one)), np.uint16)
    for row, words in zip(found, np.ascontiguousarray(other).view(np.uint64), strict=True):
        for word in np.flatnonzero(words):
            row += np.bitwise_count(columns[word] & words[word])
    return found.T


def _count_bits(packed: Packed) -> NDArray[np.float32]:
    return np.asarray(np.bitwise_count(packed).sum(1, dtype=np.float32))


def nearest(texts: Sequence[str], known: Sequence[str]) -> list[tuple[str, float]]:
    """For each of N texts the most similar one that is known, and its similarity; ("", nan) where there is none."""
    mine, theirs = fingerprint_counts(texts), fingerprint_counts(known)
    if mine is None or theirs is None or not len(theirs):
        return [("", float("nan"))] * len(texts)
    similarity = tanimoto(theirs, mine).T  # the many that are known are unpacked by parts
    return [(known[int(row.argmax())], float(row.max())) for row in similarity]
