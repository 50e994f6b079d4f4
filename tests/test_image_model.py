"""The model of images: trained on a few hundred digits, then asked for all it offers, and for what it cannot."""

import json
import math
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import grammar_rae
from grammar_rae import checkpoint
from grammar_rae.datasets import ImageDataset, image_set
from grammar_rae.density import DENSITIES
from grammar_rae.errors import CheckpointError, DataError, InputError, TrainingError, UnknownNameError
from grammar_rae.model import ImageModel, TextModel, latent
from grammar_rae.recipes import ALL_IMAGE_MODELS, RECIPES
from grammar_rae.training import Callback, History, TrainingState

LATENT = 4
SHAPE = (1, 8, 8)
TRAIN = image_set("digits").train.images[:300]
OTHERS = image_set("digits").test.images[:40]
# Nets and a density that take no time.
FEW: dict[str, Any] = {
    "encoder_options": {"width": 4},
    "decoder_options": {"width": 4},
    "latent": LATENT,
    "density_options": {"n_components": 2},
    "batch_size": 50,
}
WELL: dict[str, Any] = {"learning_rate": 1e-2, "batch_size": 25}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Nets as small as these are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quick(recipe: str = "image-rae-l2", epochs: int = 1, seed: int = 0, **overrides: Any) -> ImageModel:
    return ImageModel(recipe, epochs=epochs, seed=seed, overrides={**FEW, **overrides})


@pytest.fixture(scope="module")
def model() -> ImageModel:
    return quick(epochs=15, **WELL).fit(TRAIN)


@pytest.fixture(scope="module")
def saved(model: ImageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder)
    return folder


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {**model.autoencoder_.state_dict(), **{f"density.{k}": v for k, v in model.density_.state_dict().items()}}


def same_weights(one: Any, other: Any) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def floats(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return images.astype(np.float32) / 255


# --- training --------------------------------------------------------------------------------------------------------


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
        {"epochs": 0},
        {"time_limit": -1},
        {"seed": -1},
        {"overrides": {"latent": 0}},
        {"overrides": {"latnet": 3}},
        {"overrides": {"codec": "grammar"}},
        {"overrides": {"encoder": "gru"}},
        {"overrides": {"encoder_options": {"widht": 3}}},
        {"overrides": {"objective_options": {"beta": -1}}},
        {"epochs": 1, "overrides": {"epochs": 1}},
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


# --- between images and codes ----------------------------------------------------------------------------------------


def test_encode(model: ImageModel) -> None:
    z = model.encode(OTHERS)
    assert (z.shape, z.dtype) == ((40, LATENT), np.float32)
    assert np.isfinite(z).all() and len(np.unique(z, axis=0)) == 40
    for row, image in zip(z[:5], OTHERS[:5], strict=True):
        assert np.allclose(model.encode(image[None])[0], row, atol=1e-5)


def test_decode(model: ImageModel) -> None:
    z = model.encode(OTHERS)
    images = model.decode(z)
    assert (images.shape, images.dtype) == ((40, *SHAPE), np.float32)
    assert (images >= 0).all() and (images <= 1).all()
    assert np.array_equal(model.decode(z[0]), model.decode(z[:1]))
    for same in (torch.from_numpy(z), z.astype(np.float64), z.tolist(), torch.from_numpy(z).requires_grad_()):
        assert np.array_equal(model.decode(same), images)  # type: ignore[arg-type]
    assert model.decode(np.zeros((0, LATENT))).shape == (0, *SHAPE)
    assert np.array_equal(model.reconstruct(OTHERS), images)


def test_large_inputs_go_in_parts(model: ImageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    z, images = model.encode(OTHERS), model.reconstruct(OTHERS)
    monkeypatch.setattr(ImageModel, "batch_rows", 7)
    assert np.allclose(model.encode(OTHERS), z, atol=1e-5)
    assert np.allclose(model.decode(z), images, atol=1e-5)


def test_what_is_decoded_can_be_encoded(model: ImageModel) -> None:
    images = model.sample(10, seed=0)
    assert np.allclose(model.encode(images), model.encode(np.rint(255 * images).astype(np.uint8)))


@pytest.mark.parametrize(
    "z",
    [
        np.zeros((2, LATENT + 1)),
        np.zeros((1, 2, LATENT)),
        np.zeros(0),
        None,
        3.0,
        ["CCO"],
        np.full((1, LATENT), np.nan),
        np.full((1, LATENT), np.inf),
    ],
)
def test_decode_refuses_what_is_no_code(model: ImageModel, z: Any) -> None:
    with pytest.raises(InputError, match="latent codes"):
        model.decode(z)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 1, 16, 16), np.uint8),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((2, 8, 9), np.uint8),
        OTHERS[0, 0],
        OTHERS[0, 0, 0],
        np.full((2, 8, 8), math.nan),
        np.full((2, 8, 8), 2.0),
        np.full((2, 8, 8), 7),
        "no such file.npy",
        None,
        [OTHERS[0], OTHERS[0, :, :4]],
    ],
)
def test_encode_refuses_what_are_no_images_of_its_own(model: ImageModel, images: Any) -> None:
    for ask in (model.encode, model.reconstruct, model.transform):
        with pytest.raises((InputError, DataError)):
            ask(images)


def test_interpolate(model: ImageModel) -> None:
    a, b = OTHERS[:2]
    path = model.interpolate(a, b)
    assert (path.shape, path.dtype) == ((9, *SHAPE), np.float32)
    assert np.allclose(path[[0, -1]], model.reconstruct(OTHERS[:2]), atol=1e-6)
    ends = model.encode(OTHERS[:2])
    line = [ends[0] + share * (ends[1] - ends[0]) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert np.allclose(model.interpolate(a, b, steps=5), model.decode(np.stack(line)), atol=1e-5)
    for same in ((a[0], b[0]), (floats(a), floats(b)), (torch.from_numpy(a), torch.from_numpy(b))):
        assert np.allclose(model.interpolate(*same), path, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 0, -3, 2.5, True, "3"])
def test_unusable_steps(model: ImageModel, steps: Any) -> None:
    with pytest.raises(InputError, match="two ends"):
        model.interpolate(*OTHERS[:2], steps)


@pytest.mark.parametrize(
    "b", [OTHERS[:2], OTHERS[0, :, :4], OTHERS[0].astype(float), None, "a.npy", np.zeros((3, 8, 8), np.uint8)]
)
def test_ends_that_are_no_images(model: ImageModel, b: Any) -> None:
    with pytest.raises((InputError, DataError)):
        model.interpolate(OTHERS[0], b)


# --- sampling --------------------------------------------------------------------------------------------------------


def test_sample(model: ImageModel) -> None:
    images = model.sample(30, seed=3)
    assert (images.shape, images.dtype) == ((30, *SHAPE), np.float32)
    assert (images >= 0).all() and (images <= 1).all()
    assert len(np.unique(images.reshape(30, -1), axis=0)) == 30
    one, again, other = (model.sample(10, seed=seed) for seed in (1, np.int64(1), 2))  # type: ignore[arg-type]
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(model.sample(10), model.sample(10))
    z = model.density_.sample(30, torch.Generator().manual_seed(3))
    assert np.array_equal(model.decode(z), images)


@pytest.mark.parametrize("n", [0, -1, True, 2.0, "3", None, math.nan])
def test_unusable_n(model: ImageModel, n: Any) -> None:
    with pytest.raises(InputError, match="n must be a number of images"):
        model.sample(n)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", True])
def test_unusable_seed(model: ImageModel, seed: Any) -> None:
    with pytest.raises(InputError, match="seed"):
        model.sample(1, seed=seed)


# --- another density -------------------------------------------------------------------------------------------------


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


# --- on disk ---------------------------------------------------------------------------------------------------------


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


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        index = json.loads((folder / "model.json").read_text())
        change(index)
        (folder / "model.json").write_text(json.dumps(index))

    return apply


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
    "no history": (edit(lambda index: index["meta"].update(history=[])), "cannot be read"),
    "a score of words": (edit(lambda index: index["meta"].update(density_score="good")), "cannot be read"),
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


# --- kill and resume -------------------------------------------------------------------------------------------------


class InterruptAt(Callback):
    """Press Ctrl-C after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, state: TrainingState) -> None:
        if state.step == self.step:
            raise KeyboardInterrupt


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


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a folder"):
        quick().fit(TRAIN, resume=True)
    with pytest.raises(TrainingError, match="no training to resume"):
        quick().fit(TRAIN, folder=tmp_path / "new", resume=True)


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


# --- the face --------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar_rae, "_current", None)


@pytest.fixture(scope="module")
def of_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    TextModel("tiny", epochs=1).fit(["CCO", "CCN", "CCC", "c1ccccc1", "CO", "CN"] * 5, folder=folder)
    return folder


@pytest.mark.usefixtures("no_current")
def test_load_gives_the_kind_that_was_saved(model: ImageModel, saved: Path, of_texts: Path) -> None:
    loaded = grammar_rae.load(str(saved))
    assert type(loaded) is ImageModel and same_weights(loaded, model)
    assert type(grammar_rae.load(of_texts)) is TextModel
    with pytest.raises(CheckpointError, match=r"no model of texts.*'image model'.*grammar_rae\.load"):
        TextModel.load(saved)
    with pytest.raises(CheckpointError, match=r"no model of images.*'model'.*grammar_rae\.load"):
        ImageModel.load(of_texts)


@pytest.mark.usefixtures("no_current")
def test_train_on_images(tmp_path: Path) -> None:
    model = grammar_rae.train(TRAIN, "image-rae", epochs=1, folder=tmp_path, progress=False, **FEW)
    assert type(model) is ImageModel and model.get_params()["overrides"] == FEW
    assert same_weights(grammar_rae.load(tmp_path), model)
    by_recipe = grammar_rae.train(TRAIN, RECIPES["image-rae"], epochs=1, progress=False, **FEW)
    assert same_weights(by_recipe, model)
    with pytest.raises(InputError, match="no column"):
        grammar_rae.train(TRAIN, "image-rae", column="pixels", progress=False)
    with pytest.raises(UnknownNameError, match="Did you mean 'latent'"):
        grammar_rae.train(TRAIN, "image-rae", progress=False, latnet=3)


@pytest.mark.usefixtures("no_current")
def test_texts_are_not_drawn_from_a_model_of_images(model: ImageModel, saved: Path, of_texts: Path) -> None:
    for one in (model, saved, str(saved)):
        with pytest.raises(InputError, match=r"models of texts.*ImageModel.*own method"):
            grammar_rae.sample(3, model=one)  # type: ignore[arg-type]
    grammar_rae.load(saved)
    with pytest.raises(InputError, match="models of texts"):
        grammar_rae.sample(3)
    grammar_rae.load(of_texts)
    assert len(grammar_rae.sample(3, valid_only=False)) == 3


def test_the_face_names_it() -> None:
    assert grammar_rae.ImageModel is ImageModel
    assert grammar_rae.ImageRecipe is type(RECIPES["image-rae"])


# --- scikit-learn's habits -------------------------------------------------------------------------------------------


def test_constructor_only_stores() -> None:
    overrides = {"latent": 3}
    model = ImageModel("no such recipe", epochs=-5, overrides=overrides)
    assert model.get_params() == {
        "recipe": "no such recipe",
        "epochs": -5,
        "time_limit": None,
        "seed": 0,
        "overrides": overrides,
    }
    assert model.overrides is overrides
    assert ImageModel().recipe in RECIPES


def test_clone(model: ImageModel) -> None:
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not copy.__sklearn_is_fitted__()
    assert same_weights(clone(quick()).set_params(seed=3).fit(TRAIN), quick(seed=3).fit(TRAIN))


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.encode(OTHERS),
        lambda model: model.transform(OTHERS),
        lambda model: model.decode(np.zeros((1, LATENT))),
        lambda model: model.inverse_transform(np.zeros((1, LATENT))),
        lambda model: model.reconstruct(OTHERS),
        lambda model: model.interpolate(*OTHERS[:2]),
        lambda model: model.sample(1),
        lambda model: model.shape,
        lambda model: model.history,
        lambda model: model.density_score,
        lambda model: model.device,
        lambda model: model.to("cpu"),
        lambda model: model.refit_density("gmm"),
        lambda model: model.save("nowhere"),
    ],
)
def test_not_trained(use: Callable[[ImageModel], object]) -> None:
    with pytest.raises(TrainingError, match=r"not trained\. Call fit"):
        use(ImageModel())


def test_transform_is_encode(model: ImageModel) -> None:
    z = model.transform(OTHERS)
    assert np.array_equal(z, model.encode(OTHERS))
    assert np.array_equal(model.inverse_transform(z), model.decode(z))
    assert np.array_equal(quick().fit_transform(TRAIN), quick().fit(TRAIN).encode(TRAIN))


def test_pipeline() -> None:
    y = TRAIN.reshape(len(TRAIN), -1).mean(1)
    pipeline = make_pipeline(quick(epochs=3), StandardScaler(), Ridge())
    assert pipeline.fit(TRAIN, y).predict(OTHERS).shape == (40,)
    assert pipeline.score(TRAIN, y) > 0


def test_kept_codes_survive_a_checkpoint_of_the_same_kind(saved: Path) -> None:
    meta, tensors = checkpoint.load(saved)
    assert meta["kind"] == "image model" and meta["shape"] == list(SHAPE)
    assert tensors["latents"]["training"].shape == (240, LATENT)
    assert checkpoint.read_meta(saved) == meta
