"""Models of texts by the conventions of scikit-learn."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from model.texts.text_models import EXACT, FEW, LATENT, TEXTS, quick
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from grammar_rae.errors import TextError, TrainingError, UnknownNameError
from grammar_rae.model import ImageModel, NotTrainedError, TextModel
from grammar_rae.recipes import RECIPES


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


# --- a real file has rows that cannot be used ------------------------------------------------------------------------

RAGGED = [*FEW[:20], "no molecule", *FEW[20:40], "C" * 400]
HEAVY = np.array([len(text) > 30 for text in RAGGED])


def test_transform_follows_the_choice_of_errors(model: TextModel) -> None:
    choosing = copy.copy(model)
    assert np.array_equal(choosing.transform(FEW), model.encode(FEW))
    with pytest.raises(TextError, match="text 21 of 42"):
        choosing.transform(RAGGED)
    codes = choosing.set_params(errors="nan").transform(RAGGED)
    assert np.array_equal(codes, model.encode(RAGGED, errors="nan"), equal_nan=True) and len(codes) == 42
    assert np.array_equal(choosing.set_params(errors="skip").transform(RAGGED), codes[~np.isnan(codes).any(axis=1)])
    with pytest.raises(UnknownNameError, match="nan, raise, skip"):
        choosing.set_params(errors="ignore").transform(FEW)


def test_a_classifier_on_latent_codes(model: TextModel) -> None:
    class Ready(TextModel):
        """A trained model: a grid over what comes after it need not train it again."""

        def fit(self, X: Any, y: Any = None) -> "Ready":
            self.fitted_ = model.fitted_
            return self

    steps = (Ready("tiny", errors="nan"), SimpleImputer(), LogisticRegression())
    search = GridSearchCV(make_pipeline(*steps), {"logisticregression__C": [0.1, 10.0]}, cv=2)
    search.fit(RAGGED, HEAVY)
    assert search.best_params_["logisticregression__C"] in (0.1, 10.0)
    assert search.predict(RAGGED).shape == (42,) and search.score(RAGGED, HEAVY) > 0.5
    assert len(search.predict_proba(["CCO", "no molecule"])) == 2


def test_a_grid_over_the_models_own_parameters() -> None:
    pipeline = make_pipeline(quick(), Ridge())
    search = GridSearchCV(pipeline, {"textmodel__overrides": [EXACT | {"latent": 3}, EXACT]}, cv=2)
    search.fit(FEW, [float(len(text)) for text in FEW])
    assert len(search.cv_results_["mean_test_score"]) == 2 and np.isfinite(search.best_score_)


def test_the_error_is_scikit_learns(model: TextModel) -> None:
    with pytest.raises(NotFittedError):
        TextModel().transform(["CCO"])
    with pytest.raises(NotFittedError):
        check_is_fitted(TextModel())
    check_is_fitted(model)
    error = pickle.loads(pickle.dumps(NotTrainedError("the model is not trained", remedy="Call fit.")))
    assert isinstance(error, TrainingError) and str(error) == "the model is not trained. Call fit."


def test_tags() -> None:
    texts, images = get_tags(TextModel()).input_tags, get_tags(ImageModel()).input_tags
    assert texts.string and texts.one_d_array and not texts.two_d_array
    assert images.three_d_array and not images.two_d_array and not images.string
