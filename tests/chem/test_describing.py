"""Properties and fingerprints of many molecules: those of each alone, however many are held at a time."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from grammar_rae.chem import describing, descriptors

TEXTS = ["CCO", "c1ccccc1", "Q", "CC(=O)O", "CCN"]
WANTED = np.array([[True, False], [True, True], [True, True], [False, True], [True, True]])


def test_few_texts_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = describing.describe(TEXTS, ["logp", "weight"], WANTED, 64)
    assert np.array_equal(np.isnan(whole.properties), ~WANTED | (np.arange(5) == 2)[:, None])
    taken: list[int] = []
    held: list[int] = []

    def texts() -> Iterator[str]:
        for number, text in enumerate(TEXTS, 1):
            taken.append(number)
            yield text

    one = describing._describe
    monkeypatch.setattr(describing, "CHUNK", 2)
    monkeypatch.setattr(describing, "_describe", lambda some, *how: held.append(len(taken)) or one(some, *how))
    found = describing.describe(texts(), ["logp", "weight"], WANTED, 64)
    assert held == [2, 4, 5]
    assert np.array_equal(found.properties, whole.properties, equal_nan=True) and np.array_equal(found.bits, whole.bits)


def test_the_table_of_fragments_is_given_back_and_read_again() -> None:
    before = descriptors.sa("CCO")
    held = weakref.ref(descriptors._sa_scorer())
    descriptors.forget_fragments()
    assert held() is None
    assert descriptors.sa("CCO") == before
