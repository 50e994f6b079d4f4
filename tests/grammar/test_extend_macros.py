"""Macros that are learned on top of known ones."""

import numpy as np
import pytest

from grammar_rae.codecs import GrammarCodec
from grammar_rae.errors import InputError
from grammar_rae.grammar import extend_macros, learn_macros

KNOWN = ["CCO", "c1ccccc1O", "CC(=O)Nc1ccc(O)cc1", "CCN(CC)CC", "Cc1ccccc1C(=O)O"] * 3
NEW = ["NS(=O)(=O)c1ccc(N)cc1", "NS(=O)(=O)c1ccc(Cl)cc1", "CNS(=O)(=O)c1ccccc1", "O=S(=O)(N)c1cccs1"] * 4


@pytest.fixture(scope="module")
def codec():
    return GrammarCodec.learn(KNOWN, n_macros=40, form="kekule", max_length=32)


def test_known_tokens_keep_their_meanings_and_the_new_rows_grow_shorter(codec):
    longer = codec.extend(NEW, 30, max_length=48)
    assert longer.rules.size > codec.rules.size and longer.max_length == 48
    assert longer.macros.macros[: len(codec.macros.macros)] == codec.macros.macros
    before, after = (np.diff(one.encode_batch(NEW).offsets).mean() for one in (codec, longer))
    assert after < before
    for text in KNOWN + NEW:
        assert longer.canonical(longer.decode(longer.encode(text))) == codec.canonical(text)


def test_extending_nothing_is_learning(codec):
    bare = GrammarCodec.learn([], n_macros=0, form="kekule")
    batch = bare.encode_batch(KNOWN)
    derivations = batch.tokens.astype(np.int32)
    learned = learn_macros(bare.grammar, derivations, batch.offsets, 40)
    assert learned == extend_macros(bare.macros, derivations, batch.offsets, 40)
    assert learned.macros == codec.macros.macros


def test_no_more_than_asked_and_none_without_texts(codec):
    assert codec.extend(NEW, 0) == codec
    assert codec.extend([], 10) == codec
    assert len(codec.extend(NEW, 3).macros.macros) == len(codec.macros.macros) + 3
    with pytest.raises(InputError, match="negative"):
        codec.extend(NEW, -1)
