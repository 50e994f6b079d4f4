"""Objectives: how the encoder's output h becomes a latent code z, and what the code costs.

An objective is called with h (B, H) and a generator, and gives z (kB, D) and its cost (B,) or (kB,): k codes of each
input, one after the other, where k is 1 except with several Monte-Carlo samples. ``code(h)`` is the z that represents
an input after training, without noise.

Weights are those of costs that are sums: over pixels or steps on the one side, over latent dimensions on the other.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from grammar_rae.checks import is_number
from grammar_rae.errors import InputError


class Objective(nn.Module):
    """The base of all objectives: z = h, at no cost."""

    outputs_per_latent: ClassVar[int] = 1
    """H / D."""

    prior: ClassVar[bool] = False
    """Whether the latent cost pulls the codes towards N(0, I), which is then a density that needs no fit."""

    def code(self, h: Tensor) -> Tensor:
        """z (B, D) of h (B, H)."""
        return h

    def project(self, z: Tensor) -> Tensor:
        """Map any z (B, D) to a code (B, D) of the kind that the decoder was trained on."""
        return z

    def forward(self, h: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D) and its cost (B,)."""
        z = self.code(h)
        return z, z.new_zeros(z.shape[0], dtype=torch.float32)


class AE(Objective):
    """The plain autoencoder: z = h, at no cost."""


class LayerNorm(Objective):
    r"""Codes of equal length, at no cost.

    :math:`z = (h - \bar h) / s`, with the mean and the standard deviation of the D outputs of each row.

    The norm keeps codes from growing, as :math:`\beta \|z\|^2` does in an RAE, and gives z a fixed scale to which the
    level of noise refers. Other codes are projected in the same way before they are decoded.
    """

    def code(self, h: Tensor) -> Tensor:
        """z (B, D) of h (B, H)."""
        return self.project(h)

    def project(self, z: Tensor) -> Tensor:
        """The code (B, D) in the direction of z (B, D)."""
        return nn.functional.layer_norm(z.float(), z.shape[1:]).to(z.dtype)


class RAE(Objective):
    r"""The regularised autoencoder: z = h, at the cost :math:`\beta \cdot \tfrac12 \lVert z \rVert^2` (paper, eq. 11).

    The other half of the RAE, a smooth decoder, is the task of the regulariser.
    """

    def __init__(self, beta: float = 0.01) -> None:
        super().__init__()
        self.beta = _weight("beta", beta)

    def forward(self, h: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D) and its cost (B,)."""
        z = self.code(h)
        return z, self.beta * 0.5 * z.float().square().sum(dim=1)


class VAE(Objective):
    r"""The variational autoencoder: k codes :math:`z = \mu + \sigma \epsilon`.

    The cost is :math:`\beta \, \mathrm{KL}(\mathcal N(\mu, \operatorname{diag} \sigma^2) \Vert \mathcal N(0, I))
    = \tfrac\beta2 \sum_d (\mu_d^2 + \sigma_d^2 - 1 - \log \sigma_d^2)`.

    h holds the mean and s, with :math:`\log \sigma = b \tanh s`; the bound b = 5 keeps the scale in [0.007, 148].

    Parameters
    ----------
    beta
        The weight of the KL divergence.
    noise
        A factor on :math:`\epsilon` that the KL divergence ignores. The grammar VAE's authors use 0.01, which makes
        their model nearly deterministic.
    bound
        b; with None, s itself is :math:`\log \sigma^2`.
    samples
        k, the Monte-Carlo samples of each input; their reconstruction costs are averaged.
    annealing
        The number of training steps over which the weight grows linearly from 0 to beta; validation uses beta at once.
    """

    outputs_per_latent = 2
    prior = True
    steps: Tensor

    def __init__(
        self, beta: float = 1.0, samples: int = 1, annealing: int = 0, noise: float = 1.0, bound: float | None = 5.0
    ) -> None:
        super().__init__()
        self.beta = _weight("beta", beta)
        self.noise = _weight("noise", noise)
        self.bound = None if bound is None else _weight("bound", bound)
        self.samples = _count("samples", samples, 1)
        self.annealing = _count("annealing", annealing, 0)
        # A buffer, so that a resumed training continues from the same weight.
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def code(self, h: Tensor) -> Tensor:
        """The posterior mean (B, D)."""
        return h.chunk(2, dim=1)[0]

    def forward(self, h: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """z (kB, D) and its cost (B,)."""
        mean, raw = h.float().chunk(2, dim=1)
        log_scale = 0.5 * raw if self.bound is None else self.bound * torch.tanh(raw)
        cost = 0.5 * (mean.square() + torch.exp(2 * log_scale) - 1 - 2 * log_scale).sum(dim=1)
        means, scales = (part.repeat_interleave(self.samples, dim=0) for part in (mean, log_scale.exp()))
        return means + self.noise * scales * _noise(means, generator), self._current_weight() * cost

    def _current_weight(self) -> Tensor | float:
        if not self.training or not self.annealing:
            return self.beta
        self.steps += 1
        return self.beta * (self.steps / self.annealing).clamp(max=1)


class CVVAE(Objective):
    r"""The constant-variance VAE: :math:`z = \mu + \sigma \epsilon` with one fixed :math:`\sigma`.

    The cost is :math:`\beta \cdot \tfrac12 \lVert \mu \rVert^2`; the rest of the KL divergence is constant (paper,
    section 3.1).

    Parameters
    ----------
    beta
        The weight of the cost.
    scale
        The posterior's standard deviation; the paper's experiments use 0.7.
    """

    prior = True

    def __init__(self, beta: float = 1.0, scale: float = 0.7) -> None:
        super().__init__()
        self.beta = _weight("beta", beta)
        self.scale = _weight("scale", scale)

    def forward(self, h: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D) and its cost (B,)."""
        mean = h.float()
        return mean + self.scale * _noise(mean, generator), self.beta * 0.5 * mean.square().sum(dim=1)


class WAE(Objective):
    r"""The Wasserstein autoencoder with the maximum mean discrepancy (Tolstikhin et al., ICLR 2018).

    The cost compares the batch's codes with as many draws of N(0, I): :math:`\beta \, \mathrm{MMD}^2_k`, unbiased, of
    inverse multiquadratics :math:`k(a, b) = \sum_C C / (C + \lVert a - b \rVert^2)` with :math:`C = 2 D \cdot \{.1, .2,
    .5, 1, 2, 5, 10\}`.

    It is a cost of the whole batch, the same for all of its rows. Being unbiased, it may be negative.
    """

    prior = True
    scales: ClassVar[tuple[float, ...]] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

    def __init__(self, beta: float = 10.0) -> None:
        super().__init__()
        self.beta = _weight("beta", beta)

    def forward(self, h: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D) and its cost (B,)."""
        z = self.code(h)
        codes = z.float()
        return z, (self.beta * self._discrepancy(codes, _noise(codes, generator))).expand(len(z))

    def _discrepancy(self, codes: Tensor, prior: Tensor) -> Tensor:
        n, both = len(codes), torch.cat([codes, prior])
        squares = both.square().sum(dim=1)
        with torch.autocast(both.device.type, enabled=False):  # which would round the codes here, but not above
            products = both @ both.T
        # Not torch.cdist: the gradient of its root is not finite where two codes are equal.
        distance = (squares[:, None] + squares - 2 * products).clamp(min=0)
        kernel = torch.zeros_like(distance)
        for scale in self.scales:
            constant = 2 * codes.shape[1] * scale
            kernel = kernel + constant / (constant + distance)
        within = kernel[:n, :n] + kernel[n:, n:]
        others = within.sum() - within.diagonal().sum()  # without the pairs of a code with itself
        return others / max(n * (n - 1), 1) - 2 * kernel[:n, n:].mean()


def _noise(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


def _weight(name: str, value: float) -> float:
    if not is_number(value) or not 0 <= value < float("inf"):
        raise InputError(f"invalid {name}", received=repr(value), expected="0 or more, and finite")
    return value


def _count(name: str, value: int, least: int) -> int:
    if type(value) is not int or value < least:
        raise InputError(f"invalid {name}", received=repr(value), expected=f"a whole number, {least} or more")
    return value


OBJECTIVES: dict[str, type[Objective]] = {
    "ae": AE,
    "layer-norm": LayerNorm,
    "rae": RAE,
    "vae": VAE,
    "cv-vae": CVVAE,
    "wae": WAE,
}
"""Objectives: ``Objective(**options)``."""
