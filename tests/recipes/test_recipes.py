"""Recipes: what they refuse, how they are changed and saved, and what they build."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from grammar_rae.codecs import CODECS, Codec, GrammarCodec
from grammar_rae.decoding import Free, GrammarConstraint, parse_spec
from grammar_rae.density import GaussianDensity, MixtureDensity
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.likelihoods import LearnedGaussian
from grammar_rae.nets.image import PaperDecoder, PaperEncoder, SmallDecoder, SmallEncoder
from grammar_rae.nets.sequence import ConvEncoder, GRUEncoder
from grammar_rae.objectives import CVVAE, RAE, VAE, WAE
from grammar_rae.recipes import (
    ALL_IMAGE_MODELS,
    IMAGE_DATA,
    IMAGE_MODELS,
    NETS,
    RECIPES,
    STRUCTURED_MODELS,
    STRUCTURED_PROBLEMS,
    ImageRecipe,
    Recipe,
    TextRecipe,
    build_constraint,
    build_density,
    build_image,
    build_text,
    get_recipe,
    image_recipe,
    learn_codec,
    structured_recipe,
    training_settings,
)
from grammar_rae.regularizers import L2, GradientPenalty, SpectralNorm

TINY = RECIPES["tiny"]

# R, longest, D, batch, epochs and patience with the grammar; the same with characters.
PROTOCOL = {
    "molecules": ((76, 277, 56, 500, 100, 3), (35, 120, 56, 500, 100, 3)),
    "expressions": ((12, 15, 25, 600, 50, 1), (15, 20, 25, 600, 50, 1)),
}
# Whether the latent cost has the original's weight.
GRAE = {"grae": False, "gvae": True, "gcvvae": True, "cvae": True}
EXPRESSIONS = ["x", "x+1", "sin(x*2)", "exp(x)/3", "(x+1)*x"]


@pytest.fixture(scope="module")
def codec() -> Codec:
    return GrammarCodec.learn(EXPRESSIONS, grammar="expressions", n_macros=4, max_length=20)


# --- changing --------------------------------------------------------------------------------------------------------


def test_replaced_changes_a_copy() -> None:
    changed = TINY.replace(latent=3, learning_rate=0.5)
    assert (changed.latent, changed.training["learning_rate"]) == (3, 0.5)
    assert changed.training["batch_size"] == TINY.training["batch_size"]
    assert (TINY.latent, TINY) == (RECIPES["tiny"].latent, get_recipe("tiny", TextRecipe))
    assert TINY.training["learning_rate"] != 0.5
    assert changed.replace(latent=TINY.latent, learning_rate=TINY.training["learning_rate"]) == TINY


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
    recipe = TextRecipe(name="r", description="", training={"epochs": 7, "time_limit": 9.0, "batch_size": 4})
    training = recipe.replace(**chosen).training
    assert {name: value for name, value in training.items() if name in ("epochs", "time_limit")} == left
    assert training["batch_size"] == 4


def test_every_setting_is_known_by_one_name_only() -> None:
    from dataclasses import fields

    from grammar_rae.training import TrainingSettings

    assert not {field.name for field in fields(TextRecipe)} & {field.name for field in fields(TrainingSettings)}


@pytest.mark.parametrize("name", ["latentt", "name", "description", "beta"])
def test_replaced_refuses_what_it_does_not_know(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        TINY.replace(**{name: 3})
    assert ("Did you mean 'latent'?" in str(caught.value)) == (name == "latentt")
    assert str(caught.value).endswith("grammar_rae.recipes.TextRecipe and grammar_rae.training.TrainingSettings.")


# --- refusing --------------------------------------------------------------------------------------------------------


def test_unknown_recipe() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'molecules'") as caught:
        get_recipe("moleculs", Recipe)
    assert isinstance(caught.value, InputError)
    assert "`grammar-rae list recipes`" in str(caught.value)


@pytest.mark.parametrize("recipe", [None, {}, ["tiny"], 3])
def test_no_recipe_at_all(recipe: Any) -> None:
    with pytest.raises(UnknownNameError):
        get_recipe(recipe, Recipe)


def test_a_recipe_of_another_kind() -> None:
    assert get_recipe("image-ae", ImageRecipe) is get_recipe(RECIPES["image-ae"], Recipe) is RECIPES["image-ae"]
    for recipe, kind in (
        ("image-ae", TextRecipe),
        (RECIPES["image-ae"], TextRecipe),
        ("tiny", ImageRecipe),
        (TINY, ImageRecipe),
    ):
        with pytest.raises(InputError, match=rf"received '(image-ae|tiny)' \(.*\); expected {kind.__name__}"):
            get_recipe(recipe, kind)


@pytest.mark.parametrize("axis", ["codec", "encoder", "decoder", "objective", "likelihood", "regularizer", "density"])
@pytest.mark.parametrize("name", ["nonsense", None, ["gru"]])
def test_unknown_row(axis: str, name: Any) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown {axis}"):
        TINY.replace(**{axis: name})


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
        TINY.replace(**{name: value})


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
        build_text(TINY.replace(**{axis: options}), codec)


@pytest.mark.parametrize("options", [{"n_macro": 3}, {"form": "text"}, {"texts": []}])
def test_options_that_a_codec_does_not_take(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="takes no such option"):
        learn_codec(RECIPES["expressions"].replace(codec_options=options), EXPRESSIONS)


def test_option_of_an_unusable_value_is_refused_by_the_part(codec: Codec) -> None:
    with pytest.raises(InputError, match="beta"):
        build_text(TINY.replace(objective_options={"beta": -1}), codec)


def test_unusable_training() -> None:
    with pytest.raises(InputError, match="batch_size"):
        training_settings(TINY.replace(batch_size=0))
    with pytest.raises(InputError, match="needs a stopping criterion"):
        training_settings(TextRecipe(name="r", description=""))


def test_the_constraint_is_a_text() -> None:
    rules = "chemistry; max-heavy-atoms=38"
    assert TINY.constraint == "grammar"
    assert TINY.replace(constraint=rules).constraint == rules
    assert TINY.replace(constraint=parse_spec(rules)).constraint == rules
    assert TINY.replace(constraint=" max-heavy-atoms=38").constraint == str(parse_spec("max-heavy-atoms=38"))
    assert TextRecipe.from_dict(json.loads(json.dumps(TINY.replace(constraint=rules).to_dict()))).constraint == rules


@pytest.mark.parametrize(
    "constraint", ["gramar", "", "chemistry; gramar", "max-heavy-atoms=many", None, ["grammar"], 3]
)
def test_no_constraint(constraint: Any, codec: Codec) -> None:
    with pytest.raises(InputError):
        TINY.replace(constraint=constraint)
    with pytest.raises(InputError):
        build_constraint(constraint, codec, {})


def test_unknown_constraint(codec: Codec) -> None:
    with pytest.raises(UnknownNameError, match="grammar"):
        build_constraint("gramar", codec, {})


# --- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [{}, [], None, {"name": "r"}, {**TINY.to_dict(), "colour": 1}, {1: 2}, "tiny"])
def test_no_recipes_data(data: Any) -> None:
    with pytest.raises(InputError, match="not a recipe's data"):
        TextRecipe.from_dict(data)


@pytest.mark.parametrize("name", TINY.to_dict())
@pytest.mark.parametrize("value", [object(), float("nan"), -1])
def test_garbage_in_any_field_is_refused_or_harmless(name: str, value: Any) -> None:
    try:
        recipe = TextRecipe.from_dict({**TINY.to_dict(), name: value})
    except InputError:
        return
    assert name in ("name", "description", "form", "fragments")
    assert getattr(recipe, name) is value


def test_there_and_back_through_json() -> None:
    recipe = TINY.replace(latent=3, learning_rate=0.1, time_limit=2.5, regularizer="l2", max_length=None)
    assert TextRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


# --- building --------------------------------------------------------------------------------------------------------


def test_build_takes_what_the_recipe_names(codec: Codec) -> None:
    recipe = TINY.replace(
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
    autoencoder, density = build_text(recipe, codec)
    encoder, objective, regularizer = autoencoder.encoder, autoencoder.objective, autoencoder.regularizer
    assert isinstance(encoder, ConvEncoder) and encoder.dense.in_features == 6 * 20
    assert encoder.dense.out_features == 5
    assert autoencoder.decoder.hidden == 10
    assert isinstance(objective, RAE) and objective.beta == 0.25
    assert isinstance(regularizer, L2) and regularizer.weight == 0.5
    assert isinstance(density, MixtureDensity) and density.n_components == 4
    assert density.means.shape == (4, 5)
    other = TINY.replace(encoder="gru", encoder_options={}, density="gaussian", density_options={})
    assert isinstance(build_text(other, codec).autoencoder.encoder, GRUEncoder)
    assert isinstance(build_density(other), GaussianDensity)
    assert isinstance(build_constraint("grammar", codec, {}), GrammarConstraint)
    assert isinstance(build_constraint("none", codec, {}), Free)


def test_without_a_limit_there_is_still_a_longest_text() -> None:
    codec = GrammarCodec.learn(EXPRESSIONS, grammar="expressions", n_macros=0)
    assert codec.max_length is None
    encoder = build_text(TINY.replace(encoder="conv", encoder_options={"channels": 2}), codec).autoencoder.encoder
    assert encoder(torch.zeros(1, 1000, dtype=torch.int64)).shape == (1, TINY.latent)


def test_weights_come_from_the_seed(codec: Codec) -> None:
    one, again, other = (build_text(TINY.replace(seed=seed), codec).autoencoder.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one if "weight_ih" in name)


def test_building_leaves_the_global_randomness_alone(codec: Codec) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    build_text(TINY.replace(seed=1), codec)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_learn_codec_takes_what_the_recipe_names() -> None:
    recipe = RECIPES["expressions"].replace(max_length=9, codec_options={"grammar": "expressions", "n_macros": 2})
    codec = learn_codec(recipe, EXPRESSIONS)
    assert isinstance(codec, GrammarCodec)
    assert (codec.form, codec.max_length, len(codec.macros.macros)) == ("expression", 9, 2)
    characters = learn_codec(recipe.replace(codec="characters", codec_options={}), EXPRESSIONS)
    assert isinstance(characters, CODECS["characters"])
    assert characters.max_length == 9


# --- molecules and expressions: the protocol's table -----------------------------------------------------------------


def test_every_model_of_the_study_is_a_recipe() -> None:
    names = {f"{fast}{model}-{problem}" for fast in ("", "fast-") for model in GRAE for problem in PROTOCOL}
    assert names <= set(RECIPES)
    assert set(STRUCTURED_MODELS) == set(GRAE) and set(STRUCTURED_PROBLEMS) == set(PROTOCOL)


@pytest.mark.parametrize("model", GRAE)
@pytest.mark.parametrize("problem", PROTOCOL)
def test_settings_of_the_grammar_vae(model: str, problem: str) -> None:
    recipe, fast = (get_recipe(f"{kind}{model}-{problem}", TextRecipe) for kind in ("", "fast-"))
    size, length, latent, batch, epochs, patience = PROTOCOL[problem][model == "cvae"]
    training = training_settings(recipe)
    assert (recipe.latent, recipe.max_length) == (latent, length)
    assert (training.batch_size, training.epochs, training.plateau_patience) == (batch, epochs, patience + 1)
    assert (training.learning_rate, training.plateau_factor, training.minimum_rate) == (1e-3, 0.2, 1e-4)
    assert (recipe.encoder, recipe.decoder, recipe.likelihood) == ("grammar-vae", "grammar-vae", "binary")
    assert recipe.codec == ("characters" if model == "cvae" else "grammar")
    if GRAE[model]:  # R / D: the original's mean of the divergence over dimensions
        assert recipe.objective_options["beta"] == pytest.approx(size / latent)
    assert recipe.objective_options == fast.objective_options
    assert (recipe.objective, recipe.regularizer, recipe.density) == (fast.objective, fast.regularizer, fast.density)
    assert (fast.latent, fast.decoder) == (latent, "gru")


@pytest.mark.parametrize("names", [("gpt", "molecules"), ("grae", "proteins")])
def test_a_model_or_problem_that_the_study_has_not(names: tuple[str, str]) -> None:
    with pytest.raises(UnknownNameError):
        structured_recipe(*names)


def test_parts_of_the_grammar_vae_fit_its_grammars() -> None:
    texts = {"molecules": ["CCO", "c1ccccc1[N+](=O)[O-]"], "expressions": EXPRESSIONS}
    for problem, protocol in PROTOCOL.items():
        recipe = get_recipe(f"gvae-{problem}", TextRecipe)
        codec = learn_codec(recipe, texts[problem])
        assert codec.rules.size == protocol[False][0]
        parts = build_text(recipe, codec)
        out = parts.autoencoder.encoder(torch.zeros(2, 7, dtype=torch.int64))
        assert out.shape == (2, 2 * recipe.latent)


# --- images: the protocol's table ------------------------------------------------------------------------------------

# D, d, epochs, and Adam's rate of what is deterministic.
SETTINGS = {"mnist": (1024, 16, 100, 5e-4), "cifar10": (3072, 128, 100, 5e-4), "celeba": (12288, 64, 70, 1e-3)}

# The authors' weights, in their code's form (mean pixel error + beta * mean z^2): of z, of the decoder.
CODE: dict[str, dict[str, tuple[float | None, float | None]]] = {
    "mnist": {
        "rae": (5e-4, None),
        "rae-l2": (1e-4, 1e-7),
        "rae-gp": (1e-4, 5e-8),
        "rae-sn": (0.009, None),
        "ae-l2": (None, 1e-7),
    },
    "cifar10": {
        "rae": (0.01, None),
        "rae-l2": (1e-3, 1e-6),
        "rae-gp": (9e-4, 0.0),
        "rae-sn": (0.03, None),
        "ae-l2": (None, 1e-6),
    },
    "celeba": {
        "rae": (1e-4, None),
        "rae-l2": (1e-4, 1e-7),
        "rae-gp": (1e-4, 1e-7),
        "rae-sn": (2.4e-3, None),
        "ae-l2": (None, 1e-6),
    },
}
# These the protocol gives for costs that are sums.
SUMMED = {
    "mnist": {"vae": 0.312, "cv-vae": 0.039, "wae": 30.7},
    "cifar10": {"vae": 0.072, "cv-vae": 0.0027, "wae": 18.4},
    "celeba": {"vae": 0.271, "cv-vae": 0.03, "wae": 100 / 0.05},
}
OBJECTIVE = {"vae": "vae", "cv-vae": "cv-vae", "wae": "wae", "2svae": "vae", "ae": "ae", "ae-l2": "ae"}
REGULARIZER = {"rae-gp": "gradient-penalty", "rae-l2": "l2", "ae-l2": "l2", "rae-sn": "spectral-norm"}
PAPER = [(data, model) for data in SETTINGS for model in IMAGE_MODELS]


def test_the_models_of_table_1() -> None:
    assert set(IMAGE_MODELS) == {"vae", "cv-vae", "wae", "2svae", *(f"rae{x}" for x in ("-gp", "-l2", "-sn", ""))} | {
        "ae",
        "ae-l2",
    }
    assert set(IMAGE_DATA) == set(SETTINGS)
    assert set(NETS) == {"paper", "small"}


@pytest.mark.parametrize(("data", "model"), PAPER)
def test_weights_are_the_protocols(data: str, model: str) -> None:
    recipe, (pixels, latent, _, _) = RECIPES[f"{data}-{model}"], SETTINGS[data]
    assert recipe == image_recipe(model, data, "paper")
    assert recipe.latent == latent
    assert recipe.objective == OBJECTIVE.get(model, "rae")
    assert recipe.regularizer == REGULARIZER.get(model, "none")
    beta, weight = recipe.objective_options.get("beta"), recipe.regularizer_options.get("weight")
    if model in SUMMED[data]:
        assert (beta, weight) == (SUMMED[data][model], None)
        return
    of_z, of_decoder = CODE[data].get(model, (None, None))
    if model == "2svae":
        assert (beta, weight, recipe.likelihood) == (1, None, "learned-gaussian")
    elif of_z is None:
        assert recipe.objective_options == {}
    else:
        assert beta == pytest.approx(of_z * 2 * pixels / latent, rel=0.005)
    if of_decoder is None:
        assert recipe.regularizer_options == {}
    else:
        factor = pixels / latent if recipe.regularizer == "gradient-penalty" else pixels
        assert weight == pytest.approx(of_decoder * factor, rel=0.005)
    assert recipe.likelihood == ("learned-gaussian" if model == "2svae" else "squared-error")


@pytest.mark.parametrize(("data", "model"), PAPER)
def test_trainings_are_the_protocols(data: str, model: str) -> None:
    _, _, epochs, rate = SETTINGS[data]
    if data == "cifar10" and model in ("wae", "cv-vae", "rae-gp"):
        epochs = 70
    rate = {"vae": 1e-4, "cv-vae": 1e-4, "2svae": 1e-4, "wae": 1e-3}.get(model, rate)
    settings = training_settings(RECIPES[f"{data}-{model}"])
    assert (settings.epochs, settings.time_limit) == (epochs, None)
    assert settings.batch_size == (1000 if (data, model) == ("celeba", "vae") else 100)
    assert (settings.optimizer, settings.learning_rate, settings.weight_decay) == ("adam", rate, 0)
    assert (settings.schedule, settings.plateau_factor, settings.plateau_patience) == ("plateau", 0.5, 5)
    assert (settings.warmup_steps, settings.minimum_rate, settings.gradient_clip) == (0, 0, None)
    assert settings.precision == "32-true"
    assert settings.validate_every is None


@pytest.mark.parametrize(("data", "model"), PAPER)
def test_densities_are_the_protocols(data: str, model: str) -> None:
    recipe = RECIPES[f"{data}-{model}"]
    if model in ("vae", "cv-vae", "wae"):
        assert recipe.density == "prior"
    elif model == "2svae":
        assert recipe.density == "two-stage"
        density: Any = build_density(recipe)
        assert (density.hidden, density.epochs, density.batch_size, density.learning_rate) == (
            *((1024, 1024), 100),
            *(64, 1e-4),
        )
    else:
        assert (recipe.density, recipe.density_options) == ("gmm", {"n_components": 10})


@pytest.mark.parametrize(("rows", "held_out"), [(60_000, 10_000), (50_000, 10_000), (182_637, 10_000), (1437, 287)])
def test_ten_thousand_images_validate(rows: int, held_out: int) -> None:
    recipe = image_recipe("rae")
    assert min(round(rows * recipe.validation_fraction), recipe.validation_maximum) == held_out


@pytest.mark.parametrize("data", SETTINGS)
def test_nets_are_the_papers(data: str) -> None:
    shape = {"mnist": (1, 32, 32), "cifar10": (3, 32, 32), "celeba": (3, 64, 64)}[data]
    with torch.device("meta"):
        # On this device nothing is computed: no power iteration, no random weights.
        autoencoder, _ = build_image(RECIPES[f"{data}-rae"].replace(density="gaussian", density_options={}), shape)
    encoder, decoder = autoencoder.encoder, autoencoder.decoder
    assert isinstance(encoder, PaperEncoder) and isinstance(decoder, PaperDecoder)
    kernel = 5 if data == "celeba" else 4
    for net, channels in (
        (encoder, [128, 256, 512, 1024]),
        (decoder, [512, 256, *([128] if data == "celeba" else []), shape[0]]),
    ):
        found = [module for module in net if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
        assert [module.out_channels for module in found] == channels
        assert {module.kernel_size for module in found} == {(kernel, kernel)}


def test_models_of_our_own_are_noise_conditioned() -> None:
    assert ALL_IMAGE_MODELS.keys() - IMAGE_MODELS.keys() == {"nc-0", "nc-25", "nc-50", "nc-100"}
    for name, smoothing in (("nc-0", 0.0), ("nc-25", 0.25), ("nc-50", 0.5), ("nc-100", 1.0)):
        for recipe in (RECIPES[f"image-{name}"], image_recipe(name, "cifar10", "paper")):
            assert (recipe.regularizer, recipe.objective) == ("noise-conditioned", "layer-norm")
            assert recipe.smoothing == smoothing and not recipe.objective_options and not recipe.regularizer_options


@pytest.mark.parametrize("model", IMAGE_MODELS)
def test_small_nets_have_one_training(model: str) -> None:
    recipe = RECIPES[f"image-{model}"]
    assert recipe == image_recipe(model)
    assert recipe == image_recipe(model, "mnist", "small")
    assert (recipe.encoder, recipe.decoder, recipe.latent) == ("small", "small", 16)
    assert recipe.training == RECIPES["image-rae"].training
    papers = RECIPES[f"mnist-{model}"]
    for name in ("objective", "regularizer", "likelihood", "density"):
        assert getattr(recipe, name) == getattr(papers, name)
    assert recipe.objective_options == papers.objective_options
    assert recipe.regularizer_options == papers.regularizer_options


def test_weights_of_other_data_with_small_nets() -> None:
    recipe = image_recipe("rae-l2", "celeba")
    assert recipe.regularizer_options == RECIPES["celeba-rae-l2"].regularizer_options
    assert (recipe.latent, recipe.encoder, recipe.training["epochs"]) == (64, "small", 20)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("vea",), r"unknown image model.*Did you mean.*ALL_IMAGE_MODELS"),
        (("rae-L2",), r"unknown image model.*rae-L2.*Did you mean 'rae-l2'"),
        (("rae", "cifar"), r"unknown data set.*celeba, cifar10, mnist.*Did you mean 'cifar10'"),
        (("rae", "mnist", "large"), r"unknown net.*paper, small"),
    ],
)
def test_image_recipes_that_are_not_there(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(UnknownNameError, match=words):
        image_recipe(*arguments)


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if isinstance(recipe, ImageRecipe)])
def test_image_recipes_through_json(name: str) -> None:
    recipe = RECIPES[name]
    again = ImageRecipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert again == recipe
    assert again.to_dict() == recipe.to_dict()


@pytest.mark.parametrize("axis", ["encoder", "decoder", "objective", "likelihood", "regularizer", "density"])
@pytest.mark.parametrize("name", ["nonsense", None, ["small"], "gru", "categorical"])
def test_rows_that_are_none_of_images(axis: str, name: Any) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown {axis}"):
        image_recipe("rae").replace(**{axis: name})


def test_recipes_of_one_kind_are_none_of_the_other() -> None:
    with pytest.raises(InputError, match="not a recipe's data"):
        ImageRecipe.from_dict(TINY.to_dict())
    with pytest.raises(UnknownNameError):
        TextRecipe.from_dict(image_recipe("rae").to_dict())
    with pytest.raises(UnknownNameError, match="codec"):
        image_recipe("rae").replace(codec="grammar")


def test_build_for_images_takes_what_the_recipe_names() -> None:
    recipe = image_recipe("vae").replace(
        encoder="paper",
        encoder_options={"channels": [2, 3], "kernel": 5},
        decoder="small",
        decoder_options={"width": 3},
        objective_options={"beta": 0.5, "samples": 2, "annealing": 7},
        regularizer="gradient-penalty",
        regularizer_options={"weight": 0.25, "variant": "jacobian", "projections": 3},
        likelihood="learned-gaussian",
        latent=5,
        density="gaussian",
        density_options={},
    )
    autoencoder, density = build_image(recipe, (1, 8, 8))
    objective, regularizer = autoencoder.objective, autoencoder.regularizer
    assert isinstance(autoencoder.encoder, PaperEncoder) and isinstance(autoencoder.decoder, SmallDecoder)
    assert isinstance(objective, VAE) and (objective.beta, objective.samples, objective.annealing) == (0.5, 2, 7)
    assert isinstance(regularizer, GradientPenalty)
    assert (regularizer.weight, regularizer.variant, regularizer.projections) == (0.25, "jacobian", 3)
    assert isinstance(autoencoder.likelihood, LearnedGaussian) and isinstance(density, GaussianDensity)
    assert autoencoder.encoder(torch.zeros(2, 1, 8, 8)).shape == (2, 10)  # mean and scale
    assert autoencoder.encode(torch.zeros(2, 1, 8, 8)).shape == (2, 5)
    for model, kind, norm in (("rae-sn", RAE, SpectralNorm), ("cv-vae", CVVAE, object), ("wae", WAE, object)):
        other, _ = build_image(image_recipe(model), (1, 8, 8))
        assert isinstance(other.objective, kind) and isinstance(other.regularizer, norm)
        assert isinstance(other.encoder, SmallEncoder)
    assert build_image(image_recipe("cv-vae"), (1, 8, 8)).autoencoder.objective.scale == 0.7


def test_weights_of_images_come_from_the_seed() -> None:
    before = torch.get_rng_state()
    recipe = image_recipe("rae-sn")  # whose power iteration begins at random
    one, again, other = (
        build_image(recipe.replace(seed=seed), (1, 8, 8)).autoencoder.state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one if name.endswith(("_u", "original")))


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 12, 12), (1, 8, 16), (1, 4, 4)])
def test_images_that_no_net_takes(shape: tuple[int, int, int]) -> None:
    for recipe in (image_recipe("rae"), image_recipe("rae", "mnist", "paper")):
        with pytest.raises(InputError, match="this image size"):
            build_image(recipe, shape)


@pytest.mark.parametrize(
    ("axis", "options"),
    [
        ("encoder_options", {"channels": [3]}),
        ("encoder_options", {"n_outputs": 3}),
        ("decoder_options", {"start": 3}),
        ("objective_options", {"scale": 0.7}),
        ("regularizer_options", {"weight": 0.7}),
        ("density_options", {"epochs": 3}),
    ],
)
def test_options_that_a_part_of_images_does_not_take(axis: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"takes no such option.*{next(iter(options))}"):
        build_image(image_recipe("rae").replace(**{axis: options}), (1, 8, 8))
