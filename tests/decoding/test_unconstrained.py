"""Decoding without a constraint, and under the grammar's masks alone."""

import pytest
import torch
from decoding.scripted import SMALL, Scripted, codec_of, same_for_all, seeded, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from grammar_rae.decoding import Free, GrammarConstraint, Masks, beam_search, decode
from grammar_rae.errors import InputError


def rule_mask(rules):
    return torch.from_numpy(rules.lhs_mask)


def followed(rules, tokens, limit):
    """How a row of an unconstrained decoding ended; it must have ended as soon as it could and no sooner."""
    stack = [rules.start]
    for taken, token in enumerate(tokens, start=1):
        if rules.lhs[token] != stack.pop():
            assert taken == len(tokens)
            return "failed"
        stack += reversed(rules.children[token, : rules.arity[token]].tolist())
        if sum(int(rules.min_steps[symbol]) for symbol in stack) > limit - taken:
            assert taken == len(tokens)
            return "failed"
    assert tokens and not stack
    return "complete"


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), limit=st.integers(1, 30))
def test_without_a_constraint_rows_end_as_they_happen_to(codec, seed, limit):
    rules = codec.rules
    batch = 12
    logits = torch.randn(limit, batch, rules.size, generator=seeded(seed))
    for shift in (0, 4):  # by the second one, most tokens are those that the grammar wants
        wanted = Scripted(lambda row, step, previous, lhs, s=shift: logits[step, row] + s * rule_mask(rules)[lhs])
        tokens = decode(wanted, torch.zeros(batch, 1), Free(rules), limit, 1.0, seeded(seed))
        texts = codec.spell_batch(tokens.numpy())
        for row, text in zip(tokens.tolist(), texts, strict=True):
            spelled = [token for token in row if token >= 0]
            ending = followed(rules, spelled, limit)
            assert ending == ("complete" if text is not None else "failed")
            if text is not None:
                assert codec.decode(spelled) == text
            else:
                with pytest.raises(InputError):
                    codec.decode(spelled)


def test_nothing_forces_what_is_unconstrained():
    rules = SMALL
    logits = torch.zeros(6, rules.size)
    logits[:, 7] = 50  # T -> 'h' S at the beginning, where S is to be expanded
    assert decode(same_for_all(logits), torch.zeros(2, 1), Free(rules), 6).tolist() == [[7], [7]]
    assert beam_search(same_for_all(logits), torch.zeros(2, 1), Free(rules), 6, 3).tolist() == [[7], [7]]
    logits[0, 3] = 99  # 'd' T first: then 'h' fits, and then it does not
    assert decode(same_for_all(logits), torch.zeros(2, 1), Free(rules), 6).tolist() == [[3, 7, 7]] * 2
    logits[:, 7] = 0
    logits[1:, 0] = 99
    logits[0, 0] = 150  # 'a' S for ever: nothing owed fits behind the last but one
    assert decode(same_for_all(logits), torch.zeros(1, 1), Free(rules), 4).tolist() == [[0, 0, 0, 0]]


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), limit=st.integers(1, 30))
def test_masks_keep_the_grammar_and_not_the_limit(codec, seed, limit):
    rules = codec.rules
    logits = torch.randn(limit, 12, rules.size, generator=seeded(seed))
    net = Scripted(lambda row, step, previous, lhs: logits[step, row])
    tokens = decode(net, torch.zeros(12, 1), Masks(rules), limit, 1.0, seeded(seed))
    for row, text in zip(tokens.tolist(), codec.spell_batch(tokens.numpy()), strict=True):
        spelled = [token for token in row if token >= 0]
        assert followed(rules, spelled, limit) == ("complete" if text is not None else "failed")
        stack = [rules.start]  # no token was ever drawn that the stack's top forbids
        for token in spelled:
            assert rules.lhs[token] == stack.pop()
            stack += reversed(rules.children[token, : rules.arity[token]].tolist())
        if text is None:
            assert sum(int(rules.min_steps[symbol]) for symbol in stack) > limit - len(spelled)


def test_with_room_enough_masks_are_the_grammar():
    codec = codec_of("expressions")
    logits = torch.randn(40, 5, codec.rules.size, generator=seeded(0))
    logits += 3.0 * torch.from_numpy(codec.rules.arity == 0)  # what ends soon
    net = Scripted(lambda row, step, previous, lhs: logits[step, row])
    kept, masked = (
        decode(net, torch.zeros(5, 1), constraint(codec.rules), 40) for constraint in (GrammarConstraint, Masks)
    )
    assert torch.equal(kept, masked)


def test_a_limit_too_small_without_a_constraint():
    codec = codec_of("smiles")
    assert codec.rules.shortest > 1
    tokens = decode(table_of(torch.zeros(1, 3, codec.rules.size)), torch.zeros(3, 1), Free(codec.rules), 1)
    assert codec.spell_batch(tokens.numpy()) == [None] * 3
    for limit in (0, -1):
        with pytest.raises(InputError, match="1 or more"):
            Free(codec.rules).start(3, limit)
    with pytest.raises(InputError, match="batch cannot be negative"):
        Free(codec.rules).start(-1, 3)


def test_rows_may_be_repeated():
    rules = codec_of("expressions").rules
    for constraint in (GrammarConstraint(rules), Free(rules)):
        state = constraint.start(2, 9)
        state = constraint.advance(state, constraint.allowed(state).int().argmax(1))
        twice = state.rows(torch.tensor([1, 1, 0]))
        assert twice.lhs.tolist() == [state.lhs[1], state.lhs[1], state.lhs[0]]
        choice = torch.stack([row.nonzero()[i % 2, 0] for i, row in enumerate(GrammarConstraint(rules).allowed(twice))])
        after = constraint.advance(twice, choice)
        assert after.height[0] != after.height[1] or after.lhs[0] != after.lhs[1] or choice[0] != choice[1]
        assert twice.lhs.tolist() == [state.lhs[1], state.lhs[1], state.lhs[0]]  # no state is changed
