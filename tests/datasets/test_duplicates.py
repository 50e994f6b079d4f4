"""The same molecule in several rows: found, counted, kept on one side of a split, or dropped."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from grammar_rae.codecs import GrammarCodec
from grammar_rae.datasets import TokenDataset, duplicates, encode, read_texts
from grammar_rae.datasets.duplicates import SeenKeys, row_keys
from grammar_rae.datasets.rows import split_rows
from grammar_rae.errors import DataError, UnknownNameError
from grammar_rae.grammar import read_grammar
from grammar_rae.resources import bundled_file

CODEC = GrammarCodec(form="kekule", table=read_grammar("smiles"))


@pytest.fixture(scope="module")
def molecules():
    return [text for _, text in read_texts(bundled_file("data/moses_sample.smi.gz"))][:60]


@pytest.fixture(scope="module")
def spellings(molecules):
    """Each molecule in ten spellings, all mixed."""
    texts = []
    for number, text in enumerate(molecules):
        texts += Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(text), 10, randomSeed=number + 1)
    return [texts[i] for i in np.random.default_rng(0).permutation(len(texts))]


rows = st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=30)


def end_to_end(some):
    tokens = np.array([token for row in some for token in row], np.uint16)
    return tokens, np.cumsum([0, *map(len, some)]).astype(np.int64)


@given(rows, st.sampled_from([1, 3, 2**20]))
def test_keys_are_equal_where_rows_are(some, chunk):
    before, duplicates._CHUNK = duplicates._CHUNK, chunk
    try:
        keys = row_keys(*end_to_end(some))
    finally:
        duplicates._CHUNK = before
    assert [[a == b for b in some] for a in some] == [[bool(a == b) for b in keys] for a in keys]


@given(st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=12))
def test_keys_seen_before_are_known(batches):
    seen, known = SeenKeys(), set()
    for batch in batches:
        expected = []
        for key in batch:
            expected.append(key not in known)
            known.add(key)
        assert seen.add(np.array(batch, np.uint64)).tolist() == expected
    assert sum(map(len, seen._runs)) == len(known)


def test_no_molecule_is_on_both_sides(molecules, spellings):
    data = encode(spellings, CODEC)
    assert data.n_duplicates == len(spellings) - len(molecules)
    for seed in range(5):
        train, validation = data.split(0.1, seed)
        sides = [{Chem.CanonSmiles(spellings[line - 1]) for line in side.lines} for side in (train, validation)]
        assert not sides[0] & sides[1] and len(sides[0] | sides[1]) == len(molecules)
        assert len(validation) == 60 and len(train) == 540
        assert validation.lines.tolist() == data.split(0.1, seed)[1].lines.tolist()


@given(st.lists(st.integers(0, 9), min_size=2, max_size=60), st.floats(0.05, 0.9), st.integers(0, 5), st.booleans())
def test_a_split_keeps_groups_together(groups, fraction, seed, limited):
    keys, maximum = np.array(groups, np.uint64), 3 if limited else None
    if len(set(groups)) < 2:
        with pytest.raises(DataError, match="all rows are the same"):
            split_rows(len(keys), fraction, seed, maximum, keys)
        return
    train, validation = split_rows(len(keys), fraction, seed, maximum, keys)
    assert sorted([*train, *validation]) == list(range(len(keys)))
    assert len(train) and len(validation) and not set(keys[train]) & set(keys[validation])
    asked = min(max(round(len(keys) * fraction), 1), len(keys) - 1, maximum or len(keys))
    assert len(validation) <= asked or len(set(keys[validation])) == 1


@pytest.mark.parametrize("seed", range(3))
def test_without_duplicates_keys_change_nothing(seed):
    keys = np.random.default_rng(seed).permutation(100).astype(np.uint64)
    for one, other in zip(split_rows(100, 0.2, seed), split_rows(100, 0.2, seed, keys=keys), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_dropped_rows_are_listed_and_counted(molecules, spellings, tmp_path, jobs):
    data = encode([*spellings, "CC("], CODEC, tmp_path / "set", duplicates="drop", chunk=70, jobs=jobs)
    assert (data.n_read, data.n_accepted, data.n_duplicates) == (601, 60, 0)
    assert len(data.rejected) == 541 and data.rejected[-1].line == 601
    assert {row.reason for row in data.rejected[:-1]} == {"the same molecule or text is in an earlier row"}
    assert sorted([*data.lines.tolist(), *(row.line for row in data.rejected)]) == list(range(1, 602))
    first = {}
    for line, text in enumerate(spellings, start=1):
        first.setdefault(Chem.CanonSmiles(text), line)
    assert data.lines.tolist() == sorted(first.values())
    kept = encode(spellings, CODEC).without_duplicates()
    assert kept.lines.tolist() == data.lines.tolist() and np.array_equal(kept.keys, data.keys)
    assert TokenDataset.open(tmp_path / "set").n_duplicates == 0


def test_another_choice_is_refused():
    with pytest.raises(UnknownNameError, match="choice of duplicates"):
        encode(["C"], CODEC, duplicates="merge")
