"""Models of images on disk: save and load, damage, interruption and resumption."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model.images.image_models import LATENT, OTHERS, SHAPE, TRAIN, WELL, quick
from models import InterruptAt, edit, same_weights

import grammar_rae
from grammar_rae import checkpoint
from grammar_rae.errors import CheckpointError, TrainingError
from grammar_rae.model import ImageModel, latent
from grammar_rae.recipes import RECIPES


def test_save_load_sample(model: ImageModel, saved: Path) -> None:
    again = ImageModel.load(saved)
    assert same_weights(again, model)
    assert again.shape == SHAPE and isinstance(again.shape, tuple)
    assert np.array_equal(again.sample(10, seed=5), model.sample(10, seed=5))
    assert np.array_equal(again.encode(OTHERS), model.encode(OTHERS))
    assert again.history.to_dict() == model.history.to_dict()
    assert again.recipe_ == model.recipe_ and again.seed == model.seed
    assert again.get_params()["recipe"] == model.recipe_


def test_a_loaded_model_can_be_trained_anew(saved: Path) -> None:
    again = ImageModel.load(saved).set_params(epochs=1)
    assert same_weights(again.fit(TRAIN), quick(**WELL).fit(TRAIN))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "other kind": (edit(lambda index: index["meta"].update(kind="training state")), "holds no model"),
    "kind of no kind": (edit(lambda index: index["meta"].update(kind=["image model"])), "holds no model"),
    "no kind": (edit(lambda index: index["meta"].pop("kind")), "holds no model"),
    "no group": (edit(lambda index: index["files"].pop("density")), "lacks density"),
    "no folder": (shutil.rmtree, "no such folder"),
    "other sizes": (edit(lambda index: index["meta"]["recipe"].update(latent=9)), "cannot be read"),
    "other shape": (edit(lambda index: index["meta"].update(shape=[1, 16, 16])), "cannot be read"),
    "bad shape": (edit(lambda index: index["meta"].update(shape=[1, 9, 9])), "cannot be read"),
    "negative shape": (edit(lambda index: index["meta"].update(shape=[-1, 8, 8])), "cannot be read"),
    "short shape": (edit(lambda index: index["meta"].update(shape=[8, 8])), "cannot be read"),
    "shape of words": (edit(lambda index: index["meta"].update(shape="abc")), "cannot be read"),
    "no shape": (edit(lambda index: index["meta"].pop("shape")), "cannot be read"),
    "a recipe of texts": (
        edit(lambda index: index["meta"].update(recipe=RECIPES["tiny"].to_dict())),
        "cannot be read",
    ),
    "no history": (edit(lambda index: index["meta"].update(history=[])), "not one that this package writes"),
    "a score of words": (
        edit(lambda index: index["meta"].update(density_score="good")),
        "not one that this package writes",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("load", [ImageModel.load, grammar_rae.load])
def test_a_damaged_model_is_refused(
    saved: Path, tmp_path: Path, damage: str, load: Callable[[Path], object], no_current: None
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(saved, folder)
    load(folder)
    apply, words = DAMAGES[damage]
    apply(folder)
    with pytest.raises(CheckpointError, match=words):
        load(folder)


RESUMED: dict[str, dict[str, Any]] = {
    "image-rae-l2": {},
    "image-vae": {"objective_options": {"beta": 0.3, "annealing": 11}, "density_options": {}},
    "image-rae-sn": {},
    "image-2svae": {"density": "gaussian", "density_options": {}},
}


@pytest.mark.parametrize("name", RESUMED)
def test_ctrl_c_and_resume_cost_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def longer() -> ImageModel:
        return quick(name, epochs=3, schedule="plateau", **RESUMED[name])

    uninterrupted = longer().fit(TRAIN)
    monkeypatch.setattr(latent, "ProgressBar", lambda: InterruptAt(7))
    stopped = longer().fit(TRAIN, folder=tmp_path, progress=True)
    assert stopped.history.stopped == "interrupted"
    assert stopped.history.rows[-1]["step"] == 7
    loaded = ImageModel.load(tmp_path)
    assert same_weights(loaded, stopped) and loaded.sample(2).shape == (2, *SHAPE)
    finished = longer().fit(TRAIN, folder=tmp_path, resume=True)
    assert finished.history.stopped == "epochs"
    assert same_weights(finished, uninterrupted)
    assert same_weights(ImageModel.load(tmp_path), uninterrupted)


def test_another_training_is_not_resumed(tmp_path: Path) -> None:
    quick().fit(TRAIN, folder=tmp_path)
    for changes in (
        {"learning_rate": 0.5},
        {"latent": 3},
        {"objective_options": {"beta": 3}},
        {"regularizer": "none", "regularizer_options": {}},
        {"objective": "cv-vae"},
    ):
        with pytest.raises(TrainingError, match="differs"):
            quick(**changes).fit(TRAIN, folder=tmp_path, resume=True)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="differs"):
        quick().fit(255 - TRAIN, folder=tmp_path, resume=True)
    # Another density is no other training.
    again = quick(density="gaussian", density_options={}).fit(TRAIN, folder=tmp_path, resume=True)
    assert again.recipe_.density == "gaussian"


def test_kept_codes_survive_a_checkpoint_of_the_same_kind(saved: Path) -> None:
    meta, tensors = checkpoint.load(saved)
    assert meta["kind"] == "image model" and meta["shape"] == list(SHAPE)
    assert tensors["latents"]["training"].shape == (240, LATENT)
    assert checkpoint.read_meta(saved) == meta
