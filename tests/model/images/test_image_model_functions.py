"""Models of images by the functions of the package and the conventions of scikit-learn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from model.images.image_models import FEW, LATENT, OTHERS, TRAIN, quick
from models import same_weights
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import grammar_rae
from grammar_rae.errors import CheckpointError, InputError, TrainingError, UnknownNameError
from grammar_rae.model import ImageModel, TextModel
from grammar_rae.recipes import RECIPES


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


def test_the_recipe_has_a_default() -> None:
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
