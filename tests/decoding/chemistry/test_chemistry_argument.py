"""Why the chemistry constraint has no dead end: the policy finishes every state, and the questions agree."""

import numpy as np
import pytest
import torch
from decoding.chemistry.molecular import bind, every_codec, small_codec, walk
from decoding.scripted import seeded
from scipy.stats import chisquare

from grammar_rae import chem
from grammar_rae.decoding import Chemistry
from grammar_rae.decoding.chemistry import bounds, layout, machine, policy
from grammar_rae.decoding.chemistry.constraint import allocate_work


@every_codec
def test_the_policy_finishes_within_what_is_left_and_never_strays(name):
    """W falls by one with the policy's own step; what is promised without following it is kept."""
    constraint = bind(name)
    tables, known = constraint._tables, 0
    for state in walk(constraint, 1, 12, 90):
        _, written, fewest, distance = allocate_work(state.table)
        for row in state.table:
            trial = row.copy()
            n = policy.finish(trial, 0, tables, 4000, written, distance)
            assert n >= 0
            tokens = policy.fewest_tokens(written, n, constraint._macros.trie, fewest)
            assert tokens <= row[layout.LEFT]
            promised = bounds.most_productions(row, tables)
            assert promised < 0 or n <= promised
            known += promised >= 0
            assert machine.apply(row.copy(), written[0], tables)
    assert known


@every_codec
def test_the_three_questions_agree(name):
    constraint = bind(name)
    for step, state in enumerate(walk(constraint, 2, 4, 40)):
        if step % 7:
            continue
        candidates, allowed = constraint.candidates(state), constraint.allowed(state)
        assert not (allowed & ~candidates).any()
        for row, token in candidates.nonzero().tolist():
            one = state.rows(torch.tensor([row]))
            assert bool(constraint.refuses(one, torch.tensor([token]))) != bool(allowed[row, token])
        half = torch.rand(allowed.shape, generator=seeded(step)) < 0.5
        assert torch.equal(constraint.allowed(state, half), allowed & half)


@every_codec
def test_states_are_not_changed_by_questions(name):
    constraint = bind(name)
    state = list(walk(constraint, 3, 4, 40))[6]
    before = state.table.copy()
    allowed = constraint.allowed(state)
    drawn = constraint.draw(state, torch.zeros(allowed.shape), 1.0, seeded(0))
    again = constraint.advance(state.rows(torch.arange(len(before))), drawn)
    ahead = constraint.advance(state, drawn)
    assert np.array_equal(state.table, before)
    for one, other in zip(again.table, ahead.table, strict=True):
        for row in (one, other):  # what is not used of a row may differ
            assert row[layout.HEIGHT] >= 0
        trial_one, trial_other = np.zeros_like(one), np.zeros_like(other)
        layout.copy_row(one, trial_one)
        layout.copy_row(other, trial_other)
        assert np.array_equal(trial_one, trial_other)


@pytest.mark.parametrize("scale", [0.5, 200.0])
def test_lazy_draws_have_the_distribution_of_a_full_mask(scale):
    codec = small_codec()
    constraint = Chemistry().bind(codec, chem.capacities(["C", "O", "F"]))
    state = list(walk(constraint, 4, 3, 30))[5]
    n, generator = 20_000, seeded(1)
    logits = scale * torch.randn(len(state.table), codec.rules.size, generator=generator)
    for row in range(len(state.table)):
        many = state.rows(torch.full((n,), row))
        drawn = constraint.draw(many, logits[row].expand(n, -1).clone(), 1.0, generator)
        allowed = constraint.allowed(state)[row]
        expected = n * torch.softmax(logits[row].double().masked_fill(~allowed, -torch.inf), 0)
        seen = torch.bincount(drawn, minlength=len(allowed)).double()
        assert not seen[~allowed].any()
        often = expected > 5
        assert abs(seen[~often].sum() - expected[~often].sum()) < 20
        if often.sum() > 1:
            share = seen[often] * expected[often].sum() / seen[often].sum()
            assert chisquare(share.numpy(), expected[often].numpy()).pvalue > 1e-4


@every_codec
def test_greedy_takes_the_likeliest_allowed_token(name):
    constraint = bind(name)
    for step, state in enumerate(walk(constraint, 8, 5, 40)):
        logits = torch.randn(len(state.table), constraint.rules.size, generator=seeded(step))
        wanted = logits.masked_fill(~constraint.allowed(state), -torch.inf).argmax(dim=1)
        assert torch.equal(constraint.draw(state, logits, 0.0, None), wanted)
