"""grammar_rae.scores: the table and the vector function over it."""

import pickle

import numpy as np
import pytest

from grammar_rae import chem
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.scores import SCORES, Score, score

TEXTS = ["CCO", "not a molecule", "c1ccccc1", ""]


@pytest.mark.parametrize("name", SCORES)
def test_every_row_of_the_table_is_whole(name: str) -> None:
    row = SCORES[name]
    assert row.name == name
    assert row.description
    assert isinstance(row.higher_is_better, bool)
    assert isinstance(row.function("CCO"), float)
    assert pickle.loads(pickle.dumps(row)).function("CCO") == row.function("CCO")


@pytest.mark.parametrize("name", SCORES)
def test_a_column_agrees_with_the_function_and_has_nan_for_the_rest(name: str) -> None:
    column = score(TEXTS, [name])[name]
    assert column.dtype == np.float64
    assert column.shape == (4,)
    assert np.isnan(column).tolist() == [False, True, False, True]
    assert column[0] == SCORES[name].function("CCO")


def test_columns_come_in_the_order_asked_for() -> None:
    table = score(iter(["c1ccccc1"]), iter(["rings", "heavy_atoms", "weight", "logp", "qed", "sa"]))
    assert list(table) == ["rings", "heavy_atoms", "weight", "logp", "qed", "sa"]
    assert (table["rings"][0], table["heavy_atoms"][0]) == (1, 6)
    assert table["logp"][0] == chem.logp("c1ccccc1")
    assert score([], ["qed"])["qed"].shape == (0,)
    assert score(["C"], []) == {}


def test_unknown_score_lists_what_exists() -> None:
    with pytest.raises(UnknownNameError, match=r"'logP'.*heavy_atoms, logp, qed.*mean 'logp'"):
        score(["C"], ["qed", "logP"])


def test_a_single_text_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(InputError, match="names must be a list"):
        score(["C"], "qed")
    with pytest.raises(InputError, match="texts must be a list"):
        score("CCO", ["qed"])


def test_a_new_score_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORES, "length", Score("length", len, False, "characters"))
    assert score(["", "ab"], ["length"])["length"].tolist() == [0, 2]


def test_an_error_that_is_not_about_the_text_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> float:
        raise ZeroDivisionError

    monkeypatch.setitem(SCORES, "broken", Score("broken", broken, True, "always fails"))
    with pytest.raises(ZeroDivisionError):
        score(["C"], ["broken"])
