"""Other densities for a trained model of images."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model.images.image_models import LATENT, OTHERS, SHAPE, TRAIN, quick
from models import edit, same_weights, weights

from grammar_rae.datasets import ImageDataset
from grammar_rae.density import DENSITIES
from grammar_rae.errors import InputError
from grammar_rae.model import ImageModel, latent


def fresh(saved: Path) -> ImageModel:
    return ImageModel.load(saved)


QUICK: dict[str, dict[str, Any]] = {
    "two-stage": {"hidden": [16], "epochs": 2},
    "flow": {"transforms": 1, "hidden": [8], "epochs": 2},
    "flow-matching": {"hidden": 8, "blocks": 1, "steps": 2, "epochs": 2},
}


@pytest.mark.parametrize("name", DENSITIES)
def test_refit_density(saved: Path, tmp_path: Path, name: str) -> None:
    model = fresh(saved)
    before = {label: value.clone() for label, value in model.autoencoder_.state_dict().items()}
    options = QUICK.get(name, {})
    assert model.refit_density(name, **options) is model
    assert type(model.density_) is DENSITIES[name] and not model.density_.training
    assert (model.recipe_.density, model.recipe_.density_options) == (name, options)
    assert all(torch.equal(before[label], value) for label, value in model.autoencoder_.state_dict().items())
    # It is the density that one would fit by hand on the training rows' codes.
    expected = DENSITIES[name](LATENT, **options).fit(model.codes_, seed=0)
    assert expected.score(model.held_out_codes_, seed=0) == pytest.approx(model.density_score, rel=1e-5)
    images = model.sample(6, seed=1)
    assert images.shape == (6, *SHAPE)
    model.save(tmp_path)
    again = ImageModel.load(tmp_path)
    assert again.recipe_ == model.recipe_
    assert again.density_score == model.density_score
    assert np.array_equal(again.sample(6, seed=1), images)


def test_a_loaded_model_refits_from_its_codes(model: ImageModel, saved: Path) -> None:
    loaded = fresh(saved)
    assert np.array_equal(loaded.codes_, model.codes_)
    assert np.array_equal(loaded.held_out_codes_, model.held_out_codes_)
    assert loaded.density_score == model.density_score is not None
    score = loaded.density_score
    loaded.refit_density("gaussian")
    assert loaded.density_score is not None and loaded.density_score != score
    loaded.refit_density("gmm", n_components=2)
    assert loaded.density_score == pytest.approx(score)
    assert np.allclose(loaded.sample(5, seed=0), model.sample(5, seed=0), atol=1e-5)


def test_the_kept_codes_are_those_of_the_rows(model: ImageModel) -> None:
    train, held_out = ImageDataset(TRAIN).split(0.2, 0, 10_000)
    for kept, rows in ((model.codes_, train), (model.held_out_codes_, held_out)):
        expected = model.encode(rows)
        assert np.allclose(kept[np.lexsort(kept.T)], expected[np.lexsort(expected.T)], atol=1e-5)


def test_refit_on_codes_that_are_given(saved: Path) -> None:
    model, other = fresh(saved), fresh(saved)
    codes = model.encode(OTHERS)
    model.refit_density("gaussian", codes=codes)
    assert same_weights(model, other.refit_density("gaussian", codes=torch.from_numpy(codes)))
    drawn = model.density_.sample(4000, torch.Generator().manual_seed(0)).numpy()
    assert np.allclose(drawn.mean(0), codes.mean(0), atol=4 * codes.std() / 40)
    # The codes that it keeps are still those of the training rows.
    assert np.array_equal(model.codes_, other.codes_) and len(model.codes_) == 240
    assert not same_weights(model.refit_density("gaussian"), other)


def test_the_seed_of_a_refit(saved: Path) -> None:
    options = QUICK["flow"]
    one, again, other = (fresh(saved).refit_density("flow", seed=seed, **options) for seed in (1, 1, 2))
    assert same_weights(one, again)
    assert not same_weights(one, other)


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        ("kde", {}),
        ("GMM", {}),
        (None, {}),
        (["gmm"], {}),
        ("gmm", {"components": 3}),
        ("gmm", {"n_components": 0}),
        ("gmm", {"n_components": 1000}),
        ("gmm", {"n_components": object()}),
        ("gaussian", {"codes": np.zeros((5, LATENT + 1))}),
        ("gaussian", {"codes": np.zeros((1, LATENT))}),
        ("gaussian", {"codes": np.full((9, LATENT), np.nan)}),
        ("gaussian", {"codes": np.zeros((0, LATENT))}),
    ],
)
def test_a_refit_that_fails_changes_nothing(saved: Path, name: Any, keywords: dict[str, Any]) -> None:
    model = fresh(saved)
    recipe, density, score, before = model.recipe_, model.density_, model.density_score, weights(model)
    before = {label: value.clone() for label, value in before.items()}
    with pytest.raises(InputError):
        model.refit_density(name, **keywords)
    assert model.recipe_ == recipe and model.density_ is density and model.density_score == score
    assert all(torch.equal(before[label], value) for label, value in weights(model).items())


def test_a_model_without_codes(saved: Path, tmp_path: Path) -> None:
    """As the first versions saved it."""
    folder = tmp_path / "old"
    shutil.copytree(saved, folder)
    edit(lambda index: (index["files"].pop("latents"), index["meta"].pop("density_score")))(folder)
    old = ImageModel.load(folder)
    assert old.density_score is None and old.codes_.shape == (0, LATENT)
    with pytest.raises(InputError, match=r"keeps no latent codes.*codes=model\.encode"):
        old.refit_density("gaussian")
    old.refit_density("gaussian", codes=old.encode(OTHERS))
    assert old.density_score is None
    assert old.sample(3).shape == (3, *SHAPE)


def test_only_so_many_codes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent, "KEPT_CODES", 50)
    monkeypatch.setattr(latent, "KEPT_HELD_OUT", 7)
    model = quick().fit(TRAIN)
    assert (model.codes_.shape, model.held_out_codes_.shape) == ((50, LATENT), (7, LATENT))
