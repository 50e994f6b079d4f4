"""Constraints on what a model of texts writes."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model.texts.text_models import FEW, LATENT
from models import edit

from grammar_rae import chem
from grammar_rae.decoding import parse_spec
from grammar_rae.errors import (
    InputError,
)
from grammar_rae.model import TextModel
from grammar_rae.model import decoding as model_module
from grammar_rae.recipes import build_constraint
from grammar_rae.scores import score


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
    chemical = replace(model.fitted_, recipe=model.recipe_.replace(constraint="chemistry"))
    monkeypatch.setattr(model, "fitted_", chemical)
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
