"""Arguments that cannot be used: a typed error, before anything is allocated."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from grammar_rae.cli import app
from grammar_rae.codecs import CharacterCodec
from grammar_rae.decoding.beam import check_width
from grammar_rae.density import MixtureDensity
from grammar_rae.errors import InputError
from grammar_rae.model import TextModel
from grammar_rae.model.drawing import latent_codes
from grammar_rae.recipes import RECIPES, build_text
from grammar_rae.resources import bundled_model
from grammar_rae.training import TrainingSettings
from grammar_rae.training.fabric import make_fabric


@pytest.fixture(scope="module")
def model() -> TextModel:
    return TextModel.load(bundled_model())


@pytest.mark.parametrize("method", ["decode", "decode_batch", "spell_batch", "one_hot"])
@pytest.mark.parametrize("tokens", [None, 3, "a", [2**70], [float("nan")], [1j], [[1], [2, 3]], [[[1]]]])
def test_what_is_no_tokens(model: TextModel, method: str, tokens: Any) -> None:
    for codec in (model.codec, CharacterCodec(characters=("C", "O"))):
        with pytest.raises(InputError):
            getattr(codec, method)(tokens)


@pytest.mark.parametrize("texts", [None, 3])
def test_what_is_no_batch_of_texts(model: TextModel, texts: Any) -> None:
    with pytest.raises(InputError, match="list of strings"):
        model.codec.encode_batch(texts)


@pytest.mark.parametrize(
    "call",
    [
        *(lambda n=n: MixtureDensity(8, n_components=n) for n in ("x", float("nan"), 1e9, 10**9, 0, True, 1.5)),
        lambda: MixtureDensity(8, max_iter="x"),  # type: ignore[arg-type]
        lambda: MixtureDensity(8, tol=float("nan")),
        lambda: MixtureDensity(2).fit(np.ones((30, 2)) * 1j),
        lambda: latent_codes(np.ones((1, 2)) * 1j, 2),
        lambda: latent_codes(torch.ones(1, 2) * 1j, 2),
        lambda: check_width(100_000),
        lambda: make_fabric(TrainingSettings(epochs=1, accelerator="tpu")),
    ],
)
def test_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        call()


@pytest.mark.parametrize("size", [0, -1, 1.5, "x", None, 2**40])
@pytest.mark.parametrize(("net", "option"), [("encoder", "embedding"), ("decoder", "hidden"), ("encoder", "channels")])
def test_sizes_of_nets(model: TextModel, net: str, option: str, size: Any) -> None:
    recipe = RECIPES["tiny"].replace(**{f"{net}_options": {option: size}})
    with pytest.raises(InputError):
        build_text(recipe, model.codec)  # type: ignore[arg-type]


def test_valid_only_is_true_or_false(model: TextModel) -> None:
    with pytest.raises(InputError, match="valid_only"):
        model.sample(1, valid_only="no")  # type: ignore[arg-type]


@pytest.mark.parametrize("words", [["sample"], ["refit", "gaussian"]])
def test_an_empty_model_is_refused(words: list[str]) -> None:
    result = CliRunner().invoke(app, [*words, "-m", ""])
    assert result.exit_code == 2 and "empty" in result.stderr
