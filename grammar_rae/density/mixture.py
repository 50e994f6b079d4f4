"""Gaussians and mixtures of them; the prior among them."""

import math
import warnings
from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from grammar_rae.density.base import ExactDensity, ridge
from grammar_rae.density.em import Mixture, fit_mixture
from grammar_rae.errors import CheckpointError, InputError, UnknownNameError

SOLVERS = ("auto", "sklearn", "torch")
_LARGEST = 2**28  # numbers in the covariances of all components: 1 GB
_MANY = 20_000  # from this number of codes on, the solver of this package is faster


class GaussiansDensity(ExactDensity):
    """The base of Gaussian densities: weights (K,), means (K, D), and Cholesky factors of covariances (K, D, D)."""

    weights: Tensor
    means: Tensor
    scales: Tensor
    iterations: int = 0
    """The number of passes over all codes in the fit; 0 for a closed form or a loaded density."""

    def __init__(self, latent: int, n_components: int = 1) -> None:
        super().__init__(latent)
        if isinstance(n_components, bool) or not isinstance(n_components, int) or n_components < 1:
            raise InputError(
                "a mixture needs at least one component",
                received=repr(n_components),
                expected="a whole number, 1 or more",
            )
        if n_components * latent**2 > _LARGEST:
            raise InputError(
                "the mixture would not fit into memory",
                received=f"{n_components} components",
                expected=f"at most {_LARGEST // latent**2}",
            )
        self.n_components = n_components
        self.register_buffer("weights", torch.zeros(n_components))
        self.register_buffer("means", torch.zeros(n_components, latent))
        self.register_buffer("scales", torch.zeros(n_components, latent, latent))

    def _fit(self, codes: Tensor, seed: int) -> None:
        mixture = self._estimate(codes, seed)
        self.weights.copy_(mixture.weights)
        self.means.copy_(mixture.means)
        self.scales.copy_(mixture.scales)
        self.iterations = mixture.iterations

    @abstractmethod
    def _estimate(self, codes: Tensor, seed: int) -> Mixture:
        """The Gaussians of codes (N, D)."""

    def _sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        component = torch.multinomial(self.weights, max(n, 1), replacement=True, generator=generator)[:n]
        noise = torch.randn(n, self.latent, generator=generator, device=self.device)
        return self.means[component] + (self.scales[component] @ noise.unsqueeze(-1)).squeeze(-1)

    def _log_prob(self, z: Tensor) -> Tensor:
        scales = self.scales.double()
        centred = z.unsqueeze(0) - self.means.double().unsqueeze(1)  # (K, N, D)
        whitened = torch.linalg.solve_triangular(scales, centred.transpose(1, 2), upper=False)
        log_volume = scales.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * self.latent * math.log(2 * math.pi)
        by_component = -0.5 * whitened.square().sum(1) - log_volume.unsqueeze(1)
        return torch.logsumexp(by_component + self.weights.double().log().unsqueeze(1), dim=0)

    def _is_fitted(self) -> bool:
        return bool(self.weights.sum() > 0)

    def check_state(self) -> None:
        """Raise a CheckpointError unless the weights are a distribution, and the factors have positive diagonals."""
        super().check_state()
        distribution = bool((self.weights >= 0).all()) and abs(float(self.weights.double().sum()) - 1) < 1e-3
        if not distribution or not bool((self.scales.diagonal(dim1=1, dim2=2) > 0).all()):
            raise CheckpointError("the saved density is not one of Gaussians", remedy="Fit another one: refit_density.")


class PriorDensity(GaussiansDensity):
    r"""The prior of variational objectives, :math:`q(z) = \mathcal N(z; 0, I)`; fitting only checks the codes.

    Parameters
    ----------
    latent
        D.
    """

    least_codes = 0

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        self.weights.fill_(1)
        self.scales.copy_(torch.eye(latent))

    def _estimate(self, codes: Tensor, seed: int) -> Mixture:
        return Mixture(self.weights, self.means, self.scales)


class GaussianDensity(GaussiansDensity):
    r"""One full-covariance Gaussian, :math:`q(z) = \mathcal N(z; \mu, \Sigma)`, in closed form.

    Identical codes give a Gaussian of standard deviation 1e-6 there.

    Parameters
    ----------
    latent
        D.
    """

    def __init__(self, latent: int) -> None:
        super().__init__(latent)

    def _estimate(self, codes: Tensor, seed: int) -> Mixture:
        mean = codes.mean(0)
        centred = codes - mean
        covariance = centred.T @ centred / len(codes) + ridge(codes) * torch.eye(self.latent).to(codes)
        return Mixture(codes.new_ones(1), mean[None], torch.linalg.cholesky(covariance)[None])


class MixtureDensity(GaussiansDensity):
    r"""A mixture of K full-covariance Gaussians, :math:`q(z) = \sum_k \pi_k \mathcal N(z; \mu_k, \Sigma_k)`, by EM.

    Parameters
    ----------
    latent
        D.
    n_components
        K; 10 in the paper.
    solver
        ``sklearn``: scikit-learn's ``GaussianMixture``, on the CPU. ``torch``: :mod:`grammar_rae.density.em`, on the
        codes' device; it starts on a random part of many codes, and is several times faster then. ``auto``: the latter
        for 20,000 codes or more and for codes outside the CPU, else the former.
    max_iter, tol
        EM ends after this many passes over the codes, or when the mean log-likelihood changes by less than ``tol`` nats
        per code. The defaults are those of the authors of the paper.
    """

    def __init__(
        self, latent: int, n_components: int = 10, solver: str = "auto", max_iter: int = 2000, tol: float = 1e-3
    ) -> None:
        super().__init__(latent, n_components)
        if solver not in SOLVERS:
            raise UnknownNameError("solver", solver, SOLVERS)
        if isinstance(max_iter, bool) or not isinstance(max_iter, int) or max_iter < 1:
            raise InputError("EM needs at least one iteration", received=f"max_iter {max_iter!r}", expected="1 or more")
        if isinstance(tol, bool) or not isinstance(tol, int | float) or not 0 < tol < math.inf:
            raise InputError(
                "the tolerance of EM must be positive", received=f"tol {tol!r}", expected="a number above 0"
            )
        self.solver, self.max_iter, self.tol = solver, max_iter, tol
        self.least_codes = max(2, n_components)

    def _estimate(self, codes: Tensor, seed: int) -> Mixture:
        small = codes.device.type == "cpu" and len(codes) < _MANY
        if self.solver == "sklearn" or (self.solver == "auto" and small):
            return self._estimate_with_sklearn(codes, seed)
        return fit_mixture(
            codes, self.n_components, tol=self.tol, max_iter=self.max_iter, ridge=ridge(codes), seed=seed
        )

    def _estimate_with_sklearn(self, codes: Tensor, seed: int) -> Mixture:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        state = (
            seed if seed < 2**32 else int(np.random.SeedSequence(seed).generate_state(1)[0])
        )  # its seeds have 32 bits
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # k-means may start from fewer distinct codes than K
            fitted = GaussianMixture(
                self.n_components, tol=self.tol, max_iter=self.max_iter, reg_covar=ridge(codes), random_state=state
            ).fit(codes.cpu().numpy())
        weights, means, covariances = map(torch.from_numpy, (fitted.weights_, fitted.means_, fitted.covariances_))
        return Mixture(weights, means, torch.linalg.cholesky(covariances), fitted.n_iter_)
