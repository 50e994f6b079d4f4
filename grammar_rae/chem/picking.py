"""Choosing molecules that differ."""

from collections.abc import Sequence
from typing import Any

from rdkit import DataStructs
from rdkit.Chem import rdFingerprintGenerator
from rdkit.SimDivFilters import rdSimDivPickers

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule

_generators: Any = rdFingerprintGenerator


@quiet
def pick_diverse(texts: Sequence[str], n: int, seed: int = 0) -> list[int]:
    """The places of n of the molecules, one after the other the one that is least like all chosen before.

    MaxMin (Ashton et al., "Identification of Diverse Database Subsets using Property-Based and Fragment-Based Molecular
    Descriptions", 2002) on the Tanimoto distance of Morgan fingerprints (radius 2, 2,048 bits), as RDKit has it: few of
    the distances are computed, and none is kept.

    Parameters
    ----------
    texts
        Molecules, at least n of them.
    n
        How many to choose.
    seed
        Says with which one to begin.

    Raises
    ------
    TextError
        When RDKit refuses one of the texts.
    """
    generator = _generators.GetMorganGenerator(radius=2, fpSize=2048)
    bits: list[DataStructs.ExplicitBitVect] = [generator.GetFingerprint(molecule(text)) for text in texts]
    if n >= len(bits):
        return list(range(len(bits)))
    # RDKit reads a negative seed as none.
    return list(rdSimDivPickers.MaxMinPicker().LazyBitVectorPick(bits, len(bits), n, seed=seed % 2**31))
