"""Regularisers against their closed forms on a linear decoder."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from grammar_rae.errors import InputError
from grammar_rae.grammar import Rules
from grammar_rae.nets.sequence import GRUDecoder
from grammar_rae.regularizers import L2, REGULARIZERS, NoRegularizer

Z = torch.ones(3, 4)


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(4, 5)


@given(weight=st.floats(0, 10), seed=st.integers(0, 1000))
def test_l2_of_a_linear_decoder(weight: float, seed: int) -> None:
    decoder = linear(seed)
    penalty = L2(weight).penalty(decoder, Z, decoder(Z))
    assert penalty.shape == () and penalty.dtype == torch.float32
    expected = weight * sum(value**2 for row in decoder.weight.tolist() for value in row)
    assert math.isclose(penalty.item(), expected, rel_tol=1e-5, abs_tol=1e-12)


def test_gradient_of_l2() -> None:
    decoder = linear()
    L2(0.25).penalty(decoder, Z, Z).backward()
    torch.testing.assert_close(decoder.weight.grad, 0.5 * decoder.weight.detach(), rtol=1e-5, atol=0)
    assert decoder.bias.grad is None


def test_l2_covers_kernels_but_neither_biases_nor_normalisation() -> None:
    decoder = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ConvTranspose1d(2, 3, 4), nn.Embedding(2, 2))
    for parameter in decoder.parameters():
        nn.init.ones_(parameter)
    assert L2(1.0).penalty(decoder, Z, Z).item() == 4 * 5 + 2 * 3 * 4 + 2 * 2


def test_l2_covers_every_matrix_of_the_recurrent_decoder() -> None:
    decoder = GRUDecoder(Rules.build([0, 0], [[0], []], 1, 0), latent=4, max_length=3, embedding=2, hidden=3, context=2)
    L2(1.0).penalty(decoder, Z, Z).backward()
    covered = {name for name, parameter in decoder.named_parameters() if parameter.grad is not None}
    assert covered == {name for name, _ in decoder.named_parameters() if "bias" not in name}


@pytest.mark.parametrize("weight", [-1e-9, math.nan, math.inf])
def test_unusable_weight(weight: float) -> None:
    with pytest.raises(InputError, match="weight"):
        L2(weight)


def test_no_regulariser_does_nothing() -> None:
    decoder, regularizer = linear(), NoRegularizer()
    before = copy.deepcopy(decoder.state_dict())
    regularizer.prepare(decoder)
    with regularizer.context():
        out = decoder(Z)
    penalty = regularizer.penalty(decoder, Z.bfloat16(), out)
    assert (penalty.item(), penalty.dtype, penalty.shape) == (0, torch.float32, ())
    assert all(torch.equal(before[name], value) for name, value in decoder.state_dict().items())


@pytest.mark.parametrize("name", REGULARIZERS)
def test_penalties_are_float32_scalars_also_for_rounded_codes(name: str) -> None:
    regularizer, decoder = REGULARIZERS[name](), linear()
    regularizer.prepare(decoder)
    z = Z.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16), regularizer.context():
        penalty = regularizer.penalty(decoder, z, decoder(z))
    assert (penalty.dtype, penalty.shape) == (torch.float32, ())
    assert penalty.item() >= 0
