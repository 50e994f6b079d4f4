"""The text nearest to a code: closed forms with an invented codec, and contracts with a trained model."""

from typing import Any

import numpy as np
import pytest
import torch

from grammar_rae.errors import InputError
from grammar_rae.model import TextModel
from grammar_rae.model.nearest import find_nearest

TEXTS = ["CCO", "CCN", "CCCl", "c1ccccc1O", "CC(C)C", "CCOC", "CC#N", "OCCO", "NCCO", "CC(=O)O", "CCS", "C1CC1"]


def encode_numbers(texts: list[str]) -> Any:
    """A text "3 4" has the code (3, 4); other texts have none."""
    return np.array([text.split() if text else [np.nan] * 2 for text in texts], np.float32)


def nearest_numbers(z: Any, texts: Any, tries: int, decode: Any) -> list[str | None]:
    return find_nearest(torch.tensor(z), texts, tries, encode_numbers, decode, torch.Generator().manual_seed(0))


def test_what_is_right_is_not_tried_again() -> None:
    def decode(z: Any) -> Any:
        raise AssertionError("nothing is left to try")

    assert nearest_numbers([[3.0, 4.0]], ["3 4"], 5, decode) == ["3 4"]


def test_a_step_towards_what_is_lacking_finds_it() -> None:
    # This decoder always falls short by one: of (3, 4) itself it makes 2 3, of half a step or more beyond it 3 4.
    def decode(z: Any) -> list[str]:
        return [f"{round(a - 1)} {round(b - 1)}" for a, b in z.tolist()]

    assert nearest_numbers([[3.0, 4.0]], ["2 3"], 1, lambda z: ["2 4"]) == ["2 4"]
    assert nearest_numbers([[3.0, 4.0]], ["2 3"], 40, decode) == ["3 4"]


def test_further_texts_and_texts_without_a_code_are_left() -> None:
    assert nearest_numbers([[3.0, 4.0]], ["3 5"], 8, lambda z: ["9 9"] * len(z)) == ["3 5"]
    assert nearest_numbers([[3.0, 4.0]], ["3 5"], 8, lambda z: [None] * len(z)) == ["3 5"]
    assert nearest_numbers([[3.0, 4.0]], [None], 1, lambda z: ["9 9"] * len(z)) == ["9 9"]
    assert nearest_numbers([[3.0, 4.0]], [None], 1, lambda z: [None] * len(z)) == [None]


@pytest.mark.parametrize("tries", [1, 4, 6, 9])
def test_no_more_are_tried_than_were_allowed(tries: int) -> None:
    tried: list[int] = []

    def decode(z: Any) -> list[str]:
        tried.append(len(z))
        return ["9 9"] * len(z)

    nearest_numbers([[3.0, 4.0], [5.0, 6.0]], ["3 5", "5 6"], tries, decode)
    assert sum(tried) == tries  # of the one code whose text is another's


@pytest.fixture(scope="module")
def model() -> TextModel:
    return TextModel("tiny", epochs=3, seed=0).fit(TEXTS * 20)


def test_no_text_is_further_away_than_without(model: TextModel) -> None:
    z = model.encode(TEXTS)
    greedy, nearest = model.decode(z), model.decode(z, nearest=12, seed=1)
    apart = [np.linalg.norm(model.encode(texts) - z, axis=1) for texts in (greedy, nearest)]
    assert (apart[1] <= apart[0] + 1e-5).all() and apart[1].sum() < apart[0].sum()
    assert model.decode(z, nearest=12, seed=1) == nearest
    exact = [model.reconstruction(TEXTS, **options).exact for options in ({}, {"nearest": 12, "seed": 1})]
    assert (exact[1] >= exact[0]).all()


def test_a_constraint_holds_for_what_is_tried(model: TextModel) -> None:
    found = model.decode_batch(model.encode(TEXTS), nearest=8, seed=0, constraint="chemistry; max-heavy-atoms=3")
    assert found.valid.all() and all(sum(c.isalpha() for c in text) <= 4 for text in found.texts)
    assert model.decode(np.zeros((0, model.recipe_.latent)), nearest=3) == []


@pytest.mark.parametrize(
    "options", [{"temperature": 1.0}, {"top_p": 0.5}, {"beam": 3}, {"smoothing": 1.0}, {"properties": {"logp": 1}}]
)
def test_it_is_not_drawn(model: TextModel, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"nearest with {next(iter(options))}"):
        model.decode(model.codes_[:1], nearest=3, **options)


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "3"])
def test_numbers_that_cannot_be(model: TextModel, number: Any) -> None:
    with pytest.raises(InputError, match="nearest must be a number of texts"):
        model.decode(model.codes_[:1], nearest=number)
