"""Regularisers against their closed forms on a linear decoder, and on decoders as they are used."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from grammar_rae.autoencoder import Autoencoder
from grammar_rae.errors import InputError
from grammar_rae.grammar import Rules
from grammar_rae.likelihoods import MaskedCategorical
from grammar_rae.nets.image import PaperDecoder, PaperEncoder
from grammar_rae.nets.sequence import GRUDecoder, GRUEncoder
from grammar_rae.objectives import RAE
from grammar_rae.regularizers import (
    L2,
    REGULARIZERS,
    GradientPenalty,
    InstanceNoise,
    Regularizer,
    SpectralNorm,
    WeightClipping,
)

Z = torch.ones(3, 4)
RULES = Rules.build([0, 0, 1, 1], [[1, 0], [], [], []], 2, 0)
CODES = torch.tensor([[0, 2, 0, 3, 1], [0, 3, 1, -1, -1], [1, -1, -1, -1, -1]])


@pytest.fixture(autouse=True)
def global_seed() -> Iterator[None]:
    """The nets of these tests are drawn from the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(seed: int = 0, latent: int = 4) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(latent, 5)


def gru_decoder(latent: int = 4) -> GRUDecoder:
    return GRUDecoder(RULES, latent=latent, max_length=5, embedding=2, hidden=3, context=2)


def prepared(regularizer: Regularizer, decoder: nn.Module, encoder: nn.Module | None = None) -> Any:
    regularizer.prepare(nn.Linear(2, 2) if encoder is None else encoder, decoder)
    return decoder


def of_texts(regularizer: Regularizer) -> Autoencoder:
    encoder = GRUEncoder(RULES, 4, 5, embedding=2, hidden=3)
    return Autoencoder(encoder, gru_decoder(4 + regularizer.conditions), RAE(), MaskedCategorical(RULES), regularizer)


# --- every row -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REGULARIZERS)
@pytest.mark.parametrize("make", [linear, gru_decoder])
def test_penalties_are_float32_scalars_also_in_bfloat16(name: str, make: Callable[..., nn.Module]) -> None:
    regularizer = REGULARIZERS[name]()
    decoder = prepared(regularizer, make(latent=4 + regularizer.conditions))
    z = Z.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16), regularizer.context(decoder):
        seen = regularizer.perturb(z, generator())
        out = decoder(seen) if make is linear else decoder(seen, CODES)
        penalty = regularizer.penalty(decoder, seen, out, generator=generator())
    assert out.dtype == torch.bfloat16
    assert (penalty.dtype, penalty.shape) == (torch.float32, ())
    assert penalty.item() >= 0 and penalty.isfinite()


@pytest.mark.parametrize("name", REGULARIZERS)
@pytest.mark.parametrize("autocast", [False, True])
def test_a_validation_leaves_no_trace(name: str, autocast: bool) -> None:
    model = of_texts(REGULARIZERS[name]())
    model(CODES, generator())  # which clips the weights, where they are clipped
    model.eval()
    before = {label: value.clone() for label, value in model.state_dict().items()}
    state = torch.get_rng_state()
    totals = []
    for _ in range(2):
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            losses = model(CODES, generator())
            assert not torch.is_grad_enabled()
        assert all(part.isfinite() for part in losses)
        totals.append(losses.total.item())
    assert totals[0] == totals[1]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.backends.cudnn.enabled
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[label], value) for label, value in model.state_dict().items())


@pytest.mark.parametrize("name", REGULARIZERS)
def test_a_trained_step_can_be_copied_and_loaded(name: str) -> None:
    model = of_texts(REGULARIZERS[name]())
    model(CODES, generator()).total.backward()
    twin = copy.deepcopy(model)
    other = of_texts(REGULARIZERS[name]())
    other.load_state_dict(model.state_dict())
    costs = [one.eval()(CODES, generator()).total.item() for one in (model, twin, other)]
    assert costs[0] == costs[1] == costs[2]
    twin.train()(CODES, generator()).total.backward()
    for label, parameter in twin.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, label
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(3)
    assert model.eval()(CODES, generator()).total.item() == costs[0]


@pytest.mark.parametrize(
    ("make", "name"),
    [(L2, "weight"), (GradientPenalty, "weight"), (InstanceNoise, "scale"), (WeightClipping, "limit")],
)
@pytest.mark.parametrize("value", [-1e-9, -1, math.nan, math.inf, "0.1", None, True])
def test_unusable_weight(make: Any, name: str, value: Any) -> None:
    with pytest.raises(InputError, match=name):
        make(**{name: value})


@pytest.mark.parametrize(("make", "name"), [(GradientPenalty, "projections"), (SpectralNorm, "iterations")])
@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, True, "1", None])
def test_unusable_number(make: Any, name: str, value: Any) -> None:
    with pytest.raises(InputError, match=name):
        make(**{name: value})


@pytest.mark.parametrize("variant", ["jacobi", "", None, 1])
def test_unusable_variant(variant: Any) -> None:
    with pytest.raises(InputError, match="output or jacobian"):
        GradientPenalty(variant=variant)


def test_no_regulariser_does_nothing() -> None:
    encoder, decoder, regularizer = linear(1), linear(), Regularizer()
    before = copy.deepcopy([encoder.state_dict(), decoder.state_dict()])
    regularizer.prepare(encoder, decoder)
    with regularizer.context(decoder):
        out = decoder(Z)
    penalty = regularizer.penalty(decoder, Z.bfloat16(), out)
    assert (penalty.item(), penalty.dtype, penalty.shape) == (0, torch.float32, ())
    assert regularizer.perturb(Z, generator()) is Z
    for net, state in zip((encoder, decoder), before, strict=True):
        assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())


# --- L2 --------------------------------------------------------------------------------------------------------------


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
    decoder = gru_decoder()
    L2(1.0).penalty(decoder, Z, Z).backward()
    covered = {name for name, parameter in decoder.named_parameters() if parameter.grad is not None}
    assert covered == {name for name, _ in decoder.named_parameters() if "bias" not in name}


# --- gradient penalty ------------------------------------------------------------------------------------------------


def penalty_of(decoder: Callable[[Tensor], Tensor], z: Tensor, seed: int = 0, **options: Any) -> Tensor:
    regularizer, net = GradientPenalty(**options), decoder if isinstance(decoder, nn.Module) else nn.Identity()
    z = z.detach().requires_grad_()
    with regularizer.context(net):
        return regularizer.penalty(net, z, decoder(z), generator=generator(seed))


@settings(max_examples=30)
@given(weight=st.floats(0, 10), seed=st.integers(0, 1000), rows=st.integers(1, 5))
def test_gradient_penalty_of_a_linear_decoder(weight: float, seed: int, rows: int) -> None:
    decoder, z = linear(seed), torch.randn(rows, 4, generator=generator(seed))
    penalty = penalty_of(decoder, z, weight=weight)
    assert (penalty.shape, penalty.dtype) == ((), torch.float32)
    # 4 lambda ||W^T (Wz + b)||^2, the mean over the rows.
    matrix = decoder.weight.detach().double()
    out = z.double() @ matrix.T + decoder.bias.detach().double()
    expected = 4 * weight * (out @ matrix).square().sum(1).mean()
    assert math.isclose(penalty.item(), expected.item(), rel_tol=1e-5, abs_tol=1e-9)


def test_gradient_of_the_gradient_penalty_of_a_linear_decoder() -> None:
    decoder, z = linear().double(), torch.randn(6, 4, generator=generator(), dtype=torch.float64)
    regularizer = GradientPenalty(0.3)

    def closed(weight: Tensor, bias: Tensor) -> Tensor:
        return 4 * 0.3 * ((z @ weight.T + bias) @ weight).square().sum(1).mean()

    point = z.clone().requires_grad_()
    # The penalty is a float32 number; its gradient is not rounded to one before it arrives.
    regularizer.penalty(decoder, point, decoder(point)).backward()
    weight, bias = (parameter.detach().clone().requires_grad_() for parameter in (decoder.weight, decoder.bias))
    expected = torch.autograd.grad(closed(weight, bias), (weight, bias))
    torch.testing.assert_close(decoder.weight.grad, expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(decoder.bias.grad, expected[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("projections", [1, 4])
def test_the_jacobian_variant_projects(projections: int) -> None:
    decoder, z = linear(), torch.randn(6, 4, generator=generator())
    penalty = penalty_of(decoder, z, seed=5, weight=0.5, variant="jacobian", projections=projections)
    source, found = generator(5), []
    for _ in range(projections):
        v = torch.randn(6, 5, generator=source)
        found.append(0.5 * (v @ decoder.weight.detach()).square().sum(1).mean().item())
    assert penalty.item() == pytest.approx(sum(found) / projections, rel=1e-5)


def curved(z: Tensor) -> Tensor:
    return torch.stack([z[:, 0] * z[:, 1], torch.sin(z[:, 2]), z.square().sum(1)], dim=1)


def test_the_jacobian_variant_is_unbiased() -> None:
    z = torch.randn(1, 4, generator=generator())
    jacobian = torch.autograd.functional.jacobian(lambda one: curved(one[None])[0], z[0])
    many = penalty_of(curved, z.expand(20_000, 4), weight=1.0, variant="jacobian").item()
    assert many == pytest.approx(jacobian.square().sum().item(), rel=0.05)


def test_the_output_variant_of_a_curved_decoder() -> None:
    z = torch.randn(7, 4, generator=generator())
    gradients = [torch.autograd.functional.jacobian(lambda one: curved(one[None]).square().sum(), row) for row in z]
    expected = sum(gradient.square().sum().item() for gradient in gradients) / 7
    assert penalty_of(curved, z, weight=1.0).item() == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_one_by_the_code_not_by_the_input() -> None:
    """An encoder that shrinks its input a thousand times changes nothing about the decoder."""
    decoder, x = linear(), torch.randn(3, 4, generator=generator())
    found = []
    for shrink in (1.0, 1e-3):
        encoder = nn.Linear(4, 4, bias=False)
        nn.init.eye_(encoder.weight).data.mul_(shrink)
        z = encoder(x / shrink)
        found.append(GradientPenalty(1.0).penalty(decoder, z, decoder(z)).item())
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_codes_of_other_rows_do_not_count() -> None:
    decoder, z = linear(), torch.randn(5, 4, generator=generator())
    alone = [penalty_of(decoder, row[None], weight=1.0).item() for row in z]
    assert penalty_of(decoder, z, weight=1.0).item() == pytest.approx(sum(alone) / 5, rel=1e-5)


@pytest.mark.parametrize("variant", ["output", "jacobian"])
def test_gradient_penalty_of_a_recurrent_decoder(variant: str) -> None:
    """Its gradient, by the weights and by z, against finite differences."""
    decoder, regularizer = gru_decoder().double(), GradientPenalty(1.0, variant)
    z = torch.randn(3, 4, generator=generator(), dtype=torch.float64).requires_grad_()

    def penalty() -> Tensor:
        with regularizer.context(decoder):
            out = decoder(z, CODES)
            # In float64: as `penalty` itself does it, without the rounding that differences cannot bear.
            v = torch.randn(out.shape, generator=generator(1)).double()
            total = out.square().sum() if variant == "output" else (out * v).sum()
            (gradient,) = torch.autograd.grad(total, z, create_graph=True)
            return gradient.square().sum(1).mean()

    with regularizer.context(decoder):
        given = regularizer.penalty(decoder, z, decoder(z, CODES), generator=generator(1))
    exact = penalty()
    assert given.item() == pytest.approx(exact.item(), rel=1e-5)
    targets = {"z": z, **{name: p for name, p in decoder.named_parameters() if p.ndim > 0}}
    gradients = torch.autograd.grad(given, list(targets.values()), allow_unused=True)
    reached = 0
    for (name, target), gradient in zip(targets.items(), gradients, strict=True):
        if gradient is None:
            continue
        reached += 1
        position = int(gradient.abs().argmax())
        with torch.no_grad():
            flat, step = target.view(-1), 1e-6
            flat[position] += step
            above = penalty().item()
            flat[position] -= 2 * step
            below = penalty().item()
            flat[position] += step
        expected = (above - below) / (2 * step)
        assert gradient.view(-1)[position].item() == pytest.approx(expected, rel=1e-4, abs=1e-6), name
    assert reached >= 6


def test_cudnn_is_turned_off_for_recurrent_decoders_only() -> None:
    assert torch.backends.cudnn.enabled
    for decoder, enabled in ((gru_decoder(), False), (PaperDecoder((1, 8, 8), 2, 4, (3, 2)), True), (linear(), True)):
        with GradientPenalty().context(decoder):
            assert torch.backends.cudnn.enabled == enabled
        assert torch.backends.cudnn.enabled
    with pytest.raises(ZeroDivisionError), GradientPenalty().context(gru_decoder()):
        1 / 0  # noqa: B018
    assert torch.backends.cudnn.enabled


@pytest.mark.parametrize("variant", ["output", "jacobian"])
def test_gradient_penalty_under_no_grad(variant: str) -> None:
    decoder, regularizer, x = linear(), GradientPenalty(1.0, variant), Z.clone()
    encoder = nn.Linear(4, 4)

    def cost() -> float:
        with regularizer.context(decoder):
            z = encoder(x)
            return regularizer.penalty(decoder, z, decoder(z), generator=generator()).item()

    trained = cost()
    with torch.no_grad():
        assert cost() == trained
        assert not torch.is_grad_enabled()


# --- spectral normalisation ------------------------------------------------------------------------------------------


def largest(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix.detach(), ord=2))


LAYERS: dict[str, tuple[Callable[[], nn.Module], Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(4, 6), lambda w: w, (2, 4)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3), lambda w: w.flatten(1), (2, 4, 5)),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3), lambda w: w.flatten(1), (2, 4, 5, 5)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3), lambda w: w.transpose(0, 1).flatten(1), (2, 4, 5, 5)),
    "transposed1d": (lambda: nn.ConvTranspose1d(4, 6, 3), lambda w: w.transpose(0, 1).flatten(1), (2, 4, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_spectral_norm_of_a_layer(name: str) -> None:
    make, as_matrix, shape = LAYERS[name]
    layer = make()
    with torch.no_grad():
        layer.weight.mul_(7)  # type: ignore[operator]
    original = layer.weight.detach().clone()  # type: ignore[operator]
    plain = copy.deepcopy(layer)
    SpectralNorm(iterations=50).prepare(nn.Identity(), layer)
    x = torch.randn(shape)
    out = layer(x)
    expected = original / largest(as_matrix(original))
    assert largest(as_matrix(layer.eval().weight)) == pytest.approx(1, abs=1e-3)  # type: ignore[arg-type]
    with torch.no_grad():
        plain.weight.copy_(expected)  # type: ignore[operator]
    torch.testing.assert_close(out, plain(x), atol=1e-3, rtol=1e-3)
    # Another factor on the original weight changes nothing: the forward pass uses the normalised one.
    with torch.no_grad():
        layer.parametrizations.weight.original.mul_(5)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(layer.train()(x), out, atol=1e-3, rtol=1e-3)


def iterated(weight: Tensor, u: Tensor, v: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Power iteration on W, as in the paper of spectral normalisation."""
    for _ in range(steps):
        u = nn.functional.normalize(weight @ v, dim=0)
        v = nn.functional.normalize(weight.T @ u, dim=0)
    return u, v


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0"])
def test_each_step_iterates_as_often_as_it_should(steps: int, name: str) -> None:
    """Also where a layer looks at its weights several times in a pass."""
    regularizer = SpectralNorm(steps)
    decoder = prepared(regularizer, gru_decoder())
    norm = decoder.gru.parametrizations[name][0]
    with torch.no_grad():
        decoder.gru.parametrizations[name].original.copy_(torch.randn(9, norm._v.numel()))
    original = decoder.gru.parametrizations[name].original.detach()
    for passes in (1, 2):  # a decoder that is run twice in a step iterates once
        u, v = iterated(original, norm._u.clone(), norm._v.clone(), steps)
        with regularizer.context(decoder):
            total = torch.stack([decoder(Z, CODES).square().sum() for _ in range(passes)]).sum()
        decoder.zero_grad()
        total.backward()
        assert (decoder.gru.parametrizations[name].original.grad != 0).any()
        torch.testing.assert_close(norm._u, u, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(norm._v, v, atol=1e-5, rtol=1e-5)


def test_spectral_norm_of_a_recurrent_decoder() -> None:
    regularizer = SpectralNorm(iterations=50)
    plain = gru_decoder()
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.mul_(3)
    decoder = prepared(regularizer, copy.deepcopy(plain))
    covered = {name.replace("parametrizations.", "") for name, _ in decoder.named_parameters() if "original" in name}
    assert covered == {
        *("from_latent.weight.original", "logits.weight.original"),
        *("gru.weight_ih_l0.original", "gru.weight_hh_l0.original"),
    }
    with regularizer.context(decoder):
        out = decoder(Z, CODES)
    with torch.no_grad():
        for matrix in (plain.from_latent.weight, plain.logits.weight, plain.gru.weight_ih_l0, plain.gru.weight_hh_l0):
            matrix.div_(largest(matrix))
    torch.testing.assert_close(out, plain(Z, CODES), atol=1e-4, rtol=1e-4)
    out.square().sum().backward()
    for label, parameter in decoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, label
    # Step by step, as it is decoded, it is the same net.
    decoder.eval()
    first, _ = decoder.step(decoder.begin(Z), None, torch.zeros(3, dtype=torch.int64))
    torch.testing.assert_close(first, decoder(Z, CODES)[:, 0], atol=1e-5, rtol=1e-5)


def test_gradient_of_spectral_norm_goes_through_the_norm() -> None:
    layer = prepared(SpectralNorm(iterations=100), nn.Linear(4, 6, bias=False).double())
    z = torch.randn(3, 4, dtype=torch.float64)
    layer(z).square().sum().backward()
    weight = layer.parametrizations.weight.original
    exact = weight.detach().clone().requires_grad_()
    (z @ (exact / torch.linalg.matrix_norm(exact, ord=2)).T).square().sum().backward()
    torch.testing.assert_close(weight.grad, exact.grad, atol=1e-5, rtol=1e-5)


def test_spectral_norm_of_a_transposed_convolution_runs_over_its_outputs() -> None:
    layer = prepared(SpectralNorm(), nn.ConvTranspose2d(4, 6, 3))
    assert layer.parametrizations.weight[0]._u.shape == (6,)
    assert layer.parametrizations.weight[0]._v.shape == (4 * 9,)


def test_spectral_norm_in_evaluation_stands_still() -> None:
    regularizer = SpectralNorm()
    decoder = prepared(regularizer, gru_decoder()).eval()
    before = copy.deepcopy(decoder.state_dict())
    for _ in range(3):
        with torch.inference_mode():
            decoder(Z, CODES)
    assert all(torch.equal(before[name], value) for name, value in decoder.state_dict().items())
    with regularizer.context(decoder):
        decoder.train()(Z, CODES)
    assert not all(torch.equal(before[name], value) for name, value in decoder.state_dict().items())


def test_spectral_norm_leaves_embeddings_normalisation_and_the_encoder_alone() -> None:
    encoder = PaperEncoder((1, 16, 16), 3, (2, 2, 2, 2))
    decoder = PaperDecoder((1, 16, 16), 3, 4, (3, 2))
    names = set(encoder.state_dict())
    prepared(SpectralNorm(), decoder, encoder)
    assert set(encoder.state_dict()) == names
    normalised = {name.split(".")[0] for name in decoder.state_dict() if "original" in name}
    assert {type(decoder[int(index)]).__mro__[1] for index in normalised} == {nn.Linear, nn.ConvTranspose2d}
    assert len(normalised) == 4


def test_spectral_norm_of_the_encoder_too() -> None:
    encoder, decoder = PaperEncoder((1, 16, 16), 3, (2, 2, 2, 2)), PaperDecoder((1, 16, 16), 3, 4, (3, 2))
    prepared(SpectralNorm(encoder=True), decoder, encoder)
    assert sum("original" in name for name in encoder.state_dict()) == 5
    assert sum("original" in name for name in decoder.state_dict()) == 4
    recurrent = GRUEncoder(RULES, 4, 5, embedding=2, hidden=3)
    prepared(SpectralNorm(encoder=True), gru_decoder(), recurrent)
    assert sum("original" in name for name in recurrent.state_dict()) == 5
    assert recurrent(CODES).shape == (3, 4)


# --- instance noise --------------------------------------------------------------------------------------------------


def test_noise_of_the_right_scale_from_the_generator() -> None:
    noise, z = InstanceNoise(0.3), torch.randn(2000, 10, generator=generator())
    before = torch.get_rng_state()
    seen = noise.perturb(z, generator(1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(seen, z + 0.3 * torch.randn(2000, 10, generator=generator(1)))
    assert (seen - z).std().item() == pytest.approx(0.3, rel=0.03)
    assert torch.equal(InstanceNoise(0).perturb(z, generator(1)), z)


def test_noise_in_training_only() -> None:
    model = of_texts(InstanceNoise(2.0))
    plain = of_texts(Regularizer())
    plain.load_state_dict(model.state_dict())
    assert model(CODES, generator(1)).total.item() != model(CODES, generator(2)).total.item()
    assert model(CODES, generator(1)).total.item() == model(CODES, generator(1)).total.item()
    for seed in (1, 2):
        assert model.eval()(CODES, generator(seed)).total.item() == plain(CODES).total.item()
    # The latent cost is that of the code, not of what the decoder sees.
    assert model.train()(CODES, generator(1)).latent.item() == plain(CODES).latent.item()


# --- weight clipping -------------------------------------------------------------------------------------------------


def test_clipped_weights() -> None:
    decoder = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ConvTranspose1d(5, 3, 4), nn.Embedding(2, 2))
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(10).add_(0.05)
    before = copy.deepcopy(dict(decoder.named_parameters()))
    with WeightClipping(0.2).context(decoder):
        inside = {name: parameter.detach().clone() for name, parameter in decoder.named_parameters()}
    clipped = 0
    for name, parameter in decoder.named_parameters():
        assert torch.equal(inside[name], parameter)
        expected = before[name].clamp(-0.2, 0.2) if parameter.ndim >= 2 else before[name]
        assert torch.equal(parameter, expected), name
        assert parameter.requires_grad
        clipped += bool((parameter.abs() == torch.tensor(0.2)).any()) if parameter.ndim >= 2 else 0
    assert clipped == 3
    assert any((parameter.abs() > 0.2).any() for parameter in decoder.parameters() if parameter.ndim < 2)


def test_weights_are_clipped_before_each_pass() -> None:
    model = of_texts(WeightClipping(0.1))
    optimizer = torch.optim.SGD(model.parameters(), lr=10.0)
    for _ in range(3):
        optimizer.zero_grad()
        model(CODES).total.backward()
        optimizer.step()
    assert max(p.abs().max().item() for p in model.decoder.parameters() if p.ndim >= 2) > 0.1
    with torch.no_grad():
        model.eval()(CODES)
    assert max(p.abs().max().item() for p in model.decoder.parameters() if p.ndim >= 2) <= 0.1 + 1e-8
    assert max(p.abs().max().item() for p in model.encoder.parameters() if p.ndim >= 2) > 0.1


@pytest.mark.parametrize("variant", ["output", "jacobian"])
def test_gradient_penalty_of_texts_does_not_see_padding(variant: str) -> None:
    decoder = GRUDecoder(Rules.build([0, 0], [[0], []], 1, 0), latent=4, max_length=9, embedding=2, hidden=3, context=2)
    likelihood = MaskedCategorical(Rules.build([0, 0], [[0], []], 1, 0))
    codes = torch.tensor([[0, 0, 1], [0, 1, -1]])
    found = []
    for more in (0, 1, 6):
        padded = nn.functional.pad(codes, (0, more), value=-1)
        z = torch.ones(2, 4, requires_grad=True)
        present, generator = likelihood.present(padded), torch.Generator().manual_seed(0)
        penalty = GradientPenalty(1.0, variant).penalty(decoder, z, decoder(z, padded), present, generator)
        found.append(penalty.item())
    assert found[0] > 0
    assert found == pytest.approx([found[0]] * 3)


def test_gradient_penalty_of_weight_0_costs_nothing() -> None:
    z = torch.ones(3, 4)  # asks for no gradient
    assert GradientPenalty(0.0).penalty(linear(), z, z).item() == 0
