"""One step of training, on parts that can be added up by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from grammar_rae.autoencoder import Autoencoder, Losses
from grammar_rae.grammar import Rules
from grammar_rae.likelihoods import IMAGE_LIKELIHOODS, Likelihood, MaskedCategorical
from grammar_rae.nets.image import SmallDecoder, SmallEncoder
from grammar_rae.nets.sequence import GRUDecoder, GRUEncoder
from grammar_rae.objectives import AE, OBJECTIVES, RAE, VAE, Objective
from grammar_rae.regularizers import L2, REGULARIZERS, Regularizer

X = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, 1.0]])


class Decoder(nn.Linear):
    """Reads z alone."""

    def forward(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        return super().forward(z)


class Squared(Likelihood):
    """A likelihood: the squared error of each row; exact where it is below 1."""

    def forward(self, out: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        cost = (out - x).square().sum(1)
        return cost, cost < 1


class Noisy(AE):
    """z = h + noise from the generator, at a cost of 1."""

    def forward(self, h: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return h + torch.randn(h.shape, generator=generator), torch.ones(len(h))


class Watching(Regularizer):
    """Notes what it is asked, and when."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def prepare(self, encoder: nn.Module, decoder: nn.Module) -> None:
        self.calls.append(f"prepare {encoder.in_features}-{encoder.out_features}, {decoder.in_features}")

    @contextmanager
    def context(self, decoder: nn.Module) -> Iterator[None]:
        self.calls.append("enter")
        yield
        self.calls.append("leave")

    def perturb(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        self.calls.append("perturb")
        return z + 100

    def penalty(self, decoder: nn.Module, z: Tensor, out: Tensor, present: Any = None, generator: Any = None) -> Tensor:
        self.calls.append("penalty")
        assert present is None
        assert torch.equal(decoder(z), out)
        return z.sum() * 0 + (2 if generator is None else 3)


def toy(objective: Objective | None = None, regularizer: Regularizer | None = None) -> Autoencoder:
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
    model.decoder = Decoder(2 + model.regularizer.conditions, 3)
    losses = model(X, torch.Generator().manual_seed(0))
    assert isinstance(losses, Losses)
    assert all(part.shape == () and part.dtype == torch.float32 for part in losses)
    torch.testing.assert_close(losses.total, losses.reconstruction + losses.latent + losses.penalty)


RULES = Rules.build([0, 0, 1, 1], [[1, 0], [], [], []], 2, 0)
CODES = torch.tensor([[0, 2, 0, 3, 1], [0, 3, 1, -1, -1], [1, -1, -1, -1, -1], [0, 2, 1, -1, -1]])
OPTIONS: dict[str, dict[str, object]] = {"vae": {"samples": 3, "annealing": 10}}


def of_modality(modality: str, objective: Objective, regularizer: Regularizer) -> tuple[Autoencoder, Tensor]:
    """A small autoencoder of codes or of images, and four rows for it."""
    torch.manual_seed(0)
    size, latent = 3 * objective.outputs_per_latent, 3 + regularizer.conditions
    if modality == "codes":
        encoder, decoder = GRUEncoder(RULES, size, 5, embedding=2, hidden=4), GRUDecoder(RULES, latent, 5, 2, 4, 2)
        return Autoencoder(encoder, decoder, objective, MaskedCategorical(RULES), regularizer), CODES
    nets = SmallEncoder((1, 8, 8), size, width=2), SmallDecoder((1, 8, 8), latent, width=2)
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return Autoencoder(*nets, objective, IMAGE_LIKELIHOODS[modality](), regularizer), images


@pytest.mark.parametrize("modality", ["codes", *IMAGE_LIKELIHOODS])
@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_combination_trains(objective: str, regularizer: str, modality: str) -> None:
    model, x = of_modality(modality, OBJECTIVES[objective](**OPTIONS.get(objective, {})), REGULARIZERS[regularizer]())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    source, costs = torch.Generator().manual_seed(0), []
    before = torch.get_rng_state()
    for _ in range(8):
        optimizer.zero_grad()
        losses = model(x, source)
        assert all(part.isfinite() for part in losses)
        losses.total.backward()
        for label, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), label
        optimizer.step()
        costs.append(losses.reconstruction.item())
    assert torch.equal(torch.get_rng_state(), before)
    assert min(costs[-3:]) < costs[0]
    with torch.no_grad():
        assert torch.equal(model.eval().encode(x), model.encode(x))
        assert model.encode(x).shape == (4, 3)
        first, again = (model(x, torch.Generator().manual_seed(7)).total.item() for _ in range(2))
    assert first == again


# --- several codes of each input -------------------------------------------------------------------------------------


def test_k_codes_of_each_input_meet_the_input_k_times() -> None:
    k, vae = 3, VAE(0.5, samples=3)
    model = toy(vae, Regularizer())
    model.encoder = nn.Linear(3, 4)
    losses = model(X, torch.Generator().manual_seed(1))
    z, latent = vae(model.encoder(X), torch.Generator().manual_seed(1))
    assert z.shape == (2 * k, 2)
    costs = [(model.decoder(z[k * row + i]) - X[row]).square().sum() for row in range(2) for i in range(k)]
    torch.testing.assert_close(losses.reconstruction, torch.stack(costs).mean())
    torch.testing.assert_close(losses.latent, latent.mean())
    assert losses.exact.item() == pytest.approx(sum(cost.item() < 1 for cost in costs) / (2 * k))


def test_k_codes_of_each_row_of_codes() -> None:
    """Decoders of codes read the rows too."""
    model, _ = of_modality("codes", VAE(samples=2), Regularizer())
    with torch.no_grad():
        model.encoder.dense.bias[3:] = -20.0  # no noise to speak of
        model.encoder.dense.weight[3:] = 0.0
        many = model(CODES, torch.Generator().manual_seed(0))
        model.objective.samples = 1
        one = model(CODES, torch.Generator().manual_seed(0))
    assert many.reconstruction.item() == pytest.approx(one.reconstruction.item(), rel=1e-2)
    assert many.latent.item() == pytest.approx(one.latent.item())


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
    assert watching.calls == ["prepare 3-2, 2"]
    losses = model(X)
    assert watching.calls[1:] == ["enter", "perturb", "penalty", "leave"]
    assert losses.penalty.item() == 2
    # What is perturbed is what is decoded, not what the latent cost is of.
    z = model.encoder(X)
    torch.testing.assert_close(losses.reconstruction, (model.decoder(z + 100) - X).square().sum(1).mean())
    torch.testing.assert_close(losses.latent, 0.25 * z.square().sum(1).mean())
    assert model(X, torch.Generator()).penalty.item() == 3


def test_nothing_is_perturbed_in_evaluation() -> None:
    watching = Watching()
    model = toy(regularizer=watching).eval()
    losses = model(X)
    assert watching.calls[1:] == ["enter", "penalty", "leave"]
    torch.testing.assert_close(losses.reconstruction, (model.decoder(model.encoder(X)) - X).square().sum(1).mean())


def test_encode_is_without_noise() -> None:
    model = toy(Noisy())
    assert torch.equal(model.encode(X), model.encoder(X))
