"""Recipes: what they refuse, how they are changed and saved, and what they build."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from grammar_rae.codecs import CODECS, Codec, GrammarCodec
from grammar_rae.decoding import Free, GrammarConstraint, choice_of
from grammar_rae.density import GaussianDensity, MixtureDensity
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.nets.sequence import ConvEncoder, GRUEncoder
from grammar_rae.objectives import RAE
from grammar_rae.recipes import (
    RECIPES,
    Recipe,
    build,
    build_constraint,
    build_density,
    get_recipe,
    learn_codec,
    training_settings,
)
from grammar_rae.regularizers import L2

TINY = RECIPES["tiny"]
EXPRESSIONS = ["x", "x+1", "sin(x*2)", "exp(x)/3", "(x+1)*x"]


@pytest.fixture(scope="module")
def codec() -> Codec:
    return GrammarCodec.learn(EXPRESSIONS, grammar="expressions", n_macros=4, max_length=20)


# --- changing --------------------------------------------------------------------------------------------------------


def test_replaced_changes_a_copy() -> None:
    changed = TINY.replaced(latent=3, learning_rate=0.5)
    assert (changed.latent, changed.training["learning_rate"]) == (3, 0.5)
    assert changed.training["batch_size"] == TINY.training["batch_size"]
    assert (TINY.latent, TINY) == (RECIPES["tiny"].latent, get_recipe("tiny"))
    assert TINY.training["learning_rate"] != 0.5
    assert changed.replaced(latent=TINY.latent, learning_rate=TINY.training["learning_rate"]) == TINY


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ({"epochs": 3}, {"epochs": 3}),
        ({"time_limit": 5.0}, {"time_limit": 5.0}),
        ({"epochs": 3, "time_limit": 5.0}, {"epochs": 3, "time_limit": 5.0}),
        ({"seed": 1}, {"epochs": 7, "time_limit": 9.0}),
    ],
)
def test_a_chosen_length_replaces_the_recipes_own(chosen: dict[str, Any], left: dict[str, Any]) -> None:
    recipe = Recipe(name="r", description="", training={"epochs": 7, "time_limit": 9.0, "batch_size": 4})
    training = recipe.replaced(**chosen).training
    assert {name: value for name, value in training.items() if name in ("epochs", "time_limit")} == left
    assert training["batch_size"] == 4


def test_every_setting_is_known_by_one_name_only() -> None:
    from dataclasses import fields

    from grammar_rae.training import TrainingSettings

    assert not {field.name for field in fields(Recipe)} & {field.name for field in fields(TrainingSettings)}


@pytest.mark.parametrize("name", ["latentt", "name", "description", "beta"])
def test_replaced_refuses_what_it_does_not_know(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        TINY.replaced(**{name: 3})
    assert {"latent", "learning_rate", "encoder_options"} <= set(str(caught.value.expected).replace(",", "").split())
    assert (caught.value.remedy == "Did you mean 'latent'?") == (name == "latentt")


# --- refusing --------------------------------------------------------------------------------------------------------


def test_unknown_recipe() -> None:
    with pytest.raises(UnknownNameError, match=r"molecules-conv.*Did you mean 'molecules'") as caught:
        get_recipe("moleculs")
    assert isinstance(caught.value, InputError)
    assert all(name in str(caught.value) for name in RECIPES)


@pytest.mark.parametrize("recipe", [None, {}, ["tiny"], 3])
def test_no_recipe_at_all(recipe: Any) -> None:
    with pytest.raises(UnknownNameError):
        get_recipe(recipe)


@pytest.mark.parametrize("axis", ["codec", "encoder", "decoder", "objective", "likelihood", "regularizer", "density"])
@pytest.mark.parametrize("name", ["nonsense", None, ["gru"]])
def test_unknown_row(axis: str, name: Any) -> None:
    with pytest.raises(UnknownNameError, match=f"no {axis} of this name"):
        TINY.replaced(**{axis: name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            (name, value)
            for name in ("latent", "codec_texts", "validation_maximum")
            for value in (0, -1, 1.5, "8", True)
        ],
        *[("max_length", value) for value in (0, "64", 2.0)],
        *[("validation_fraction", value) for value in (0, 1, -0.1, float("nan"), "0.1", None)],
        *[("encoder_options", value) for value in (3, None, ["hidden"], {"hidden": float("nan")})],
        ("codec_options", {"grammar": Path("own.cfg")}),
        ("training", 5),
    ],
)
def test_unusable_values(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=name):
        TINY.replaced(**{name: value})


@pytest.mark.parametrize(
    ("axis", "options"),
    [
        ("encoder_options", {"hiden": 3}),
        ("encoder_options", {"rules": 3}),
        ("decoder_options", {"channels": 3}),
        ("objective_options", {"alpha": 1}),
        ("regularizer_options", {"lambda": 1}),
        ("density_options", {"components": 3}),
    ],
)
def test_options_that_a_part_does_not_take(codec: Codec, axis: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"takes no such option.*{next(iter(options))}"):
        build(TINY.replaced(**{axis: options}), codec)


@pytest.mark.parametrize("options", [{"n_macro": 3}, {"form": "text"}, {"texts": []}])
def test_options_that_a_codec_does_not_take(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="takes no such option"):
        learn_codec(RECIPES["expressions"].replaced(codec_options=options), EXPRESSIONS)


def test_option_of_an_unusable_value_is_refused_by_the_part(codec: Codec) -> None:
    with pytest.raises(InputError, match="beta"):
        build(TINY.replaced(objective_options={"beta": -1}), codec)


def test_unusable_training() -> None:
    with pytest.raises(InputError, match="batch_size"):
        training_settings(TINY.replaced(batch_size=0))
    with pytest.raises(InputError, match="needs an end"):
        training_settings(Recipe(name="r", description=""))


def test_the_constraint_is_a_text() -> None:
    rules = "chemistry; max-heavy-atoms=38"
    assert TINY.constraint == "grammar"
    assert TINY.replaced(constraint=rules).constraint == rules
    assert TINY.replaced(constraint=choice_of(rules)).constraint == rules
    assert TINY.replaced(constraint=" max-heavy-atoms=38").constraint == str(choice_of("max-heavy-atoms=38"))
    assert Recipe.from_dict(json.loads(json.dumps(TINY.replaced(constraint=rules).to_dict()))).constraint == rules


@pytest.mark.parametrize(
    "constraint", ["gramar", "", "chemistry; gramar", "max-heavy-atoms=many", None, ["grammar"], 3]
)
def test_no_constraint(constraint: Any, codec: Codec) -> None:
    with pytest.raises(InputError):
        TINY.replaced(constraint=constraint)
    with pytest.raises(InputError):
        build_constraint(constraint, codec, {})


def test_unknown_constraint(codec: Codec) -> None:
    with pytest.raises(UnknownNameError, match="grammar"):
        build_constraint("gramar", codec, {})


# --- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [{}, [], None, {"name": "r"}, {**TINY.to_dict(), "colour": 1}, {1: 2}, "tiny"])
def test_no_recipes_data(data: Any) -> None:
    with pytest.raises(InputError, match="not a recipe's data"):
        Recipe.from_dict(data)


@pytest.mark.parametrize("name", TINY.to_dict())
@pytest.mark.parametrize("value", [object(), float("nan"), -1])
def test_garbage_in_any_field_is_refused_or_harmless(name: str, value: Any) -> None:
    try:
        recipe = Recipe.from_dict({**TINY.to_dict(), name: value})
    except InputError:
        return
    assert name in ("name", "description", "form", "fragments")
    assert getattr(recipe, name) is value


def test_there_and_back_through_json() -> None:
    recipe = TINY.replaced(latent=3, learning_rate=0.1, time_limit=2.5, regularizer="l2", max_length=None)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


# --- building --------------------------------------------------------------------------------------------------------


def test_build_takes_what_the_recipe_names(codec: Codec) -> None:
    recipe = TINY.replaced(
        encoder="conv",
        encoder_options={"channels": 6, "widths": [3]},
        decoder="gru",
        decoder_options={"hidden": 10},
        objective="rae",
        latent=5,
        objective_options={"beta": 0.25},
        regularizer="l2",
        regularizer_options={"weight": 0.5},
        density="gmm",
        density_options={"n_components": 4},
    )
    autoencoder, density = build(recipe, codec)
    encoder, objective, regularizer = autoencoder.encoder, autoencoder.objective, autoencoder.regularizer
    assert isinstance(encoder, ConvEncoder) and encoder.dense.in_features == 6 * 20
    assert encoder.dense.out_features == 5
    assert autoencoder.decoder.hidden == 10
    assert isinstance(objective, RAE) and objective.beta == 0.25
    assert isinstance(regularizer, L2) and regularizer.weight == 0.5
    assert isinstance(density, MixtureDensity) and density.n_components == 4
    assert density.means.shape == (4, 5)
    other = TINY.replaced(encoder="gru", encoder_options={}, density="gaussian", density_options={})
    assert isinstance(build(other, codec).autoencoder.encoder, GRUEncoder)
    assert isinstance(build_density(other), GaussianDensity)
    assert isinstance(build_constraint("grammar", codec, {}), GrammarConstraint)
    assert isinstance(build_constraint("none", codec, {}), Free)


def test_without_a_limit_there_is_still_a_longest_text() -> None:
    codec = GrammarCodec.learn(EXPRESSIONS, grammar="expressions", n_macros=0)
    assert codec.max_length is None
    encoder = build(TINY.replaced(encoder="conv", encoder_options={"channels": 2}), codec).autoencoder.encoder
    assert encoder(torch.zeros(1, 1000, dtype=torch.int64)).shape == (1, TINY.latent)


def test_weights_come_from_the_seed(codec: Codec) -> None:
    one, again, other = (build(TINY.replaced(seed=seed), codec).autoencoder.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one if "weight_ih" in name)


def test_building_leaves_the_global_randomness_alone(codec: Codec) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    build(TINY.replaced(seed=1), codec)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_learn_codec_takes_what_the_recipe_names() -> None:
    recipe = RECIPES["expressions"].replaced(max_length=9, codec_options={"grammar": "expressions", "n_macros": 2})
    codec = learn_codec(recipe, EXPRESSIONS)
    assert isinstance(codec, GrammarCodec)
    assert (codec.form, codec.max_length, len(codec.macros.macros)) == ("text", 9, 2)
    characters = learn_codec(recipe.replaced(codec="characters", codec_options={}), EXPRESSIONS)
    assert isinstance(characters, CODECS["characters"])
    assert characters.max_length == 9
