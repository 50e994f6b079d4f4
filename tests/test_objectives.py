"""Objectives against their formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grammar_rae.errors import InputError
from grammar_rae.objectives import AE, OBJECTIVES, RAE

H = torch.tensor([[3.0, 4.0], [0.0, 0.0], [-1.0, 2.0]])


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


@pytest.mark.parametrize("name", OBJECTIVES)
def test_costs_are_float32_also_for_rounded_codes(name: str) -> None:
    objective = OBJECTIVES[name]()
    h = torch.full((2, 4 * objective.outputs_per_latent), 300.0, dtype=torch.bfloat16)
    z, cost = objective(h, torch.Generator().manual_seed(0))
    assert cost.dtype == torch.float32
    assert z.shape == (2, 4)


def test_rounded_codes_are_squared_in_float32() -> None:
    h = torch.full((1, 64), 1.0078125, dtype=torch.bfloat16)  # its square is no bfloat16
    assert RAE(2.0)(h)[1].item() == 64 * 1.0078125**2


@pytest.mark.parametrize("beta", [-1e-9, -1, math.nan, math.inf])
def test_unusable_beta(beta: float) -> None:
    with pytest.raises(InputError, match="beta"):
        RAE(beta)


def test_beta_zero_is_the_autoencoder() -> None:
    assert RAE(0)(H)[1].tolist() == AE()(H)[1].tolist()
