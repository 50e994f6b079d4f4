"""A normalising flow as a density."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from grammar_rae.density.base import ExactDensity
from grammar_rae.density.neural import NeuralDensity, check_positive, check_widths
from grammar_rae.errors import MissingExtraError


class FlowDensity(NeuralDensity, ExactDensity):
    r"""A neural spline flow (Durkan et al. 2019) over the standardised codes.

    :math:`q(z) = \mathcal N(f(z); 0, I)\, |\det \partial f / \partial z|`, where f is a chain of autoregressive
    monotonic rational-quadratic splines, fitted by maximum likelihood. Needs the extra ``flow`` (zuko). Sampling takes
    D passes through each transform.

    Parameters
    ----------
    latent
        D.
    transforms, hidden, bins
        The number of transforms, the widths of the hidden layers of the net of each, and the bins of a spline.
    epochs, batch_size, learning_rate
        The options of Adam; the learning rate falls to 0 on a cosine.
    """

    chunk = 2048  # a spline has 3 numbers per bin and dimension

    def __init__(
        self,
        latent: int,
        transforms: int = 3,
        hidden: Sequence[int] = (128, 128),
        bins: int = 8,
        epochs: int = 30,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__(latent, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
        check_positive(transforms=transforms, bins=bins)
        self.transforms, self.hidden, self.bins = transforms, check_widths(tuple(hidden)), bins
        self._build()

    def _new_net(self) -> nn.Module:
        try:
            from zuko.flows import NSF
        except ImportError as error:
            raise MissingExtraError("zuko", "flow", "a normalising flow") from error
        net: nn.Module = NSF(self.latent, transforms=self.transforms, hidden_features=self.hidden, bins=self.bins)
        return net

    def _losses(self, net: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        return -_log_density(net, x)

    def _sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        # zuko's own sampling uses the global generator.
        noise = torch.randn(n, self.latent, generator=generator, device=self.device)
        transform: Any = self.net.transform
        parts = [transform().inv(part) for part in torch.split(noise, self.chunk)]
        return self._restore(torch.cat(parts))

    def _log_prob(self, z: Tensor) -> Tensor:
        return _log_density(self.net, self._standardise(z)).double() - self._log_scale()


def _log_density(net: nn.Module, x: Tensor) -> Tensor:
    transform: Any = net.transform
    noise, log_det = transform().call_and_ladj(x)
    density: Tensor = log_det - 0.5 * noise.square().sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)
    return density
