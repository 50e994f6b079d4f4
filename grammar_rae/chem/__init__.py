"""Everything that needs RDKit: reading SMILES, their canonical, Kekulé and aromatic forms, descriptors, drawing.

No other part of the package imports rdkit. All functions take and give plain text and numbers, raise
:class:`~grammar_rae.errors.TextError` where RDKit refuses a text, and keep RDKit's log silent while they run.
"""

from grammar_rae.chem.descriptors import DESCRIPTORS, heavy_atoms, logp, qed, rings, sa, weight
from grammar_rae.chem.drawing import svg, svg_grid
from grammar_rae.chem.smiles import (
    FRAGMENTS,
    MAX_CHARACTERS,
    aromatic,
    canonical,
    canonical_or_none,
    is_valid,
    kekule,
)

__all__ = [
    "DESCRIPTORS",
    "FRAGMENTS",
    "MAX_CHARACTERS",
    "aromatic",
    "canonical",
    "canonical_or_none",
    "heavy_atoms",
    "is_valid",
    "kekule",
    "logp",
    "qed",
    "rings",
    "sa",
    "svg",
    "svg_grid",
    "weight",
]
