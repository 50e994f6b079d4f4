"""The base of neural densities: standardised codes and the training of the net."""

import copy
import math
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from grammar_rae.density.base import Density, ridge
from grammar_rae.errors import InputError, TrainingError

_HELD_OUT = 2048  # fewest held-out codes to judge an epoch by: few codes are repeated, with other noise


@contextmanager
def fix_seed(seed: int) -> Iterator[None]:
    """Seed PyTorch's global CPU generator within a context, and restore it afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


class NeuralDensity(Density):
    """A density that is a net, trained by Adam on codes standardised per dimension; the best epoch is kept.

    The epochs are judged by their loss on a held-out part of the codes: 5 %, or up to 200 of fewer than 4,000.

    Parameters
    ----------
    latent
        D.
    epochs, batch_size, learning_rate
        The options of the training.
    """

    cosine: ClassVar[bool] = True
    """Whether the learning rate falls to 0 on a cosine, or is constant."""
    averaging: ClassVar[float] = 0.0
    """The decay of the moving average of the weights, which is kept instead of them; 0 for none."""

    shift: Tensor
    scale: Tensor

    def __init__(self, latent: int, *, epochs: int, batch_size: int, learning_rate: float) -> None:
        super().__init__(latent)
        check_positive(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
        self.epochs, self.batch_size, self.learning_rate = epochs, batch_size, learning_rate
        self.register_buffer("shift", torch.zeros(latent))
        self.register_buffer("scale", torch.zeros(latent))

    def _build(self) -> None:
        """Build the net; the last step of a constructor."""
        with fix_seed(0):
            self.net = self._new_net()
        self.net.requires_grad_(False)

    @abstractmethod
    def _new_net(self) -> nn.Module:
        """A net with random weights, drawn by the global generator."""

    @abstractmethod
    def _losses(self, net: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        """The losses (B,) of standardised codes (B, D); the generator is on their device."""

    def _is_fitted(self) -> bool:
        return bool((self.scale > 0).all())

    def _standardise(self, z: Tensor) -> Tensor:
        """Standardise codes (N, D), float64, for the net: float32."""
        return ((z - self.shift.double()) / self.scale.double()).float()

    def _restore(self, x: Tensor) -> Tensor:
        """Map draws of the net back to codes."""
        return self.shift + self.scale * x

    def _log_scale(self) -> Tensor:
        """The difference between the log-densities of standardised codes and of codes."""
        return self.scale.double().log().sum()

    # -- training -----------------------------------------------------------------------------------------------

    def _fit(self, codes: Tensor, seed: int) -> None:
        codes = codes.to(self.device)
        blur = ridge(codes)
        before = self.shift.clone(), self.scale.clone()
        with fix_seed(seed):
            net = self._new_net().to(self.device)
        self.shift.copy_(codes.mean(0))
        self.scale.copy_((codes.var(0, unbiased=False) + blur).sqrt())
        try:
            # A constant dimension, and codes on a plane, have a density only because of this noise.
            best = self._train(net, self._standardise(codes), math.sqrt(blur) / self.scale, seed)
        except BaseException:
            self.shift.copy_(before[0])
            self.scale.copy_(before[1])
            raise
        self.net.load_state_dict(best)

    def _train(self, net: nn.Module, x: Tensor, blur: Tensor, seed: int) -> dict[str, Tensor]:
        """The state of the net's best epoch."""
        generator = torch.Generator(x.device).manual_seed(seed)
        x = x[torch.randperm(len(x), generator=generator, device=x.device)]
        n = max(len(x) // 20, min(len(x) // 5, 200), 1)
        held_out, x = x[:n].repeat(-(-_HELD_OUT // n), 1)[: max(n, _HELD_OUT)], x[n:]
        averaged = copy.deepcopy(net).requires_grad_(False) if self.averaging else net
        optimizer = torch.optim.Adam(net.parameters(), lr=self.learning_rate, fused=x.device.type in ("cpu", "cuda"))
        steps = self.epochs * -(-len(x) // self.batch_size)
        best, least, step = None, math.inf, 0
        for _ in range(self.epochs):
            with torch.enable_grad():
                order = torch.randperm(len(x), generator=generator, device=x.device)
                for rows in torch.split(order, self.batch_size):
                    if self.cosine:
                        rate = 0.5 * (1 + math.cos(math.pi * step / steps))
                        optimizer.param_groups[0]["lr"] = self.learning_rate * rate
                    loss = self._losses(net, _blur(x[rows], blur, generator), generator).mean()
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
                    step += 1
                    if averaged is not net:
                        # The average forgets the first weights sooner than its decay alone would.
                        _approach(averaged, net, max(1 - self.averaging, 9 / (9 + step)))
            now = self._held_out_loss(averaged, held_out, blur, seed)
            if now < least:
                best, least = {name: value.clone() for name, value in averaged.state_dict().items()}, now
        if best is None:
            raise TrainingError(
                "the density's loss is not a number", remedy="Give it a lower learning_rate in its options."
            )
        return best

    @torch.no_grad()
    def _held_out_loss(self, net: nn.Module, x: Tensor, blur: Tensor, seed: int) -> float:
        # The same noise each time, so that epochs differ only in their weights.
        generator = torch.Generator(x.device).manual_seed(seed)
        parts = torch.split(x, max(self.batch_size, 512))
        losses = [self._losses(net, _blur(part, blur, generator), generator) for part in parts]
        return float(torch.cat(losses).mean())


def _blur(x: Tensor, blur: Tensor, generator: torch.Generator) -> Tensor:
    return x + blur * torch.randn(x.shape, generator=generator, device=x.device)


@torch.no_grad()
def _approach(averaged: nn.Module, net: nn.Module, share: float) -> None:
    """Move the average a share of the way to the net's weights."""
    torch._foreach_lerp_(list(averaged.parameters()), list(net.parameters()), share)


def check_positive(**options: float) -> None:
    """Raise an InputError for an option that is not positive."""
    for name, value in options.items():
        if not value > 0:
            raise InputError(f"{name} must be positive", received=value, expected="a number above 0")


def check_widths(hidden: tuple[int, ...]) -> tuple[int, ...]:
    """Check the widths of a net's hidden layers and return them as a tuple; InputError for none, or one below 1."""
    hidden = tuple(hidden)
    if not hidden or min(hidden) < 1:
        raise InputError("every hidden layer needs at least one unit", received=f"hidden {hidden}")
    return hidden


def mlp(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with ReLU between them, from widths (input, hidden ..., output)."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
