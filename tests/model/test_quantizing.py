"""Weights of eight bits: what they compute, what draws of them are worth, and what is refused."""

import warnings

import pytest
import torch
from torch import nn

import grammar_rae
from grammar_rae.errors import InputError
from grammar_rae.model import TextModel
from grammar_rae.nets.int8 import Int8GRU, Int8Linear, has_int8, with_int8


@pytest.fixture(scope="module")
def model() -> TextModel:
    return grammar_rae.load("molecules")


@pytest.fixture(scope="module")
def fast(model: TextModel) -> TextModel:
    found: TextModel = model.quantized(check=0)
    return found


@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layer_is_off_by_no_more_than_its_rounding(bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(40, 30, bias=bias)
    x = torch.randn(50, 40)
    with torch.inference_mode():
        off = (Int8Linear(layer.weight, layer.bias)(x) - layer(x)).abs()
    # Half a step of each weight and of each input, times what it is multiplied by.
    weight_step = layer.weight.abs().amax(1) / 127
    input_step = (x.max() - x.min()) / 127
    bound = 0.5 * (x.abs().sum(1, keepdim=True) * weight_step + input_step * layer.weight.abs().sum(1))
    assert (off <= 1.05 * bound).all()
    assert off.max() > 0


def test_a_layer_of_zeros_gives_its_bias() -> None:
    bias = torch.tensor([1.0, -2.0])
    assert torch.equal(Int8Linear(torch.zeros(2, 3), bias)(torch.randn(4, 3)), bias.expand(4, 2))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_recurrence_follows_that_of_pytorch(layers: int) -> None:
    torch.manual_seed(0)
    gru = nn.GRU(12, 16, layers, batch_first=True)
    x, hidden = torch.randn(5, 7, 12), torch.randn(layers, 5, 16)
    with torch.inference_mode():
        (out, last), (exact, exact_last) = Int8GRU(gru)(x, hidden), gru(x, hidden)
    assert out.shape == exact.shape and last.shape == exact_last.shape
    assert torch.equal(out[:, -1], last[-1])
    assert (out - exact).abs().mean() < 0.02
    assert torch.corrcoef(torch.stack([out.flatten(), exact.flatten()]))[0, 1] > 0.995


def test_draws_are_as_valid_and_follow_the_seed(model: TextModel, fast: TextModel) -> None:
    drawn, again = (fast.sample(300, valid_only=False, seed=3) for _ in range(2))
    assert drawn.texts == again.texts
    assert drawn.validity > model.sample(300, valid_only=False, seed=3).validity - 0.05


def test_codes_and_knobs_are_the_models(model: TextModel, fast: TextModel) -> None:
    texts = ["CC(=O)Nc1ccc(O)cc1", "c1ccccc1"]
    assert (fast.encode(texts) == model.encode(texts)).all()
    assert fast.recipe_ == model.recipe_
    assert has_int8(fast.autoencoder_) and not has_int8(model.autoencoder_)
    assert fast.quantized() is fast


def test_likelihoods_are_near(model: TextModel, fast: TextModel) -> None:
    texts = model.sample(30, seed=0).texts
    off = fast.log_prob(texts) - model.log_prob(texts)
    assert abs(off).mean() < 1.0  # of some thirty nats


def test_the_check_warns_of_lost_validity(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.quantized(check=100)

    def broken(decoder: nn.Module) -> nn.Module:
        found = with_int8(decoder)
        found.logits = nn.Sequential(nn.Linear(decoder.hidden, decoder.lhs.numel()))
        return found

    monkeypatch.setattr("grammar_rae.model.quantizing.with_int8", broken)
    with pytest.warns(UserWarning, match="of 100 draws are valid"):
        model.quantized(check=100)


def test_what_needs_the_weights_is_refused(fast: TextModel, tmp_path) -> None:
    for call in (
        lambda: fast.save(tmp_path / "model"),
        lambda: fast.refined(["CCO"]),
        lambda: fast.to("meta"),
        lambda: grammar_rae.train(["CCO"] * 30, start=fast),
    ):
        with pytest.raises(InputError, match="weights of eight bits"):
            call()
    assert not (tmp_path / "model").exists()


def test_only_recurrent_decoders_are_quantized() -> None:
    texts = ["C" * n + end for n in range(1, 11) for end in ("N", "O", "F", "Cl")]
    model = grammar_rae.train(
        texts, "tiny", decoder="grammar-vae", decoder_options={}, epochs=1, progress=False, seed=0
    )
    with pytest.raises(InputError, match="recurrent"):
        model.quantized()


@pytest.mark.parametrize("check", [-1, 2.5, True, "many"])
def test_counts_of_the_check(model: TextModel, check: object) -> None:
    with pytest.raises(InputError, match="check"):
        model.quantized(check=check)
