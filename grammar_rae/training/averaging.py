"""The moving average of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's weights on the CPU."""
    return {name: value.detach().to("cpu", copy=True) for name, value in module.state_dict().items()}


class WeightAverage:
    """An exponential moving average of a module's weights, kept on the CPU.

    Parameters
    ----------
    module
        The module whose weights it follows.
    decay
        The share of the average that each step keeps; less in the first steps.

    Attributes
    ----------
    weights
        The average by the weights' names. Integers are those of the module's latest state.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.weights = copy_weights(module)

    def update(self, step: int) -> None:
        """Move the average towards the module's weights after a step, counted from 0."""
        present = self.module.state_dict()
        floating = [name for name, value in self.weights.items() if value.is_floating_point()]
        for name in self.weights.keys() - set(floating):
            self.weights[name] = present[name].detach().to("cpu", copy=True)
        # Of the first steps a plain mean: the weights to begin with are worth nothing.
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        news = [present[name].detach().to("cpu") for name in floating]
        torch._foreach_lerp_([self.weights[name] for name in floating], news, share)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The average in the place of the module's weights."""
        present = copy_weights(self.module)
        self.module.load_state_dict(self.weights)
        try:
            yield
        finally:
            self.module.load_state_dict(present)
