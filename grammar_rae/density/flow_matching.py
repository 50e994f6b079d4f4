"""A flow along learned velocities, as a density."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import jvp, vmap

from grammar_rae.density.base import CHUNK, ExactDensity
from grammar_rae.density.neural import NeuralDensity, check_positive

_SCORED = 1000  # most codes in a score: a divergence costs D products per step
_FREQUENCIES = 16


class _Block(nn.Module):
    """h + f(h, t)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(hidden, hidden)
        self.time = nn.Linear(2 * _FREQUENCIES, hidden)
        self.second = nn.Linear(hidden, hidden)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        out: Tensor = h + self.second(nn.functional.silu(self.first(nn.functional.silu(h)) + self.time(time)))
        return out


class _Velocity(nn.Module):
    """v(x, t) of points (B, D) at times (B, 1): a residual net that is 0 at first."""

    def __init__(self, latent: int, hidden: int, blocks: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(latent, hidden)
        self.blocks = nn.ModuleList(_Block(hidden) for _ in range(blocks))
        self.outputs = nn.Linear(hidden, latent)
        nn.init.zeros_(self.outputs.weight)
        nn.init.zeros_(self.outputs.bias)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        angles = t * (math.pi * torch.arange(1, _FREQUENCIES + 1, device=x.device) / 2)
        time = torch.cat([angles.sin(), angles.cos()], dim=-1)
        h = self.inputs(x)
        for block in self.blocks:
            h = block(h, time)
        velocity: Tensor = self.outputs(nn.functional.silu(h))
        return velocity


class FlowMatchingDensity(NeuralDensity, ExactDensity):
    r"""Flow matching (Lipman et al. 2023) with straight paths over the standardised codes.

    A net v is fitted by :math:`\mathbb E\,\|v(x_t, t) - (x_1 - x_0)\|^2` with :math:`x_t = (1 - t) x_0 + t x_1`, noise
    :math:`x_0 \sim \mathcal N(0, I)` and codes :math:`x_1` (their equation 23 with :math:`\sigma_{min} = 0`); noise
    that follows :math:`\dot x = v(x, t)` from t = 0 to 1 is then distributed as the codes. log q(z) is the noise's,
    less the integral of v's divergence along the way. That takes D products with the Jacobian per step, so a score uses
    at most 1,000 codes, chosen at random.

    Parameters
    ----------
    latent
        D.
    hidden, blocks
        The width of the net and the number of its residual blocks.
    steps
        Steps of the fourth-order Runge-Kutta method, which samples and log-densities take from noise to code and back.
    epochs, batch_size, learning_rate
        The options of Adam; the learning rate falls to 0 on a cosine, and a moving average of the weights is kept.
    """

    averaging = 0.999

    def __init__(
        self,
        latent: int,
        hidden: int = 256,
        blocks: int = 3,
        steps: int = 12,
        epochs: int = 60,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__(latent, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
        check_positive(hidden=hidden, blocks=blocks, steps=steps)
        self.hidden, self.blocks, self.steps = hidden, blocks, steps
        self.chunk = max(1, CHUNK // latent)  # a divergence takes D points for each code
        self._build()

    def _new_net(self) -> nn.Module:
        return _Velocity(self.latent, self.hidden, self.blocks)

    def _losses(self, net: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        t = torch.rand(len(x), 1, generator=generator, device=x.device)
        losses: Tensor = (net(torch.lerp(noise, x, t), t) - (x - noise)).square().mean(1)
        return losses

    def _sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        x = torch.randn(n, self.latent, generator=generator, device=self.device)
        for step in range(self.steps):
            x = x + self._step(x, step / self.steps, 1 / self.steps)[0]
        return self._restore(x)

    @torch.no_grad()
    def _log_prob(self, z: Tensor) -> Tensor:
        x, total = self._standardise(z), torch.zeros(len(z), dtype=torch.float64, device=z.device)
        for step in range(self.steps, 0, -1):
            change, divergence = self._step(x, step / self.steps, -1 / self.steps, divergence=True)
            x, total = x + change, total + divergence
        noise = -0.5 * x.double().square().sum(1) - 0.5 * self.latent * math.log(2 * math.pi)
        return noise + total - self._log_scale()

    def _score(self, codes: Tensor, seed: int) -> float:
        if len(codes) > _SCORED:
            rows = np.random.default_rng(seed).permutation(len(codes))[:_SCORED]
            codes = codes[torch.from_numpy(rows).to(codes.device)]
        return super()._score(codes, seed)

    def _step(self, x: Tensor, t: float, length: float, divergence: bool = False) -> tuple[Tensor, Tensor]:
        """What a Runge-Kutta step adds to points (B, D), and the divergence's integral over it (B,), if asked for."""
        moved, total = torch.zeros_like(x), x.new_zeros(len(x))
        velocity = moved
        for fraction, weight in ((0.0, 1), (0.5, 2), (0.5, 2), (1.0, 1)):
            velocity, change = self._velocity(x + fraction * length * velocity, t + fraction * length, divergence)
            moved, total = moved + weight / 6 * length * velocity, total + weight / 6 * length * change
        return moved, total

    def _velocity(self, x: Tensor, t: float, divergence: bool) -> tuple[Tensor, Tensor]:
        times = x.new_full((len(x), 1), t)
        if not divergence:
            return self.net(x, times), x.new_zeros(len(x))

        def slope(direction: Tensor) -> Tensor:
            along: Tensor = jvp(lambda at: self.net(at, times), (x,), (direction.expand_as(x),))[1]
            return (along * direction).sum(1)

        return self.net(x, times), vmap(slope)(torch.eye(self.latent, device=x.device)).sum(0)
