"""A kernel density: every code a small Gaussian, all of one shape."""

import math

import torch
from torch import Tensor

from grammar_rae.density.base import ExactDensity, ridge
from grammar_rae.errors import InputError

_BANDWIDTHS = torch.logspace(-1.5, 0.3, 25, dtype=torch.float64)
"""Candidates for h: from a thirtieth of the codes' spread to twice it."""
_SCORED = 1024  # codes that the bandwidth is chosen on, at most: their distances are a table of N x N
_HELD = 4_000_000  # numbers of a table of distances held at once


class KernelDensity(ExactDensity):
    r"""A kernel density estimate, :math:`q(z) = \frac1N \sum_n \mathcal N(z; z_n, h^2 \Sigma)`.

    :math:`\Sigma` is the covariance of the codes, shrunk towards a multiple of the identity (Ledoit and Wolf, 2004),
    and the bandwidth h is the one of a grid under which each code is likeliest given all others (leave-one-out
    likelihood). It stays near the codes however few they are, which a mixture of full covariances cannot.

    Parameters
    ----------
    latent
        D.
    n_points
        The most codes that are kept as centres; of more, a random part is.
    bandwidth
        h; None chooses it. The likelihood of codes in many dimensions asks for a wide one, whose draws are less like
        the codes than a narrow one's.
    """

    centres: Tensor
    scale: Tensor
    count: Tensor

    def __init__(self, latent: int, n_points: int = 2048, bandwidth: float | None = None) -> None:
        super().__init__(latent)
        if isinstance(n_points, bool) or not isinstance(n_points, int) or n_points < 2:
            raise InputError("n_points cannot be used", received=repr(n_points), expected="a whole number, 2 or more")
        number = isinstance(bandwidth, int | float) and not isinstance(bandwidth, bool)
        if bandwidth is not None and not (number and 0 < bandwidth < math.inf):
            raise InputError("bandwidth cannot be used", received=repr(bandwidth), expected="above 0, or None")
        self.n_points, self.bandwidth = n_points, bandwidth
        self.chunk = max(1, min(self.chunk, _HELD // n_points))
        self.register_buffer("centres", torch.zeros(n_points, latent))
        self.register_buffer("scale", torch.zeros(latent, latent))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def _fit(self, codes: Tensor, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(codes), generator=generator).to(codes.device)
        covariance = _shrink_covariance(codes) + ridge(codes) * torch.eye(self.latent).to(codes)
        factor = torch.linalg.cholesky(covariance)
        kept = codes[order[: self.n_points]]
        width = self.bandwidth
        if width is None:
            width = _choose_bandwidth(torch.linalg.solve_triangular(factor, kept[:_SCORED].T, upper=False).T)
        self.centres.zero_()[: len(kept)] = kept
        self.scale.copy_(width * factor)
        self.count.fill_(len(kept))

    def _sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        chosen = torch.randint(int(self.count), (n,), generator=generator, device=self.device)
        noise = torch.randn(n, self.latent, generator=generator, device=self.device)
        return self.centres[chosen] + noise @ self.scale.T

    def _log_prob(self, z: Tensor) -> Tensor:
        scale = self.scale.double()
        whitened, centres = (
            torch.linalg.solve_triangular(scale, points.T, upper=False).T
            for points in (z, self.centres[: int(self.count)].double())
        )
        exponents = -0.5 * torch.cdist(whitened, centres).square()
        log_volume = scale.diagonal().log().sum() + 0.5 * self.latent * math.log(2 * math.pi)
        return torch.logsumexp(exponents, dim=1) - math.log(int(self.count)) - log_volume

    def _is_fitted(self) -> bool:
        return int(self.count) > 0


def _shrink_covariance(codes: Tensor) -> Tensor:
    """The Ledoit-Wolf estimate of the covariance of codes (N, D), which is well conditioned also for N < D."""
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(codes.cpu().numpy())
    return torch.from_numpy(covariance).to(codes)


def _choose_bandwidth(whitened: Tensor) -> float:
    """The h of the grid with the highest leave-one-out likelihood of codes (N, D) whose covariance is about I."""
    latent = whitened.shape[1]
    distances = torch.cdist(whitened, whitened).square()
    distances.fill_diagonal_(math.inf)
    scores = [
        float(torch.logsumexp(-0.5 * distances / h**2, dim=1).mean()) - latent * math.log(h)
        for h in _BANDWIDTHS.tolist()
    ]
    # Codes that are all the same are likeliest under the smallest h; one that is far from all others under the largest.
    best = max(range(len(scores)), key=lambda index: scores[index] if math.isfinite(scores[index]) else -math.inf)
    return float(_BANDWIDTHS[best])
