"""Metrics: sets of texts, and sets of images, to numbers.

Those of texts are functions of a list of SMILES. Those that compare two sets take the reference as texts too, or,
computed once for many comparisons, as what :func:`chemnet_moments` gives.

Those of images are functions of the features (N, F) that a :class:`FeatureNet` gives for them, by :func:`features_of`.
"""

from grammar_rae.metrics.classifier import ClassifierFeatures, train_classifier
from grammar_rae.metrics.features import FeatureNet, features_of
from grammar_rae.metrics.frechet import Moments, frechet_distance, moments
from grammar_rae.metrics.images import frechet, frechet_floor, nearest_neighbours
from grammar_rae.metrics.inception import InceptionFeatures
from grammar_rae.metrics.manifolds import PRDC, PRDCurve, prd, prd_f, prd_of_histograms, prdc
from grammar_rae.metrics.molecules import chemnet_moments, fcd, ring_statistics, uniqueness, validity

__all__ = [
    "PRDC",
    "ClassifierFeatures",
    "FeatureNet",
    "InceptionFeatures",
    "Moments",
    "PRDCurve",
    "chemnet_moments",
    "fcd",
    "features_of",
    "frechet",
    "frechet_distance",
    "frechet_floor",
    "moments",
    "nearest_neighbours",
    "prd",
    "prd_f",
    "prd_of_histograms",
    "prdc",
    "ring_statistics",
    "train_classifier",
    "uniqueness",
    "validity",
]
