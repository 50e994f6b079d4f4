"""Draws from the nucleus of what is allowed."""

import pytest
import torch
from decoding.scripted import FEW, OnlyAt, agrees, one_step, seeded, table_of

from grammar_rae.decoding import GrammarConstraint, decode
from grammar_rae.errors import InputError
from grammar_rae.grammar import Rules


def nucleus(logits, allowed, temperature, top_p):
    """Shares (R,) in plain Python."""
    shares = (logits / temperature).masked_fill(~allowed, -torch.inf).softmax(0)
    kept, mass = [], 0.0
    for token in shares.argsort(descending=True).tolist():
        if mass < top_p:
            kept.append(token)
        mass += shares[token].item()
    cut = torch.zeros_like(shares)
    cut[kept] = shares[kept]
    return cut / cut.sum()


@pytest.mark.parametrize("top_p", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("temperature", [0.7, 1.5])
@pytest.mark.parametrize("allowed", [[1] * 12, FEW], ids=["all", "few"])
def test_the_nucleus(top_p, temperature, allowed):
    for seed in range(3):
        logits = 2 * torch.randn(12, generator=seeded(seed))
        logits[0] = 4
        shares = nucleus(logits, torch.tensor(allowed).bool(), temperature, top_p)
        assert (shares > 0).sum() < sum(allowed) or top_p > 0.9
        assert agrees(one_step(logits, OnlyAt(allowed), 20_000, temperature, seed, top_p=top_p), shares)


def test_each_row_has_a_nucleus_of_its_own():
    logits = torch.zeros(2, 3000, 6)
    logits[:, :, 0] = 10.0  # row 0: one token; row 1: the other five, of which four are enough
    logits[:, 1500:, 0] = -10.0
    decoder = table_of(logits)
    tokens = decode(decoder, torch.zeros(3000, 1), OnlyAt([1] * 6), 1, 1.0, seeded(0), top_p=0.79).squeeze(1)
    assert (tokens[:1500] == 0).all()
    assert len(set(tokens[1500:].tolist())) == 4 and 0 not in tokens[1500:]


def test_the_smallest_nucleus_is_the_likeliest_token():
    logits = torch.randn(40, 12, generator=seeded(0))
    logits[:, 0] = 9
    for top_p in (1e-9, 1e-300):
        tokens = decode(table_of(logits[None]), torch.zeros(40, 1), OnlyAt(FEW), 1, 1.0, seeded(0), top_p=top_p)
        greedy = decode(table_of(logits[None]), torch.zeros(40, 1), OnlyAt(FEW), 1)
        assert tokens.equal(greedy)


def test_a_nucleus_is_asked_about_only_until_it_is_certain():
    logits = torch.linspace(20, -20, 100)
    logits[[10, 30, 60]] = torch.tensor([40.0, 30, 29.9])
    allowed = [0 if token in (10, 0, 1, 2, 3) else 1 for token in range(100)]
    constraint = OnlyAt(allowed)
    drawn = one_step(logits, constraint, 2_000, top_p=0.8)
    assert set(drawn.tolist()) == {30, 60}
    assert [mask.sum(1).unique().tolist() for mask in constraint.asked] == [[8]]
    assert not torch.stack(constraint.asked)[..., 11:30].any()
    # The likeliest allowed token comes late, and no token is asked about twice.
    constraint = OnlyAt([int(token == 25) for token in range(100)])
    assert set(one_step(logits, constraint, 5, top_p=0.8).tolist()) == {25}
    assert torch.stack(constraint.asked).sum(0).max() == 1
    # A nucleus that is sure only when all is known; a draw of it is sure before that, the sooner the likelier it is.
    constraint = OnlyAt([1] * 100)
    assert len(set(one_step(torch.zeros(100), constraint, 20_000, top_p=0.995).tolist())) == 100
    numbers = [len(mask) for mask in constraint.asked]
    assert numbers == sorted(numbers, reverse=True) and 0 < numbers[-1] < numbers[0] == 20_000
    for temperature in (1e-30, 1e-300):
        assert (one_step(logits, OnlyAt(allowed), 5, temperature, top_p=0.9) == 30).all()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_no_token_is_asked_about_twice(temperature):
    constraint = OnlyAt([0] * 99 + [1])
    assert one_step(torch.linspace(9, 0, 100), constraint, 1, temperature).tolist() == [99]
    asked = torch.cat(constraint.asked).sum(0)  # beside the one that was drawn at first
    assert asked.max() == 1 and asked[99] == 1 and len(constraint.asked) <= 6


@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.995])
def test_the_nucleus_of_candidates_that_are_all_allowed(top_p):
    many = 300  # more than are looked at first
    logits = torch.randn(many, generator=seeded(3)) / 4
    constraint = GrammarConstraint(Rules.build([0] * many, [[]] * many, 1, 0))
    shares = nucleus(logits, torch.ones(many, dtype=torch.bool), 1.0, top_p)
    assert 64 < (shares > 0).sum() < many
    drawn = one_step(logits, constraint, 20_000, top_p=top_p)
    assert agrees(drawn, shares)
    assert drawn.equal(one_step(logits, OnlyAt([1] * many), 20_000, top_p=top_p))


@pytest.mark.parametrize("top_p", [0.0, -0.5, 1.0001, float("nan"), float("inf")])
def test_no_nucleus(top_p):
    with pytest.raises(InputError, match="top_p"):
        one_step(torch.zeros(3), OnlyAt([1, 1, 1]), 2, top_p=top_p)


def test_a_wide_nucleus_is_found_in_the_rows_that_have_one():
    logits = torch.zeros(2, 4000, 300)
    logits[:, :1000, 0] = 30.0
    constraint = GrammarConstraint(Rules.build([0] * 300, [[]] * 300, 1, 0))
    tokens = decode(table_of(logits), torch.zeros(4000, 1), constraint, 1, 1.0, seeded(0), top_p=0.5).squeeze(1)
    assert (tokens[:1000] == 0).all()
    assert set(tokens[1000:].tolist()) == set(range(150))  # of equals, the first ones
