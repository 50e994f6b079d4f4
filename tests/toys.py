"""A small model and data for the training loop: a resume could forget much of it."""

import os
import signal
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from grammar_rae.training import Callback, History, TrainingSettings, TrainingState, fit

WIDTH = 6


class Losses(NamedTuple):
    total: Tensor
    reconstruction: Tensor
    latent: Tensor
    penalty: Tensor
    exact: Tensor


class Toy(nn.Module):
    """Linear both ways, with all that a resume could forget: buffers, dropout, noise."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(width, 4), nn.BatchNorm1d(4), nn.Dropout(0.1))
        self.decoder = nn.Linear(4, width)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        z = self.encoder(x).float()
        z = z + 0.1 * torch.randn(z.shape, generator=generator, device=z.device)
        errors = (self.decoder(z).float() - x).square().sum(1)
        reconstruction, latent = errors.mean(), 0.01 * z.square().sum(1).mean()
        parts = (reconstruction, latent, torch.zeros((), device=x.device))
        return Losses(reconstruction + latent, *parts, (errors < 0.5).float().mean())


class Rows:
    """A set in memory that remembers what was asked of it."""

    def __init__(self, x: Tensor, fingerprint: str | None = None) -> None:
        self.x = x
        self.asked: list[list[int]] = []
        if fingerprint is not None:
            self.fingerprint = fingerprint

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: NDArray[np.int64], /) -> Tensor:
        self.asked.append(indices.tolist())
        return self.x[torch.as_tensor(indices)]


def rows(n: int, seed: int = 0) -> Rows:
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    return Rows(x @ torch.linspace(-1, 1, 2 * WIDTH).reshape(2, WIDTH))


def toy() -> Toy:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Toy()


SETTINGS = TrainingSettings(epochs=3, batch_size=16, learning_rate=0.01, precision="32-true", accelerator="cpu")


def train(settings: TrainingSettings = SETTINGS, *callbacks: Callback, **keywords: Any) -> tuple[Toy, History]:
    model = toy()
    return model, fit(model, rows(150), rows(40, seed=1), settings, callbacks=callbacks, **keywords)


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


class StopAt(Callback):
    def __init__(self, step: int, how: Callable[[], object]) -> None:
        self.step, self.how = step, how

    def on_step(self, state: TrainingState) -> None:
        if state.step == self.step:
            self.how()


def interrupt() -> None:
    raise KeyboardInterrupt


def ctrl_c_now() -> None:
    os.kill(os.getpid(), signal.SIGINT)
