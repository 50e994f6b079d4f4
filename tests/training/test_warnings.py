"""What a training warns of when it has ended."""

import warnings

import pytest

from grammar_rae.model import TextModel

TEXTS = ["C" * n + end for n in range(1, 12) for end in ("O", "N", "F", "Cl")]


def train(texts: list[str], **overrides: float) -> TextModel:
    chosen = {"density": "gaussian", "density_options": {}, "batch_size": 8, **overrides}
    return TextModel("tiny", epochs=3, overrides=chosen).fit(texts, jobs=1)


def test_a_loss_that_grew() -> None:
    with pytest.warns(UserWarning, match=r"grew from .* to .*; lower the learning rate, which is 1000,"):
        train(TEXTS, learning_rate=1000.0, warmup_steps=0)


def test_few_rows() -> None:
    with pytest.warns(UserWarning, match=r"learns from 7 rows, too few .* train on 32 or more"):
        train(TEXTS[:8])


def test_a_training_that_learns_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(TEXTS)
