"""What the tests of the chemistry constraint share: codecs of molecules, scripted logits, and random walks."""

import itertools
from functools import cache

import numpy as np
import pytest
import torch
from decoding.scripted import by_step, seeded
from derivations import molecules

from grammar_rae import chem
from grammar_rae.codecs import GrammarCodec
from grammar_rae.decoding import decode, parse_spec
from grammar_rae.grammar import Grammar

CODECS = ["smiles, 0", "smiles, 80", "zinc, 0", "zinc, 80"]
every_codec = pytest.mark.parametrize("name", CODECS)
BRACKETS = [
    "[O-]",
    "[N+]",
    "[NH+]",
    "[NH2+]",
    "[C@@H]",
    "[C@H]",
    "[C@]",
    "[C@@]",
    "[S@@]",
    "[N-]",
    "[OH+]",
    "[2H]",
    "[Si]",
]


@cache
def codec_of(name):
    grammar, macros = name.split(", ")
    return GrammarCodec.learn(molecules(300), grammar=grammar, n_macros=int(macros), form="kekule", max_length=277)


@cache
def atoms_of(name):
    return chem.capacities([*chem.ORGANIC, *BRACKETS, *codec_of(name).encode_batch(molecules(2000)).atoms])


@cache
def bind(name, spec="chemistry"):
    return parse_spec(spec).bind(codec_of(name), atoms_of(name))


def molecule_scripts(rules, seed, dearest):
    """Flat, random and peaked logits, and those that always prefer what costs most, opens most, or comes last."""
    generator = seeded(seed)
    noise = torch.randn(40, rules.size, generator=generator)
    return {
        "flat": lambda step, row: torch.zeros(len(row), rules.size),
        "random": lambda step, row: noise[(step + row) % 40],
        "peaked": lambda step, row: 100 * noise[(step + 3 * row) % 40],
        "dearest": lambda step, row: dearest.expand(len(row), -1),
        "last": lambda step, row: torch.arange(rules.size).float().expand(len(row), -1),
        "never end": lambda step, row: noise[(step + row) % 40] + 1000 * torch.from_numpy(rules.arity > 0),
    }


def decode_texts(name, constraint, logits, n, limit, temperature=1.0, seed=0):
    decoder = by_step(logits)
    tokens = decode(decoder, torch.zeros(n, 1), constraint, limit, temperature, seeded(seed))
    assert len(decoder.seen) <= limit
    return codec_of(name).decode_batch(tokens.numpy())


def refused_texts(name, constraint, texts, limit):
    """The texts, in Kekulé form, of which the constraint refuses a token."""
    codec = codec_of(name)
    batch = codec.encode_batch(texts)
    tokens = [batch.tokens[a:b].astype(np.int64) for a, b in itertools.pairwise(batch.offsets)]
    table = torch.full((len(tokens), max(map(len, tokens))), -1)
    for row, one in enumerate(tokens):
        table[row, : len(one)] = torch.from_numpy(one)
    rows, state, refused = torch.arange(len(tokens)), constraint.start(len(tokens), limit), set()
    for step in range(table.shape[1]):
        choice = table[rows, step]
        bad = constraint.refuses(state, choice) | ~constraint.candidates(state).gather(1, choice.unsqueeze(1)).squeeze(
            1
        )
        refused |= set(rows[bad].tolist())
        kept = (~bad).nonzero().squeeze(1)
        rows, state = rows[kept], constraint.advance(state.rows(kept), choice[kept])
        kept = state.alive.nonzero().squeeze(1)
        rows, state = rows[kept], state.rows(kept)
        if not len(rows):
            break
    return {codec.decode(tokens[row]) for row in refused}


@cache
def small_codec():
    """Few enough texts to write them all."""
    text = """
    smiles -> chain
    chain -> atom tail
    tail -> | bond chain | chain | branch more | ring tail
    more -> | bond chain | chain | branch more
    branch -> '(' chain ')' | '(' bond chain ')'
    ring -> number | bond number
    bond -> '=' | '#' | '-'
    number -> '1' | '2'
    atom -> 'C' | 'O' | 'F'
    """
    return GrammarCodec(form="kekule", table=Grammar.from_text(text))


def all_texts(allowed, most):
    """Every text of the small codec of at most so many productions whose every step is allowed."""
    found, waiting, codec = set(), [()], small_codec()
    while waiting:
        tokens = waiting.pop()
        for token in allowed(tokens):
            longer = (*tokens, token)
            text = codec.macros.spell(np.array([longer]))[0]
            if text is not None:
                found.add(text)
            elif len(longer) < most:
                waiting.append(longer)
    return found


@cache
def grammatical_texts(most):
    """Every text of the small codec of at most so many productions."""
    rules = small_codec().rules

    def grammatical(tokens):
        stack = [rules.start]
        for token in tokens:
            stack.pop()
            stack.extend(reversed(rules.children[token, : rules.arity[token]].tolist()))
        room = most - len(tokens) - 1 - sum(int(rules.min_steps[s]) for s in stack[:-1])
        return [c for c in range(rules.size) if rules.lhs[c] == stack[-1] and rules.cost[c] <= room]

    return all_texts(grammatical, most)


def allowed_texts(constraint, most, spare=20):
    """Every text of at most so many productions that a constraint over the small codec allows."""
    # A limit with room to spare: the policy does not always know the shortest way to finish.
    states = {(): constraint.start(1, most + spare)}

    def allowed(tokens):
        if tokens not in states:
            states[tokens] = constraint.advance(states[tokens[:-1]], torch.tensor(tokens[-1:]))
        return constraint.allowed(states[tokens])[0].nonzero().squeeze(1).tolist()

    return all_texts(allowed, most)


def walk(constraint, seed, batch, limit):
    """The states of a random walk."""
    generator = seeded(seed)
    state = constraint.start(batch, limit)
    while len(state.table):
        yield state
        drawn = torch.multinomial(constraint.allowed(state).float(), 1, generator=generator).squeeze(1)
        state = constraint.advance(state, drawn)
        state = state.rows(state.alive.nonzero().squeeze(1))
