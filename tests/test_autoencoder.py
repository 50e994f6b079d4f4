"""One step of training, on parts that can be added up by hand."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from grammar_rae.autoencoder import Autoencoder, Losses
from grammar_rae.objectives import AE, OBJECTIVES, RAE
from grammar_rae.regularizers import L2, REGULARIZERS, NoRegularizer

X = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, 1.0]])


class Decoder(nn.Linear):
    """Reads z alone."""

    def forward(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        return super().forward(z)


class Squared(nn.Module):
    """A likelihood: the squared error of each row; exact where it is below 1."""

    def forward(self, out: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        cost = (out - x).square().sum(1)
        return cost, cost < 1


class Noisy(AE):
    """z = h + noise from the generator, at a cost of 1."""

    def forward(self, h: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return h + torch.randn(h.shape, generator=generator), torch.ones(len(h))


class Watching(NoRegularizer):
    """Notes what it is asked, and when."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def prepare(self, decoder: nn.Module) -> None:
        self.calls.append("prepare")

    @contextmanager
    def context(self) -> Iterator[None]:
        self.calls.append("enter")
        yield
        self.calls.append("leave")

    def penalty(self, decoder: nn.Module, z: Tensor, out: Tensor) -> Tensor:
        self.calls.append("penalty")
        return z.sum() * 0 + 2


def toy(objective: AE | None = None, regularizer: NoRegularizer | None = None) -> Autoencoder:
    torch.manual_seed(0)
    encoder = nn.Linear(3, 2)
    return Autoencoder(encoder, Decoder(2, 3), objective or RAE(0.5), Squared(), regularizer or L2(0.1))


def test_losses_by_hand() -> None:
    model = toy()
    z = model.encoder(X)
    errors = (model.decoder(z) - X).square().sum(1)
    losses = model(X)
    torch.testing.assert_close(losses.reconstruction, errors.mean())
    torch.testing.assert_close(losses.latent, 0.25 * z.square().sum(1).mean())
    torch.testing.assert_close(losses.penalty, 0.1 * model.decoder.weight.square().sum())
    assert losses.exact.item() == (errors < 1).float().mean().item()


@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_total_is_the_sum_of_the_parts(objective: str, regularizer: str) -> None:
    row = OBJECTIVES[objective]()
    model = toy(row, REGULARIZERS[regularizer]())
    model.encoder = nn.Linear(3, 2 * row.outputs_per_latent)
    losses = model(X, torch.Generator().manual_seed(0))
    assert isinstance(losses, Losses)
    assert all(part.shape == () and part.dtype == torch.float32 for part in losses)
    torch.testing.assert_close(losses.total, losses.reconstruction + losses.latent + losses.penalty)


def test_total_carries_the_gradient_of_every_part() -> None:
    model = toy()
    model(X).total.backward()
    found = [parameter.grad for parameter in model.parameters()]
    other = toy()
    losses = other(X)
    for part in (losses.reconstruction, losses.latent, losses.penalty):
        part.backward(retain_graph=True)
    for mine, parameter in zip(found, other.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad)


def test_exact_carries_no_gradient() -> None:
    assert not toy()(X).exact.requires_grad


def test_the_generator_is_the_source_of_randomness() -> None:
    model = toy(Noisy())
    first, again, other = (model(X, torch.Generator().manual_seed(seed)).total.item() for seed in (1, 1, 2))
    assert first == again != other
    before = torch.get_rng_state()
    model(X, torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_hooks_of_the_regulariser() -> None:
    watching = Watching()
    model = toy(regularizer=watching)
    assert watching.calls == ["prepare"]
    losses = model(X)
    assert watching.calls == ["prepare", "enter", "penalty", "leave"]
    assert losses.penalty.item() == 2


def test_encode_is_without_noise() -> None:
    model = toy(Noisy())
    assert torch.equal(model.encode(X), model.encoder(X))
