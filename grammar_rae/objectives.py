"""Objectives: what becomes of the encoder's output h, and what the latent code costs.

An objective is called with h (B, H) and a generator, and gives z (B, D) and its cost (B,). ``code(h)`` is the z that
stands for an input once training is over, without noise.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from grammar_rae.errors import InputError


class AE(nn.Module):
    """The plain autoencoder: z = h, at no cost."""

    outputs_per_latent: ClassVar[int] = 1
    """H / D."""

    def code(self, h: Tensor) -> Tensor:
        """z (B, D) of h (B, H)."""
        return h

    def forward(self, h: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D) and its cost (B,)."""
        z = self.code(h)
        return z, z.new_zeros(z.shape[0], dtype=torch.float32)


class RAE(AE):
    r"""The regularised autoencoder: z = h, at the cost :math:`\beta \cdot \tfrac12 \lVert z \rVert^2` (paper, eq. 11).

    The other half of the RAE, smoothness of the decoder, is the regulariser's part.
    """

    def __init__(self, beta: float = 0.01) -> None:
        super().__init__()
        if not 0 <= beta < float("inf"):
            raise InputError("beta cannot be used", received=beta, expected="0 or more, and finite")
        self.beta = beta

    def forward(self, h: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D) and its cost (B,)."""
        z = self.code(h)
        return z, self.beta * 0.5 * z.float().square().sum(dim=1)


OBJECTIVES: dict[str, type[AE]] = {"ae": AE, "rae": RAE}
"""Objectives: ``Objective(**options)``."""
