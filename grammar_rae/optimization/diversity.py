"""What keeps the molecules of a search apart: scaffolds that are used up, and batches that are spread out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError, TextError
from grammar_rae.optimization.fingerprints import fingerprint_counts, tanimoto
from grammar_rae.scores.desirability import build

ORDERED, MAXMIN = "ordered", "maxmin"

RESERVE = 3
"""Molecules from which each of a spread batch is chosen."""


@dataclass(frozen=True)
class Diversity:
    """How the molecules of a search are kept apart.

    Parameters
    ----------
    scaffold_bucket
        Molecules of one scaffold (Bemis and Murcko, 1996) after which no more of it are asked for; None for no end.
        Molecules without rings are of no scaffold. (Blaschke et al., J. Cheminform. 12, 2020.)
    minimum
        The desirability from which on a molecule counts.
    batch
        ``maxmin`` picks a batch from three times as many good molecules, each the one that is least like those picked
        before it (Ashton et al., Quant. Struct.-Act. Relat. 21, 2002); ``ordered`` takes the best ones.
    """

    scaffold_bucket: int | None = None
    minimum: float = 0.0
    batch: str = ORDERED

    def count(self, texts: Iterable[str]) -> Counter[str]:
        """How many of some molecules each scaffold has; nothing where no bucket is ever full."""
        if self.scaffold_bucket is None:
            return Counter()
        return Counter(one for one in map(scaffold_or_none, texts) if one is not None)

    def is_full(self, text: str, counts: Mapping[str, int]) -> bool:
        """Whether there are enough molecules of a molecule's scaffold."""
        if self.scaffold_bucket is None:
            return False
        found = scaffold_or_none(text)
        return found is not None and counts.get(found, 0) >= self.scaffold_bucket

    def wanted(self, n: int) -> int:
        """How many molecules to choose a batch of n from."""
        return n if self.batch == ORDERED and self.scaffold_bucket is None else RESERVE * n

    def pick(self, texts: Sequence[str], n: int, counts: Mapping[str, int]) -> list[int]:
        """The indices of n of some molecules, the best first, such that no bucket overflows."""
        order = range(len(texts)) if self.batch == ORDERED else maxmin(texts)
        filled: Counter[str] = Counter(counts)
        found: list[int] = []
        for index in order:
            if len(found) < n and not self.is_full(texts[index], filled):
                found.append(index)
                filled.update(self.count([texts[index]]))
        return found


@lru_cache(maxsize=50_000)
def scaffold_or_none(text: str) -> str | None:
    """A molecule's scaffold; None without rings, or for what is no molecule."""
    from grammar_rae.chem import scaffold

    try:
        return scaffold(text)
    except TextError:
        return None


def maxmin(texts: Sequence[str]) -> list[int]:
    """The indices of molecules, the first one first, then always the one that is least like all before it.

    Texts that are no molecules stay in their order.
    """
    counts = fingerprint_counts(texts)
    if counts is None or not texts:
        return list(range(len(texts)))
    similarity = tanimoto(counts, counts)
    nearest: NDArray[np.float64] = similarity[0].copy()
    found = [0]
    nearest[0] = np.inf
    while len(found) < len(texts):
        index = int(nearest.argmin())
        found.append(index)
        nearest = np.maximum(nearest, similarity[index])
        nearest[index] = np.inf
    return found


def read_diversity(table: Any) -> Diversity:
    """The diversity that a table describes.

    Raises
    ------
    InputError, UnknownNameError
        For anything that is not one.
    """
    if not isinstance(table, Mapping):
        raise InputError("diversity is a table", received=repr(table), expected="[diversity]")
    found: Diversity = build(Diversity, table, "[diversity]")
    bucket = found.scaffold_bucket
    if bucket is not None and (isinstance(bucket, bool) or not isinstance(bucket, int) or bucket < 1):
        raise InputError("scaffold_bucket cannot be used", received=repr(bucket), expected="a whole number above 0")
    if found.batch not in (ORDERED, MAXMIN):
        raise InputError("batch cannot be used", received=repr(found.batch), expected=f"{ORDERED} or {MAXMIN}")
    if found.minimum and bucket is None:
        raise InputError("a minimum says what fills a bucket", remedy="Set scaffold_bucket, or leave minimum out.")
    return found
