"""Ex-post densities: fitted on latent codes after training, replaceable without it (paper, section 4).

A density is made for D latent dimensions, fitted on codes (N, D), and then sampled; it knows neither encoder nor data.
Its tensors are its whole state, so ``state_dict`` saves it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from grammar_rae.errors import InputError

MAX_POINTS = 50_000
"""Codes that a mixture is fitted on at most; a random part of more (10 components of 64 dimensions have 21,000
parameters)."""
_CHUNK = 8192  # codes whose log-density is computed at once: K times D numbers each


class MixtureDensity(nn.Module):
    r"""A mixture of K full-covariance Gaussians, :math:`q(z) = \sum_k \pi_k \mathcal N(z; \mu_k, \Sigma_k)`, by EM.

    Parameters
    ----------
    latent
        D.
    n_components
        K; the paper has 10.
    """

    weights: Tensor
    means: Tensor
    scales: Tensor

    def __init__(self, latent: int, n_components: int = 10) -> None:
        super().__init__()
        if n_components < 1:
            raise InputError("a mixture needs a component", received=n_components, expected="1 or more")
        self.n_components = n_components
        self.register_buffer("weights", torch.zeros(n_components))
        self.register_buffer("means", torch.zeros(n_components, latent))
        self.register_buffer("scales", torch.zeros(n_components, latent, latent))

    def fit(self, z: Tensor | NDArray[Any], seed: int = 0) -> "MixtureDensity":
        """Fit to codes (N, D) and return itself.

        Raises
        ------
        InputError
            For fewer codes than components (or than two), codes of another size, or codes that are not finite.
        """
        codes = self._checked(z)
        if len(codes) > MAX_POINTS:
            codes = codes[np.random.default_rng(seed).permutation(len(codes))[:MAX_POINTS]]
        weights, means, covariances = self._estimate(codes, seed)
        self.weights.copy_(torch.from_numpy(weights))
        self.means.copy_(torch.from_numpy(means))
        self.scales.copy_(torch.from_numpy(np.linalg.cholesky(covariances)))
        return self

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw z (n, D), float32.

        Raises
        ------
        InputError
            Before a fit, or for a negative number.
        """
        self._check_fitted()
        if n < 0:
            raise InputError("the number of samples cannot be negative", received=n)
        component = torch.multinomial(self.weights, max(n, 1), replacement=True, generator=generator)[:n]
        noise = torch.randn(n, self.means.shape[1], generator=generator, device=self.means.device)
        return self.means[component] + (self.scales[component] @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z) of codes (N, D), in nats (N,), float64.

        Raises
        ------
        InputError
            Before a fit, or for codes of another size.
        """
        self._check_fitted()
        self._check_size(z.shape)
        return torch.cat([self._log_prob(part) for part in torch.split(z, _CHUNK)])

    def _log_prob(self, z: Tensor) -> Tensor:
        scales = self.scales.double()
        centred = z.double().unsqueeze(0) - self.means.double().unsqueeze(1)  # (K, N, D)
        whitened = torch.linalg.solve_triangular(scales, centred.transpose(1, 2), upper=False)
        log_volume = scales.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * self.means.shape[1] * np.log(2 * np.pi)
        by_component = -0.5 * whitened.square().sum(1) - log_volume.unsqueeze(1)
        return torch.logsumexp(by_component + self.weights.double().log().unsqueeze(1), dim=0)

    def _checked(self, z: Tensor | NDArray[Any]) -> NDArray[np.float64]:
        codes = np.asarray(z.detach().cpu() if isinstance(z, Tensor) else z, dtype=np.float64)
        self._check_size(codes.shape)
        self.check_count(len(codes))
        if not np.isfinite(codes).all():
            raise InputError("latent codes are not finite", remedy="The encoder diverged: lower the learning rate.")
        return codes

    def check_count(self, n: int) -> None:
        """Raise an InputError when n codes are too few to fit; a training asks before it begins."""
        least = max(2, self.n_components)
        if n < least:
            raise InputError(
                "there are too few codes to fit a density",
                received=n,
                expected=f"{least} or more",
                remedy="Train on more data, or use fewer components.",
            )

    def _check_size(self, shape: Sequence[int]) -> None:
        latent = self.means.shape[1]
        if len(shape) != 2 or shape[1] != latent:
            raise InputError("these are not latent codes", received=f"shape {tuple(shape)}", expected=f"(N, {latent})")

    def _check_fitted(self) -> None:
        if not self.weights.sum() > 0:
            raise InputError("this density is not fitted", remedy="Call fit(z) first.")

    def _estimate(self, codes: NDArray[np.float64], seed: int) -> tuple[NDArray[np.float64], ...]:
        """Weights (K,), means (K, D) and covariances (K, D, D)."""
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # k-means may start from fewer distinct codes than K
            mixture = GaussianMixture(
                self.n_components, tol=1e-3, max_iter=200, reg_covar=_ridge(codes), random_state=seed
            ).fit(codes)
        return mixture.weights_, mixture.means_, mixture.covariances_


class GaussianDensity(MixtureDensity):
    r"""One full-covariance Gaussian, :math:`q(z) = \mathcal N(z; \mu, \Sigma)`, in closed form.

    Parameters
    ----------
    latent
        D.
    """

    def __init__(self, latent: int) -> None:
        super().__init__(latent, 1)

    def _estimate(self, codes: NDArray[np.float64], seed: int) -> tuple[NDArray[np.float64], ...]:
        covariance = np.cov(codes, rowvar=False, bias=True).reshape(codes.shape[1], codes.shape[1])
        covariance += _ridge(codes) * np.eye(codes.shape[1])
        return np.ones(1), codes.mean(axis=0, keepdims=True), covariance[None]


def _ridge(codes: NDArray[np.float64]) -> float:
    """What keeps a covariance positive definite where a dimension is constant: a millionth of the mean variance."""
    return float(1e-6 * codes.var(axis=0).mean() + 1e-12)


DENSITIES: dict[str, type[MixtureDensity]] = {"gaussian": GaussianDensity, "gmm": MixtureDensity}
"""Densities: ``Density(latent, **options)``."""
