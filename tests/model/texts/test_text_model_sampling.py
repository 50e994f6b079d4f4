"""Samples of a model of texts, and the figures that they come with."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from model.texts.text_models import LATENT

from grammar_rae import chem
from grammar_rae.codecs import GrammarCodec
from grammar_rae.errors import (
    InputError,
    UnknownNameError,
)
from grammar_rae.model import SampleResult, TextModel


def accept(monkeypatch: pytest.MonkeyPatch, judge: Callable[[int], bool]) -> None:
    """Let a judge, told how many texts came before, decide which decoded texts are valid."""
    seen = iter(range(10**9))
    monkeypatch.setattr(GrammarCodec, "canonical", lambda self, text: text if judge(next(seen)) else None)


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
    with pytest.raises(UnknownNameError, match=r"Did you mean 'qed'.*`grammar-rae list scores`"):
        result.to_frame(scores=["qedd"])
    with pytest.raises(InputError, match="must be a list"):
        result.to_frame(scores="qed")
