"""Training models of texts: sources, seeds, recipes, and what cannot be used."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from model.texts.text_models import EXACT, FEW, TEXTS, grus, quick
from models import UNUSABLE_ARGUMENTS, same_weights

from grammar_rae import chem, datasets
from grammar_rae.codecs import CharacterCodec, GrammarCodec
from grammar_rae.errors import (
    DataError,
    InputError,
    UnknownNameError,
)
from grammar_rae.model import TextModel
from grammar_rae.recipes import RECIPES
from grammar_rae.training import History


def test_training(model: TextModel) -> None:
    assert isinstance(model.codec, GrammarCodec)
    assert model.codec.form == "kekule"
    assert isinstance(model.history, History)
    assert model.history.stopped == "epochs"
    losses = [row["validation_loss"] for row in model.history.rows if row["validation_loss"] is not None]
    assert len(losses) == 3
    assert losses[-1] is not None and losses[0] is not None and losses[-1] < losses[0]
    assert model.recipe_ == RECIPES["tiny"].replace(epochs=3, seed=0, **EXACT)
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
    small = {**grus(8, 16, 32, 8), "density": "gmm", "density_options": {"n_components": 2}, "latent": 4}
    model = TextModel("characters", epochs=1, overrides=small).fit(FEW)
    assert isinstance(model.codec, CharacterCodec)
    assert set(model.codec.characters) == set("".join(map(chem.canonical, FEW)))
    result = model.sample(10, valid_only=False, seed=0)
    assert set("".join(result.texts)) <= set("".join(model.codec.characters))
    assert model.encode(FEW).shape == (60, 4)


@pytest.mark.parametrize("recipe", ["tinny", None, 3])
def test_unknown_recipe(recipe: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"expected one of expressions, .*tiny|`grammar-rae list recipes`"):
        TextModel(recipe).fit(FEW)


def test_a_recipe_of_images() -> None:
    for recipe in ("image-rae", RECIPES["image-rae"]):
        with pytest.raises(InputError, match=r"recipe.*received 'image-rae' \(ImageRecipe\); expected TextRecipe"):
            TextModel(recipe).fit(FEW)


@pytest.mark.parametrize(
    "arguments",
    [
        *UNUSABLE_ARGUMENTS,
        {"overrides": {"form": "kekulé"}},
        {"overrides": {"encoder_options": {"hiden": 3}}},
        {"overrides": {"codec_options": {"grammar": "smile"}}},
    ],
)
def test_unusable_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises((InputError, DataError)):
        TextModel("tiny", **arguments).fit(FEW)


def test_duplicates_are_dropped_when_asked(tmp_path: Path) -> None:
    texts = [*TEXTS[:20], "OCC", "CCO", "C(O)C"]
    kept = TextModel("tiny", epochs=1).fit(texts, folder=tmp_path / "kept")
    dropped = TextModel("tiny", epochs=1).fit(texts, folder=tmp_path / "dropped", duplicates="drop")
    data = [datasets.TokenDataset.open(tmp_path / name / "data") for name in ("kept", "dropped")]
    assert data[0].n_duplicates >= 2 and data[1].n_duplicates == 0
    assert data[1].n_accepted == data[0].n_accepted - data[0].n_duplicates
    assert len(kept.codes_) + len(kept.held_out_codes_) == data[0].n_accepted
    assert len(dropped.codes_) + len(dropped.held_out_codes_) == data[1].n_accepted
    again = TextModel("tiny", epochs=1).fit(data[0], duplicates="drop")
    assert len(again.codes_) + len(again.held_out_codes_) == data[1].n_accepted


def test_rows_that_validate_and_train_are_told() -> None:
    data = datasets.encode(TEXTS[:40], TextModel("tiny", epochs=1).fit(TEXTS[:40]).codec)
    with pytest.warns(UserWarning, match="5 of the 10 rows that validate"):
        TextModel("tiny", epochs=1).fit(data.subset(range(30)), validation=data.subset(range(25, 35)))
