"""Decoding the logits of all steps at once."""

import pytest
import torch
from decoding.scripted import codec_of, complete, ends, scripts, seeded, table_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from grammar_rae.decoding import Free, GrammarConstraint, decode, decode_all
from grammar_rae.errors import DecodingError, InputError


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), spare=st.integers(0, 40), temperature=st.sampled_from([0.0, 0.3, 1.0, 5.0]))
def test_all_at_once_decodes_to_the_language(codec, seed, spare, temperature):
    limit, batch = codec.rules.shortest + spare, 70
    for logits in scripts(codec.rules, seed, limit, batch).values():
        tokens = decode_all(logits.transpose(0, 1), GrammarConstraint(codec.rules), temperature, seeded(seed))
        assert tokens.dtype == torch.int64 and tokens.shape[0] == batch and tokens.shape[1] <= limit
        assert ends(tokens).max() == tokens.shape[1]
        complete(codec, tokens)


def test_all_at_once_is_greedy_as_step_by_step_is(codec):
    rules = codec.rules
    logits = torch.randn(30, 50, rules.size, generator=seeded(3))
    for constraint in (GrammarConstraint(rules), Free(rules)):
        by_step = decode(table_of(logits.transpose(0, 1)), torch.zeros(30, 1), constraint, 50)
        assert torch.equal(decode_all(logits, constraint), by_step)


def test_all_at_once_draws_as_the_softmax_has_it():
    rules = codec_of("expressions").rules
    logits = torch.randn(1, 12, rules.size, generator=seeded(4))
    n = 40_000
    drawn = decode_all(logits.expand(n, -1, -1), GrammarConstraint(rules), 0.7, seeded(5))
    allowed = GrammarConstraint(rules).allowed(GrammarConstraint(rules).start(1, 12))[0]
    expected = n * torch.softmax(logits[0, 0].double().masked_fill(~allowed, -torch.inf) / 0.7, 0)
    seen = torch.bincount(drawn[:, 0], minlength=rules.size).double()
    often = expected > 5
    statistic = ((seen - expected)[often] ** 2 / expected[often]).sum()
    assert chi2.sf(float(statistic), int(often.sum()) - 1) > 1e-4


def test_all_at_once_is_the_same_for_one_seed_and_for_any_number_of_threads():
    rules = codec_of("zinc").rules
    logits = torch.randn(300, 60, rules.size, generator=seeded(6))
    before, drawn = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            drawn.append(decode_all(logits, GrammarConstraint(rules), 1.0, seeded(7)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], decode_all(logits, GrammarConstraint(rules), 1.0, seeded(8)))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_all_at_once_needs_finite_logits(value, temperature):
    rules = codec_of("zinc").rules
    logits = torch.zeros(3, 20, rules.size)
    logits[1] = value
    with pytest.raises(DecodingError, match="finite"):
        decode_all(logits, GrammarConstraint(rules), temperature)
    with pytest.raises(DecodingError, match="finite"):
        decode_all(torch.full_like(logits, -torch.inf), GrammarConstraint(rules), temperature)


def test_all_at_once_of_none_and_of_too_few_steps():
    rules = codec_of("zinc").rules
    assert decode_all(torch.zeros(0, 20, rules.size), GrammarConstraint(rules)).shape == (0, 0)
    with pytest.raises(DecodingError, match="limit is too small"):
        decode_all(torch.zeros(2, rules.shortest - 1, rules.size), GrammarConstraint(rules))
    with pytest.raises(InputError, match="temperature"):
        decode_all(torch.zeros(2, 20, rules.size), GrammarConstraint(rules), -1.0)
