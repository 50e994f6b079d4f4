"""Objectives against their formulas."""

import copy
import inspect
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from grammar_rae.errors import InputError
from grammar_rae.objectives import AE, CVVAE, OBJECTIVES, RAE, VAE, WAE

H = torch.tensor([[3.0, 4.0], [0.0, 0.0], [-1.0, 2.0]])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


# --- every row -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("rows", [1, 5])
def test_codes_and_costs_of_rounded_outputs(name: str, rows: int) -> None:
    objective = OBJECTIVES[name]()
    h = torch.full((rows, 4 * objective.outputs_per_latent), 30.0, dtype=torch.bfloat16)
    z, cost = objective(h, generator())
    assert (z.shape, cost.shape, cost.dtype) == ((rows, 4), (rows,), torch.float32)
    assert z.isfinite().all() and cost.isfinite().all()
    assert objective.code(h).shape == (rows, 4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_reach_every_output(name: str) -> None:
    objective = OBJECTIVES[name]()
    h = normal(6, 3 * objective.outputs_per_latent).requires_grad_()
    z, cost = objective(h, generator())
    (z.square().sum() + cost.sum()).backward()
    assert h.grad is not None and h.grad.isfinite().all() and (h.grad != 0).all()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_generator_is_the_source_of_all_noise(name: str) -> None:
    objective = OBJECTIVES[name]()
    h = normal(6, 3 * objective.outputs_per_latent)
    before = torch.get_rng_state()
    one, again, other = (torch.cat([part.flatten() for part in objective(h, generator(seed))]) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, again)
    assert torch.equal(one, other) == (not objective.prior)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_code_of_an_input_is_without_noise_and_first_in_the_output(name: str) -> None:
    objective = OBJECTIVES[name]()
    h = normal(4, 3 * objective.outputs_per_latent)
    assert torch.equal(objective.code(h), objective.project(h[:, :3]))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_code_is_projected_to_itself(name: str) -> None:
    objective = OBJECTIVES[name]()
    z = objective.project(normal(4, 3))
    assert z.shape == (4, 3)
    torch.testing.assert_close(objective.project(z), z, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_autocast_changes_no_cost(name: str) -> None:
    objective = OBJECTIVES[name]()
    h = 2 * normal(32, 16 * objective.outputs_per_latent)
    plain = objective(h, generator())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = objective(h, generator())
    assert torch.equal(cast[0], plain[0])
    torch.testing.assert_close(cast[1], plain[1], rtol=1e-6, atol=1e-7)


WEIGHTED = [name for name, row in OBJECTIVES.items() if "beta" in inspect.signature(row).parameters]


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("beta", [-1e-9, -1, math.nan, math.inf, "0.1", None, True, [1.0]])
def test_unusable_beta(name: str, beta: Any) -> None:
    with pytest.raises(InputError, match="beta"):
        OBJECTIVES[name](beta=beta)


@pytest.mark.parametrize("name", WEIGHTED)
def test_the_cost_is_proportional_to_beta(name: str) -> None:
    factor: int = OBJECTIVES[name].outputs_per_latent
    h = normal(5, 3 * factor)
    cost, more, none = (OBJECTIVES[name](beta=beta)(h, generator())[1] for beta in (0.5, 1.5, 0))
    torch.testing.assert_close(more, 3 * cost)
    assert none.abs().tolist() == [0] * 5


@pytest.mark.parametrize(
    ("make", "name", "values"),
    [
        (VAE, "samples", (0, -1, 1.5, 2.0, True, "2", None)),
        (VAE, "annealing", (-1, 0.5, 10.0, True, "5", None)),
        (VAE, "noise", (-0.1, math.nan, math.inf, "1", None)),
        (VAE, "bound", (-0.1, math.nan, math.inf, "1")),
        (CVVAE, "scale", (-0.1, math.nan, math.inf, "1", None)),
    ],
)
def test_unusable_options(make: Any, name: str, values: tuple[Any, ...]) -> None:
    for value in values:
        with pytest.raises(InputError, match=name):
            make(**{name: value})


# --- deterministic ones ----------------------------------------------------------------------------------------------


def test_autoencoder_costs_nothing() -> None:
    z, cost = AE()(H)
    assert z is H
    assert cost.tolist() == [0, 0, 0]


def test_rae_costs_half_the_squared_norm() -> None:
    z, cost = RAE(beta=0.5)(H)
    assert z is H
    assert cost.tolist() == [0.5 * 0.5 * 25, 0, 0.5 * 0.5 * 5]


@given(beta=st.floats(0, 100), values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=20))
def test_rae_formula(beta: float, values: list[float]) -> None:
    _, cost = RAE(beta)(torch.tensor([values]))
    assert cost.shape == (1,)
    assert math.isclose(cost.item(), beta / 2 * sum(value**2 for value in values), rel_tol=1e-4, abs_tol=1e-6)


def test_gradient_of_the_rae_cost_is_beta_z() -> None:
    h = H.clone().requires_grad_()
    RAE(0.3)(h)[1].sum().backward()
    torch.testing.assert_close(h.grad, 0.3 * H)


def test_rounded_codes_are_squared_in_float32() -> None:
    h = torch.full((1, 64), 1.0078125, dtype=torch.bfloat16)  # its square is no bfloat16
    assert RAE(2.0)(h)[1].item() == 64 * 1.0078125**2
    assert CVVAE(2.0)(h, generator())[1].item() == 64 * 1.0078125**2


# --- the variational autoencoder -------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), beta=st.floats(0, 10), size=st.floats(0.01, 5), k=st.integers(1, 3))
def test_cost_of_the_vae_is_the_kl_divergence(seed: int, beta: float, size: float, k: int) -> None:
    h = size * normal(4, 10, seed=seed)
    _, cost = VAE(beta, samples=k)(h, generator())
    mean, raw = h.double().chunk(2, dim=1)
    expected = kl_divergence(Normal(mean, torch.exp(5 * torch.tanh(raw))), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(cost.double(), beta * expected, rtol=1e-5, atol=1e-5)


def test_a_posterior_that_is_the_prior_costs_nothing() -> None:
    assert VAE(3.0)(torch.zeros(2, 6), generator())[1].tolist() == [0, 0]


def test_codes_of_the_vae_have_the_posteriors_moments() -> None:
    h = torch.tensor([[1.0, -2.0, 0.1, -0.3], [0.5, 0.0, -0.2, 0.0]])
    k = 40_000
    z = VAE(samples=k)(h, generator())[0].reshape(2, k, 2)  # k codes of each input, one after the other
    mean, scale = h[:, :2], torch.exp(5 * torch.tanh(h[:, 2:]))
    assert ((z.mean(1) - mean).abs() < 5 * scale / k**0.5).all()
    torch.testing.assert_close(z.std(1), scale, rtol=0.02, atol=0)
    standard = (z - mean[:, None]) / scale[:, None]
    assert standard.abs().lt(1).float().mean() == pytest.approx(math.erf(0.5**0.5), abs=0.01)
    assert abs(torch.corrcoef(standard.reshape(-1, 2).T)[0, 1]) < 0.02


@pytest.mark.parametrize("raw", [-1e30, -20.0, 20.0, 1e30])
def test_the_scale_of_the_vae_is_bounded(raw: float) -> None:
    h = torch.full((1, 2), raw).requires_grad_()
    z, cost = VAE()(torch.cat([torch.zeros(1, 2), h], 1), generator())
    (z.sum() + cost.sum()).backward()
    noise = torch.randn(1, 2, generator=generator())
    torch.testing.assert_close(z, noise * math.exp(math.copysign(5, raw)))
    assert h.grad is not None and h.grad.isfinite().all()


def test_the_noise_of_the_vae_is_scaled_and_its_cost_is_not() -> None:
    h = normal(5, 6)
    (whole, cost), (some, same) = VAE()(h, generator()), VAE(noise=0.25)(h, generator())
    mean = h.float()[:, :3]
    torch.testing.assert_close(some - mean, 0.25 * (whole - mean))
    assert torch.equal(cost, same)


def test_without_a_bound_the_vae_reads_the_logarithm_of_the_variance() -> None:
    h = torch.tensor([[1.0, 0.0, 2.0, -20.0]])
    z, cost = VAE(bound=None)(h.expand(20_000, 4), generator())
    mean, log_variance = h[0].chunk(2)
    torch.testing.assert_close(z.std(0), (0.5 * log_variance).exp(), rtol=0.03, atol=1e-6)
    expected = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
    torch.testing.assert_close(cost, expected.expand(20_000))


def test_gradients_of_the_vae_go_through_the_noise() -> None:
    h = normal(3, 4).requires_grad_()
    z, _ = VAE()(h, generator())
    z.sum().backward()
    mean, raw = h.detach().chunk(2, dim=1)
    scale = torch.exp(5 * torch.tanh(raw))
    noise = (z.detach() - mean) / scale
    expected = noise * scale * 5 * (1 - torch.tanh(raw) ** 2)
    torch.testing.assert_close(h.grad, torch.cat([torch.ones_like(mean), expected], 1), rtol=1e-4, atol=1e-5)


def test_more_samples_estimate_the_same_with_less_variance() -> None:
    h = normal(20, 4)

    def estimates(k: int) -> Tensor:
        """Of E ||z||^2, for each input: 200 times."""
        vae, source = VAE(samples=k), generator()
        return torch.stack([vae(h, source)[0].square().sum(1).reshape(20, k).mean(1) for _ in range(200)])

    one, many = estimates(1), estimates(16)
    ratio = (one.var(0) / many.var(0)).median().item()
    assert 8 < ratio < 32
    # Four standard errors of the difference, for each input.
    error = (one.var(0) / 200 + many.var(0) / 200).sqrt()
    assert ((one.mean(0) - many.mean(0)).abs() < 4 * error).all()


def test_annealing_in_training() -> None:
    vae, plain, h = VAE(2.0, annealing=4), VAE(2.0), normal(3, 4)
    full = plain(h, generator())[1]
    for share in (0.25, 0.5, 0.75, 1.0, 1.0, 1.0):
        torch.testing.assert_close(vae(h, generator())[1], share * full)
    assert vae.steps.item() == 6


def test_annealing_does_not_concern_validations() -> None:
    vae, h = VAE(2.0, annealing=4), normal(3, 4)
    full = VAE(2.0)(h, generator())[1]
    vae(h, generator())
    torch.testing.assert_close(vae.eval()(h, generator())[1], full)
    assert vae.steps.item() == 1
    torch.testing.assert_close(vae.train()(h, generator())[1], 0.5 * full)


def test_annealing_goes_on_where_it_was() -> None:
    vae, h = VAE(2.0, annealing=5), normal(3, 4)
    for _ in range(2):
        vae(h, generator())
    again = VAE(2.0, annealing=5)
    again.load_state_dict(copy.deepcopy(vae.state_dict()))
    assert torch.equal(again(h, generator())[1], vae(h, generator())[1])
    torch.testing.assert_close(again(h, generator())[1], 0.8 * VAE(2.0)(h, generator())[1])


def test_the_weight_has_no_gradient() -> None:
    assert not list(VAE(annealing=3).parameters())
    assert not VAE(annealing=3)(normal(2, 4), generator())[1].requires_grad


# --- the VAE of constant variance ------------------------------------------------------------------------------------


def test_cost_of_the_constant_variance_vae() -> None:
    assert CVVAE(0.5)(H, generator())[1].tolist() == RAE(0.5)(H)[1].tolist()


@pytest.mark.parametrize("scale", [0.0, 0.01, 0.7, 3.0])
def test_its_noise_has_the_scale(scale: float) -> None:
    h = normal(2000, 20)
    noise = CVVAE(scale=scale)(h, generator())[0] - h
    assert noise.std().item() == pytest.approx(scale, rel=0.02)
    assert abs(noise.mean().item()) <= 4 * scale / 200


def test_its_cost_is_the_divergence_but_for_a_constant() -> None:
    h, scale = normal(5, 3).double(), 0.7
    full = kl_divergence(Normal(h, torch.full_like(h, scale)), Normal(0.0, 1.0)).sum(1)
    constant = 3 * 0.5 * (scale**2 - 1 - math.log(scale**2))
    torch.testing.assert_close(CVVAE(1.0, scale)(h.float(), generator())[1].double(), full - constant)


# --- the Wasserstein autoencoder -------------------------------------------------------------------------------------


def discrepancy(codes: list[list[float]], prior: list[list[float]]) -> float:
    """MMD^2, unbiased, pair by pair."""
    n, d = len(codes), len(codes[0])

    def k(a: list[float], b: list[float]) -> float:
        square = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
        return sum(2 * d * s / (2 * d * s + square) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10))

    within = sum(k(x[i], x[j]) for x in (codes, prior) for i in range(n) for j in range(n) if i != j)
    between = sum(k(a, b) for a in codes for b in prior)
    return (within / (n * (n - 1)) if n > 1 else 0.0) - 2 * between / n**2


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 8), latent=st.integers(1, 6), size=st.floats(0, 20), seed=st.integers(0, 2**32))
def test_cost_of_the_wae_is_the_discrepancy(rows: int, latent: int, size: float, seed: int) -> None:
    h = size * normal(rows, latent, seed=seed)
    z, cost = WAE(2.5)(h, generator(seed))
    prior = torch.randn(rows, latent, generator=generator(seed))
    assert z is h
    assert len(set(cost.tolist())) == 1
    expected = 2.5 * discrepancy(h.double().tolist(), prior.double().tolist())
    assert cost[0].item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def mean_discrepancy(scale: float, shift: float, draws: int = 300, rows: int = 20) -> tuple[float, float]:
    """The mean over draws of codes and its standard error."""
    source, wae = generator(), WAE(1.0)
    found = torch.stack(
        [wae(scale * torch.randn(rows, 8, generator=source) + shift, source)[1][0] for _ in range(draws)]
    )
    return found.mean().item(), found.std().item() / draws**0.5


def test_the_discrepancy_is_unbiased() -> None:
    mean, error = mean_discrepancy(1, 0)
    assert abs(mean) < 3 * error
    assert error < 0.02


@pytest.mark.parametrize(("scale", "shift"), [(2, 0), (0.3, 0), (1, 0.7), (0, 0)])
def test_other_codes_are_told_from_the_prior(scale: float, shift: float) -> None:
    mean, error = mean_discrepancy(scale, shift)
    assert mean > 20 * error


def test_descending_the_discrepancy_leads_to_the_prior() -> None:
    h, wae, source = (0.2 * normal(100, 2) + 2).requires_grad_(), WAE(1.0), generator()
    optimizer = torch.optim.SGD([h], lr=20.0)
    for _ in range(100):
        optimizer.zero_grad()
        wae(h, source)[1].mean().backward()
        optimizer.step()
    assert h.mean(0).abs().max() < 0.3
    assert (h.std(0) - 1).abs().max() < 0.3


def test_codes_that_are_all_the_same_have_a_finite_gradient() -> None:
    h = torch.full((5, 3), 0.5, requires_grad=True)
    WAE()(h, generator())[1].mean().backward()
    assert h.grad is not None and h.grad.isfinite().all() and h.grad.abs().sum() > 0


@pytest.mark.parametrize("size", [1e-30, 1e6, 1e18])
def test_codes_of_absurd_size_are_still_codes(size: float) -> None:
    h = (size * normal(5, 3)).requires_grad_()
    cost = WAE(1.0)(h, generator())[1]
    cost.mean().backward()
    assert cost.isfinite().all() and h.grad is not None and h.grad.isfinite().all()


def test_one_row_is_drawn_to_the_prior() -> None:
    h = torch.tensor([[3.0, 0.0]], requires_grad=True)
    WAE()(h, generator())[1].sum().backward()
    prior = torch.randn(1, 2, generator=generator())
    # Alone, it is only drawn to the one draw of the prior.
    assert h.grad is not None
    torch.testing.assert_close(h.grad / h.grad.norm(), (h - prior).detach() / (h - prior).norm())
