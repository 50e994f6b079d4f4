"""The decoder that is told the level of the noise: formulas, training, sampling, on texts and on images."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grammar_rae.cli.pages import write_samples_page
from grammar_rae.datasets import encode, read_images
from grammar_rae.errors import InputError
from grammar_rae.model import ImageModel, TextModel
from grammar_rae.model.decoding import read_levels
from grammar_rae.objectives import LayerNorm
from grammar_rae.recipes import TextRecipe, get_recipe, learn_codec
from grammar_rae.regularizers import REGULARIZERS, NoiseConditioned

D = 6
CONDITIONED = {"objective": "layer-norm", "objective_options": {}, "regularizer": "noise-conditioned"}
TEXTS = ["CCO", "CCN", "CCC", "c1ccccc1", "CC(C)O", "CCCC", "OCCO", "CNC", "CC=O", "C1CC1", "CCCl", "CC#N"] * 4


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(n: int = 64, seed: int = 0) -> torch.Tensor:
    return LayerNorm().project(torch.randn(n, D, generator=generator(seed)))


def level_of(seen: torch.Tensor, row: NoiseConditioned) -> torch.Tensor:
    """The level that the cosines tell: their first harmonic is invertible on [0, 1]."""
    share = torch.acos(seen[:, D + 2].clamp(-1, 1)) / math.pi
    return torch.where(seen[:, D] == 1, 0.0, row.lowest * (row.highest / row.lowest) ** share)


def test_without_noise_the_code_is_seen_as_it_is() -> None:
    row, z = NoiseConditioned(), codes()
    seen = row.smooth(z)
    assert seen.shape == (64, D + row.conditions)
    assert torch.equal(seen[:, :D], z)
    assert seen[:, D].eq(1).all() and seen[:, D + 1 :].eq(0).all()


@settings(max_examples=30)
@given(sigma=st.floats(0.1, 6), seed=st.integers(0, 99))
def test_the_level_is_told_and_the_noise_has_it(sigma: float, seed: int) -> None:
    row, z = NoiseConditioned(), codes(2000, seed)
    seen = row.smooth(z, sigma, generator(1000 + seed))
    torch.testing.assert_close(level_of(seen, row), torch.full((2000,), sigma), rtol=2e-3, atol=2e-3)
    noise = seen[:, :D] * math.sqrt(1 + sigma**2) - z
    assert abs(noise.std().item() / sigma - 1) < 0.05
    assert abs(seen[:, :D].std().item() - 1) < 0.05  # the scale of what is seen does not tell the level
    assert torch.equal(seen, row.smooth(z, sigma, generator(1000 + seed)))


def test_levels_in_training() -> None:
    row = NoiseConditioned(lowest=0.5, highest=2.0, clean=0.25)
    z = codes(20_000)
    seen = row.perturb(z, generator())
    levels = level_of(seen, row)
    clean = levels == 0
    assert abs(clean.float().mean().item() - 0.25) < 0.02
    assert torch.equal(seen[clean, :D], z[clean])
    logs = (levels[~clean].log() - math.log(0.5)) / math.log(4)
    assert logs.min() >= -1e-3 and logs.max() <= 1 + 1e-3
    assert abs(logs.mean().item() - 0.5) < 0.02 and abs(logs.var().item() - 1 / 12) < 0.005  # uniform
    again = (seen[:, :D] * (1 + levels.square()).sqrt()[:, None] - z)[~clean] / levels[~clean, None]
    assert abs(again.std().item() - 1) < 0.02


def test_a_skew_draws_high_levels_more_often() -> None:
    row, z = NoiseConditioned(clean=0, skew=2.5), codes(20_000)
    shares = (level_of(row.perturb(z, generator()), row) / row.lowest).log() / math.log(row.highest / row.lowest)
    # The density k x^(k - 1) on [0, 1] has the mean k / (k + 1) and the median 2^(-1/k).
    assert abs(shares.mean().item() - 2.5 / 3.5) < 0.01
    assert abs(shares.median().item() - 0.5 ** (1 / 2.5)) < 0.01
    assert row.conditions == NoiseConditioned().conditions


def test_levels_outside_the_range_are_told_as_its_ends() -> None:
    row, z = NoiseConditioned(), codes(4)
    assert torch.allclose(row.smooth(z, 0.01, generator())[:, D:], row.smooth(z, 0.1, generator())[:, D:], atol=1e-6)
    assert torch.allclose(row.smooth(z, 50.0, generator())[:, D:], row.smooth(z, 6.0, generator())[:, D:], atol=1e-6)


def test_each_code_may_have_a_level() -> None:
    row, z = NoiseConditioned(), codes(4)
    levels = torch.tensor([0.0, 0.5, 1.0, 2.0])
    seen = row.smooth(z, levels, generator())
    torch.testing.assert_close(level_of(seen, row), levels, rtol=2e-3, atol=2e-3)
    assert torch.equal(seen[0, :D], z[0]) and not torch.equal(seen[1, :D], z[1])
    same = row.smooth(z, torch.full((4,), 0.5), generator())
    assert torch.equal(same, row.smooth(z, 0.5, generator()))
    for wrong in (levels[:3], -levels, levels / 0):
        with pytest.raises(InputError, match="invalid smoothing"):
            row.smooth(z, wrong)


@pytest.mark.parametrize("smoothing", [np.ones(3), np.ones((2, 1)), [0.5, 1.0], np.array(["a", "b"])])
def test_levels_are_one_or_as_many_as_codes(smoothing: Any) -> None:
    with pytest.raises(InputError, match="smoothing cannot be used"):
        read_levels(smoothing, 2)
    assert read_levels(0.5, 2) == 0.5 and torch.equal(
        torch.as_tensor(read_levels(np.array([0, 2]), 2)), torch.tensor([0.0, 2.0])
    )


@pytest.mark.parametrize(
    "options",
    [
        {"lowest": 0},
        {"lowest": 2.0, "highest": 1.0},
        {"clean": 1.5},
        {"clean": -0.1},
        {"highest": math.inf},
        {"nothing": 1},
        {"skew": 0},
        {"skew": -1},
    ],
)
def test_levels_that_cannot_be_used(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match="invalid"):
        NoiseConditioned(**options)


def test_rows_without_a_code() -> None:
    row, z = NoiseConditioned(nothing=0.25), codes(20_000)
    assert row.conditions == NoiseConditioned().conditions + 1
    blank = row.blank(20_000, generator())
    assert blank is not None and abs(blank.float().mean().item() - 0.25) < 0.01
    assert row.nothing(3, D).tolist() == [[0.0] * (D + row.conditions - 1) + [1.0]] * 3
    for seen in (row.smooth(z), row.perturb(z, generator())):
        assert seen.shape == (20_000, D + row.conditions) and seen[:, -1].eq(0).all()
    assert torch.equal(row.smooth(z, 2.0, generator())[:, :-1], NoiseConditioned().smooth(z, 2.0, generator()))


@pytest.mark.parametrize("name", REGULARIZERS)
def test_a_code_is_missing_only_where_training_had_such_rows(name: str) -> None:
    with pytest.raises(InputError, match="no rows without a code"):
        REGULARIZERS[name]().nothing(3, D)


@pytest.mark.parametrize("smoothing", [-1.0, math.nan, math.inf, "1", True])
@pytest.mark.parametrize("name", REGULARIZERS)
def test_smoothing_that_cannot_be_used(name: str, smoothing: Any) -> None:
    with pytest.raises(InputError, match="invalid smoothing"):
        REGULARIZERS[name]().smooth(codes(), smoothing)


@pytest.mark.parametrize("name", sorted({*REGULARIZERS} - {"noise-conditioned"}))
def test_other_decoders_know_of_no_smoothing(name: str) -> None:
    z = codes()
    assert REGULARIZERS[name]().smooth(z) is z
    with pytest.raises(InputError, match="does not support smoothing"):
        REGULARIZERS[name]().smooth(z, 0.5)


def test_layer_norm_is_a_projection_at_no_cost() -> None:
    h = 5 + 3 * torch.randn(50, D, generator=generator())
    z, cost = LayerNorm()(h)
    torch.testing.assert_close(z.mean(1), torch.zeros(50), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.square().sum(1), torch.full((50,), float(D)), rtol=1e-3, atol=0)
    torch.testing.assert_close(LayerNorm().project(7 * z), z, rtol=1e-4, atol=1e-4)
    assert cost.eq(0).all()


# --- models ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> TextModel:
    sizes = {"learning_rate": 0.01, "validation_fraction": 0.05, "batch_size": 16, "precision": "32-true"}
    recipe = get_recipe("tiny", TextRecipe).replace(**CONDITIONED, **sizes, smoothing=1.5)
    data = encode(TEXTS, learn_codec(recipe, TEXTS))
    return TextModel(recipe, epochs=60).fit(data, validation=data)  # a dozen molecules: none can be spared


def test_one_model_reconstructs_and_smooths(model: TextModel, tmp_path: Path) -> None:
    assert np.mean([a == b for a, b in zip(TEXTS[:12], map_canonical(model, TEXTS[:12]), strict=True)]) > 0.5
    z = model.encode(TEXTS[:12])
    assert model.decode(z) == model.decode(z) == model.decode(3 * z)  # a code is a direction
    plain, smooth = (model.decode(np.repeat(z, 20, 0), smoothing=s, seed=1) for s in (0.0, 4.0))
    assert len(set(smooth)) > len(set(plain[:240:20])) / 2
    assert smooth != plain
    assert model.decode(np.repeat(z, 20, 0), smoothing=4.0, seed=1) == smooth
    drawn = model.sample(30, seed=2, valid_only=False)
    assert drawn.smoothing == 1.5
    assert model.sample(30, seed=2, valid_only=False, smoothing=0.0).texts != drawn.texts
    write_samples_page(tmp_path / "page.html", model, drawn, drawn.to_frame())
    assert re.search(r"smoothing\W.{0,40}>1\.5<", (tmp_path / "page.html").read_text(encoding="utf-8"), re.DOTALL)
    model.save(tmp_path)
    assert TextModel.load(tmp_path).sample(30, seed=2, valid_only=False).texts == drawn.texts


def test_a_seed_gives_codes_and_the_noise_on_them_other_numbers(
    model: TextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = model.density_.sample(500, torch.Generator().manual_seed(7))
    drawn = torch.randn(z.shape, generator=torch.Generator().manual_seed(7))
    seen: list[torch.Generator | None] = []
    given = model.autoencoder_.smooth

    def spied(z: torch.Tensor, smoothing: float, source: torch.Generator | None, *others: Any) -> torch.Tensor:
        seen.append(None if source is None else source.clone_state())
        return given(z, smoothing, source, *others)

    monkeypatch.setattr(model.autoencoder_, "smooth", spied)
    model.decode(z, smoothing=2.0, seed=7)
    noise = torch.randn(z.shape, generator=seen[0])
    assert abs(torch.corrcoef(torch.stack([noise.flatten(), drawn.flatten()]))[0, 1]) < 0.05


def map_canonical(model: TextModel, texts: list[str]) -> list[str]:
    found = model.reconstruct(texts)
    return [text if model.codec.canonical(text) == other else other for text, other in zip(texts, found, strict=True)]


def test_images_are_smoothed_too() -> None:
    pictures = read_images(np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8))
    overrides = CONDITIONED | {"validation_fraction": 0.2, "batch_size": 10}
    model = ImageModel("image-rae", epochs=2, overrides=overrides).fit(pictures)
    z = model.encode(pictures)
    assert np.array_equal(model.decode(z), model.reconstruct(pictures))
    one, same, other = (model.decode(z, smoothing=2.0, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert not np.array_equal(model.sample(4, seed=0), model.sample(4, seed=0, smoothing=2.0))


@pytest.mark.parametrize("smoothing", [-1, math.inf, "much", True])
def test_a_recipe_refuses_such_a_smoothing(smoothing: Any) -> None:
    with pytest.raises(InputError, match="smoothing cannot be used"):
        TextModel("tiny", overrides={"smoothing": smoothing}).fit(TEXTS)
