"""Properties and fingerprints of many molecules."""

from collections.abc import Iterable, Sequence
from itertools import islice
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
    texts: Iterable[str], names: Sequence[str], wanted: NDArray[np.bool_], n_bits: int, jobs: int = 1
) -> Descriptions:
    """Properties of molecules and their packed Morgan fingerprints of radius 2.

    Parameters
    ----------
    texts
        N SMILES, of which a few are held at a time; of one that RDKit refuses nothing is known, and its bits are 0.
    names
        Of K properties, rows of :data:`PROPERTIES`.
    wanted
        Bool (N, K): which properties to compute of which molecules.
    n_bits
        P, a multiple of 8; 0 for no fingerprint.
    jobs
        Processes; -1 for one a core.
    """
    n, rest = len(wanted), iter(texts)
    parts = ((list(islice(rest, CHUNK)), names, wanted[at : at + CHUNK], n_bits) for at in range(0, n, CHUNK))
    found = Descriptions(np.empty((n, len(names)), np.float32), np.empty((n, n_bits // 8), np.uint8))
    done = 0
    for part in map_parts(_describe, parts, 1 if n < PARALLEL_FROM else jobs):
        end = done + len(part.properties)
        found.properties[done:end], found.bits[done:end] = part
        done = end
    return found


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
