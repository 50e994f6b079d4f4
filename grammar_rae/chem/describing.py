"""Properties and fingerprints of many molecules."""

from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.chem.fingerprints import packed_morgan
from grammar_rae.chem.log import quiet
from grammar_rae.chem.properties import properties_of
from grammar_rae.chem.smiles import molecule_or_none
from grammar_rae.parallel import map_parts

CHUNK = 500
"""Molecules that a worker describes at a time."""

PARALLEL_FROM = 2_000
"""Molecules from which on it pays to start processes."""


class Descriptions(NamedTuple):
    """Of N molecules: ``properties`` float32 (N, K), NaN where not computed, and ``bits`` uint8 (N, P / 8)."""

    properties: NDArray[np.float32]
    bits: NDArray[np.uint8]


def describe(
    texts: Sequence[str], names: Sequence[str], wanted: NDArray[np.bool_], n_bits: int, jobs: int = 1
) -> Descriptions:
    """Properties of molecules and their packed Morgan fingerprints of radius 2.

    Parameters
    ----------
    texts
        N SMILES; of one that RDKit refuses nothing is known, and its bits are 0.
    names
        Of K properties, rows of :data:`PROPERTIES`.
    wanted
        Bool (N, K): which properties to compute of which molecules.
    n_bits
        P, a multiple of 8; 0 for no fingerprint.
    jobs
        Processes; -1 for one a core.
    """
    starts = range(0, len(texts), CHUNK)
    parts = [(texts[start : start + CHUNK], names, wanted[start : start + CHUNK], n_bits) for start in starts]
    found: Iterator[Descriptions]
    found = starmap(_describe, parts) if len(texts) < PARALLEL_FROM else map_parts(_describe, parts, jobs)
    empty = Descriptions(np.zeros((0, len(names)), np.float32), np.zeros((0, n_bits // 8), np.uint8))
    return Descriptions(*(np.concatenate(columns) for columns in zip(empty, *found, strict=True)))


@quiet
def _describe(texts: Sequence[str], names: Sequence[str], wanted: NDArray[np.bool_], n_bits: int) -> Descriptions:
    table = np.full((len(texts), len(names)), np.nan, np.float32)
    bits = np.zeros((len(texts), n_bits // 8), np.uint8)
    for row, text in enumerate(texts):
        found = molecule_or_none(text)
        if found is None:
            continue
        chosen = np.flatnonzero(wanted[row])
        table[row, chosen] = properties_of(found, [names[int(column)] for column in chosen])
        if n_bits:
            bits[row] = packed_morgan(found, n_bits)
    return Descriptions(table, bits)
