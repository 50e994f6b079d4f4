import random
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import numpy as np
import pytest
import torch
from derivations import least_steps, molecules, random_derivation
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from grammar_rae import chem
from grammar_rae.codecs import CharacterCodec, GrammarCodec
from grammar_rae.decoding import Free, GrammarConstraint, Masks, beam_search, decode, decode_all, draw
from grammar_rae.errors import DecodingError, InputError
from grammar_rae.grammar import Grammar, MacroTable, Rules, read_grammar

CODECS = ["expressions", "expressions, macros", "smiles", "smiles, macros", "zinc", "zinc, macros", "characters"]
every_codec = pytest.mark.parametrize("name", CODECS)


@cache
def codec_of(name):
    if name == "characters":
        return CharacterCodec.learn(["C(=O)N1cs[H]"])
    grammar, _, macros = name.partition(", ")
    if not macros:
        return GrammarCodec(fragments="keep", table=read_grammar(grammar))
    if grammar == "expressions":
        bare, chance = GrammarCodec(table=read_grammar(grammar)), random.Random(0)
        texts = [bare.decode(random_derivation(bare.grammar, chance, 30)) for _ in range(100)]
    else:
        texts = [chem.kekule(text, fragments="largest") for text in molecules(200)]
    return GrammarCodec.learn(texts, grammar=grammar, fragments="keep", n_macros=60)


@dataclass
class Told:
    """A decoder's state that only remembers which rows of z it is about, and how many steps it has taken."""

    row: torch.Tensor
    step: int
    z: torch.Tensor

    def rows(self, keep):
        return Told(self.row[keep], self.step, self.z[keep])


class Scripted:
    """A step decoder whose logits are a function of (rows, step, previous tokens, left-hand sides)."""

    def __init__(self, logits):
        self.logits, self.seen = logits, []

    def begin(self, z):
        return Told(torch.arange(len(z)), 0, z)

    def step(self, state, previous, lhs):
        assert len(state.row) == len(lhs) == len(state.z)
        assert (previous is None) == (state.step == 0)
        if previous is not None:
            assert previous.shape == lhs.shape
        self.seen.append((state.row.tolist(), None if previous is None else previous.tolist(), lhs.tolist()))
        return self.logits(state.row, state.step, previous, lhs), Told(state.row, state.step + 1, state.z)


def table_of(logits):
    """Logits (T, B, R), by step and row."""
    return Scripted(lambda row, step, previous, lhs: logits[step, row])


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def complete(codec, tokens):
    """The texts of decoded tokens, each checked by the codec's own reading of it."""
    texts = codec.decode_batch(tokens.numpy())
    assert len(texts) == len(tokens)
    assert not codec.encode_batch(texts, prepared=True).rejected
    return texts


def ends(tokens):
    """The length of each row; a row holds no -1 before its end and nothing behind it."""
    lengths = (tokens >= 0).sum(1)
    assert ((tokens >= 0) == (torch.arange(tokens.shape[1]) < lengths.unsqueeze(1))).all()
    return lengths


# -- any logits decode to a text of the grammar, within any limit ----------------------------------------------------


def scripts(rules, seed, limit, batch):
    """Logits that are random, flat, peaked, and the worst there are: always the rule that leaves the most open."""
    noise = torch.randn(limit, batch, rules.size, generator=seeded(seed))
    dearest = torch.from_numpy(np.where(rules.usable, rules.cost, 0)).float()
    rarest = torch.linspace(-30, 30, rules.size)
    never_end = torch.from_numpy((rules.arity > 0).astype(np.float32))
    return {
        "flat": torch.zeros(limit, batch, rules.size),
        "random": noise,
        "peaked": 100 * noise,
        "dearest": (10 * dearest).expand(limit, batch, -1),
        "widest": (50 * torch.from_numpy(rules.arity).float()).expand(limit, batch, -1),
        "last tokens": rarest.expand(limit, batch, -1),
        "first tokens": -rarest.expand(limit, batch, -1),
        "never end": (1000 * never_end).expand(limit, batch, -1) + noise,
        "dead rules": (1e9 * torch.from_numpy((~rules.usable).astype(np.float32))).expand(limit, batch, -1) + noise,
    }


@every_codec
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), spare=st.integers(0, 40), temperature=st.sampled_from([0.0, 0.3, 1.0, 5.0]))
def test_any_logits_decode_to_the_language(name, seed, spare, temperature):
    codec = codec_of(name)
    limit, batch = codec.rules.shortest + spare, 6
    for logits in scripts(codec.rules, seed, limit, batch).values():
        z = torch.zeros(batch, 2)
        tokens = decode(table_of(logits), z, GrammarConstraint(codec.rules), limit, temperature, seeded(seed))
        assert tokens.dtype == torch.int64 and tokens.shape[0] == batch and tokens.shape[1] <= limit
        assert ends(tokens).max() == tokens.shape[1]
        complete(codec, tokens)


@every_codec
def test_every_limit_from_the_shortest_upward(name):
    codec = codec_of(name)
    constraint = GrammarConstraint(codec.rules)
    never_end = Scripted(
        lambda row, step, previous, lhs: torch.from_numpy(codec.rules.arity * 20.0).expand(len(row), -1)
    )
    for limit in range(codec.rules.shortest, codec.rules.shortest + 60):
        tokens = decode(never_end, torch.zeros(3, 2), constraint, limit, 1.0, seeded(limit))
        assert tokens.shape[1] <= limit
        complete(codec, tokens)
    assert tokens.shape[1] > limit - 8  # what never wants to end is stopped by the limit alone


@every_codec
def test_limits_below_the_shortest_are_refused(name):
    rules = codec_of(name).rules
    for limit in (rules.shortest - 1, 0, -3):
        with pytest.raises(DecodingError, match=f"limit {limit}; expected {rules.shortest} or more"):
            decode(table_of(torch.zeros(1, 1, rules.size)), torch.zeros(1, 2), GrammarConstraint(rules), limit)


# -- the mask -------------------------------------------------------------------------------------------------------


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


class Naive:
    """The constraint for one row, in plain Python: a token is allowed when some way to end within the limit remains."""

    def __init__(self, rules, limit):
        self.rules, self.stack, self.left = rules, [rules.start], limit

    def allowed(self):
        rules, found = self.rules, []
        for token in range(rules.size):
            children = rules.children[token, : rules.arity[token]].tolist()
            owed = sum(int(rules.min_steps[symbol]) for symbol in [*self.stack[:-1], *children])
            if rules.lhs[token] == self.stack[-1] and owed <= self.left - 1:
                found.append(token)
        return found

    def advance(self, token):
        assert token in self.allowed()
        self.stack.pop()
        self.stack += reversed(self.rules.children[token, : self.rules.arity[token]].tolist())
        self.left -= 1


@every_codec
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), spare=st.integers(0, 25))
def test_the_mask_is_the_naive_one(name, seed, spare):
    rules = codec_of(name).rules
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


@every_codec
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), spare=st.integers(0, 25))
def test_rows_keep_their_identity(name, seed, spare):
    """Rows that end at different steps give what each gives alone, at temperature 0, in plain Python."""
    rules = codec_of(name).rules
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


# -- drawing --------------------------------------------------------------------------------------------------------


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


# -- a constraint that is dear to ask -------------------------------------------------------------------------------


class Picky(GrammarConstraint):
    """Refuses most of the grammar's tokens, which ones depends on the place; never all. Counts the questions."""

    exact = False

    def __init__(self, rules, share=0.6, seed=0):
        super().__init__(rules)
        self.banned = torch.rand(100, rules.size, generator=seeded(seed)) < share
        self.calls = Counter()
        self.asked = []

    def allowed(self, state, among=None):
        fits = self.candidates(state)
        mask = fits & ~self.banned[state.left]
        mask = torch.where(mask.any(1, keepdim=True), mask, fits)
        self.calls["allowed"] += 1
        self.asked.append(among)
        return mask if among is None else mask & among

    def refused(self, state, choice):
        self.calls["refused"] += 1
        calls, asked = self.calls["allowed"], len(self.asked)
        refused = ~self.allowed(state).gather(1, choice.unsqueeze(1)).squeeze(1)
        self.calls["allowed"] = calls
        del self.asked[asked:]
        return refused


class OnlyAt(GrammarConstraint):
    """One step over R tokens of one nonterminal, of which a few are allowed."""

    exact = False

    def __init__(self, allowed):
        super().__init__(Rules.build([0] * len(allowed), [[]] * len(allowed), 1, 0))
        self.mask, self.calls, self.asked = torch.tensor(allowed).bool(), Counter(), []

    def allowed(self, state, among=None):
        self.calls["allowed"] += 1
        mask = self.mask.expand(len(state.height), -1)
        self.asked.append(mask if among is None else among)
        return mask if among is None else mask & among

    def refused(self, state, choice):
        self.calls["refused"] += 1
        return ~self.mask[choice]


def one_step(logits, constraint, n, temperature=1.0, seed=0, **options):
    """n tokens drawn from the same logits (R,)."""
    decoder = Scripted(lambda row, step, previous, lhs: logits.expand(len(row), -1))
    return decode(decoder, torch.zeros(n, 1), constraint, 1, temperature, seeded(seed), **options).squeeze(1)


def agrees(drawn, shares):
    """Whether tokens follow shares (R,), by the chi-square test; a token of share 0 must not occur."""
    counts, expected = drawn.bincount(minlength=len(shares)), shares.double() * len(drawn)
    possible = shares > 0
    statistic = ((counts - expected).square() / expected)[possible].sum()
    return counts[~possible].sum() == 0 and statistic < chi2.ppf(1 - 1e-6, max(1, int(possible.sum()) - 1))


FEW = [0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_drawing_lazily_is_drawing_under_the_mask(temperature, seed):
    logits, allowed = 2 * torch.randn(12, generator=seeded(seed)), torch.tensor(FEW).bool()
    logits[0] = 3  # refused, and often drawn
    constraint = OnlyAt(FEW)
    drawn = one_step(logits, constraint, 20_000, temperature, seed)
    assert constraint.calls["refused"] == 1 <= constraint.calls["allowed"] <= 2  # 4 tokens, and 4 more
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


def brute(rules, constraint, limit, logits):
    """Each string that a constraint admits with the sum of its log-probabilities, under its mask and the grammar's."""
    found = {}

    def follow(state, tokens, under_mask, under_grammar):
        if not state.alive[0]:
            found[tuple(tokens)] = (under_mask, under_grammar)
            return
        steps = logits[len(tokens)].double()
        allowed, candidates = constraint.allowed(state)[0], constraint.candidates(state)[0]
        gains = steps - steps[allowed].logsumexp(0), steps - steps[candidates].logsumexp(0)
        for token in allowed.nonzero().flatten().tolist():
            after = constraint.advance(state, torch.tensor([token]))
            follow(after, [*tokens, token], under_mask + gains[0][token].item(), under_grammar + gains[1][token].item())

    follow(constraint.start(1, limit), [], 0.0, 0.0)
    return found


SMALL = Grammar.from_text("S -> 'a' S | 'b' | 'c' S S | 'd' T | 'e'\nT -> 'f' | 'g' T | 'h' S").rules


def same_for_all(logits):
    """A decoder of logits (T, R) that are the same for every row."""
    return Scripted(lambda row, step, previous, lhs: logits[step].expand(len(row), -1))


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


def obeys(constraint, tokens, limit):
    """Whether each step of each row was allowed, and the last completed it."""
    for row in tokens:
        state = constraint.start(1, limit)
        for token in row[row >= 0]:
            if not constraint.allowed(state)[0, token]:
                return False
            state = constraint.advance(state, token[None])
        if state.alive[0]:
            return False
    return True


@every_codec
@settings(max_examples=3)
@given(seed=st.integers(0, 2**32), spare=st.integers(0, 40), share=st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_a_constraint_is_obeyed_in_few_questions(name, seed, spare, share):
    codec = codec_of(name)
    limit, batch = codec.rules.shortest + spare, 6
    constraint = Picky(codec.rules, share, seed)
    for label, logits in scripts(codec.rules, seed, limit, batch).items():
        for options in ({"temperature": 0.0}, {"temperature": 1.0}, {"temperature": 1.0, "top_p": 0.8}):
            constraint.calls.clear()
            tokens = decode(
                table_of(logits), torch.zeros(batch, 1), constraint, limit, generator=seeded(seed), **options
            )
            doublings = 1 + np.ceil(np.log2(codec.rules.size / 4))
            assert constraint.calls["refused"] <= tokens.shape[1], label
            assert constraint.calls["allowed"] <= max(1, doublings) * tokens.shape[1], label
            assert obeys(constraint, tokens, limit), label
            complete(codec, tokens)


@every_codec
def test_what_refuses_nothing_changes_nothing(name):
    codec = codec_of(name)
    limit = codec.rules.shortest + 30
    logits = torch.randn(limit, 20, codec.rules.size, generator=seeded(0))
    lenient = Picky(codec.rules, share=0.0)

    def drawn(constraint, temperature, top_p):
        return decode(table_of(logits), torch.zeros(20, 1), constraint, limit, temperature, seeded(1), top_p)

    for temperature, top_p in ((0.0, 1.0), (1.0, 1.0), (1.0, 0.7), (1.0, 0.99), (3.0, 0.999), (0.1, 1e-9)):
        tokens = drawn(GrammarConstraint(codec.rules), temperature, top_p)
        assert drawn(lenient, temperature, top_p).equal(tokens)
    assert lenient.calls["refused"] > 0


@pytest.mark.parametrize("options", [{}, {"temperature": 0.0}, {"top_p": 0.5}])
def test_a_constraint_without_a_way_on(options):
    with pytest.raises(DecodingError, match="nothing is allowed"):
        one_step(torch.zeros(5), OnlyAt([0] * 5), 4, **options)
    logits = torch.tensor([0.0, -torch.inf, 0, 0, 0])  # what is allowed has no probability
    with pytest.raises(DecodingError, match="logits are not finite"):
        one_step(logits, OnlyAt([0, 1, 0, 0, 0]), 4, **options)
    assert (one_step(logits, OnlyAt([0, 1, 1, 0, 0]), 4, **options) == 2).all()


# -- the nucleus ----------------------------------------------------------------------------------------------------


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
    # A nucleus that is sure only when all is known.
    constraint = OnlyAt([1] * 100)
    assert len(set(one_step(torch.zeros(100), constraint, 20_000, top_p=0.995).tolist())) == 100
    assert torch.stack(constraint.asked).sum(0).min() == 1
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


# -- beams ----------------------------------------------------------------------------------------------------------


@every_codec
@pytest.mark.parametrize("share", [0.0, 0.7])
def test_one_beam_is_greedy(name, share):
    rules = codec_of(name).rules
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


# -- without a constraint -------------------------------------------------------------------------------------------


@every_codec
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), limit=st.integers(1, 30))
def test_without_a_constraint_rows_end_as_they_happen_to(name, seed, limit):
    codec = codec_of(name)
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


@every_codec
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), limit=st.integers(1, 30))
def test_masks_keep_the_grammar_and_not_the_limit(name, seed, limit):
    codec = codec_of(name)
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


# -- what cannot be done --------------------------------------------------------------------------------------------


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


@every_codec
def test_an_empty_batch(name):
    rules = codec_of(name).rules
    tokens = decode(table_of(torch.zeros(9, 0, rules.size)), torch.zeros(0, 3), GrammarConstraint(rules), 9)
    assert tokens.shape == (0, 0) and tokens.dtype == torch.int64
    assert codec_of(name).decode_batch(tokens.numpy()) == []


def test_a_negative_batch():
    with pytest.raises(InputError, match="batch cannot be negative"):
        GrammarConstraint(codec_of("expressions").rules).start(-1, 9)


# -- the logits of all steps at once ---------------------------------------------------------------------------------


@every_codec
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), spare=st.integers(0, 40), temperature=st.sampled_from([0.0, 0.3, 1.0, 5.0]))
def test_all_at_once_decodes_to_the_language(name, seed, spare, temperature):
    codec = codec_of(name)
    limit, batch = codec.rules.shortest + spare, 70
    for logits in scripts(codec.rules, seed, limit, batch).values():
        tokens = decode_all(logits.transpose(0, 1), GrammarConstraint(codec.rules), temperature, seeded(seed))
        assert tokens.dtype == torch.int64 and tokens.shape[0] == batch and tokens.shape[1] <= limit
        assert ends(tokens).max() == tokens.shape[1]
        complete(codec, tokens)


@every_codec
def test_all_at_once_is_greedy_as_step_by_step_is(name):
    rules = codec_of(name).rules
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
    with pytest.raises(DecodingError, match="as short as the limit"):
        decode_all(torch.zeros(2, rules.shortest - 1, rules.size), GrammarConstraint(rules))
    with pytest.raises(InputError, match="temperature"):
        decode_all(torch.zeros(2, 20, rules.size), GrammarConstraint(rules), -1.0)
