"""Ex-post densities: fitted on latent codes after training, replaceable without it (paper, section 4).

A density is built for D latent dimensions, fitted to codes (N, D), and then sampled and scored; it depends neither on
the encoder nor on the data. Its tensors are its whole state, so ``state_dict`` saves it.
"""

from grammar_rae.density.base import Density, ExactDensity
from grammar_rae.density.conditioning import draw_given, find_gaussians, log_prob_given
from grammar_rae.density.flow import FlowDensity
from grammar_rae.density.flow_matching import FlowMatchingDensity
from grammar_rae.density.kernel import KernelDensity
from grammar_rae.density.mixture import GaussianDensity, MixtureDensity, PriorDensity
from grammar_rae.density.two_stage import TwoStageDensity

MAX_POINTS = 200_000
"""The greatest number of codes that a model fits its density to; of more, a random part is used (10 components of 64
dimensions have 21,000 parameters)."""

DENSITIES: dict[str, type[Density]] = {
    "prior": PriorDensity,
    "gaussian": GaussianDensity,
    "gmm": MixtureDensity,
    "kernel": KernelDensity,
    "two-stage": TwoStageDensity,
    "flow": FlowDensity,
    "flow-matching": FlowMatchingDensity,
}
"""Densities: ``Density(latent, **options)``."""

__all__ = [
    "DENSITIES",
    "MAX_POINTS",
    "Density",
    "ExactDensity",
    "FlowDensity",
    "FlowMatchingDensity",
    "GaussianDensity",
    "KernelDensity",
    "MixtureDensity",
    "PriorDensity",
    "TwoStageDensity",
    "draw_given",
    "find_gaussians",
    "log_prob_given",
]
