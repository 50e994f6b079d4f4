"""Drawing a token from what is allowed, step by step."""

from collections import Counter

import pytest
import torch
from decoding.scripted import Naive, Scripted, codec_of, complete, seeded, table_of
from scipy.stats import chi2

from grammar_rae.decoding import GrammarConstraint, decode, draw
from grammar_rae.errors import DecodingError, InputError
from grammar_rae.grammar import Grammar


def test_temperature_zero_is_the_likeliest_allowed():
    logits = torch.randn(500, 30, generator=seeded(0))
    allowed = torch.rand(500, 30, generator=seeded(1)) < 0.3
    allowed[:, 7] = True
    drawn = draw(logits, allowed, 0.0, None)
    for row, token in enumerate(drawn.tolist()):
        assert allowed[row, token] and logits[row, token] == logits[row][allowed[row]].max()
    for tiny in (1e-6, 1e-40, 1e-300):  # the limit of drawing, with no overflow on the way to it
        assert draw(logits, allowed, tiny, seeded(2)).equal(drawn)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 1e6])
def test_draws_follow_the_masked_softmax(temperature):
    n = 40_000
    logits = 2 * torch.randn(12, generator=seeded(3))
    allowed = torch.tensor([0, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0]).bool()
    expected = torch.softmax((logits / temperature).masked_fill(~allowed, -torch.inf).double(), 0) * n
    drawn = draw(logits.expand(n, -1), allowed.expand(n, -1), temperature, seeded(4))
    counts = drawn.bincount(minlength=12)
    assert counts[~allowed].sum() == 0
    statistic = ((counts - expected).square() / expected)[allowed].sum()
    assert statistic < chi2.ppf(1 - 1e-6, int(allowed.sum()) - 1)


def test_each_row_draws_from_its_own():
    logits = torch.full((1000, 5), -torch.inf)
    own = torch.arange(1000) % 5
    logits[torch.arange(1000), own] = 0
    assert draw(logits, torch.ones(1000, 5).bool(), 1.0, seeded(0)).equal(own)


def test_whole_strings_follow_the_model():
    """All strings of a small language within the limit, with the probabilities that the steps give them."""
    grammar = Grammar.from_text("S -> 'a' S | 'b' | 'c' S S")
    rules, limit, n = grammar.rules, 5, 30_000
    logits = torch.randn(limit, rules.size, generator=seeded(5))
    chances = {}

    def spread(naive, tokens, chance):
        if not naive.stack:
            chances[tuple(tokens)] = chance
            return
        allowed = naive.allowed()
        shares = torch.softmax(logits[len(tokens), allowed].double(), 0).tolist()
        for token, share in zip(allowed, shares, strict=True):
            after = Naive(rules, naive.left)
            after.stack = list(naive.stack)
            after.advance(token)
            spread(after, [*tokens, token], chance * share)

    spread(Naive(rules, limit), [], 1.0)
    assert sum(chances.values()) == pytest.approx(1) and len(chances) > 15
    decoder = Scripted(lambda row, step, previous, lhs: logits[step].expand(len(row), -1))
    tokens = decode(decoder, torch.zeros(n, 1), GrammarConstraint(rules), limit, 1.0, seeded(6))
    counts = Counter(tuple(token for token in row if token >= 0) for row in tokens.tolist())
    assert set(counts) <= set(chances)
    statistic = sum((counts[string] - n * p) ** 2 / (n * p) for string, p in chances.items())
    assert statistic < chi2.ppf(1 - 1e-6, len(chances) - 1)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_the_ends_of_the_uniform_numbers_draw_what_is_allowed(level, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: torch.full(shape, level))
    logits = torch.tensor([[5.0, 1, 0, 2, 5], [0, 0, 0, 0, 0]])
    allowed = torch.tensor([[0, 1, 0, 1, 0], [0, 0, 1, 0, 0]]).bool()
    drawn = draw(logits, allowed, 1.0, None)
    assert allowed.gather(1, drawn.unsqueeze(1)).all()
    if level == 0:
        assert drawn.tolist() == [1, 2]


def test_running_totals_that_rise_by_rounding_draw_nothing_forbidden(monkeypatch):
    """Sums taken in parallel may differ between two tokens of which the second has no weight."""
    cumsum = torch.Tensor.cumsum
    monkeypatch.setattr(torch.Tensor, "cumsum", lambda self, dim: cumsum(self, dim) + torch.arange(4) * 0.2)
    logits, allowed = torch.zeros(1000, 4), torch.tensor([True, False, True, False]).expand(1000, -1)
    assert set(draw(logits, allowed, 1.0, seeded(0)).tolist()) == {0, 2}


def test_the_same_generator_gives_the_same_tokens():
    codec = codec_of("smiles, macros")
    logits = torch.randn(40, 20, codec.rules.size, generator=seeded(0))

    def drawn(seed):
        return decode(table_of(logits), torch.zeros(20, 1), GrammarConstraint(codec.rules), 40, 1.0, seeded(seed))

    assert drawn(1).equal(drawn(1))
    assert not drawn(1).equal(drawn(2))
    state = torch.get_rng_state()
    drawn(1)
    assert torch.get_rng_state().equal(state)  # nor does it touch the global source of randomness


def test_half_precision_logits():
    codec = codec_of("expressions")
    logits = torch.randn(20, 5, codec.rules.size, generator=seeded(0)).bfloat16()
    tokens = decode(table_of(logits), torch.zeros(5, 1), GrammarConstraint(codec.rules), 20, 1.0, seeded(0))
    complete(codec, tokens)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers(value, temperature):
    rules = codec_of("expressions").rules
    logits = torch.zeros(10, 3, rules.size)
    logits[1, 2] = value
    with pytest.raises(DecodingError, match="logits are not finite"):
        decode(
            table_of(logits + torch.eye(rules.size)[0] * 9),
            torch.zeros(3, 1),
            GrammarConstraint(rules),
            10,
            temperature,
        )


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_one_logit_that_is_no_number(value):
    logits, allowed = torch.zeros(4, 6), torch.ones(4, 6).bool()
    logits[2, 3] = value
    with pytest.raises(DecodingError, match="logits are not finite"):
        draw(logits, allowed, 1.0, None)
    allowed[2, 3] = False  # nobody asks for it
    assert draw(logits, allowed, 1.0, seeded(0)).shape == (4,)


def test_a_token_of_no_probability_is_not_drawn():
    logits = torch.zeros(2000, 3)
    logits[:, 1] = -torch.inf
    assert set(draw(logits, torch.ones(2000, 3).bool(), 1.0, seeded(0)).tolist()) == {0, 2}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_nothing_allowed(temperature):
    allowed = torch.ones(3, 4).bool()
    allowed[1] = False
    with pytest.raises(DecodingError, match="nothing is allowed"):
        draw(torch.zeros(3, 4), allowed, temperature, None)


@pytest.mark.parametrize("temperature", [-1.0, -1e-9, float("inf"), float("-inf"), float("nan")])
def test_temperatures_that_cannot_be(temperature):
    rules = codec_of("expressions").rules
    with pytest.raises(InputError, match="temperature"):
        decode(table_of(torch.zeros(9, 1, rules.size)), torch.zeros(1, 1), GrammarConstraint(rules), 9, temperature)


def test_a_constraint_that_never_ends_is_stopped():
    class Endless(GrammarConstraint):
        def advance(self, state, choice):
            return state

    rules = codec_of("expressions").rules
    with pytest.raises(DecodingError, match="not complete at the limit; received 2 rows"):
        decode(table_of(torch.zeros(9, 2, rules.size)), torch.zeros(2, 1), Endless(rules), 9)


def test_an_empty_batch(codec):
    rules = codec.rules
    tokens = decode(table_of(torch.zeros(9, 0, rules.size)), torch.zeros(0, 3), GrammarConstraint(rules), 9)
    assert tokens.shape == (0, 0) and tokens.dtype == torch.int64
    assert codec.decode_batch(tokens.numpy()) == []


def test_a_negative_batch():
    with pytest.raises(InputError, match="batch cannot be negative"):
        GrammarConstraint(codec_of("expressions").rules).start(-1, 9)
