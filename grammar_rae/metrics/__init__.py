"""Metrics: sets of texts to numbers.

Each is a function of a list of SMILES. Those that compare two sets take the reference as texts too, or, computed once
for many comparisons, as what :func:`chemnet_moments` gives.
"""

from grammar_rae.metrics.frechet import Moments, frechet_distance, moments
from grammar_rae.metrics.molecules import chemnet_moments, fcd, ring_statistics, uniqueness, validity

__all__ = [
    "Moments",
    "chemnet_moments",
    "fcd",
    "frechet_distance",
    "moments",
    "ring_statistics",
    "uniqueness",
    "validity",
]
