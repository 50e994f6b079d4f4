"""The 2D pharmacophore fingerprint of Gobbi and Poppinger (1998), as pairs and triples of features.

A feature is an atom that does something: hydrogen bonds, charge, an attachment to a ring. Each pair and each triple of
features of a molecule is one bit, named by the kinds of the features and the binned numbers of bonds between them.
RDKit finds the features. It can make the fingerprint too, one tuple at a time; here all tuples of a molecule are made
at once, which gives the same sets of bits about ten times faster.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem.Pharm2D import Gobbi_Pharm2D

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule

_Ints = NDArray[np.int64]

_factory: Any = Gobbi_Pharm2D.factory
_KINDS = len(_factory.GetFeatFamilies())
# Nearer than two bonds is no pair, all from eight bonds on is one bin, and different fragments are too far apart.
_NEAREST, _LAST_BIN, _FARTHEST = 2, 8, 100
_BINS = _LAST_BIN - _NEAREST + 1
# A code of a triple holds three kinds and three bins; those of pairs follow after all triples.
_TRIPLES = _KINDS**3 * _BINS**3
_AT_ONCE = 1 << 20


@quiet
def pharmacophores(text: str) -> NDArray[np.int64]:
    """The pairs and triples of pharmacophoric features of a molecule: ascending codes (N,), each once.

    Raises
    ------
    TextError
        When RDKit refuses the text.
    """
    return pharmacophores_of(molecule(text))


def pharmacophores_of(found: Any) -> NDArray[np.int64]:
    """:func:`pharmacophores` of RDKit's molecule."""
    kinds, distances = _features(found)
    first, second = np.nonzero(np.triu(_apart(distances), 1))
    bins = np.minimum(distances, _LAST_BIN).astype(np.int64) - _NEAREST
    pairs = _TRIPLES + (kinds[first] * _KINDS + kinds[second]) * _BINS + bins[first, second]
    return np.unique(np.concatenate([pairs, *_triples(kinds, bins, first, second)]))


def pharmacophore_similarity(found: Any, target: str) -> float:
    """The Tanimoto similarity of two molecules' bits: those that both have, as a share of those that either has."""
    mine, other = pharmacophores_of(found), _target(target)
    common = np.intersect1d(mine, other, assume_unique=True).size
    return common / max(mine.size + other.size - common, 1)


@lru_cache(maxsize=64)
def _target(text: str) -> NDArray[np.int64]:
    return pharmacophores_of(molecule(text))


def _features(found: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The kinds of N features (N,), and the bonds on the shortest way between any two of them (N, N).

    They are ordered by kind, then by atoms, and pairs and triples are written in this order.
    """
    features = [
        (kind, atoms) for kind, matches in enumerate(_factory.GetMolFeats(found)) for atoms in sorted(set(matches))
    ]
    kinds = np.array([kind for kind, _ in features], dtype=np.int64)
    between = Chem.GetDistanceMatrix(found)
    members = [list(atoms) for _, atoms in features]
    if all(len(atoms) == 1 for atoms in members):
        single = np.array([atoms[0] for atoms in members], dtype=np.int64)
        return kinds, between[np.ix_(single, single)]
    distances = [[between[np.ix_(one, other)].min() for other in members] for one in members]
    return kinds, np.array(distances, dtype=np.float64)


def _apart(distances: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (distances >= _NEAREST) & (distances < _FARTHEST)


def _triples(kinds: _Ints, bins: _Ints, second: _Ints, third: _Ints) -> Iterator[_Ints]:
    """The codes of all triples, from all pairs that may be the last two of one; few of the first features at a time."""
    near = np.zeros_like(bins, dtype=bool)
    near[second, third] = True
    step = max(_AT_ONCE // max(second.size, 1), 1)
    for start in range(0, kinds.size, step):
        rows = near[start : start + step]
        first, pair = np.nonzero(rows[:, second] & rows[:, third])
        yield np.unique(_triple_codes(kinds, bins, first + start, second[pair], third[pair]))


def _triple_codes(kinds: _Ints, bins: _Ints, first: _Ints, second: _Ints, third: _Ints) -> _Ints:
    """Two features of one kind can change places: of the ways to write such a triple, one has its bins descending."""
    sides = np.stack([bins[first, second], bins[first, third], bins[second, third]])
    left, right = kinds[first] == kinds[second], kinds[second] == kinds[third]
    _descend(sides, left & right, 0, 1, 2)
    _descend(sides, left & ~right, 1, 2)
    _descend(sides, right & ~left, 0, 1)
    code = (kinds[first] * _KINDS + kinds[second]) * _KINDS + kinds[third]
    for side in sides:
        code = code * _BINS + side
    return code


def _descend(sides: NDArray[np.int64], where: NDArray[np.bool_], *which: int) -> None:
    rows = np.ix_(np.array(which), np.flatnonzero(where))
    sides[rows] = -np.sort(-sides[rows], axis=0)
