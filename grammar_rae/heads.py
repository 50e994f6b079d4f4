"""Heads: what is to be read from a code besides the row itself, at a cost in training.

A head is called with z (B, D), the standardised properties (B, K), NaN where not known, and the bits (B, P) of a
fingerprint, and gives its cost (B,).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from grammar_rae.errors import InputError


class Head(nn.Module):
    """What may be read from a code; by itself, nothing."""

    asks: ClassVar[bool] = False
    n_bits = 0

    def forward(self, z: Tensor, known: Tensor, bits: Tensor) -> Tensor:
        """The cost (B,)."""
        return z.new_zeros(len(z), dtype=torch.float32)

    def predict_bits(self, z: Tensor) -> Tensor:
        """Probabilities of the fingerprint's bits (B, P)."""
        return z[:, :0]


class NoHead(Head):
    """Nothing is asked of the code."""


class LinearHead(Head):
    r"""Properties and a fingerprint, each by one linear map of z, so that directions of the latent space mean them.

    .. math:: w \sum_k \tfrac12 (a_k^\top z + b_k - x_k)^2 + v \sum_p \mathrm{BCE}(c_p^\top z + d_p, f_p)

    over the properties x that are known, standardised, and the bits f.

    Parameters
    ----------
    latent, n_properties
        D and K.
    weight
        w.
    bits, bits_weight
        P, 0 for none, and v.
    """

    asks = True

    def __init__(
        self, latent: int, n_properties: int, weight: float = 1.0, bits: int = 0, bits_weight: float = 0.02
    ) -> None:
        super().__init__()
        if n_properties < 1:
            raise InputError("a head needs properties to predict", remedy="Train with the condition properties.")
        if type(bits) is not int or bits < 0:
            raise InputError("bits cannot be used", received=repr(bits), expected="a whole number, 0 or more")
        for name, value in (("weight", weight), ("bits_weight", bits_weight)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise InputError(f"{name} cannot be used", received=repr(value), expected="0 or more, and finite")
        self.weight, self.bits_weight, self.n_bits = weight, bits_weight, bits
        self.properties = nn.Linear(latent, n_properties)
        self.bits = nn.Linear(latent, bits) if bits else None

    def forward(self, z: Tensor, known: Tensor, bits: Tensor) -> Tensor:
        """The cost (B,)."""
        there = ~known.isnan()
        error = self.properties(z.float()) - torch.where(there, known, 0)
        cost: Tensor = self.weight * 0.5 * (error.square() * there).sum(dim=1)
        if self.bits is None:
            return cost
        logits = self.bits(z.float())
        found = nn.functional.binary_cross_entropy_with_logits(logits, bits, reduction="none").sum(dim=1)
        total: Tensor = cost + self.bits_weight * found
        return total

    def predict(self, z: Tensor) -> Tensor:
        """Standardised properties (B, K)."""
        found: Tensor = self.properties(z.float())
        return found

    def predict_bits(self, z: Tensor) -> Tensor:
        """Probabilities of the fingerprint's bits (B, P)."""
        return super().predict_bits(z) if self.bits is None else torch.sigmoid(self.bits(z.float()))


HEADS: dict[str, type[Head]] = {"none": NoHead, "linear": LinearHead}
"""Heads: ``Head()`` where it asks nothing, ``Head(latent, n_properties, **options)``."""
