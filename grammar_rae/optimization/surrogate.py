r"""A sparse Gaussian process: what is known of a score at codes that were not decoded yet.

With m inducing points Z, covariance :math:`k(a, b) = s^2 \exp(-\frac12 \sum_d (a_d - b_d)^2 / \ell_d^2)` and noise
:math:`\sigma^2`, the posterior is that of Titsias (2009), equations 6 and 10: exact when Z are the data. Its cost
grows with :math:`N m^2`, once, for N data; a prediction costs :math:`m^2`.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.errors import InputError
from grammar_rae.seeds import check_seed

_CHUNK = 8192
_JITTER = 1e-8
_TRIES = 7  # jitters, each ten times the one before
_LEAST_NOISE = 1e-6


class Kernel(NamedTuple):
    """The covariance's parameters, in units of the codes and of standardised values."""

    lengthscales: Tensor
    """(D,)"""
    variance: Tensor
    noise: Tensor

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """k(a, b): (..., A, B) of a (..., A, D) and b (..., B, D)."""
        a, b = a / self.lengthscales, b / self.lengthscales
        squares = a.square().sum(-1).unsqueeze(-1) + b.square().sum(-1).unsqueeze(-2) - 2 * a @ b.mT
        return self.variance * torch.exp(-0.5 * squares.clamp_min(0))


class SparseGP:
    """A Gaussian process of values at codes, by inducing points; everything is float64 on the CPU.

    Parameters
    ----------
    kernel
        The covariance.
    inducing
        Z, (m, D).
    offset, scale
        Values are ``offset + scale * f``.
    """

    def __init__(self, kernel: Kernel, inducing: Tensor, offset: float = 0.0, scale: float = 1.0) -> None:
        self.kernel, self.inducing, self.offset, self.scale = kernel, inducing, offset, scale
        # The factors' inverses: a product with few columns is many times faster than a triangular solution.
        self._inverse = _invert(cholesky(kernel(inducing, inducing)))
        m = len(inducing)
        self._inverse_b = torch.eye(m, dtype=torch.float64)
        self._weights = torch.zeros(m, dtype=torch.float64)
        self._believed: _Believed | None = None

    @classmethod
    def fit(
        cls,
        codes: NDArray[Any],
        values: NDArray[Any],
        *,
        n_inducing: int = 500,
        n_fit: int = 1000,
        steps: int = 40,
        seed: int = 0,
    ) -> "SparseGP":
        """The process whose parameters fit the data best, conditioned on all of them.

        The parameters maximise the likelihood of ``n_fit`` rows, with a log-normal prior of the length-scales that
        grows with the square root of D (Hvarfner et al., 2024): without it, few data in many dimensions leave them
        undetermined.

        Parameters
        ----------
        codes, values
            (N, D) and (N,), finite.
        n_inducing
            m; that many rows, at random. With N or more the process is exact.
        n_fit
            Rows, at random, that the parameters are fitted on; the cost grows with their cube.
        steps
            Iterations of L-BFGS.
        seed
            Seed of the choice of rows.

        Raises
        ------
        InputError
            For fewer than two rows, shapes that do not fit, or numbers that are not finite.
        """
        x, y = _check_data(codes, values)
        order = torch.from_numpy(np.random.default_rng(check_seed(seed)).permutation(len(x)))
        few = order[:n_fit]
        offset = float(y[few].mean())
        # Rounding gives equal values a tiny standard deviation.
        scale = float(y[few].std(unbiased=False) if y[few].min() < y[few].max() else 0) or 1.0
        kernel = _fit_kernel(x[few], (y[few] - offset) / scale, steps)
        return cls(kernel, x[order[:n_inducing]], offset, scale).condition(codes, values)

    def condition(self, codes: NDArray[Any], values: NDArray[Any]) -> "SparseGP":
        """The process of the same parameters conditioned on these data only, (N, D) and (N,)."""
        x, y = _check_data(codes, values)
        found = SparseGP(self.kernel, self.inducing, self.offset, self.scale)
        root = self.kernel.noise.sqrt()
        b = torch.eye(len(self.inducing), dtype=torch.float64)
        ay = torch.zeros(len(self.inducing), dtype=torch.float64)
        for rows in torch.split(torch.arange(len(x)), _CHUNK):
            a = self._inverse @ self.kernel(self.inducing, x[rows]) / root
            b += a @ a.mT
            ay += a @ ((y[rows] - self.offset) / self.scale)
        found._inverse_b = _invert(cholesky(b))
        found._weights = found._inverse_b @ ay / root
        return found

    def believe(self, codes: Tensor) -> "SparseGP":
        """The process after values at codes (n, D) that are just what it expects there.

        The mean stays as it is and only the variance falls, which keeps the points of a batch apart.
        """
        found = SparseGP.__new__(SparseGP)
        features = self._features(codes)
        if self._believed is not None:
            codes = torch.cat([self._believed.codes, codes])
            features = _Features(
                *(torch.cat(pair, dim=-1) for pair in zip(self._believed.features, features, strict=True))
            )
        noise = self.kernel.noise * torch.eye(len(codes), dtype=torch.float64)
        lower = cholesky(self._bare(codes, features, codes, features) + noise)
        found.__dict__.update(self.__dict__, _believed=_Believed(codes, features, lower))
        return found

    # -- predictions --------------------------------------------------------------------------------------------

    def predict(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (N,) of the values, without noise, at codes (N, D); gradients pass through."""
        features = self._features(x)
        variance = self.kernel.variance - features.a.square().sum(0) + features.b.square().sum(0)
        if self._believed is not None:
            variance = variance - self._learned(self._believed, x, features).square().sum(0)
        deviation = variance.clamp_min(1e-12 * float(self.kernel.variance)).sqrt()
        return self.offset + self.scale * (self._weights @ features.b), self.scale * deviation

    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (..., N) and covariance (..., N, N) of the values, without noise, at codes (..., N, D)."""
        features = self._features(x)
        covariance = self._bare(x, features, x, features)
        if self._believed is not None:
            learned = self._learned(self._believed, x, features)
            covariance = covariance - learned.mT @ learned
        mean = (self._weights.unsqueeze(-1) * features.b).sum(-2)
        return self.offset + self.scale * mean, self.scale**2 * covariance

    def sample(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Draw n functions at codes (N, D): (n, N)."""
        mean, covariance = self.joint(x)
        noise = torch.randn(len(x), n, dtype=torch.float64, generator=generator)
        return mean + (cholesky(covariance) @ noise).T

    @property
    def noise(self) -> float:
        """The standard deviation of the noise, in units of the values."""
        return self.scale * math.sqrt(float(self.kernel.noise))

    def _features(self, x: Tensor) -> "_Features":
        a = self._inverse @ self.kernel(self.inducing, x)
        return _Features(a, self._inverse_b @ a)

    def _bare(self, x: Tensor, features: "_Features", other: Tensor, others: "_Features") -> Tensor:
        """The covariance given the data, without what is believed."""
        return self.kernel(x, other) - features.a.mT @ others.a + features.b.mT @ others.b

    def _learned(self, believed: "_Believed", x: Tensor, features: "_Features") -> Tensor:
        """The part of x that the believed points explain: (..., n, N)."""
        return _solve(believed.lower, self._bare(believed.codes, believed.features, x, features))


class _Features(NamedTuple):
    """What a prediction at N codes needs of them, (..., m, N) each: the prior's part and the data's."""

    a: Tensor
    b: Tensor


class _Believed(NamedTuple):
    """Points that are taken for evaluated, and the factor of their covariance."""

    codes: Tensor
    features: _Features
    lower: Tensor


def held_out_quality(codes: NDArray[Any], values: NDArray[Any], seed: int = 0, **options: Any) -> dict[str, float]:
    """How well a process fitted to nine tenths of the data predicts the others.

    Parameters
    ----------
    codes, values
        (N, D) and (N,), N of 10 or more.
    seed
        Seed of the split and the fit.
    options
        As for :meth:`SparseGP.fit`.

    Returns
    -------
    ``rmse``, in units of the values; ``log_likelihood``, the mean log-density of a held-out value, in nats; ``n``, the
    number of held-out rows.
    """
    order = np.random.default_rng([check_seed(seed), len(values)]).permutation(len(values))
    test, train = np.split(order, [max(1, len(values) // 10)])
    model = SparseGP.fit(codes[train], values[train], seed=seed, **options)
    parts = [model.predict(part) for part in torch.split(torch.from_numpy(codes[test].astype(np.float64)), _CHUNK)]
    mean = torch.cat([part[0] for part in parts]).numpy()
    variance = torch.cat([part[1] for part in parts]).square().numpy() + model.noise**2
    residual = values[test] - mean
    density = -0.5 * (residual**2 / variance + np.log(2 * np.pi * variance))
    return {"rmse": float(np.sqrt(np.mean(residual**2))), "log_likelihood": float(density.mean()), "n": len(test)}


def cholesky(matrix: Tensor) -> Tensor:
    """The lower factor of a covariance (..., N, N), with as little added to its diagonal as makes that possible."""
    size = float(matrix.detach().diagonal(dim1=-2, dim2=-1).mean())
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    lower: Tensor
    for power in range(_TRIES):
        lower, failed = torch.linalg.cholesky_ex(matrix + _JITTER * size * 10**power * eye)
        if not bool(failed.any()):
            return lower
    raise InputError("a covariance has no Cholesky factor", remedy="Check that codes and values are finite.")


def _fit_kernel(x: Tensor, y: Tensor, steps: int) -> Kernel:
    """The likeliest kernel under its priors for codes x (n, D) and standardised values y (n,)."""
    from scipy.optimize import minimize

    units = x.std(0, unbiased=False)
    units = torch.where(units > 0, units, torch.ones_like(units))
    dimensions = x.shape[1]
    typical = math.sqrt(2) + 0.5 * math.log(dimensions)

    def build_kernel(theta: Tensor) -> Kernel:
        # Bounded away from what cannot be factorised.
        logs = theta.clamp(-8, 8)
        return Kernel(units * logs[2:].exp(), logs[0].exp(), _LEAST_NOISE + logs[1].exp())

    def cost(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        theta = torch.tensor(flat, requires_grad=True)
        prior = ((theta[2:] - typical) / math.sqrt(3)).square().sum() + theta[0].square() + (theta[1] + 3).square() / 4
        loss = (0.5 * prior - log_likelihood(build_kernel(theta), x, y)) / len(x)
        loss.backward()  # type: ignore[no-untyped-call]
        assert theta.grad is not None
        return float(loss.detach()), theta.grad.numpy()

    with torch.inference_mode(False), torch.enable_grad():
        start = np.concatenate([[0.0, -2.0], np.full(dimensions, 0.5 * math.log(dimensions))])
        found = minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    return build_kernel(torch.from_numpy(found.x))


def log_likelihood(kernel: Kernel, x: Tensor, y: Tensor) -> Tensor:
    """log p(y), in nats, of values y (n,) at codes x (n, D)."""
    lower = cholesky(kernel(x, x) + kernel.noise * torch.eye(len(x), dtype=x.dtype))
    c = _solve(lower, y.unsqueeze(-1))
    return -0.5 * (c.square().sum() + 2 * lower.diagonal().log().sum() + len(x) * math.log(2 * math.pi))


def _invert(lower: Tensor) -> Tensor:
    return _solve(lower, torch.eye(len(lower), dtype=lower.dtype))


def _solve(lower: Tensor, right: Tensor) -> Tensor:
    solved: Tensor = torch.linalg.solve_triangular(lower, right, upper=False)
    return solved


def _check_data(codes: NDArray[Any], values: NDArray[Any]) -> tuple[Tensor, Tensor]:
    x, y = np.asarray(codes, np.float64), np.asarray(values, np.float64)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise InputError(
            "codes and values do not match", received=f"{x.shape} and {y.shape}", expected="(N, D) and (N,)"
        )
    if len(x) < 2:
        raise InputError("a Gaussian process needs data", received=f"{len(x)} rows", expected="2 or more")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("codes or values are not finite", expected="finite numbers")
    return torch.from_numpy(x), torch.from_numpy(y)
