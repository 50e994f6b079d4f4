"""Models of texts by the conventions of scikit-learn."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from text_models import EXACT, FEW, LATENT, TEXTS, quick

from grammar_rae.errors import (
    TrainingError,
)
from grammar_rae.model import TextModel
from grammar_rae.recipes import RECIPES


def test_constructor_only_stores() -> None:
    overrides = {"latent": 3}
    model = TextModel("no such recipe", epochs=-5, overrides=overrides)
    assert model.get_params() == {
        "recipe": "no such recipe",
        "epochs": -5,
        "time_limit": None,
        "seed": 0,
        "overrides": overrides,
        "errors": "raise",
    }
    assert model.overrides is overrides


def test_clone(model: TextModel) -> None:
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not copy.__sklearn_is_fitted__()
    assert clone(TextModel(RECIPES["tiny"])).recipe == RECIPES["tiny"]


def test_set_params() -> None:
    model = TextModel("tiny").set_params(epochs=1, overrides=EXACT | {"latent": 3})
    assert model.fit(FEW).encode(FEW).shape == (60, 3)
    with pytest.raises(ValueError, match="Invalid parameter"):
        model.set_params(colour=1)


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.encode(["CCO"]),
        lambda model: model.transform(["CCO"]),
        lambda model: model.decode(np.zeros((1, LATENT))),
        lambda model: model.inverse_transform(np.zeros((1, LATENT))),
        lambda model: model.reconstruct(["CCO"]),
        lambda model: model.interpolate("CCO", "CCN"),
        lambda model: model.sample(1),
        lambda model: model.codec,
        lambda model: model.history,
        lambda model: model.device,
        lambda model: model.to("cpu"),
    ],
)
def test_not_trained(use: Callable[[TextModel], object]) -> None:
    with pytest.raises(TrainingError, match=r"not trained\. Call fit"):
        use(TextModel("tiny"))


def test_transform_is_encode(model: TextModel) -> None:
    z = model.transform(TEXTS[:5])
    assert np.array_equal(z, model.encode(TEXTS[:5]))
    assert model.inverse_transform(z) == model.decode(z)
    assert np.array_equal(quick().fit_transform(FEW), quick().fit(FEW).encode(FEW))


def test_pipeline() -> None:
    y = np.array([float(len(text)) for text in FEW])
    pipeline = make_pipeline(quick(), StandardScaler(), Ridge())
    assert pipeline.fit(FEW, y).predict(FEW[:7]).shape == (7,)
    scaled = Pipeline([("model", quick()), ("scale", StandardScaler())])
    z = scaled.fit_transform(FEW)
    assert np.allclose(z.mean(axis=0), 0, atol=1e-4)
    assert scaled.inverse_transform(z[:3]) == quick().fit(FEW).reconstruct(FEW[:3])
    scaled.set_params(model__epochs=2)
    assert scaled.named_steps["model"].epochs == 2


def test_device(model: TextModel) -> None:
    assert model.device == torch.device("cpu")
    assert model.to("cpu") is model
