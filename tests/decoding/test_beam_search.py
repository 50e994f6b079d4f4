"""Beam search: likelier strings than greed finds, under any constraint."""

import numpy as np
import pytest
import torch
from decoding.scripted import SMALL, OnlyAt, Picky, brute, codec_of, complete, obeys, same_for_all, seeded, table_of

from grammar_rae.decoding import GrammarConstraint, beam_search, decode
from grammar_rae.errors import DecodingError, InputError
from grammar_rae.grammar import Grammar


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_one_beam_is_greedy(codec, share):
    rules = codec.rules
    for spare in (0, 5, 30):
        limit = rules.shortest + spare
        logits = torch.randn(limit, 9, rules.size, generator=seeded(spare))
        constraint = Picky(rules, share)
        for these in (logits, logits.round()):  # rounded, many are equal, as they are in half precision
            greedy = decode(table_of(these), torch.zeros(9, 1), constraint, limit)
            assert beam_search(table_of(these), torch.zeros(9, 1), constraint, limit, 1).equal(greedy)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_enough_beams_find_the_likeliest_string(share, seed):
    limit = 5
    constraint = Picky(SMALL, share, seed)
    logits = 2 * torch.randn(limit, 4, SMALL.size, generator=seeded(seed))
    tokens = beam_search(table_of(logits), torch.zeros(4, 1), constraint, limit, 300)
    for row in range(4):
        scores = {string: score for string, (_, score) in brute(SMALL, constraint, limit, logits[:, row]).items()}
        assert tuple(token for token in tokens[row].tolist() if token >= 0) == max(scores, key=scores.__getitem__)


def test_more_beams_find_likelier_strings():
    """What beams gain over greed, and that a row's beams are nobody else's."""
    codec = codec_of("expressions, macros")
    limit, batch = 12, 8
    logits = torch.randn(limit, batch, codec.rules.size, generator=seeded(1))
    constraint = Picky(codec.rules, 0.3)

    def score(row, tokens):
        state, total = constraint.start(1, limit), 0.0
        for step, token in enumerate(tokens[tokens >= 0]):
            steps = logits[step, row].double()
            total += (steps[token] - steps[constraint.candidates(state)[0]].logsumexp(0)).item()
            state = constraint.advance(state, token[None])
        return total

    scores = []
    for width in (1, 2, 8, 64):
        tokens = beam_search(table_of(logits), torch.zeros(batch, 1), constraint, limit, width)
        assert obeys(constraint, tokens, limit)
        complete(codec, tokens)
        for row in range(batch):
            alone = beam_search(table_of(logits[:, row : row + 1]), torch.zeros(1, 1), constraint, limit, width)
            assert alone[0].tolist() == [token for token in tokens[row].tolist() if token >= 0]
        scores.append([score(row, tokens[row]) for row in range(batch)])
    assert np.mean(scores[0]) < np.mean(scores[1]) < np.mean(scores[3])
    assert (np.array(scores[3]) >= np.array(scores[0]) - 1e-6).all()


def test_a_beam_that_has_ended_stays_in_the_race():
    # b at once has 0.4; a (0.6) leads first, and then falls behind: everything after it is improbable.
    rules = Grammar.from_text("S -> 'a' T | 'b'\nT -> 'c' | 'd' | 'e'").rules
    logits = torch.tensor([[0.6, 0.4, 1, 1, 1], [1, 1, 1, 1, 1]]).log()
    assert decode(same_for_all(logits), torch.zeros(1, 1), GrammarConstraint(rules), 2).tolist() == [[0, 2]]
    decoder = same_for_all(logits)
    assert beam_search(decoder, torch.zeros(3, 1), GrammarConstraint(rules), 2, 2).tolist() == [[1]] * 3
    # Where the ended beam leads at once, nobody looks further.
    decoder = same_for_all(logits.flip(0) + torch.tensor([0, 1.0, 0, 0, 0]))
    assert beam_search(decoder, torch.zeros(3, 1), GrammarConstraint(rules), 2, 2).tolist() == [[1]] * 3
    assert len(decoder.seen) == 1


def test_equal_beams_are_not_mixed_up():
    codec = codec_of("smiles")
    limit = codec.rules.shortest + 6
    tokens = beam_search(
        table_of(torch.zeros(limit, 5, codec.rules.size)), torch.zeros(5, 1), Picky(codec.rules), limit, 7
    )
    complete(codec, tokens)


def test_beams_ask_for_more_only_where_they_must():
    logits = torch.linspace(0, -1, 64).expand(1, 3, 64)
    ask = OnlyAt([0] * 40 + [1] * 24)
    assert beam_search(table_of(logits), torch.zeros(3, 1), ask, 1, 2).tolist() == [[40]] * 3
    assert [int(mask.sum(1).max()) for mask in ask.asked] == [4, 4, 8, 16, 32]
    ask = OnlyAt([1] * 64)
    assert beam_search(table_of(logits), torch.zeros(3, 1), ask, 1, 2).tolist() == [[0]] * 3
    assert [int(mask.sum(1).max()) for mask in ask.asked] == [4]
    with pytest.raises(DecodingError, match="nothing is allowed"):
        beam_search(table_of(logits), torch.zeros(3, 1), OnlyAt([0] * 64), 1, 2)


def test_beams_that_cannot_be():
    rules = codec_of("expressions").rules
    logits, z = torch.zeros(9, 2, rules.size), torch.zeros(2, 1)
    for width in (0, -1, 2.0, True, None):
        with pytest.raises(InputError, match="number of beams"):
            beam_search(table_of(logits), z, GrammarConstraint(rules), 9, width)
    for value in (torch.nan, torch.inf, -torch.inf):
        with pytest.raises(DecodingError, match="logits are not finite"):
            beam_search(table_of(logits.index_fill(0, torch.tensor(1), value)), z, GrammarConstraint(rules), 9, 3)
    with pytest.raises(DecodingError, match="limit"):
        beam_search(table_of(logits), z, GrammarConstraint(rules), rules.shortest - 1, 3)

    class Endless(GrammarConstraint):
        def advance(self, state, choice):
            return state

    with pytest.raises(DecodingError, match="not complete at the limit; received 6 beams"):
        beam_search(table_of(logits), z, Endless(rules), 9, 3)
    assert beam_search(table_of(logits[:, :0]), z[:0], GrammarConstraint(rules), 9, 3).shape == (0, 0)
