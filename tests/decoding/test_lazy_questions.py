"""Constraints that refuse candidates: few questions, and the distribution of the full mask."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from decoding.scripted import (
    FEW,
    SMALL,
    OnlyAt,
    Picky,
    agrees,
    brute,
    complete,
    obeys,
    one_step,
    same_for_all,
    scripts,
    seeded,
    table_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from grammar_rae.decoding import GrammarConstraint, decode
from grammar_rae.decoding.lazy import distinct_keys, top_columns
from grammar_rae.errors import DecodingError


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_drawing_lazily_is_drawing_under_the_mask(temperature, seed):
    logits, allowed = 2 * torch.randn(12, generator=seeded(seed)), torch.tensor(FEW).bool()
    logits[0] = 3  # refused, and often drawn
    constraint = OnlyAt(FEW)
    drawn = one_step(logits, constraint, 20_000, temperature, seed)
    assert constraint.calls["refuses"] == 1 <= constraint.calls["allowed"] <= 2  # 4 tokens, and 4 more
    assert agrees(drawn, (logits / temperature).masked_fill(~allowed, -torch.inf).softmax(0))
    assert drawn.equal(one_step(logits, constraint, 20_000, temperature, seed))
    assert not drawn.equal(one_step(logits, constraint, 20_000, temperature, seed + 1))


def test_the_other_test_can_fail():
    logits = 2 * torch.randn(12, generator=seeded(0))
    shares = logits.masked_fill(~torch.tensor(FEW).bool(), -torch.inf).softmax(0)
    assert not agrees(one_step(logits, OnlyAt(FEW), 20_000, 1.2), shares)
    assert not agrees(one_step(logits, OnlyAt([1] * 12), 20_000), shares)


def test_rows_of_one_batch_are_redrawn_for_themselves():
    logits = torch.full((1000, 12), -50.0)
    own = torch.tensor(FEW).nonzero().squeeze(1)[torch.arange(1000) % 5]
    logits[torch.arange(1000), own] = 0
    logits[::2, 0] = 100  # refused: every other row needs a second draw
    logits[::3, 2] = 200
    logits[::4, 3] = 150
    for temperature in (0.0, 1.0):
        constraint = OnlyAt(FEW)
        tokens = decode(table_of(logits[None]), torch.zeros(1000, 1), constraint, 1, temperature, seeded(0))
        assert tokens.squeeze(1).equal(own)
        refused = (logits.argmax(1) != own).sum()
        assert [len(mask) for mask in constraint.asked] == [refused]
        assert constraint.asked[0].sum(1).tolist() == [4] * refused


@pytest.mark.parametrize("seed", range(3))
def test_whole_strings_follow_the_model_under_a_picky_constraint(seed):
    limit, n = 5, 30_000
    constraint = Picky(SMALL, share=0.4, seed=seed)
    logits = torch.randn(limit, SMALL.size, generator=seeded(seed))
    chances = {
        string: np.exp(under_mask) for string, (under_mask, _) in brute(SMALL, constraint, limit, logits).items()
    }
    assert sum(chances.values()) == pytest.approx(1) and len(chances) > 5
    assert len(chances) < len(brute(SMALL, GrammarConstraint(SMALL), limit, logits))
    tokens = decode(same_for_all(logits), torch.zeros(n, 1), constraint, limit, 1.0, seeded(seed))
    counts = Counter(tuple(token for token in row if token >= 0) for row in tokens.tolist())
    assert set(counts) <= set(chances)
    statistic = sum((counts[string] - n * p) ** 2 / (n * p) for string, p in chances.items())
    assert statistic < chi2.ppf(1 - 1e-6, len(chances) - 1)


@settings(max_examples=3)
@given(seed=st.integers(0, 2**32), spare=st.integers(0, 40), share=st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_a_constraint_is_obeyed_in_few_questions(codec, seed, spare, share):
    limit, batch = codec.rules.shortest + spare, 6
    constraint = Picky(codec.rules, share, seed)
    for label, logits in scripts(codec.rules, seed, limit, batch).items():
        for options in ({"temperature": 0.0}, {"temperature": 1.0}, {"temperature": 1.0, "top_p": 0.8}):
            constraint.calls.clear()
            tokens = decode(
                table_of(logits), torch.zeros(batch, 1), constraint, limit, generator=seeded(seed), **options
            )
            doublings = 1 + np.ceil(np.log2(codec.rules.size / 4))
            assert constraint.calls["refuses"] <= tokens.shape[1], label
            assert constraint.calls["allowed"] <= max(1, doublings) * tokens.shape[1], label
            assert obeys(constraint, tokens, limit), label
            complete(codec, tokens)


def test_what_refuses_nothing_changes_nothing(codec):
    limit = codec.rules.shortest + 30
    logits = torch.randn(limit, 20, codec.rules.size, generator=seeded(0))
    lenient = Picky(codec.rules, share=0.0)

    def drawn(constraint, temperature, top_p):
        return decode(table_of(logits), torch.zeros(20, 1), constraint, limit, temperature, seeded(1), top_p)

    for temperature, top_p in ((0.0, 1.0), (1.0, 1.0), (1.0, 0.7), (1.0, 0.99), (3.0, 0.999), (0.1, 1e-9)):
        tokens = drawn(GrammarConstraint(codec.rules), temperature, top_p)
        assert drawn(lenient, temperature, top_p).equal(tokens)
    assert lenient.calls["refuses"] > 0


@pytest.mark.parametrize("options", [{}, {"temperature": 0.0}, {"top_p": 0.5}])
def test_a_constraint_without_a_way_on(options):
    with pytest.raises(DecodingError, match="nothing is allowed"):
        one_step(torch.zeros(5), OnlyAt([0] * 5), 4, **options)
    logits = torch.tensor([0.0, -torch.inf, 0, 0, 0])  # what is allowed has no probability
    with pytest.raises(DecodingError, match="logits are not finite"):
        one_step(logits, OnlyAt([0, 1, 0, 0, 0]), 4, **options)
    assert (one_step(logits, OnlyAt([0, 1, 1, 0, 0]), 4, **options) == 2).all()


@given(
    st.lists(st.lists(st.sampled_from([-math.inf, -1.5, -0.0, 0.0, 2.0, 3.25]), min_size=9, max_size=9), min_size=1),
    st.integers(1, 9),
)
def test_the_top_columns_are_those_of_the_keys(ranks, n):
    ranks = torch.tensor(ranks)
    found, expected = top_columns(ranks, n), distinct_keys(ranks).topk(n, dim=1).indices
    real = ranks.gather(1, expected) > -math.inf
    assert found.shape == expected.shape and torch.equal(found[real], expected[real])
    assert (ranks.gather(1, found)[~real] == -math.inf).all()
