"""The core: one step of training, whatever the modality, the objective and the regulariser."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from grammar_rae.likelihoods import Likelihood
from grammar_rae.objectives import Objective
from grammar_rae.regularizers import Regularizer


class Losses(NamedTuple):
    """One step's costs: float32 scalars, means over the batch.

    ``total`` is what is minimised: ``reconstruction + latent + penalty``. ``exact`` is the share of rows whose most
    likely output, given the true steps before each step, is the input.
    """

    total: Tensor
    reconstruction: Tensor
    latent: Tensor
    penalty: Tensor
    exact: Tensor


class Autoencoder(nn.Module):
    r"""An encoder and a decoder with the axes that make a family of them.

    .. math:: L = L_\mathrm{rec}(D(z), x) + L_\mathrm{latent} + \lambda L_\mathrm{reg}(D), \quad
        z, L_\mathrm{latent} = \mathrm{objective}(E(x))

    (paper, eq. 11: for an RAE the latent cost is :math:`\beta \cdot \tfrac12 \lVert z \rVert^2`.)

    Parameters
    ----------
    encoder
        x to h (B, H).
    decoder
        ``decoder(z, x)`` to its output, z with what the regulariser adds to it; x is there for autoregressive decoders.
        Where the objective draws k codes of each input, x stands k times as well.
    objective, likelihood, regularizer
        Rows of :data:`OBJECTIVES`, :data:`LIKELIHOODS` and :data:`REGULARIZERS`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        objective: Objective,
        likelihood: Likelihood,
        regularizer: Regularizer,
    ) -> None:
        super().__init__()
        regularizer.prepare(encoder, decoder)
        self.encoder = encoder
        self.decoder = decoder
        self.objective = objective
        self.likelihood = likelihood
        self.regularizer = regularizer

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """The costs of a batch; the generator is the source of all randomness."""
        with self.regularizer.context(self.decoder):
            z, latent = self.objective(self.encoder(x), generator)
            z = self.regularizer.perturb(z, generator) if self.training else self.regularizer.smooth(z)
            x = x.repeat_interleave(z.shape[0] // x.shape[0], dim=0) if z.shape[0] != x.shape[0] else x
            out = self.decoder(z, x)
            reconstruction, exact = self.likelihood(out, x)
            penalty = self.regularizer.penalty(self.decoder, z, out, self.likelihood.present(x), generator)
        parts = (reconstruction.mean(), latent.mean(), penalty)
        return Losses(parts[0] + parts[1] + parts[2], *parts, exact.float().mean())

    def encode(self, x: Tensor) -> Tensor:
        """z (B, D) of x, without noise."""
        z: Tensor = self.objective.code(self.encoder(x))
        return z

    def smooth(self, z: Tensor, smoothing: float = 0.0, generator: torch.Generator | None = None) -> Tensor:
        """What the decoder is to be given for any z (B, D), outside training: see :class:`NoiseConditioned`.

        Raises
        ------
        InputError
            For smoothing that the decoder does not know of.
        """
        return self.regularizer.smooth(self.objective.project(z), smoothing, generator)

    def decode(
        self,
        z: Tensor,
        smoothing: float = 0.0,
        generator: torch.Generator | None = None,
        search: Callable[[nn.Module, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """The decoder's output for any z (B, D), outside training.

        Parameters
        ----------
        z, smoothing, generator
            As for :meth:`smooth`.
        search
            How the decoder is run on the smoothed codes, for one that takes many steps; None calls it once.
        """
        smoothed = self.smooth(z, smoothing, generator)
        out: Tensor = self.decoder(smoothed) if search is None else search(self.decoder, smoothed)
        return out

    def sample_codes(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """z (B, D) of x, as training draws it; of several codes of an input, the first."""
        z: Tensor = self.objective(self.encoder(x), generator)[0]
        return z.view(len(x), -1, z.shape[1])[:, 0]
