"""Fingerprints: which environments of atoms a molecule has, as bits, and which and how often, as counts."""

from collections.abc import Callable
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import DataStructs
from rdkit.Chem import rdFingerprintGenerator

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule

RADIUS = 2


@quiet
def morgan(text: str, bits: int = 1024) -> NDArray[np.uint8]:
    """The Morgan fingerprint of radius 2 (as ECFP4), folded and packed: uint8 (bits / 8,).

    ``numpy.unpackbits`` unpacks the bits. Chirality is ignored.

    Raises
    ------
    TextError
        When RDKit refuses the text.
    """
    return packed_morgan(molecule(text), bits)


def packed_morgan(found: Any, bits: int) -> NDArray[np.uint8]:
    """:func:`morgan` of RDKit's molecule."""
    return np.packbits(_generator(bits).GetFingerprintAsNumPy(found))


@cache
def _generator(bits: int) -> Any:
    return rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=bits)


def _with_features(radius: int) -> Any:
    invariants = rdFingerprintGenerator.GetMorganFeatureAtomInvGen()
    return rdFingerprintGenerator.GetMorganGenerator(radius=radius, atomInvariantsGenerator=invariants)


#: Fingerprints with counts, unhashed and without chirality: by name, RDKit's generator of each.
COUNT_FINGERPRINTS: dict[str, Callable[[], Any]] = {
    "ECFP4": partial(rdFingerprintGenerator.GetMorganGenerator, radius=2),
    "ECFP6": partial(rdFingerprintGenerator.GetMorganGenerator, radius=3),
    "FCFP4": partial(_with_features, 2),
    "FCFP6": partial(_with_features, 3),
    "AP": partial(rdFingerprintGenerator.GetAtomPairGenerator, minDistance=1, maxDistance=10),
}


def count_similarity(found: Any, kind: str, target: str) -> float:
    """The Tanimoto similarity of RDKit's molecule to a SMILES: the sum of the lesser counts over that of the greater.

    ``kind`` is a name in :data:`COUNT_FINGERPRINTS`.
    """
    return float(DataStructs.TanimotoSimilarity(_counts(found, kind), _target(kind, target)))


@quiet
def similarities(text: str, kind: str, targets: tuple[str, ...]) -> NDArray[np.float64]:
    """The similarities of a molecule to K others, as :func:`count_similarity` has them, (K,).

    Raises
    ------
    TextError
        When RDKit refuses one of the texts.
    """
    found = _counts(molecule(text), kind)
    return np.array(DataStructs.BulkTanimotoSimilarity(found, _targets(kind, targets)), np.float64)


@quiet
def folded_counts(text: str, kind: str, size: int) -> NDArray[np.int64]:
    """How often a molecule has each environment, numbered modulo ``size``: int64 (size,).

    Raises
    ------
    TextError
        When RDKit refuses the text.
    """
    counts = np.zeros(size, dtype=np.int64)
    for index, count in _counts(molecule(text), kind).GetNonzeroElements().items():
        counts[index % size] += count
    return counts


def _counts(found: Any, kind: str) -> Any:
    return _count_generator(kind).GetSparseCountFingerprint(found)


@cache
def _count_generator(kind: str) -> Any:
    return COUNT_FINGERPRINTS[kind]()


@lru_cache(maxsize=64)
def _target(kind: str, text: str) -> Any:
    return _counts(molecule(text), kind)


@lru_cache(maxsize=8)
def _targets(kind: str, texts: tuple[str, ...]) -> list[Any]:
    return [_counts(molecule(text), kind) for text in texts]
