"""What the tests of grammars share: texts, a random derivation, and slow, independent oracles."""

import gzip
import re
from collections import deque
from functools import cache
from itertools import islice, product
from pathlib import Path

import nltk
import numpy as np
from hypothesis import strategies as st

from grammar_rae.errors import GrammarError
from grammar_rae.grammar import NEVER, Grammar
from grammar_rae.resources import bundled_file

ZINC = Path(__file__).resolve().parents[2] / "shared" / "data" / "zinc250k.smi.gz"


@cache
def molecules(n, every=7):
    """n SMILES of ZINC where it lies beside the project, else of the bundled sample."""
    path = ZINC if ZINC.is_file() else bundled_file("data/moses_sample.smi.gz")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [line.split()[0] for line in islice(lines, 0, n * every, every)]
    assert len(texts) == n
    return texts


def random_derivation(grammar, random, limit):
    """A leftmost derivation of at most ``limit`` productions: any production that still leaves room for the rest."""
    least = least_steps(grammar)
    derivation, stack = [], [grammar.start]
    while stack:
        top = stack.pop()
        left = limit - len(derivation) - 1 - sum(least[symbol] for symbol in stack)
        choice = random.choice(
            [
                index
                for index, production in enumerate(grammar.productions)
                if production.lhs == top and sum(least[child] for child in production.children) <= left
            ]
        )
        derivation.append(choice)
        stack.extend(reversed(grammar.productions[choice].children))
    return np.array(derivation, dtype=np.int32)


def spelled(grammar, derivation):
    """The text of a derivation, by rewriting the leftmost nonterminal of a list, again and again."""
    form = [grammar.start]
    for index in derivation:
        at = next(i for i, symbol in enumerate(form) if symbol >= 0)
        assert grammar.productions[index].lhs == form[at]
        form[at : at + 1] = grammar.productions[index].rhs
    assert all(symbol < 0 for symbol in form)
    return "".join(grammar.terminals[~symbol] for symbol in form)


@cache
def least_steps(grammar):
    """The fewest productions that complete each nonterminal, NEVER where none do: cheapest first, as Dijkstra's."""
    least = [NEVER] * len(grammar.nonterminals)
    settled = set()
    while True:
        found = [
            (1 + sum(least[child] for child in production.children), production.lhs)
            for production in grammar.productions
            if production.lhs not in settled and settled.issuperset(production.children)
        ]
        if not found:
            return least
        steps, lhs = min(found)
        least[lhs] = steps
        settled.add(lhs)


def searched_steps(grammar, nonterminal, bound):
    """The same by breadth-first search over what is open; None when nothing is complete within ``bound`` steps."""
    waiting, seen = deque([((nonterminal,), 0)]), set()
    while waiting:
        open_, steps = waiting.popleft()
        if not open_:
            return steps
        if open_ in seen or steps + len(open_) > bound:
            continue
        seen.add(open_)
        for production in grammar.productions:
            if production.lhs == open_[0]:
                waiting.append((tuple(sorted((*open_[1:], *production.children))), steps + 1))
    return None


def tokens_of(grammar, text):
    """Longest matches as terminal numbers, or None."""
    pattern = "|".join(re.escape(t) for t in sorted(grammar.terminals, key=len, reverse=True))
    found = re.findall(pattern, text, re.DOTALL) if pattern else []
    return [grammar.terminals.index(token) for token in found] if "".join(found) == text else None


class Chart:
    """NLTK's chart parser, made from the grammar's text alone; gives every derivation of a text."""

    def __init__(self, grammar):
        self.grammar = grammar
        read = nltk.CFG.fromstring(grammar.text)
        self.number = {production: index for index, production in enumerate(read.productions())}
        assert len(self.number) == grammar.size
        self.parser = nltk.ChartParser(read)

    def derivations(self, text):
        tokens = tokens_of(self.grammar, text)
        if tokens is None:
            return []
        trees = self.parser.parse([self.grammar.terminals[token] for token in tokens])
        return [[self.number[production] for production in tree.productions()] for tree in islice(trees, 2)]


def earley(grammar, tokens):
    """Per prefix of some tokens, the numbers of the terminals that can follow it (len(terminals): the end of the text).

    Stops before the first prefix that begins no text of the language.
    """
    least = least_steps(grammar)
    productions = [p for p in grammar.productions if all(least[child] < NEVER for child in p.children)]
    columns = [{(p, 0, 0) for p in productions if p.lhs == grammar.start}]
    legal = []
    for at in range(len(tokens) + 1):
        column, before = columns[at], -1
        while len(column) > before:  # until nothing changes: also right for productions that spell nothing
            before = len(column)
            for p, dot, origin in list(column):
                if dot == len(p.rhs):
                    column |= {
                        (q, d + 1, o) for q, d, o in list(columns[origin]) if d < len(q.rhs) and q.rhs[d] == p.lhs
                    }
                elif p.rhs[dot] >= 0:
                    column |= {(q, 0, at) for q in productions if q.lhs == p.rhs[dot]}
        if not column:
            return legal
        follow = {~p.rhs[dot] for p, dot, _ in column if dot < len(p.rhs) and p.rhs[dot] < 0}
        if any(p.lhs == grammar.start and dot == len(p.rhs) and origin == 0 for p, dot, origin in column):
            follow.add(len(grammar.terminals))
        legal.append(follow)
        if at < len(tokens):
            columns.append({(p, d + 1, o) for p, d, o in column if d < len(p.rhs) and p.rhs[d] == ~tokens[at]})
    return legal


def texts_over(letters, longest):
    return ["".join(text) for n in range(longest + 1) for text in product(letters, repeat=n)]


_SYMBOLS = st.sampled_from([(False, "S"), (False, "A"), (False, "B"), (True, "a"), (True, "b"), (True, "ab")])
_SIDES = st.lists(_SYMBOLS, max_size=3).map(tuple)


@st.composite
def small_grammars(draw):
    """Grammars over S, A, B and a, b, ab: with empty sides, all kinds of recursion, and dead or unreachable parts."""
    productions = draw(
        st.lists(st.tuples(st.sampled_from("SAB"), _SIDES), min_size=1, max_size=7, unique=True).filter(
            lambda found: any(lhs == "S" for lhs, _ in found)
        )
    )
    return productions


def built(productions):
    """The grammar of drawn productions, or None where it derives nothing."""
    try:
        return Grammar.from_productions("small", "S", productions)
    except GrammarError:
        return None
