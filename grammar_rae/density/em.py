"""Mixtures of Gaussians by expectation-maximisation, in PyTorch: many codes, on their own device."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_HELD = 1_000_000  # numbers of residuals held at once, K times D per code: they stay in a processor's cache
_NEGLIGIBLE = 1e-10  # a responsibility that adds nothing to a component
_LLOYD = 100  # iterations of k-means, which is only a start
_STARTS = 8  # on a random part of the codes, where they cost little
_FIRST = 5  # iterations after which the starts are compared


class Mixture(NamedTuple):
    """A fitted mixture and the length of the fit.

    Attributes
    ----------
    weights, means, scales
        (K,), (K, D), and the Cholesky factors of the covariances (K, D, D); float64.
    iterations, part_iterations
        Passes over all codes, and over the random part of them after the best start (0 without a part).
    """

    weights: Tensor
    means: Tensor
    scales: Tensor
    iterations: int = 0
    part_iterations: int = 0


class _Sums(NamedTuple):
    """The result of a pass over the codes: log-likelihood, and each component's moments in its own whitened space."""

    log_likelihood: float
    counts: Tensor  # (K,)
    first: Tensor  # (K, D)
    second: Tensor  # (K, D, D)


def fit_mixture(
    codes: Tensor, n_components: int, *, tol: float, max_iter: int, ridge: float, seed: int, part: int | None = None
) -> Mixture:
    """Fit a mixture of full-covariance Gaussians.

    As scikit-learn's ``GaussianMixture`` does it: k-means, then EM until the mean log-likelihood changes by less than
    ``tol``. Many codes are first fitted in float32, several times as fast: a random part of them, then all. EM then
    continues in float64 until it converges again, so the coarser numbers decide only where that starts.

    Parameters
    ----------
    codes
        (N, D), float64; the fit runs on their device.
    tol
        In nats per code.
    max_iter
        The greatest number of passes over all codes, and over the part.
    ridge
        Added to the diagonal of each covariance.
    part
        How many codes to start from; by default, enough to estimate K covariances. All are used if it exceeds N / 2.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(codes), generator=generator).to(codes.device)
    centre = codes.mean(0)
    codes = codes - centre  # so moments lose no digits to a mean far from 0
    unit = float(codes.square().mean().sqrt()) or 1.0
    codes /= unit  # and float32 does not overflow
    ridge /= unit**2
    part = max(10_000, 20 * n_components * codes.shape[1]) if part is None else part
    iterations = part_iterations = 0
    if 2 * part > len(codes):
        mixture = _start(codes, n_components, ridge, generator)
    else:
        rough = codes.float()
        few, others = rough[order[:part]], rough[order[part : 2 * part]]
        mixture = _best_start(few, others, n_components, tol, min(_FIRST, max_iter), ridge, generator)
        mixture, part_iterations = _climb_roughly(few, mixture, tol, max_iter, ridge)
        if max_iter > 2:
            mixture, iterations = _climb_roughly(rough, mixture, tol, max_iter - 2, ridge)
    mixture, last = _climb(codes, mixture, tol, max_iter - iterations, ridge)
    return Mixture(
        mixture.weights, unit * mixture.means + centre, unit * mixture.scales, iterations + last, part_iterations
    )


def _best_start(
    few: Tensor, others: Tensor, k: int, tol: float, max_iter: int, ridge: float, generator: torch.Generator
) -> Mixture:
    """Choose the most promising of several starts; EM ends in different local optima.

    After a few iterations on half of the codes, they are compared on held-out codes. (The best k-means is not the best
    start: its distances are dominated by the directions of largest variance.)
    """
    half = few[: max(len(few) // 2, k)]
    starts = [_start(half, k, ridge, generator) for _ in range(_STARTS)]
    climbed = [_climb_roughly(half, start, tol, max_iter, ridge)[0] for start in starts]
    likelihoods = [_expectation(others[: len(half)], mixture).log_likelihood for mixture in climbed]
    return climbed[max(range(_STARTS), key=likelihoods.__getitem__)]


def _climb_roughly(codes: Tensor, mixture: Mixture, tol: float, max_iter: int, ridge: float) -> tuple[Mixture, int]:
    """EM on codes in float32; returns the mixture unchanged where that is too coarse for a covariance."""
    try:
        return _climb(codes, mixture, tol, max_iter, ridge)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return mixture, 0


def _climb(codes: Tensor, mixture: Mixture, tol: float, max_iter: int, ridge: float) -> tuple[Mixture, int]:
    """EM until the mean log-likelihood converges."""
    previous = -math.inf
    iterations = 0
    for iterations in range(1, max_iter + 1):  # noqa: B007
        sums = _expectation(codes, mixture)
        mixture = _maximisation(sums, mixture, ridge)
        if abs(sums.log_likelihood - previous) < tol:
            break
        previous = sums.log_likelihood
    return mixture, iterations


def _expectation(codes: Tensor, mixture: Mixture) -> _Sums:
    """One pass: responsibilities, a chunk at a time, and the moments that they give.

    The products are in the codes' precision, the sums in the mixture's.
    """
    k, d = mixture.means.shape
    eye = torch.eye(d).to(mixture.means)
    whitening = torch.linalg.solve_triangular(mixture.scales, eye, upper=False)  # (K, D, D)
    # All K whitenings in one matrix product.
    joined = whitening.reshape(k * d, d).T.to(codes.dtype).contiguous()
    offsets = (whitening @ mixture.means.unsqueeze(2)).reshape(k * d).to(codes.dtype)
    volume = mixture.scales.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * d * math.log(2 * math.pi)
    constant = (mixture.weights.log() - volume).to(codes.dtype)
    total, counts = volume.new_zeros(()), volume.new_zeros(k)
    first, second = volume.new_zeros(k, d), volume.new_zeros(k, d, d)
    for part in torch.split(codes, max(256, _HELD // (k * d))):
        residuals = torch.addmm(offsets, part, joined, beta=-1).view(len(part), k, d)
        joint = torch.linalg.vector_norm(residuals, dim=2).square_().mul_(-0.5).add_(constant)
        norm = joint.logsumexp(1, keepdim=True)
        total += norm.sum(dtype=total.dtype)
        shares = joint.sub_(norm).exp_()
        counts += shares.sum(0, dtype=counts.dtype)
        for component in range(k):
            share = shares[:, component]
            rows = (share > _NEGLIGIBLE).nonzero().squeeze(1)  # in many dimensions, few codes are shared by components
            residual, share = residuals[rows, component], share[rows]
            first[component] += residual.T @ share
            second[component] += residual.T @ (residual * share.unsqueeze(1))
    return _Sums(float(total) / len(codes), counts, first, second)


def _maximisation(sums: _Sums, mixture: Mixture, ridge: float) -> Mixture:
    """The mixture with these moments. A component that lost all codes stays where it is, with a weight near 0."""
    k, d = mixture.means.shape
    kept = sums.counts > 1e-8
    counts = sums.counts.clamp(min=1e-8).view(k, 1, 1)
    mean = sums.first.unsqueeze(2) / counts
    covariance = mixture.scales @ (sums.second / counts - mean @ mean.mT) @ mixture.scales.mT
    covariance = covariance + ridge * torch.eye(d, dtype=mean.dtype, device=mean.device)
    covariance = torch.where(kept.view(k, 1, 1), covariance, mixture.scales @ mixture.scales.mT)
    shift = (mixture.scales @ mean).squeeze(2)
    means = mixture.means + torch.where(kept.view(k, 1), shift, torch.zeros_like(shift))
    weights = counts.view(k) / counts.sum()
    return Mixture(weights, means, torch.linalg.cholesky(covariance))


def _start(codes: Tensor, k: int, ridge: float, generator: torch.Generator) -> Mixture:
    """A Gaussian for each cluster of k-means; for an empty cluster that of all codes, with a weight near 0."""
    centres = _nearest_means(codes, _spread_out(codes, k, generator))
    labels = _labels(codes, centres)
    exact = codes.double()
    means = centres.double()
    covariances = (exact.T @ exact / len(codes)).repeat(k, 1, 1)
    counts = torch.bincount(labels, minlength=k).double()
    for component in counts.nonzero().squeeze(1).tolist():
        residual = exact[labels == component] - means[component]
        covariances[component] = residual.T @ residual / len(residual)
    covariances += ridge * torch.eye(codes.shape[1]).to(means)
    counts = counts.clamp(min=1e-8)
    return Mixture(counts / counts.sum(), means, torch.linalg.cholesky(covariances))


def _spread_out(codes: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """First centres (K, D) by greedy k-means++ (Arthur and Vassilvitskii 2007): far apart, drawn from the codes."""
    trials = 2 + int(math.log(k))
    first = int(torch.randint(len(codes), (1,), generator=generator))
    centres = [codes[first]]
    distance = (codes - codes[first]).square().sum(1)
    for _ in range(k - 1):
        # A sum of 0 is possible: fewer distinct codes than centres.
        cumulative = distance.cumsum(0)
        chance = torch.rand(trials, generator=generator, dtype=codes.dtype).to(codes.device)
        tried = torch.searchsorted(cumulative, chance * cumulative[-1]).clamp(max=len(codes) - 1)
        nearer = torch.minimum(torch.cdist(codes[tried], codes).square(), distance)
        best = int(nearer.sum(1).argmin())
        centres.append(codes[tried[best]])
        distance = nearer[best]
    return torch.stack(centres)


def _nearest_means(codes: Tensor, centres: Tensor) -> Tensor:
    """Lloyd's iterations: centres (K, D), each the mean of the codes nearest to it; one without codes stays."""
    labels = torch.full((len(codes),), -1, device=codes.device)
    for _ in range(_LLOYD):
        before, labels = labels, _labels(codes, centres)
        if labels.equal(before):
            break
        counts = torch.bincount(labels, minlength=len(centres)).to(codes.dtype)
        sums = torch.zeros_like(centres).index_add_(0, labels, codes)
        centres = torch.where(counts.unsqueeze(1) > 0, sums / counts.clamp(min=1).unsqueeze(1), centres)
    return centres


def _labels(codes: Tensor, centres: Tensor) -> Tensor:
    """The nearest centre of each code (N,)."""
    return torch.addmm(0.5 * centres.square().sum(1), codes, centres.T, alpha=-1).argmin(1)
