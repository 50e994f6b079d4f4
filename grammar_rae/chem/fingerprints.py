"""Morgan fingerprints: the atom environments of a molecule as bits."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
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
