"""What the tests of decoding share: codecs, decoders of scripted logits, and constraints that are slow or picky."""

import random
from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from derivations import molecules, random_derivation
from scipy.stats import chi2

from grammar_rae import chem
from grammar_rae.codecs import CharacterCodec, GrammarCodec
from grammar_rae.decoding import GrammarConstraint, decode
from grammar_rae.grammar import Grammar, Rules, read_grammar

CODECS = ["expressions", "expressions, macros", "smiles", "smiles, macros", "zinc", "zinc, macros", "characters"]


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
class Rows:
    """A decoder's state that only remembers which rows of z it is about, and how many steps it has taken."""

    row: torch.Tensor
    step: int
    z: torch.Tensor

    def rows(self, keep):
        return Rows(self.row[keep], self.step, self.z[keep])


class Scripted:
    """A step decoder whose logits are a function of (rows, step, previous tokens, left-hand sides)."""

    def __init__(self, logits):
        self.logits, self.seen = logits, []

    def begin(self, z):
        return Rows(torch.arange(len(z)), 0, z)

    def step(self, state, previous, lhs):
        assert len(state.row) == len(lhs) == len(state.z)
        assert (previous is None) == (state.step == 0)
        if previous is not None:
            assert previous.shape == lhs.shape
        self.seen.append((state.row.tolist(), None if previous is None else previous.tolist(), lhs.tolist()))
        return self.logits(state.row, state.step, previous, lhs), Rows(state.row, state.step + 1, state.z)


def table_of(logits):
    """Logits (T, B, R), by step and row."""
    return Scripted(lambda row, step, previous, lhs: logits[step, row])


def by_step(logits):
    """A decoder of logits(step, rows)."""
    return Scripted(lambda row, step, previous, lhs: logits(step, row))


def same_for_all(logits):
    """A decoder of logits (T, R) that are the same for every row."""
    return Scripted(lambda row, step, previous, lhs: logits[step].expand(len(row), -1))


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


# -- constraints that refuse candidates ------------------------------------------------------------------------------


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

    def refuses(self, state, choice):
        self.calls["refuses"] += 1
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

    def refuses(self, state, choice):
        self.calls["refuses"] += 1
        return ~self.mask[choice]


FEW = [0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0, 1]


SMALL = Grammar.from_text("S -> 'a' S | 'b' | 'c' S S | 'd' T | 'e'\nT -> 'f' | 'g' T | 'h' S").rules


def one_step(logits, constraint, n, temperature=1.0, seed=0, **options):
    """n tokens drawn from the same logits (R,)."""
    decoder = Scripted(lambda row, step, previous, lhs: logits.expand(len(row), -1))
    return decode(decoder, torch.zeros(n, 1), constraint, 1, temperature, seeded(seed), **options).squeeze(1)


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


# -- checks ------------------------------------------------------------------------------------------------------------


def agrees(drawn, shares):
    """Whether tokens follow shares (R,), by the chi-square test; a token of share 0 must not occur."""
    counts, expected = drawn.bincount(minlength=len(shares)), shares.double() * len(drawn)
    possible = shares > 0
    statistic = ((counts - expected).square() / expected)[possible].sum()
    return counts[~possible].sum() == 0 and statistic < chi2.ppf(1 - 1e-6, max(1, int(possible.sum()) - 1))


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
