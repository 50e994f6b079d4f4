"""The core: one step of training, whatever the modality, the objective and the regulariser."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from grammar_rae.conditions import Condition, NoCondition
from grammar_rae.facts import Described
from grammar_rae.heads import Head, NoHead
from grammar_rae.likelihoods import Likelihood
from grammar_rae.objectives import Objective
from grammar_rae.regularizers import Regularizer


class Losses(NamedTuple):
    """One step's costs: float32 scalars, means over the batch.

    ``total`` is what is minimised: ``reconstruction + latent + penalty``; what the head costs is part of the latent
    cost. ``exact`` is the share of rows whose most likely output, given the true steps before each step, is the input.
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
    objective, likelihood, regularizer, condition, head
        Rows of :data:`OBJECTIVES`, :data:`LIKELIHOODS`, :data:`REGULARIZERS`, :data:`CONDITIONS` and :data:`HEADS`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        objective: Objective,
        likelihood: Likelihood,
        regularizer: Regularizer,
        condition: Condition | None = None,
        head: Head | None = None,
    ) -> None:
        super().__init__()
        regularizer.prepare(encoder, decoder)
        self.encoder = encoder
        self.decoder = decoder
        self.objective = objective
        self.likelihood = likelihood
        self.regularizer = regularizer
        self.condition = condition or NoCondition()
        self.head = head or NoHead()

    def forward(self, batch: Tensor | Described, generator: torch.Generator | None = None) -> Losses:
        """The costs of a batch; the generator is the source of all randomness."""
        rows = batch if isinstance(batch, Described) else None
        x: Tensor = batch.x if isinstance(batch, Described) else batch
        with self.regularizer.context(self.decoder):
            blank = self.regularizer.blank(len(x), generator, x.device) if self.training else None
            z, latent = self._codes(x, rows, blank, generator)
            seen = self.regularizer.perturb(z, generator) if self.training else self.regularizer.smooth(z)
            if blank is not None:
                nothing = self.regularizer.nothing(1, z.shape[1], z.device).to(seen.dtype)
                blank = blank.repeat_interleave(len(z) // len(blank))
                seen = torch.where(blank[:, None], nothing, seen)
            if rows is None:  # then there is nothing to tell
                seen = self._join(seen, None)
            elif self.condition.size:
                told = self.condition.mask(rows, generator) if self.training else self.condition.tell_order(rows)
                seen = self._join(seen, told.repeat_interleave(len(z) // len(told), dim=0))
            x = x.repeat_interleave(z.shape[0] // x.shape[0], dim=0) if z.shape[0] != x.shape[0] else x
            out = self.decoder(seen, x)
            reconstruction, exact = self.likelihood(out, x)
            penalty = self.regularizer.penalty(self.decoder, seen, out, self.likelihood.present(x), generator)
        parts = (reconstruction.mean(), latent.mean(), penalty)
        return Losses(parts[0] + parts[1] + parts[2], *parts, exact.float().mean())

    def _codes(
        self, x: Tensor, rows: Described | None, blank: Tensor | None, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """z of all rows, 0 where blank, and what the codes of the others cost."""
        there = None if blank is None else ~blank
        z, latent = self.objective(self.encoder(x if there is None else x[there]), generator)
        if rows is not None and self.head.asks:
            known, bits = self.condition.standardise(rows), rows.bits
            latent = latent + self.head(z, *((known, bits) if there is None else (known[there], bits[there])))
        if there is None:
            return z, latent
        there = there.repeat_interleave(len(z) // int(there.sum()))  # an objective may draw several codes of a row
        return z.new_zeros(len(there), z.shape[1]).index_put((there.nonzero().squeeze(1),), z), latent

    def encode(self, x: Tensor) -> Tensor:
        """z (B, D) of x, without noise."""
        z: Tensor = self.objective.code(self.encoder(x))
        return z

    def smooth(
        self,
        z: Tensor,
        smoothing: float | Tensor = 0.0,
        generator: torch.Generator | None = None,
        told: Tensor | None = None,
    ) -> Tensor:
        """What the decoder is to be given for any z (B, D), outside training: see :class:`NoiseConditioned`.

        ``told`` is what :meth:`Condition.tell` gives; None tells nothing.

        Raises
        ------
        InputError
            For smoothing that the decoder does not know of.
        """
        return self._join(self.regularizer.smooth(self.objective.project(z), smoothing, generator), told)

    def untell(self, given: Tensor) -> Tensor:
        """What :meth:`smooth` would have given (B, D') for the same noisy codes, had it told nothing."""
        size = self.condition.size
        return torch.cat([given[:, : given.shape[1] - size], self.condition.tell(len(given)).to(given)], dim=1)

    def without_code(self, n: int, latent: int, told: Tensor | None = None) -> Tensor:
        """What the decoder is to be given for n rows without a code of D = ``latent`` dimensions.

        Raises
        ------
        InputError
            For a decoder that always had a code in training.
        """
        device = next(self.parameters()).device
        return self._join(self.regularizer.nothing(n, latent, device), told)

    def _join(self, given: Tensor, told: Tensor | None) -> Tensor:
        if not self.condition.size:
            return given
        told = self.condition.tell(len(given)) if told is None else told
        return torch.cat([given, told.to(given.dtype)], dim=1)

    def decode(
        self,
        z: Tensor,
        smoothing: float | Tensor = 0.0,
        generator: torch.Generator | None = None,
        search: Callable[[nn.Module, Tensor], Tensor] | None = None,
        told: Tensor | None = None,
    ) -> Tensor:
        """The decoder's output for any z (B, D), outside training.

        Parameters
        ----------
        z, smoothing, generator, told
            As for :meth:`smooth`.
        search
            How the decoder is run on the smoothed codes, for one that takes many steps; None calls it once.
        """
        smoothed = self.smooth(z, smoothing, generator, told)
        out: Tensor = self.decoder(smoothed) if search is None else search(self.decoder, smoothed)
        return out

    def sample_codes(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """z (B, D) of x, as training draws it; of several codes of an input, the first."""
        z: Tensor = self.objective(self.encoder(x), generator)[0]
        return z.view(len(x), -1, z.shape[1])[:, 0]
