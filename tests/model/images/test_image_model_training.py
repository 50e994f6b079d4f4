"""Training models of images: sources, seeds, recipes, and what cannot be used."""

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model.images.image_models import FEW, LATENT, OTHERS, SHAPE, TRAIN, floats, quick
from models import UNUSABLE_ARGUMENTS, same_weights, weights

from grammar_rae.datasets import ImageDataset, image_set
from grammar_rae.errors import CheckpointError, DataError, InputError, TrainingError
from grammar_rae.model import ImageModel, latent
from grammar_rae.recipes import ALL_IMAGE_MODELS, RECIPES
from grammar_rae.training import Callback, History, TrainingState


def test_training(model: ImageModel) -> None:
    assert isinstance(model.history, History)
    assert model.history.stopped == "epochs"
    losses = [row["validation_loss"] for row in model.history.rows if row["validation_loss"] is not None]
    assert len(losses) == 15
    assert losses[0] is not None and losses[-1] is not None and losses[-1] < 0.7 * losses[0]
    assert model.shape == SHAPE
    assert not model.autoencoder_.training and not model.density_.training
    assert model.recipe_.latent == LATENT
    # Every row is either trained on or validates.
    assert (model.codes_.shape, model.held_out_codes_.shape) == ((240, LATENT), (60, LATENT))


def test_it_has_learned_what_digits_look_like(model: ImageModel) -> None:
    mean = floats(TRAIN).mean(0)
    error = np.square(model.reconstruct(OTHERS) - floats(OTHERS)).mean()
    assert error < 0.8 * np.square(mean - floats(OTHERS)).mean()


def sources(folder: Path) -> dict[str, Any]:
    np.save(folder / "digits.npy", TRAIN)
    return {
        "a data set": ImageDataset(TRAIN),
        "grey": TRAIN[:, 0],
        "channels last": TRAIN.transpose(0, 2, 3, 1),
        "floats": floats(TRAIN),
        "float64": TRAIN / 255,
        "a tensor": torch.from_numpy(floats(TRAIN)),
        "a list": list(TRAIN),
        "a path": folder / "digits.npy",
        "a text of a path": str(folder / "digits.npy"),
    }


def test_every_source_gives_the_same_model(tmp_path: Path) -> None:
    expected = quick().fit(TRAIN)
    for name, source in sources(tmp_path).items():
        assert same_weights(quick().fit(source), expected), name
        assert np.array_equal(expected.encode(source), expected.encode(TRAIN)), name


def test_a_public_set_by_its_name() -> None:
    whole = image_set("digits")
    assert same_weights(quick().fit("digits"), quick().fit(whole.train))


def test_images_in_colour() -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 16, 16), dtype=np.uint8)
    model = quick(batch_size=20).fit(images)
    assert model.shape == (3, 16, 16)
    assert model.sample(3, seed=0).shape == (3, 3, 16, 16)
    assert model.reconstruct(images[:2]).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("name", ALL_IMAGE_MODELS)
def test_every_model_of_the_table(name: str, tmp_path: Path) -> None:
    density: dict[str, Any] = {"density": "gaussian", "density_options": {}} if name == "2svae" else {}
    if RECIPES[f"image-{name}"].density == "prior":
        density = {"density_options": {}}
    model = quick(f"image-{name}", **density).fit(TRAIN, folder=tmp_path)
    assert model.encode(OTHERS).shape == (40, LATENT)
    images = model.sample(5, seed=1)
    assert images.shape == (5, *SHAPE) and (images >= 0).all() and (images <= 1).all()
    again = ImageModel.load(tmp_path)
    assert same_weights(again, model)
    assert np.array_equal(again.encode(OTHERS), model.encode(OTHERS))
    assert np.array_equal(again.sample(5, seed=1), images)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (None, InputError),
        (5, InputError),
        ({"a": 1}, InputError),
        (["CCO"], InputError),
        (TRAIN[0, 0], InputError),
        (TRAIN[:, :, None], InputError),
        (np.zeros((9, 2, 8, 8), np.uint8), InputError),
        (np.full((9, 8, 8), math.nan), InputError),
        (np.full((9, 8, 8), 1.1), InputError),
        (np.full((9, 8, 8), -0.1), InputError),
        (np.zeros((9, 8, 8), np.int64), InputError),
        (np.zeros((9, 8, 8), complex), InputError),
        (np.zeros((0, 8, 8), np.uint8), InputError),
        (np.zeros((9, 7, 7), np.uint8), InputError),
        (np.zeros((9, 8, 16), np.uint8), InputError),
        ("missing.npy", DataError),
    ],
)
def test_what_cannot_be_trained_on(source: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        quick().fit(source)


def test_too_few_images() -> None:
    with pytest.raises(InputError, match=r"too few images.*received 3; expected 4"):
        quick().fit(TRAIN[:3])


def test_fewer_images_than_components(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"too few codes.*received 8.*10 or more"):
        quick(density_options={"n_components": 10}).fit(TRAIN[:10], folder=tmp_path)
    assert not (tmp_path / "state").exists()  # told before the training
    assert len(quick(density_options={"n_components": 8}).fit(TRAIN[:10]).sample(2)) == 2


def test_the_seed_decides() -> None:
    one, again, other = (quick(seed=seed).fit(TRAIN) for seed in (1, 1, 2))
    assert same_weights(one, again)
    assert not same_weights(one, other)


@pytest.mark.parametrize("name", ["image-vae", "image-rae-sn"])
def test_global_randomness_is_left_alone(name: str) -> None:
    def state() -> tuple[Any, ...]:
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]

    before = state()
    density = {"density": "gaussian", "density_options": {}}
    trained = quick(name, **density).fit(TRAIN)
    trained.refit_density("gmm", n_components=2)
    trained.sample(3, seed=1)
    trained.sample(3)
    assert state() == before


@pytest.mark.parametrize(
    "arguments",
    [
        *UNUSABLE_ARGUMENTS,
        {"overrides": {"codec": "grammar"}},
        {"overrides": {"encoder": "gru"}},
        {"overrides": {"encoder_options": {"widht": 3}}},
        {"overrides": {"objective_options": {"beta": -1}}},
        {"recipe": "tiny"},
        {"recipe": RECIPES["tiny"]},
        {"recipe": "image-rea"},
        {"recipe": None},
    ],
)
def test_unusable_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ImageModel(**arguments).fit(TRAIN)


class Spoil(Callback):
    """Ruins the decoder after the first validation, and remembers how it was before."""

    def __init__(self) -> None:
        self.kept: list[dict[str, torch.Tensor]] = []
        self.autoencoder: Any = None

    def on_validation(self, state: TrainingState) -> None:
        self.autoencoder = state.autoencoder
        self.kept.append({name: value.clone() for name, value in state.autoencoder.state_dict().items()})
        with torch.no_grad():
            for parameter in state.autoencoder.decoder.parameters():
                parameter.fill_(math.nan)


def test_an_absurd_rate_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"not a finite number at step \d+, in epoch \d+.*Lower learning_rate"):
        quick(learning_rate=1e36, epochs=5).fit(TRAIN, folder=tmp_path)
    with pytest.raises(CheckpointError):
        ImageModel.load(tmp_path)


def test_what_is_no_number_leaves_the_best_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil = Spoil()
    monkeypatch.setattr(latent, "ProgressBar", lambda: spoil)
    model = quick(epochs=5)
    with pytest.raises(TrainingError, match=r"best validation are kept: .* at step 6, in epoch 2"):
        model.fit(TRAIN, folder=tmp_path, progress=True)
    assert len(spoil.kept) == 1
    state = spoil.autoencoder.state_dict()
    assert all(torch.equal(state[name], value) for name, value in spoil.kept[0].items())
    # The model is that of the best validation, with its density, and saved.
    assert model.history.best_step == model.history.rows[-1]["step"] and np.isfinite(model.sample(3, seed=0)).all()
    assert np.array_equal(ImageModel.load(tmp_path).sample(3, seed=0), model.sample(3, seed=0))


def test_a_training_that_fails_leaves_the_model_as_it_was() -> None:
    trained = quick().fit(TRAIN)
    before = {name: value.clone() for name, value in weights(trained).items()}
    trained.overrides = {**FEW, "learning_rate": 1e36}
    with pytest.raises(TrainingError):
        trained.fit(TRAIN)
    assert all(torch.equal(before[name], value) for name, value in weights(trained).items())
