"""Metrics of sets of texts and of sets of images.

Metrics of texts are functions of a list of SMILES. Those that compare two sets take the reference as texts too or,
computed once for many comparisons, as the result of :func:`chemnet_moments` or :func:`describe`. MOSES's metrics are in
``moses.py``, GuacaMol's in ``guacamol.py``.

Metrics of images are functions of features (N, F), which :func:`features_of` computes with a :class:`FeatureNet`.
"""

from grammar_rae.metrics.classifier import ClassifierFeatures, train_classifier
from grammar_rae.metrics.features import FeatureNet, features_of
from grammar_rae.metrics.frechet import Moments, frechet_distance, moments, subtract_moments
from grammar_rae.metrics.guacamol import GuacaMol, choose, guacamol_scores, kl_divergences
from grammar_rae.metrics.images import frechet, frechet_floor, nearest_neighbours
from grammar_rae.metrics.inception import InceptionFeatures
from grammar_rae.metrics.manifolds import PRDC, PRDCurve, prd, prd_f, prd_of_histograms, prdc
from grammar_rae.metrics.molecule_sets import MoleculeSet, describe
from grammar_rae.metrics.molecules import chemnet_moments, fcd, ring_statistics, uniqueness, validity
from grammar_rae.metrics.moses import (
    filters,
    fragment_similarity,
    internal_diversity,
    novelty,
    property_distance,
    scaffold_similarity,
    snn,
    unique_at,
)

__all__ = [
    "PRDC",
    "ClassifierFeatures",
    "FeatureNet",
    "GuacaMol",
    "InceptionFeatures",
    "MoleculeSet",
    "Moments",
    "PRDCurve",
    "chemnet_moments",
    "choose",
    "describe",
    "fcd",
    "features_of",
    "filters",
    "fragment_similarity",
    "frechet",
    "frechet_distance",
    "frechet_floor",
    "guacamol_scores",
    "internal_diversity",
    "kl_divergences",
    "moments",
    "nearest_neighbours",
    "novelty",
    "prd",
    "prd_f",
    "prd_of_histograms",
    "prdc",
    "property_distance",
    "ring_statistics",
    "scaffold_similarity",
    "snn",
    "subtract_moments",
    "train_classifier",
    "unique_at",
    "uniqueness",
    "validity",
]
