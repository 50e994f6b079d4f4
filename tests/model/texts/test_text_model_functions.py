"""The functions of the package: the current model, and the models that are bundled."""

import asyncio
import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model.texts.text_models import EXACT, FEW, LATENT
from models import outside, same_weights

import grammar_rae
from grammar_rae import chem
from grammar_rae.errors import (
    CheckpointError,
    DataError,
    InputError,
    UnknownNameError,
)
from grammar_rae.model import SampleResult, TextModel
from grammar_rae.model.current import find_model, remember_model
from grammar_rae.recipes import TextRecipe
from grammar_rae.resources import DEFAULT_MODEL, bundled_model, bundled_models


@pytest.mark.usefixtures("no_current")
def test_without_a_model_there_is_the_one_in_the_box() -> None:
    drawn = grammar_rae.sample(20, seed=3)
    assert len(drawn) == 20 and all(map(chem.is_valid, drawn.smiles))
    boxed = find_model()
    assert drawn.texts == boxed.sample(20, seed=3).texts
    assert (drawn.temperature, drawn.top_p) == (boxed.recipe_.temperature, boxed.recipe_.top_p)
    assert drawn.smoothing == boxed.recipe_.smoothing
    assert grammar_rae.sample(20, seed=3, temperature=0.3, smoothing=0.5).texts != drawn.texts
    z = grammar_rae.encode(FEW[:3])
    assert np.array_equal(z, boxed.encode(FEW[:3]))
    assert grammar_rae.decode(z, constraint="chemistry") == boxed.decode(z, constraint="chemistry")
    assert grammar_rae.interpolate(FEW[0], FEW[1], 4) == boxed.interpolate(FEW[0], FEW[1], 4)
    assert find_model() is boxed  # loaded once


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
    assert len(found.history) == 2 and find_model().recipe_.name == DEFAULT_MODEL


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
    assert find_model().recipe_.name == DEFAULT_MODEL


@pytest.mark.usefixtures("no_current")
def test_a_training_that_fails_leaves_the_current_model(model: TextModel) -> None:
    remember_model(model)
    with pytest.raises(DataError):
        grammar_rae.train(["no molecule"], "tiny", progress=False)
    assert len(grammar_rae.sample(2, valid_only=False)) == 2


@pytest.mark.usefixtures("no_current")
def test_each_thread_has_a_current_model(model: TextModel) -> None:
    other = copy.copy(model)

    def in_a_thread() -> tuple[TextModel, TextModel]:
        inherited = find_model()  # a thread that has none yet takes the main thread's
        remember_model(other)
        return inherited, find_model()

    remember_model(model)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(in_a_thread).result() == (model, other)
        assert find_model() is model  # what the thread did changes nothing here
        remember_model(copy.copy(model))
        assert pool.submit(find_model).result() is other


@pytest.mark.usefixtures("no_current")
def test_each_task_has_a_current_model(model: TextModel) -> None:
    async def use(mine: TextModel) -> bool:
        remember_model(mine)
        await asyncio.sleep(0)  # the others go first
        return find_model() is mine

    async def use_all() -> list[bool]:
        return await asyncio.gather(*(use(copy.copy(model)) for _ in range(3)))

    assert asyncio.run(use_all()) == [True] * 3


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
    assert grammar_rae.TextModel is grammar_rae.GenerativeModel is TextModel
    assert grammar_rae.SampleResult is SampleResult
    assert grammar_rae.TextRecipe is TextRecipe
    for name in grammar_rae.__all__:
        assert getattr(grammar_rae, name) is not None
    for room in grammar_rae._ROOMS:
        assert getattr(grammar_rae, room).__name__ == f"grammar_rae.{room}"
