"""The trained thing: trained once on a few hundred molecules, then asked for all it offers, and for what it cannot."""

import copy
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import grammar_rae
from grammar_rae import checkpoint, chem, datasets
from grammar_rae.codecs import CharacterCodec, Codec, GrammarCodec
from grammar_rae.decoding import parse_spec
from grammar_rae.errors import (
    CheckpointError,
    DataError,
    InputError,
    TextError,
    TrainingError,
    UnknownNameError,
)
from grammar_rae.model import SampleResult, TextModel
from grammar_rae.model import generative as model_module
from grammar_rae.model import latent as latent_module
from grammar_rae.recipes import RECIPES, TextRecipe, build_constraint
from grammar_rae.resources import DEFAULT_MODEL, bundled_file, bundled_model, bundled_models
from grammar_rae.scores import score
from grammar_rae.training import Callback, History, TrainingState

ROOT = Path(__file__).resolve().parent.parent
LATENT = RECIPES["tiny"].latent
TEXTS = [text for _, text in islice(datasets.read_texts(bundled_file("data/moses_sample.smi.gz")), 400)]
FEW = TEXTS[:60]
EXACT = {"precision": "32-true"}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Nets as small as these are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> TextModel:
    return TextModel("tiny", epochs=3, overrides=EXACT).fit(TEXTS)


@pytest.fixture(scope="module")
def learned() -> TextModel:
    """One that knows a few molecules by heart, so that what it decodes depends on the code."""
    sizes = {
        "encoder": "gru",
        "encoder_options": {"embedding": 16, "hidden": 32},
        "decoder": "gru",
        "decoder_options": {"embedding": 16, "hidden": 64, "context": 16},
    }
    settings = {"learning_rate": 0.01, "validation_fraction": 0.01, "batch_size": 4, "validate_every": 1e9}
    return TextModel("tiny", epochs=100, overrides=EXACT | sizes | settings).fit(TEXTS[:12])


@pytest.fixture(scope="module")
def saved(model: TextModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder)
    return folder


@pytest.fixture
def no_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar_rae, "_current", None)


def quick(**overrides: Any) -> TextModel:
    return TextModel("tiny", epochs=1, overrides=EXACT | overrides)


def outside(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run code in a process of its own."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def weights(model: TextModel) -> dict[str, torch.Tensor]:
    return {**model.autoencoder_.state_dict(), **{f"density.{k}": v for k, v in model.density_.state_dict().items()}}


def same_weights(one: TextModel, other: TextModel) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def accept(monkeypatch: pytest.MonkeyPatch, judge: Callable[[int], bool]) -> None:
    """Let a judge, told how many texts came before, decide which decoded texts are valid."""
    seen = iter(range(10**9))
    monkeypatch.setattr(GrammarCodec, "canonical", lambda self, text: text if judge(next(seen)) else None)


# --- training --------------------------------------------------------------------------------------------------------


def test_training(model: TextModel) -> None:
    assert isinstance(model.codec, GrammarCodec)
    assert model.codec.form == "kekule"
    assert isinstance(model.history, History)
    assert model.history.stopped == "epochs"
    losses = [row["validation_loss"] for row in model.history.rows if row["validation_loss"] is not None]
    assert len(losses) == 3
    assert losses[-1] is not None and losses[0] is not None and losses[-1] < losses[0]
    assert model.recipe_ == RECIPES["tiny"].replaced(epochs=3, seed=0, **EXACT)
    assert not model.autoencoder_.training


def test_learns_a_few_molecules_by_heart(learned: TextModel) -> None:
    again = learned.reconstruct(TEXTS[:12])
    exact = [one == chem.canonical(other) for one, other in zip(again, TEXTS[:12], strict=True)]
    assert sum(exact) >= 9  # one of the others only validated


def sources(folder: Path) -> dict[str, tuple[Any, dict[str, Any]]]:
    (folder / "few.smi").write_text("\n".join(FEW))
    frame = pd.DataFrame({"id": range(len(FEW)), "mol": FEW})
    frame.to_csv(folder / "few.csv", index=False)
    return {
        "tuple": (tuple(FEW), {}),
        "generator": ((text for text in FEW), {}),
        "map": (map(str, FEW), {}),
        "array": (np.array(FEW), {}),
        "object array": (np.array(FEW, dtype=object), {}),
        "Series": (frame["mol"], {}),
        "DataFrame": (frame, {"column": "mol"}),
        "DataFrame with a known name": (frame.rename(columns={"mol": "SMILES"}), {}),
        "path": (folder / "few.smi", {}),
        "text of a path": (str(folder / "few.csv"), {"column": "mol"}),
        "open file": ((folder / "few.smi").open(), {}),
    }


def test_every_source_gives_the_same_model(tmp_path: Path) -> None:
    expected = quick().fit(FEW)
    assert len(sources(tmp_path)) == 11
    for name, (source, keywords) in sources(tmp_path).items():
        assert same_weights(quick().fit(source, **keywords), expected), name


def test_an_encoded_data_set_is_a_source(model: TextModel, tmp_path: Path) -> None:
    data = datasets.encode(FEW, model.codec, tmp_path / "encoded")
    from_object, from_folder = quick().fit(data), quick().fit(str(tmp_path / "encoded"))
    assert same_weights(from_object, from_folder)
    assert from_object.codec.to_dict() == model.codec.to_dict()


@pytest.mark.parametrize("source", [None, 5, {"a": 1}, b"CCO", np.array([FEW, FEW])])
def test_no_source(source: Any) -> None:
    with pytest.raises(InputError):
        quick().fit(source)


@pytest.mark.parametrize("source", [[], ["no molecule"], "missing.smi", iter(())])
def test_nothing_to_train_on(source: Any) -> None:
    with pytest.raises(DataError):
        quick().fit(source)


def test_too_few_rows() -> None:
    with pytest.raises(InputError, match=r"too few rows.*received 3"):
        quick().fit(FEW[:3])


def test_bad_rows_are_left_out() -> None:
    assert same_weights(quick().fit([FEW[0], "", "no molecule", *FEW[1:]]), quick().fit(FEW))


def test_the_seed_decides() -> None:
    one, again, other = (TextModel("tiny", 1, seed=seed, overrides=EXACT).fit(FEW) for seed in (1, 1, 2))
    assert same_weights(one, again)
    assert not same_weights(one, other)


def test_global_randomness_is_left_alone() -> None:
    def state() -> tuple[Any, ...]:
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]

    before = state()
    quick().fit(FEW).sample(3, valid_only=False, seed=1)
    assert state() == before


def test_the_expressions_recipe() -> None:
    generator = random.Random(0)

    def expression(depth: int) -> str:
        leaf = generator.choice("x123")
        if depth == 0:
            return leaf
        inner = expression(depth - 1)
        return generator.choice(
            [f"sin({inner})", f"exp({inner})", f"{leaf}+{inner}", f"({inner})*{leaf}", f"{inner}/x"]
        )

    texts = [expression(generator.randrange(4)) for _ in range(300)]
    model = TextModel("expressions", epochs=1, overrides={"batch_size": 64}).fit(texts)
    result = model.sample(50, seed=0)
    assert (result.attempts, result.validity) == (50, 1.0)
    assert all(model.codec.decode(model.codec.encode_text(text)) == text for text in result.texts)
    assert set(model.reconstruct(["x+1"])[0]) <= set("x123+*/()sinexp")


def test_the_characters_recipe() -> None:
    small = {
        "encoder": "gru",
        "encoder_options": {"embedding": 8, "hidden": 16},
        "decoder": "gru",
        "decoder_options": {"embedding": 8, "hidden": 32, "context": 8},
        "density": "gmm",
        "density_options": {"n_components": 2},
        "latent": 4,
    }
    model = TextModel("characters", epochs=1, overrides=small).fit(FEW)
    assert isinstance(model.codec, CharacterCodec)
    assert set(model.codec.characters) == set("".join(map(chem.canonical, FEW)))
    result = model.sample(10, valid_only=False, seed=0)
    assert set("".join(result.texts)) <= set("".join(model.codec.characters))
    assert model.encode(FEW).shape == (60, 4)


@pytest.mark.parametrize("recipe", ["tinny", None, 3])
def test_unknown_recipe(recipe: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"expressions, .*molecules, molecules-conv, molecules-rae, tiny"):
        TextModel(recipe).fit(FEW)


def test_a_recipe_of_images() -> None:
    for recipe in ("image-rae", RECIPES["image-rae"]):
        with pytest.raises(InputError, match=r"recipe.*received 'image-rae' \(ImageRecipe\); expected TextRecipe"):
            TextModel(recipe).fit(FEW)


@pytest.mark.parametrize(
    "arguments",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"time_limit": -1},
        {"seed": -1},
        {"overrides": {"latent": 0}},
        {"overrides": {"latnet": 3}},
        {"overrides": {"form": "kekulé"}},
        {"overrides": {"encoder_options": {"hiden": 3}}},
        {"overrides": {"codec_options": {"grammar": "smile"}}},
        {"epochs": 1, "overrides": {"epochs": 1}},
        {"overrides": {"seed": 1}},
    ],
)
def test_unusable_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises((InputError, DataError)):
        TextModel("tiny", **arguments).fit(FEW)


# --- between texts and codes -----------------------------------------------------------------------------------------


def test_encode(model: TextModel) -> None:
    z = model.encode(TEXTS[:20])
    assert (z.shape, z.dtype) == ((20, LATENT), np.float32)
    assert np.isfinite(z).all()
    assert len(np.unique(z, axis=0)) == 20
    for source in (tuple(TEXTS[:20]), np.array(TEXTS[:20]), pd.Series(TEXTS[:20]), (text for text in TEXTS[:20])):
        assert np.array_equal(model.encode(source), z)
    for text, row in zip(TEXTS[:20], z, strict=True):
        assert np.allclose(model.encode([text])[0], row, atol=1e-5)
        assert np.array_equal(model.encode(text), model.encode([text]))


def test_encode_looks_at_the_molecule_not_at_its_spelling(model: TextModel) -> None:
    assert np.array_equal(model.encode(["OCC"]), model.encode(["CCO"]))


def test_encode_nothing(model: TextModel) -> None:
    assert model.encode([]).shape == (0, LATENT)


def test_large_inputs_go_in_parts(learned: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    z, texts = learned.encode(TEXTS[:20]), learned.decode(learned.encode(TEXTS[:20]))
    monkeypatch.setattr(TextModel, "batch_rows", 7)
    assert len(set(texts)) > 3
    assert np.allclose(learned.encode(TEXTS[:20]), z, atol=1e-5)
    assert learned.decode(z) == texts


@pytest.mark.parametrize("bad", ["no molecule", "", "C" * 400, "C.C", "[Xx]"])
def test_encode_names_the_text_that_is_refused(model: TextModel, bad: str) -> None:
    with pytest.raises(TextError, match="text 2 of 3"):
        model.encode(["CCO", bad, "also no molecule"])


@pytest.mark.parametrize(
    "texts", [5, None, {"CCO": 1}, [None], [1.5], [b"CCO"], np.array([["CCO"]]), pd.DataFrame({"smiles": ["CCO"]})]
)
def test_encode_refuses_what_is_no_list_of_texts(model: TextModel, texts: Any) -> None:
    with pytest.raises(InputError, match="no text"):
        model.encode(texts)


def test_decode(learned: TextModel) -> None:
    z = learned.encode(TEXTS[:10])
    texts = learned.decode(z, canonical=False)
    assert len(texts) == 10
    assert all(learned.codec.encode_text(text).size for text in texts)
    assert learned.decode(z, canonical=False) == texts
    spelled = learned.decode(z)
    assert spelled == [chem.canonical_or_none(text) or text for text in texts]
    assert learned.decode(z[0]) == spelled[:1]


@pytest.mark.parametrize(
    "convert",
    [
        lambda z: torch.from_numpy(z),
        lambda z: torch.from_numpy(z).requires_grad_(),
        lambda z: z.astype(np.float64),
        lambda z: z.tolist(),
        lambda z: pd.DataFrame(z),
    ],
)
def test_decode_takes_numbers_of_any_kind(learned: TextModel, convert: Callable[[Any], Any]) -> None:
    z = learned.encode(TEXTS[:4])
    assert learned.decode(convert(z)) == learned.decode(z)


def test_decode_leaves_its_input_alone(model: TextModel) -> None:
    z = model.encode(TEXTS[:4])
    z.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(model.decode(z)) == 4


def test_decode_nothing(model: TextModel) -> None:
    assert model.decode(np.zeros((0, LATENT))) == []


def test_decode_with_a_temperature_is_decided_by_the_seed(model: TextModel) -> None:
    z = np.zeros((20, LATENT))
    drawn = model.decode(z, temperature=1.0, seed=1)
    assert len(set(drawn)) > 10
    assert model.decode(z, temperature=1.0, seed=1) == drawn
    assert model.decode(z, temperature=1.0, seed=2) != drawn
    assert model.decode(z, temperature=1.0) != model.decode(z, temperature=1.0)
    assert len(set(model.decode(z, seed=1))) == 1


@pytest.mark.parametrize(
    "z",
    [
        np.zeros((2, LATENT + 1)),
        np.zeros((1, 2, LATENT)),
        np.zeros(0),
        None,
        3.0,
        ["CCO"],
        [[1.0], [1.0, 2.0]],
        np.full((1, LATENT), np.nan),
        np.full((1, LATENT), np.inf),
    ],
)
def test_decode_refuses_what_is_no_code(model: TextModel, z: Any) -> None:
    with pytest.raises(InputError, match="latent codes"):
        model.decode(z)


@pytest.mark.parametrize("temperature", [-1, -1e-9, math.nan, math.inf, "1"])
def test_unusable_temperature(model: TextModel, temperature: Any) -> None:
    with pytest.raises(InputError, match="temperature"):
        model.decode(np.zeros((1, LATENT)), temperature=temperature)
    with pytest.raises(InputError, match="temperature"):
        model.sample(1, temperature=temperature)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", True])
def test_unusable_seed(model: TextModel, seed: Any) -> None:
    with pytest.raises(InputError, match="seed"):
        model.sample(1, seed=seed)


@pytest.mark.parametrize("top_p", [0, -1, 1.5, math.nan, "1"])
def test_unusable_top_p(model: TextModel, top_p: Any) -> None:
    with pytest.raises(InputError, match="top_p"):
        model.decode(np.zeros((1, LATENT)), temperature=1, top_p=top_p)
    with pytest.raises(InputError, match="top_p"):
        model.sample(1, top_p=top_p)


@pytest.mark.parametrize("constraint", ["gramar", "", "chemistry; gramar", 3])
def test_unknown_constraint(model: TextModel, constraint: Any) -> None:
    with pytest.raises(InputError):
        model.sample(1, constraint=constraint)
    with pytest.raises(InputError):
        model.decode(np.zeros((1, LATENT)), constraint=constraint)
    with pytest.raises(InputError):
        model.reconstruct(["CCO"], constraint)
    with pytest.raises(UnknownNameError, match=r"expected one of.*grammar"):
        model.interpolate("CCO", "CCN", constraint="gramar")


def test_decode_with_a_nucleus(model: TextModel) -> None:
    z = np.zeros((40, LATENT))
    narrow, wide = (model.decode(z, temperature=1.0, top_p=top_p, seed=1) for top_p in (0.2, 0.9))
    assert len(set(narrow)) < len(set(wide))
    assert model.decode(z, temperature=1.0, top_p=1e-9, seed=1) == model.decode(z)
    assert model.decode(z, temperature=1.0, top_p=0.9, seed=1) == wide
    assert model.decode(z, temperature=1.0, top_p=0.9, seed=2) != wide


def test_decode_with_beams(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    z = model.encode(TEXTS[:20])
    assert model.decode(z, beam=1) == model.decode(z)
    found = model.decode(z, beam=5)
    assert len(found) == 20 and found != model.decode(z)
    monkeypatch.setattr(TextModel, "batch_rows", 7)  # so that no batch has place for two rows
    assert model.decode(z, beam=5) == found
    for options in ({"temperature": 1.0}, {"top_p": 0.5}):
        with pytest.raises(InputError, match="draws nothing"):
            model.decode(z, beam=5, **options)
    for beam in (0, -1, 1.5, True, "3"):
        with pytest.raises(InputError, match="number of beams"):
            model.decode(z, beam=beam)  # type: ignore[arg-type]


def test_without_a_constraint_what_is_no_text_is_empty(model: TextModel) -> None:
    # The hotter, the less often a derivation happens to come out.
    result = model.sample(300, valid_only=False, seed=0, temperature=3.0, constraint="none")
    broken = [text == "" for text in result.texts]
    assert sum(broken) > 0 and result.constraint == "none"
    assert not result.valid[broken].any()
    assert result.n_valid == result.valid.sum() < 300
    assert all(model.codec.encode_text(text).size for text in result.texts if text)
    z = result.latent[:50]
    texts = model.decode(z, temperature=3.0, constraint="none", seed=1)
    assert "" in texts and len(texts) == 50
    assert "" not in model.decode(z, temperature=3.0, constraint="grammar", seed=1)


def test_the_empty_text_is_no_expression_unless_it_is_one() -> None:
    """Texts as they stand are all valid; what was no derivation is not."""
    model = TextModel("expressions", epochs=1, overrides={"batch_size": 64}).fit(["x", "x+1", "sin(x*2)"] * 10)
    result = model.sample(100, valid_only=False, seed=0, temperature=9.0, constraint="none")
    assert [text != "" for text in result.texts] == result.valid.tolist()
    assert 0 < result.n_valid < 100
    with pytest.warns(UserWarning, match="texts are valid after 50 attempts"):
        kept = model.sample(50, seed=0, temperature=9.0, constraint="none", max_attempts=50)
    assert "" not in kept.texts


def test_a_constraint_is_bound_once_a_call(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counted(choice: Any, *arguments: Any) -> Any:
        asked.append(str(choice))
        return build_constraint(choice, *arguments)

    monkeypatch.setattr(model_module, "build_constraint", counted)
    monkeypatch.setattr(TextModel, "batch_rows", 7)
    model.sample(20, valid_only=False, constraint="chemistry")
    assert asked == ["chemistry"]
    model.decode(np.zeros((20, LATENT)))
    assert asked == ["chemistry", "grammar"]


def test_a_constraint_is_a_text_or_an_object(model: TextModel) -> None:
    rules = "chemistry; max-heavy-atoms=9"
    by_text = model.sample(30, valid_only=False, seed=0, constraint=rules)
    by_object = model.sample(30, valid_only=False, seed=0, constraint=parse_spec(rules))
    assert by_text.texts == by_object.texts
    assert by_text.constraint == by_object.constraint == rules


def test_the_recipes_constraint_is_the_default(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    z = np.zeros((30, LATENT))
    expected = model.decode(z, temperature=1, seed=0, constraint="chemistry")
    monkeypatch.setattr(model, "recipe_", model.recipe_.replaced(constraint="chemistry"))
    assert model.decode(z, temperature=1, seed=0) == expected
    assert model.sample(5, seed=0).constraint == "chemistry"
    assert model.sample(5, seed=0, constraint="grammar").constraint == "grammar"


@pytest.mark.parametrize(
    "options",
    [{"temperature": 0.0}, {"temperature": 1.0}, {"temperature": 3.0}, {"temperature": 1.0, "top_p": 0.8}, {"beam": 3}],
)
def test_chemistry_cannot_fail(model: TextModel, options: dict[str, Any]) -> None:
    z = 3 * np.random.default_rng(0).normal(size=(150, LATENT))
    texts = model.decode(z, constraint="chemistry", seed=0, canonical=False, **options)
    assert all(chem.is_valid(text) and model.codec.encode_text(text).size for text in texts)
    rules = "chemistry; max-heavy-atoms=7; elements=CNO"
    for text in model.decode(z, constraint=rules, seed=0, **options):
        assert chem.is_valid(text) and set(re.sub(r"[^A-Z]", "", text.upper())) <= set("CNOH")
    counts = score(model.decode(z, constraint=rules, seed=0, **options), ["heavy_atoms"])["heavy_atoms"]
    assert counts.max() <= 7


def test_samples_of_chemistry_need_no_rejection(model: TextModel) -> None:
    result = model.sample(200, seed=0, temperature=2.0, constraint="chemistry")
    assert (len(result), result.attempts, result.validity) == (200, 200, 1.0)
    assert result.uniqueness > 0.5
    again = model.sample(200, seed=0, temperature=2.0, constraint="chemistry")
    assert again.texts == result.texts


def test_a_constraint_that_the_codec_cannot_serve_is_told_before_training(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        TextModel("characters", epochs=1, overrides={"constraint": "chemistry"}).fit(FEW, folder=tmp_path)
    assert not (tmp_path / "state").exists()


def test_the_model_knows_the_atoms_of_its_data(
    model: TextModel, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"C": 4, "N": 3, "O": 2}.items() <= model.atoms_.items()
    assert TextModel.load(saved).atoms_ == model.atoms_
    # A model of an earlier version knows none; its texts are those of its grammar as ever.
    folder = tmp_path / "old"
    shutil.copytree(saved, folder)
    edit(lambda index: index["meta"].pop("atoms"))(folder)
    old = TextModel.load(folder)
    assert old.atoms_ == {}
    assert old.sample(3, False, seed=0).texts == model.sample(3, False, seed=0).texts
    with pytest.raises(InputError, match="atoms"):
        old.sample(1, constraint="chemistry")


def test_reconstruct(learned: TextModel) -> None:
    texts = learned.reconstruct(TEXTS[:10])
    assert texts == learned.decode(learned.encode(TEXTS[:10]))
    assert learned.reconstruct([]) == []
    with pytest.raises(TextError):
        learned.reconstruct(["no molecule"])


def test_interpolate(learned: TextModel) -> None:
    path = learned.interpolate(TEXTS[0], TEXTS[1])
    assert len(path) == 9
    assert len(set(path)) > 1
    assert [path[0], path[-1]] == learned.reconstruct(TEXTS[:2])
    ends = learned.encode(TEXTS[:2])
    assert learned.interpolate(TEXTS[0], TEXTS[1], steps=3)[1:2] == learned.decode(ends.mean(axis=0))
    assert len(learned.interpolate("CCO", "CCN", steps=2)) == 2


def test_interpolation_is_a_straight_line(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = model.encode(TEXTS[:2])
    monkeypatch.setattr(TextModel, "decode", lambda self, z, constraint: z)
    line: Any = model.interpolate(TEXTS[0], TEXTS[1], steps=5)
    assert np.allclose(line, [a + share * (b - a) for share in (0, 0.25, 0.5, 0.75, 1)], atol=1e-5)


@pytest.mark.parametrize("steps", [1, 0, -3, 2.5, True, "3"])
def test_unusable_steps(model: TextModel, steps: Any) -> None:
    with pytest.raises(InputError, match="two ends"):
        model.interpolate("CCO", "CCN", steps)


# --- sampling --------------------------------------------------------------------------------------------------------


def test_sample(model: TextModel) -> None:
    result = model.sample(15, seed=3)
    assert isinstance(result, SampleResult)
    assert len(result) == len(result.smiles) == 15
    assert result.smiles is result.texts
    assert result.valid.all()
    assert all(chem.canonical(text) == text for text in result.texts)
    assert result.n_valid == 15 <= result.attempts
    assert result.validity == 15 / result.attempts
    assert (result.latent.shape, result.latent.dtype) == ((15, LATENT), np.float32)
    assert (result.constraint, result.temperature, result.seed, result.top_p) == ("grammar", 1.0, 3, 1.0)


def test_sample_as_it_comes(model: TextModel) -> None:
    result = model.sample(200, valid_only=False, seed=3)
    assert (len(result), result.attempts) == (200, 200)
    assert 0 < result.n_valid == result.valid.sum() < 200
    assert result.validity == result.n_valid / 200
    for text, good in zip(result.texts, result.valid, strict=True):
        assert chem.is_valid(text) == good
        # What is not valid stands as it was decoded: a string of the grammar.
        assert good or model.codec.encode_text(text).size
    valid = [text for text, good in zip(result.texts, result.valid, strict=True) if good]
    assert result.uniqueness == len(set(valid)) / len(valid)


def test_sampled_texts_are_decoded_from_their_codes(learned: TextModel) -> None:
    result = learned.sample(20, valid_only=False, temperature=0, seed=3)
    assert len(set(result.texts)) > 3
    assert learned.decode(result.latent) == result.texts


def test_the_seed_draws_the_same(model: TextModel) -> None:
    one, again, other = (model.sample(10, seed=seed) for seed in (1, np.int64(1), 2))
    assert one.texts == again.texts
    assert np.array_equal(one.latent, again.latent)
    assert one.texts != other.texts
    assert model.sample(10).texts != model.sample(10).texts


def test_n_may_be_a_small_numpy_integer(model: TextModel) -> None:
    assert len(model.sample(np.int8(100), valid_only=True, seed=0)) == 100  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [0, -1, True, 2.0, "3", None, math.nan])
def test_unusable_n(model: TextModel, n: Any) -> None:
    with pytest.raises(InputError, match="n must be a number"):
        model.sample(n)
    with pytest.raises(InputError, match="max_attempts must be a number"):
        model.sample(1, max_attempts=0 if n is None else n)


@pytest.mark.parametrize("keep", [3, 7])
def test_validity_is_what_was_accepted_over_what_was_decoded(
    model: TextModel, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    accept(monkeypatch, lambda before: before % keep == keep - 1)
    result = model.sample(10, seed=0)
    # Texts that were decoded after the last one needed are not counted.
    assert (result.attempts, result.n_valid, result.validity) == (10 * keep, 10, 1 / keep)
    drawn = model.sample(10 * keep, valid_only=False, seed=0)
    assert (drawn.attempts, drawn.n_valid, drawn.validity) == (10 * keep, 10, 1 / keep)


def test_sampling_is_bounded(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(monkeypatch, lambda before: before < 2)
    with pytest.warns(UserWarning, match=r"only 2 of 5 texts are valid after 37 attempts \(validity 5.41%\)"):
        result = model.sample(5, max_attempts=37)
    assert (len(result), result.attempts, result.n_valid) == (2, 37, 2)


def test_sampling_is_bounded_by_itself(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(monkeypatch, lambda before: False)
    with pytest.warns(UserWarning, match="only 0 of 2 texts are valid after 200 attempts"):
        result = model.sample(2)
    assert (len(result), result.attempts, result.validity) == (0, 200, 0.0)
    assert result.latent.shape == (0, LATENT)
    assert math.isnan(result.uniqueness)
    assert list(result.to_frame(["qed"]).columns) == ["smiles", "valid", "qed"]
    assert repr(result) == "<SampleResult: 0 texts of 200 decoded, validity 0.0%: []>"


def test_enough_is_no_reason_to_warn(model: TextModel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.sample(3, seed=0)


def test_repr_of_a_result() -> None:
    codes = np.zeros((4, 2), np.float32)
    result = SampleResult(["C", "CC", "O", "N"], np.ones(4, bool), 8, 4, codes, "grammar", 1.0, None)
    assert repr(result) == "<SampleResult: 4 texts of 8 decoded, validity 50.0%: ['C', 'CC', 'O', ...]>"


def test_frame_of_a_result() -> None:
    flags = np.array([True, False])
    result = SampleResult(["CCO", "C1"], flags, 2, 1, np.zeros((2, 2), np.float32), "grammar", 1.0, None)
    frame = result.to_frame(scores=["heavy_atoms", "qed"])
    assert list(frame.columns) == ["smiles", "valid", "heavy_atoms", "qed"]
    assert frame["smiles"].tolist() == ["CCO", "C1"]
    assert frame["valid"].tolist() == [True, False]
    assert frame["heavy_atoms"][0] == 3
    assert frame[["heavy_atoms", "qed"]].isna().all(axis=1).tolist() == [False, True]
    assert list(result.to_frame().columns) == ["smiles", "valid"]
    with pytest.raises(UnknownNameError, match=r"logp, qed.*Did you mean 'qed'"):
        result.to_frame(scores=["qedd"])
    with pytest.raises(InputError, match="must be a list"):
        result.to_frame(scores="qed")


# --- codes as training draws them ------------------------------------------------------------------------------------


def test_a_deterministic_encoder_has_no_noise(model: TextModel) -> None:
    assert np.array_equal(model.encode(TEXTS[:9], noise=True, seed=1), model.encode(TEXTS[:9]))


def test_a_variational_encoder_draws_its_codes_by_the_seed() -> None:
    model = quick(objective="vae", objective_options={"samples": 2}).fit(FEW)
    texts = TEXTS[:6]
    one, same, other = (model.encode(texts, noise=True, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.allclose(one, other)
    many = np.stack([model.encode(texts, noise=True, seed=seed) for seed in range(300)])
    assert np.allclose(many.mean(0), model.encode(texts), atol=5 * many.std(0).max() / 300**0.5)


# --- on disk ---------------------------------------------------------------------------------------------------------


def test_save_load_sample(model: TextModel, saved: Path) -> None:
    again = TextModel.load(saved)
    assert same_weights(again, model)
    assert again.sample(10, seed=5).texts == model.sample(10, seed=5).texts
    assert np.array_equal(again.encode(TEXTS[:10]), model.encode(TEXTS[:10]))
    assert again.codec.to_dict() == model.codec.to_dict()
    assert again.history.to_dict() == model.history.to_dict()
    assert again.recipe_ == model.recipe_
    assert again.seed == model.seed
    assert again.get_params()["recipe"] == model.recipe_


def test_a_compact_copy(model: TextModel, saved: Path, tmp_path: Path) -> None:
    model.save(tmp_path, compact=True)
    sizes = [sum(file.stat().st_size for file in folder.glob("weights*")) for folder in (tmp_path, saved)]
    assert sizes[0] < 0.6 * sizes[1] and not list(tmp_path.glob("latents*"))
    again = TextModel.load(tmp_path)
    for name, tensor in again.autoencoder_.state_dict().items():
        before = model.autoencoder_.state_dict()[name]
        assert tensor.dtype == before.dtype and torch.allclose(tensor, before, rtol=1e-3, atol=1e-6)
    assert len(again.sample(10, seed=5)) == 10
    assert again.history.best == model.history.best
    assert [row["step"] for row in again.history.rows] == [
        row["step"] for row in model.history.rows if row["validation_loss"] is not None
    ]
    with pytest.raises(InputError, match="keeps no latent codes"):
        again.refit_density("gaussian")
    assert again.refit_density("gaussian", codes=again.encode(TEXTS)).recipe_.density == "gaussian"


def test_a_compact_copy_keeps_what_half_precision_cannot_hold(model: TextModel, tmp_path: Path) -> None:
    large = copy.deepcopy(model)
    bias = large.autoencoder_.decoder.get_parameter("logits.bias")
    with torch.no_grad():
        bias[0] = 1e6
    large.save(tmp_path, compact=True)
    again = TextModel.load(tmp_path)
    assert torch.equal(again.autoencoder_.decoder.get_parameter("logits.bias"), bias)


def test_the_recipe_says_how_to_sample() -> None:
    recipe = RECIPES["tiny"].replaced(temperature=0.5, top_p=0.6)
    trained = TextModel(recipe, epochs=1, overrides=EXACT).fit(FEW)
    drawn = trained.sample(20, valid_only=False, seed=1)
    assert (drawn.temperature, drawn.top_p) == (0.5, 0.6)
    assert drawn.texts == trained.sample(20, valid_only=False, seed=1, temperature=0.5, top_p=0.6).texts
    assert drawn.texts != trained.sample(20, valid_only=False, seed=1, top_p=1.0).texts
    with pytest.raises(InputError, match="temperature"):
        RECIPES["tiny"].replaced(temperature=-1.0)
    with pytest.raises(InputError, match="top_p"):
        RECIPES["tiny"].replaced(top_p=0.0)


def test_recipes_from_before_the_nucleus_draw_from_all() -> None:
    written = RECIPES["tiny"].replaced(top_p=0.9).to_dict()
    del written["top_p"]
    assert TextRecipe.from_dict(written).top_p == 1.0


def test_constants_of_scores_are_saved_with_the_model(saved: Path, tmp_path: Path) -> None:
    again = TextModel.load(saved)
    assert again.score_constants_ == {}
    again.score_constants_["penalized_logp"] = {"logp_mean": 1.25, "logp_std": 0.5}
    again.save(tmp_path)
    assert TextModel.load(tmp_path).score_constants_ == {"penalized_logp": {"logp_mean": 1.25, "logp_std": 0.5}}
    assert again.fit(FEW).score_constants_ == {}  # other data have other constants


def test_a_loaded_model_can_be_trained_anew(saved: Path) -> None:
    again = TextModel.load(saved)
    assert same_weights(again.fit(FEW), TextModel("tiny", epochs=3, overrides=EXACT).fit(FEW))


def test_saving_again_replaces_the_model(saved: Path, tmp_path: Path) -> None:
    first = TextModel.load(saved)
    other = quick(latent=3).fit(FEW)
    first.save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    other.save(str(tmp_path))
    assert same_weights(TextModel.load(str(tmp_path)), other)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_model_that_is_not_trained_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not trained"):
        TextModel().save(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def edit(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """What changes the folder's model.json."""

    def apply(folder: Path) -> None:
        index = json.loads((folder / "model.json").read_text())
        change(index)
        (folder / "model.json").write_text(json.dumps(index))

    return apply


def tensor_file(folder: Path, group: str) -> Path:
    return next(folder.glob(f"{group}-*.safetensors"))


def cut(folder: Path) -> None:
    path = tensor_file(folder, "weights")
    path.write_bytes(path.read_bytes()[:-10])


def flip(folder: Path) -> None:
    path = tensor_file(folder, "density")
    blob = bytearray(path.read_bytes())
    blob[-5] ^= 1
    path.write_bytes(blob)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (cut, "truncated"),
    "tampered": (flip, "changed after it was saved"),
    "a file missing": (lambda folder: tensor_file(folder, "weights").unlink(), "missing"),
    "newer": (edit(lambda index: index.update(format_version=99)), "newer version"),
    "other kind": (edit(lambda index: index["meta"].update(kind="training state")), "holds no model"),
    "no group": (edit(lambda index: index["files"].pop("density")), "lacks density"),
    "not JSON": (lambda folder: (folder / "model.json").write_text("{"), "not JSON"),
    "no index": (lambda folder: (folder / "model.json").unlink(), "no model.json"),
    "no folder": (shutil.rmtree, "no such folder"),
    "other sizes": (edit(lambda index: index["meta"]["recipe"].update(latent=9)), "cannot be read"),
    "unknown recipe setting": (edit(lambda index: index["meta"]["recipe"].update(colour=1)), "cannot be read"),
    "unknown row": (edit(lambda index: index["meta"]["recipe"].update(encoder="lstm")), "cannot be read"),
    "unknown codec": (edit(lambda index: index["meta"]["codec"].update(kind="selfies")), "cannot be read"),
    "no codec": (edit(lambda index: index["meta"].pop("codec")), "cannot be read"),
    "no history": (edit(lambda index: index["meta"].update(history=[])), "cannot be read"),
    "no atoms": (edit(lambda index: index["meta"].update(atoms=["C"])), "cannot be read"),
    "no seed": (edit(lambda index: index["meta"].update(seed="x")), "cannot be read"),
    "macros out of range": (edit(lambda index: index["meta"]["codec"]["macros"].append([10**6, 0])), "cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_refused(saved: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(saved, folder)
    assert TextModel.load(folder).history_.stopped == "epochs"
    apply, words = DAMAGES[damage]
    apply(folder)
    with pytest.raises(CheckpointError, match=words):
        TextModel.load(folder)


# --- kill and resume -------------------------------------------------------------------------------------------------


class InterruptAt(Callback):
    """Press Ctrl-C after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, state: TrainingState) -> None:
        if state.step == self.step:
            raise KeyboardInterrupt


def longer() -> TextModel:
    return TextModel("tiny", epochs=3, overrides=EXACT | {"batch_size": 16})


@pytest.fixture(scope="module")
def uninterrupted() -> TextModel:
    return longer().fit(FEW)


def test_ctrl_c_keeps_what_there_is(uninterrupted: TextModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_module, "ProgressBar", lambda: InterruptAt(6))
    stopped = longer().fit(FEW, folder=tmp_path, progress=True)
    assert stopped.history.stopped == "interrupted"
    assert stopped.history.rows[-1]["step"] == 6
    assert same_weights(TextModel.load(tmp_path), stopped)
    assert len(stopped.sample(3, valid_only=False)) == 3
    monkeypatch.setattr(latent_module, "ProgressBar", lambda: InterruptAt(8))
    again = longer().fit(FEW, folder=tmp_path, resume=True, progress=True)
    assert again.history.rows[-1]["step"] == 8
    # The texts are not read again: what was encoded first is what is trained on.
    finished = longer().fit(iter(()), folder=tmp_path, resume=True)
    assert finished.history.stopped == "epochs"
    assert same_weights(finished, uninterrupted)
    loaded = grammar_rae.TextModel.load(tmp_path)
    assert loaded.sample(5, False, seed=1).texts == uninterrupted.sample(5, False, seed=1).texts


KILLED = """
import os, signal, sys
import torch
from grammar_rae.model import TextModel, latent
from grammar_rae.training import Callback

class Kill(Callback):
    def on_step(self, state):
        if state.step == 7:
            os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
latent.ProgressBar = Kill
overrides = {"precision": "32-true", "batch_size": 16, "checkpoint_every": 0}
texts = open(sys.argv[1]).read().split()
TextModel("tiny", epochs=3, overrides=overrides).fit(texts, folder=sys.argv[2], progress=True)
"""


def test_a_kill_costs_nothing(uninterrupted: TextModel, tmp_path: Path) -> None:
    (tmp_path / "few.smi").write_text("\n".join(FEW))
    run = tmp_path / "run"
    killed = outside(KILLED, tmp_path / "few.smi", run)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with pytest.raises(CheckpointError, match=r"no model\.json"):
        TextModel.load(run)
    with pytest.raises(CheckpointError, match="lacks density"):
        TextModel.load(run / "state")
    meta, _ = checkpoint.load(run / "state")
    assert meta["position"]["step"] == 6
    assert same_weights(longer().fit(FEW, folder=run, resume=True), uninterrupted)


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a folder"):
        quick().fit(FEW, resume=True)
    with pytest.raises(TrainingError, match="no training to resume"):
        quick().fit(FEW, folder=tmp_path / "new", resume=True)


def test_another_training_is_not_resumed(tmp_path: Path) -> None:
    quick().fit(FEW, folder=tmp_path)
    with pytest.raises(TrainingError, match="learning_rate differs"):
        quick(learning_rate=0.5).fit(FEW, folder=tmp_path, resume=True)
    with pytest.raises(TrainingError, match="another training"):
        quick(latent=3).fit(FEW, folder=tmp_path, resume=True)


# --- without RDKit and NLTK ------------------------------------------------------------------------------------------


BARE = """
import sys
from grammar_rae.model import TextModel
model = TextModel("tiny", epochs=1).fit(sys.argv[1], folder=sys.argv[2])
z = TextModel.load(sys.argv[2]).density_.sample(4)
texts = TextModel.load(sys.argv[2]).decode(z, canonical=False)
assert len(texts) == 4
print(sorted({"rdkit", "nltk"} & set(sys.modules)))
"""


def test_an_encoded_data_set_is_trained_without_rdkit_and_nltk(model: TextModel, tmp_path: Path) -> None:
    datasets.encode(FEW, model.codec, tmp_path / "encoded")
    done = outside(BARE, tmp_path / "encoded", tmp_path / "run")
    assert done.stdout == "[]\n", done.stderr


# --- scikit-learn's habits -------------------------------------------------------------------------------------------


def test_constructor_only_stores() -> None:
    overrides = {"latent": 3}
    model = TextModel("no such recipe", epochs=-5, overrides=overrides)
    assert model.get_params() == {
        "recipe": "no such recipe",
        "epochs": -5,
        "time_limit": None,
        "seed": 0,
        "overrides": overrides,
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


# --- the face --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_current")
def test_without_a_model_there_is_the_one_in_the_box() -> None:
    drawn = grammar_rae.sample(20, seed=3)
    assert len(drawn) == 20 and all(map(chem.is_valid, drawn.smiles))
    boxed = grammar_rae._current
    assert boxed is not None and drawn.texts == boxed.sample(20, seed=3).texts
    assert (drawn.temperature, drawn.top_p) == (boxed.recipe_.temperature, boxed.recipe_.top_p)
    assert drawn.smoothing == boxed.recipe_.smoothing
    assert grammar_rae.sample(20, seed=3, temperature=0.3, smoothing=0.5).texts != drawn.texts
    z = grammar_rae.encode(FEW[:3])
    assert np.array_equal(z, boxed.encode(FEW[:3]))
    assert grammar_rae.decode(z, constraint="chemistry") == boxed.decode(z, constraint="chemistry")
    assert grammar_rae.interpolate(FEW[0], FEW[1], 4) == boxed.interpolate(FEW[0], FEW[1], 4)
    assert grammar_rae._current is boxed  # loaded once


@pytest.mark.usefixtures("no_current")
@pytest.mark.parametrize("name", bundled_models())
def test_every_model_in_the_box(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxed = grammar_rae.load(name)
    assert boxed.recipe_.name == name
    assert (bundled_model(name) / "README.md").is_file()
    drawn = boxed.sample(30, seed=0)
    assert drawn.valid.all() and drawn.uniqueness > 0.5
    if name == DEFAULT_MODEL:
        assert (
            np.mean([a == b for a, b in zip(map(boxed.codec.canonical, FEW), boxed.reconstruct(FEW), strict=True)])
            > 0.5
        )
    # A folder of the same name comes first.
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(CheckpointError):
        grammar_rae.load(name)


def test_no_such_model_in_the_box() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'molecules'"):
        bundled_model("molecule")
    with pytest.raises(CheckpointError):
        grammar_rae.load("molecule")


@pytest.mark.usefixtures("no_current")
def test_optimize_with_the_model_at_hand(model: TextModel) -> None:
    found = grammar_rae.optimize("qed", FEW, model=model, n_iterations=1, batch_size=2, seed=0)
    assert len(found.history) == 2 and grammar_rae._current is None


def test_the_face_is_for_texts() -> None:
    with pytest.raises(InputError, match=r"models of texts.*float.*own method"):
        grammar_rae.sample(3, model=1.5)  # type: ignore[arg-type]


@pytest.mark.usefixtures("no_current")
def test_train_remembers_the_model(tmp_path: Path) -> None:
    first = grammar_rae.train(FEW, "tiny", epochs=1, progress=False, folder=tmp_path, **EXACT)
    assert first.recipe_.training["precision"] == "32-true"
    assert grammar_rae.sample(4, False, seed=1).texts == first.sample(4, False, seed=1).texts
    second = grammar_rae.train(FEW, "tiny", epochs=1, progress=False, seed=1, latent=3)
    assert grammar_rae.sample(4, False, seed=1).latent.shape == (4, 3)
    assert second.get_params()["overrides"] == {"latent": 3}
    loaded = grammar_rae.load(tmp_path)
    assert same_weights(loaded, first)
    assert grammar_rae.sample(4, False, seed=1).latent.shape == (4, LATENT)


@pytest.mark.usefixtures("no_current")
def test_sample_from_a_named_model(model: TextModel, saved: Path) -> None:
    options: dict[str, Any] = {"seed": 1, "temperature": 0.5, "top_p": 0.9, "constraint": "chemistry"}
    expected = model.sample(4, valid_only=False, **options).texts
    for one in (model, saved, str(saved)):
        drawn = grammar_rae.sample(4, valid_only=False, model=one, **options)
        assert drawn.texts == expected
    assert grammar_rae._current is None


@pytest.mark.usefixtures("no_current")
def test_a_training_that_fails_leaves_the_current_model(model: TextModel) -> None:
    grammar_rae._remember(model)
    with pytest.raises(DataError):
        grammar_rae.train(["no molecule"], "tiny", progress=False)
    assert len(grammar_rae.sample(2, valid_only=False)) == 2


def test_unknown_choices_of_train() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'latent'"):
        grammar_rae.train(FEW, "tiny", progress=False, latnet=3)
    with pytest.raises(UnknownNameError, match="recipe"):
        grammar_rae.train(FEW, "tinny", progress=False)


FACE = """
import sys
import grammar_rae
print(sorted({"torch", "numpy", "pandas", "sklearn", "rdkit", "nltk", "numba"} & set(sys.modules)))
assert {"train", "sample", "load", "TextModel", "datasets"} <= set(dir(grammar_rae))
try:
    grammar_rae.no_such_thing
except AttributeError as error:
    print(error)
print(grammar_rae.datasets.fetch.__name__, grammar_rae.TextRecipe.__name__)
"""


def test_the_face_is_light() -> None:
    done = outside(FACE)
    assert done.stdout.splitlines() == [
        "[]",
        "module 'grammar_rae' has no attribute 'no_such_thing'",
        "fetch TextRecipe",
    ], done.stderr


def test_the_face_names_what_it_has() -> None:
    assert grammar_rae.TextModel is TextModel
    assert grammar_rae.SampleResult is SampleResult
    assert grammar_rae.TextRecipe is TextRecipe
    for name in grammar_rae.__all__:
        assert getattr(grammar_rae, name) is not None
    for room in grammar_rae._ROOMS:
        assert getattr(grammar_rae, room).__name__ == f"grammar_rae.{room}"


def test_the_codec_of_a_model(model: TextModel) -> None:
    codec: Codec = model.codec
    codes = codec.encode("c1ccccc1O")
    assert codes.dtype == np.int32
    assert chem.canonical(codec.decode(codes)) == "Oc1ccccc1"
    assert codec.one_hot(codes).shape == (len(codes), codec.rules.size)
