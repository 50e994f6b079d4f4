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
from grammar_rae.decoding import CONSTRAINTS, GrammarConstraint, decode, draw
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
    """A step decoder whose logits are a function of (rows, step, previous codes, left-hand sides)."""

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


def complete(codec, codes):
    """The texts of decoded codes, each checked by the codec's own reading of it."""
    texts = codec.decode_batch(codes.numpy())
    assert len(texts) == len(codes)
    assert not codec.encode_batch(texts, prepared=True).rejected
    return texts


def ends(codes):
    """The length of each row; a row holds no -1 before its end and nothing behind it."""
    lengths = (codes >= 0).sum(1)
    assert ((codes >= 0) == (torch.arange(codes.shape[1]) < lengths.unsqueeze(1))).all()
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
        "last codes": rarest.expand(limit, batch, -1),
        "first codes": -rarest.expand(limit, batch, -1),
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
        codes = decode(table_of(logits), z, GrammarConstraint(codec.rules), limit, temperature, seeded(seed))
        assert codes.dtype == torch.int64 and codes.shape[0] == batch and codes.shape[1] <= limit
        assert ends(codes).max() == codes.shape[1]
        complete(codec, codes)


@every_codec
def test_every_limit_from_the_shortest_upward(name):
    codec = codec_of(name)
    constraint = GrammarConstraint(codec.rules)
    never_end = Scripted(
        lambda row, step, previous, lhs: torch.from_numpy(codec.rules.arity * 20.0).expand(len(row), -1)
    )
    for limit in range(codec.rules.shortest, codec.rules.shortest + 60):
        codes = decode(never_end, torch.zeros(3, 2), constraint, limit, 1.0, seeded(limit))
        assert codes.shape[1] <= limit
        complete(codec, codes)
    assert codes.shape[1] > limit - 8  # what never wants to end is stopped by the limit alone


@every_codec
def test_limits_below_the_shortest_are_refused(name):
    rules = codec_of(name).rules
    for limit in (rules.shortest - 1, 0, -3):
        with pytest.raises(DecodingError, match=f"limit {limit}; expected {rules.shortest} or more"):
            decode(table_of(torch.zeros(1, 1, rules.size)), torch.zeros(1, 2), GrammarConstraint(rules), limit)


def test_the_constraint_is_the_one_of_the_table():
    assert CONSTRAINTS["grammar"] is GrammarConstraint


# -- the mask -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CODECS if name != "expressions" and name != "expressions, macros"])
def test_real_derivations_are_never_masked(name):
    """With the limit at a molecule's own length each of its codes is allowed, and the last completes the row."""
    codec = codec_of(name)
    texts = [chem.kekule(text, fragments="largest") for text in molecules(300)]
    if name == "characters":
        codec = CharacterCodec.learn(texts)
    batch = codec.encode_batch(texts)
    assert not batch.rejected
    rows = sorted((row.tolist() for row in np.split(batch.codes, batch.offsets[1:-1])), key=len)
    constraint = GrammarConstraint(codec.rules)
    for length, group in groupby(rows, key=len):
        codes = torch.tensor(list(group))
        for limit in (length, length + 7):
            state = constraint.start(len(codes), limit)
            for choice in codes.T:
                assert state.alive.all()
                assert constraint.allowed(state).gather(1, choice.unsqueeze(1)).all()
                state = constraint.advance(state, choice)
            assert not state.alive.any() and (state.left == limit - length).all()


class Naive:
    """The constraint for one row, in plain Python: a code is allowed when some way to end within the limit remains."""

    def __init__(self, rules, limit):
        self.rules, self.stack, self.left = rules, [rules.start], limit

    def allowed(self):
        rules, found = self.rules, []
        for code in range(rules.size):
            children = rules.children[code, : rules.arity[code]].tolist()
            owed = sum(int(rules.min_steps[symbol]) for symbol in [*self.stack[:-1], *children])
            if rules.lhs[code] == self.stack[-1] and owed <= self.left - 1:
                found.append(code)
        return found

    def advance(self, code):
        assert code in self.allowed()
        self.stack.pop()
        self.stack += reversed(self.rules.children[code, : self.rules.arity[code]].tolist())
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
        choice = [chance.choice(codes) for codes in allowed]
        for row, code in zip(naive, choice, strict=True):
            row.advance(code)
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
    codes = decode(decoder, torch.zeros(batch, 2), GrammarConstraint(rules), limit)
    alone = []
    for row in range(batch):
        naive, found = Naive(rules, limit), []
        while naive.stack:
            found.append(max(naive.allowed(), key=lambda code: logits[len(found), row, code].item()))
            naive.advance(found[-1])
        alone.append(found)
    assert [row[row >= 0].tolist() for row in codes] == alone
    assert codes.shape[1] == max(map(len, alone))
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

    codes = decode(Dictated(logits), z, GrammarConstraint(codec.rules), 12)
    assert codec.decode_batch(codes.numpy()) == wanted


def test_empty_sides_and_one_rule():
    grammar = Grammar.from_text("S -> A S |\nA ->")
    codec = GrammarCodec(table=MacroTable(grammar))
    for limit in range(1, 9):
        logits = torch.tensor([1.0, 0, 0]).expand(limit, 2, 3)
        codes = decode(table_of(logits), torch.zeros(2, 1), GrammarConstraint(codec.rules), limit)
        assert codes[0].tolist() == [0, 2] * ((limit - 1) // 2) + [1]
        assert codec.decode_batch(codes.numpy()) == ["", ""]
    only = Rules.build([0], [[]], 1, 0)
    assert decode(table_of(torch.zeros(1, 3, 1)), torch.zeros(3, 1), GrammarConstraint(only), 1).tolist() == [[0]] * 3


# -- drawing --------------------------------------------------------------------------------------------------------


def test_temperature_zero_is_the_likeliest_allowed():
    logits = torch.randn(500, 30, generator=seeded(0))
    allowed = torch.rand(500, 30, generator=seeded(1)) < 0.3
    allowed[:, 7] = True
    drawn = draw(logits, allowed, 0.0, None)
    for row, code in enumerate(drawn.tolist()):
        assert allowed[row, code] and logits[row, code] == logits[row][allowed[row]].max()
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

    def spread(naive, codes, chance):
        if not naive.stack:
            chances[tuple(codes)] = chance
            return
        allowed = naive.allowed()
        shares = torch.softmax(logits[len(codes), allowed].double(), 0).tolist()
        for code, share in zip(allowed, shares, strict=True):
            after = Naive(rules, naive.left)
            after.stack = list(naive.stack)
            after.advance(code)
            spread(after, [*codes, code], chance * share)

    spread(Naive(rules, limit), [], 1.0)
    assert sum(chances.values()) == pytest.approx(1) and len(chances) > 15
    decoder = Scripted(lambda row, step, previous, lhs: logits[step].expand(len(row), -1))
    codes = decode(decoder, torch.zeros(n, 1), GrammarConstraint(rules), limit, 1.0, seeded(6))
    counts = Counter(tuple(code for code in row if code >= 0) for row in codes.tolist())
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
    """Sums taken in parallel may differ between two codes of which the second has no weight."""
    cumsum = torch.Tensor.cumsum
    monkeypatch.setattr(torch.Tensor, "cumsum", lambda self, dim: cumsum(self, dim) + torch.arange(4) * 0.2)
    logits, allowed = torch.zeros(1000, 4), torch.tensor([True, False, True, False]).expand(1000, -1)
    assert set(draw(logits, allowed, 1.0, seeded(0)).tolist()) == {0, 2}


def test_the_same_generator_gives_the_same_codes():
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
    codes = decode(table_of(logits), torch.zeros(5, 1), GrammarConstraint(codec.rules), 20, 1.0, seeded(0))
    complete(codec, codes)


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


def test_a_code_of_no_probability_is_not_drawn():
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
    codes = decode(table_of(torch.zeros(9, 0, rules.size)), torch.zeros(0, 3), GrammarConstraint(rules), 9)
    assert codes.shape == (0, 0) and codes.dtype == torch.int64
    assert codec_of(name).decode_batch(codes.numpy()) == []


def test_a_negative_batch():
    with pytest.raises(InputError, match="batch cannot be negative"):
        GrammarConstraint(codec_of("expressions").rules).start(-1, 9)
