"""Draws of Gaussian densities, given what a linear map of the code should be."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from grammar_rae.density.base import Density
from grammar_rae.density.kernel import KernelDensity
from grammar_rae.density.mixture import GaussiansDensity
from grammar_rae.precision import in_single_precision


class Gaussians(NamedTuple):
    """Components of a density: ``log_weights`` (K,), ``means`` (K, D), ``scales`` (K or 1, D, D), Cholesky factors."""

    log_weights: Tensor
    means: Tensor
    scales: Tensor


def find_gaussians(density: Density) -> Gaussians | None:
    """The components of a fitted density; None for one that is not made of Gaussians."""
    if isinstance(density, GaussiansDensity):
        return Gaussians(density.weights.double().log(), density.means.double(), density.scales.double())
    if isinstance(density, KernelDensity):
        means = density.centres[: int(density.count)].double()
        return Gaussians(means.new_zeros(len(means)), means, density.scale.double().unsqueeze(0))
    return None


@in_single_precision
def draw_given(
    gaussians: Gaussians,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    variance: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Codes z, float32 (N, D), of the density given :math:`W z + b + \varepsilon = t`, in closed form.

    Each row's component is drawn by how likely the row's targets are under it, :math:`\pi_k \mathcal N(t; W \mu_k + b,
    W \Sigma_k W^\top + v I)`; a draw of it is then moved by :math:`\Sigma_k W^\top S_k^{-1} (t - W z - b -
    \varepsilon)`, which makes it one of the conditional Gaussian (Matheron's rule).

    Parameters
    ----------
    gaussians
        The density's components.
    weight, bias
        W (M, D) and b (M,).
    targets
        t (N, M).
    variance
        v, above 0.
    """
    device = gaussians.means.device
    weight, bias, targets = (part.to(device, torch.float64) for part in (weight, bias, targets))
    scores, mapped, factor = _score(gaussians, weight, bias, targets, variance)
    chosen = torch.multinomial(torch.softmax(scores, dim=1), 1, generator=generator).squeeze(1)
    shared = torch.zeros_like(chosen) if len(gaussians.scales) == 1 else chosen
    standard = torch.randn(len(targets), weight.shape[1], 1, generator=generator, device=device, dtype=torch.float64)
    z = gaussians.means[chosen] + (gaussians.scales[shared] @ standard).squeeze(2)
    error = torch.randn(targets.shape, generator=generator, device=device, dtype=torch.float64)
    missing = targets - z @ weight.T - bias - math.sqrt(variance) * error
    gain = torch.cholesky_solve(missing.unsqueeze(2), factor[shared])  # S^-1 of it, (N, M, 1)
    moved = z + (gaussians.scales[shared] @ (mapped[shared].transpose(1, 2) @ gain)).squeeze(2)
    return moved.float()


@in_single_precision
def log_prob_given(gaussians: Gaussians, weight: Tensor, bias: Tensor, targets: Tensor, variance: float) -> Tensor:
    r"""How likely the targets (N, M) of :func:`draw_given` are under the density, in nats: float64 (N,)."""
    device = gaussians.means.device
    weight, bias, targets = (part.to(device, torch.float64) for part in (weight, bias, targets))
    normalised = gaussians._replace(log_weights=torch.log_softmax(gaussians.log_weights, dim=0))
    return torch.logsumexp(_score(normalised, weight, bias, targets, variance)[0], dim=1)


def _score(
    gaussians: Gaussians, weight: Tensor, bias: Tensor, targets: Tensor, variance: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The log-probability of each row's targets and each component (N, K), W times scales, and the factors of S."""
    mapped = weight @ gaussians.scales  # (K, M, D)
    noise = variance * torch.eye(len(weight), dtype=torch.float64, device=weight.device)
    factor = torch.linalg.cholesky(mapped @ mapped.transpose(1, 2) + noise)  # of S, (K, M, M)
    away = targets[:, None] - (gaussians.means @ weight.T + bias)  # (N, K, M)
    factors = factor.expand(len(gaussians.means), -1, -1)
    whitened = torch.linalg.solve_triangular(factors, away.permute(1, 2, 0), upper=False)  # (K, M, N)
    volume = factor.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * len(weight) * math.log(2 * math.pi)
    return gaussians.log_weights + (-0.5 * whitened.square().sum(1) - volume[:, None]).T, mapped, factor
