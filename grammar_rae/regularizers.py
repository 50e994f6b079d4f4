"""Regularisers of the decoder: three hooks, each of which may do nothing.

``prepare(decoder)`` changes the decoder once, before training; ``context()`` surrounds each forward pass;
``penalty(decoder, z, out)`` is added to the loss.
"""

from contextlib import AbstractContextManager, nullcontext

from torch import Tensor, nn

from grammar_rae.errors import InputError


class NoRegularizer:
    """No regularisation."""

    def prepare(self, decoder: nn.Module) -> None:
        """Change the decoder before training."""

    def context(self) -> AbstractContextManager[object]:
        """What the forward pass runs in."""
        return nullcontext()

    def penalty(self, decoder: nn.Module, z: Tensor, out: Tensor) -> Tensor:
        """The cost to add, a float32 scalar."""
        return z.new_zeros(()).float()


class L2(NoRegularizer):
    r"""The squared norm of the decoder's kernels, :math:`\lambda \lVert \theta \rVert_2^2` (paper, RAE-L2).

    Kernels are parameters of two or more dimensions: weights and embeddings, neither biases nor normalisation.
    """

    def __init__(self, weight: float = 1e-6) -> None:
        if not 0 <= weight < float("inf"):
            raise InputError("a regulariser's weight cannot be used", received=weight, expected="finite, 0 or more")
        self.weight = weight

    def penalty(self, decoder: nn.Module, z: Tensor, out: Tensor) -> Tensor:
        """The cost to add, a float32 scalar."""
        total = z.new_zeros(()).float()
        for parameter in decoder.parameters():
            if parameter.ndim >= 2:
                total = total + parameter.float().square().sum()
        return self.weight * total


REGULARIZERS: dict[str, type[NoRegularizer]] = {"none": NoRegularizer, "l2": L2}
"""Regularisers: ``Regularizer(**options)``."""
