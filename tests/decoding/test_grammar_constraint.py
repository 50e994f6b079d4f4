"""The grammar's constraint: any logits decode to a text of the language, and nothing real is masked."""

import random
from itertools import groupby

import numpy as np
import pytest
import torch
from decoding.scripted import CODECS, Naive, Scripted, codec_of, complete, ends, scripts, seeded, table_of
from derivations import least_steps, molecules
from hypothesis import given, settings
from hypothesis import strategies as st

from grammar_rae import chem
from grammar_rae.codecs import CharacterCodec, GrammarCodec
from grammar_rae.decoding import GrammarConstraint, decode
from grammar_rae.errors import DecodingError
from grammar_rae.grammar import Grammar, MacroTable, Rules


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), spare=st.integers(0, 40), temperature=st.sampled_from([0.0, 0.3, 1.0, 5.0]))
def test_any_logits_decode_to_the_language(codec, seed, spare, temperature):
    limit, batch = codec.rules.shortest + spare, 6
    for logits in scripts(codec.rules, seed, limit, batch).values():
        z = torch.zeros(batch, 2)
        tokens = decode(table_of(logits), z, GrammarConstraint(codec.rules), limit, temperature, seeded(seed))
        assert tokens.dtype == torch.int64 and tokens.shape[0] == batch and tokens.shape[1] <= limit
        assert ends(tokens).max() == tokens.shape[1]
        complete(codec, tokens)


def test_every_limit_from_the_shortest_upward(codec):
    constraint = GrammarConstraint(codec.rules)
    never_end = Scripted(
        lambda row, step, previous, lhs: torch.from_numpy(codec.rules.arity * 20.0).expand(len(row), -1)
    )
    for limit in range(codec.rules.shortest, codec.rules.shortest + 60):
        tokens = decode(never_end, torch.zeros(3, 2), constraint, limit, 1.0, seeded(limit))
        assert tokens.shape[1] <= limit
        complete(codec, tokens)
    assert tokens.shape[1] > limit - 8  # what never wants to end is stopped by the limit alone


def test_limits_below_the_shortest_are_refused(codec):
    rules = codec.rules
    for limit in (rules.shortest - 1, 0, -3):
        with pytest.raises(DecodingError, match=f"limit {limit}; expected {rules.shortest} or more"):
            decode(table_of(torch.zeros(1, 1, rules.size)), torch.zeros(1, 2), GrammarConstraint(rules), limit)


@pytest.mark.parametrize("name", [name for name in CODECS if name != "expressions" and name != "expressions, macros"])
def test_real_derivations_are_never_masked(name):
    """With the limit at a molecule's own length each of its tokens is allowed, and the last completes the row."""
    codec = codec_of(name)
    texts = [chem.kekule(text, fragments="largest") for text in molecules(300)]
    if name == "characters":
        codec = CharacterCodec.learn(texts)
    batch = codec.encode_batch(texts)
    assert not batch.rejected
    rows = sorted((row.tolist() for row in np.split(batch.tokens, batch.offsets[1:-1])), key=len)
    constraint = GrammarConstraint(codec.rules)
    for length, group in groupby(rows, key=len):
        tokens = torch.tensor(list(group))
        for limit in (length, length + 7):
            state = constraint.start(len(tokens), limit)
            for choice in tokens.T:
                assert state.alive.all()
                assert constraint.allowed(state).gather(1, choice.unsqueeze(1)).all()
                state = constraint.advance(state, choice)
            assert not state.alive.any() and (state.left == limit - length).all()


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), spare=st.integers(0, 25))
def test_the_mask_is_the_naive_one(codec, seed, spare):
    rules = codec.rules
    limit, constraint, chance = rules.shortest + spare, GrammarConstraint(rules), random.Random(seed)
    naive = [Naive(rules, limit) for _ in range(4)]
    state = constraint.start(4, limit)
    while naive:
        allowed = [row.allowed() for row in naive]
        assert [mask.nonzero().flatten().tolist() for mask in constraint.allowed(state)] == allowed
        assert state.lhs.tolist() == [row.stack[-1] for row in naive]
        choice = [chance.choice(tokens) for tokens in allowed]
        for row, token in zip(naive, choice, strict=True):
            row.advance(token)
        state = constraint.advance(state, torch.tensor(choice))
        assert state.alive.tolist() == [bool(row.stack) for row in naive]
        assert state.owed.tolist() == [sum(rules.min_steps[symbol] for symbol in row.stack) for row in naive]
        state = state.rows(state.alive.nonzero().flatten())
        naive = [row for row in naive if row.stack]


def test_least_steps_of_the_mask_are_right():
    """The naive mask takes the rules' costs for granted; here they are the oracle's."""
    for name in ("expressions", "smiles", "zinc"):
        rules = codec_of(name).rules
        assert rules.min_steps.tolist() == least_steps(codec_of(name).grammar)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), spare=st.integers(0, 25))
def test_rows_keep_their_identity(codec, seed, spare):
    """Rows that end at different steps give what each gives alone, at temperature 0, in plain Python."""
    rules = codec.rules
    limit, batch = rules.shortest + spare, 7
    logits = torch.randn(limit, batch, rules.size, generator=seeded(seed))
    decoder = table_of(logits)
    tokens = decode(decoder, torch.zeros(batch, 2), GrammarConstraint(rules), limit)
    alone = []
    for row in range(batch):
        naive, found = Naive(rules, limit), []
        while naive.stack:
            found.append(max(naive.allowed(), key=lambda token: logits[len(found), row, token].item()))
            naive.advance(found[-1])
        alone.append(found)
    assert [row[row >= 0].tolist() for row in tokens] == alone
    assert tokens.shape[1] == max(map(len, alone))
    for step, (rows, previous, lhs) in enumerate(decoder.seen):  # the decoder is told the truth at each step
        assert rows == [row for row in range(batch) if len(alone[row]) > step]
        assert previous is None if step == 0 else previous == [alone[row][step - 1] for row in rows]
        assert lhs == [int(rules.lhs[alone[row][step]]) for row in rows]


def test_the_state_is_cut_with_its_rows():
    codec = codec_of("expressions")
    z = torch.arange(8.0).unsqueeze(1)
    wanted = ["x", "1+2", "(x)", "3*x/1", "2", "x", "sin(1)", "3"]
    targets = [codec.encode(text).tolist() for text in wanted]

    class Dictated(Scripted):
        def step(self, state, previous, lhs):
            assert state.z[:, 0].tolist() == state.row.tolist()
            return super().step(state, previous, lhs)

    def logits(row, step, previous, lhs):
        out = torch.zeros(len(row), codec.rules.size)
        for i, r in enumerate(row.tolist()):
            out[i, targets[r][step]] = 9
        return out

    tokens = decode(Dictated(logits), z, GrammarConstraint(codec.rules), 12)
    assert codec.decode_batch(tokens.numpy()) == wanted


def test_empty_sides_and_one_rule():
    grammar = Grammar.from_text("S -> A S |\nA ->")
    codec = GrammarCodec(table=MacroTable(grammar))
    for limit in range(1, 9):
        logits = torch.tensor([1.0, 0, 0]).expand(limit, 2, 3)
        tokens = decode(table_of(logits), torch.zeros(2, 1), GrammarConstraint(codec.rules), limit)
        assert tokens[0].tolist() == [0, 2] * ((limit - 1) // 2) + [1]
        assert codec.decode_batch(tokens.numpy()) == ["", ""]
    only = Rules.build([0], [[]], 1, 0)
    assert decode(table_of(torch.zeros(1, 3, 1)), torch.zeros(3, 1), GrammarConstraint(only), 1).tolist() == [[0]] * 3
