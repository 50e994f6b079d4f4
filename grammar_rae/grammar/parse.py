"""Text to leftmost derivations and back.

:class:`CompiledParser` runs LALR(k) tables (see :mod:`grammar_rae.grammar.lalr`) over a whole batch of texts in one
compiled kernel: linear in the text, no Python object a token. :class:`ChartParser` is NLTK's, for the grammars that
have no such table, the ambiguous ones among them; of several derivations it takes the first that NLTK finds.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from grammar_rae.errors import GrammarError, InputError, TextError
from grammar_rae.grammar.cfg import Grammar
from grammar_rae.grammar.lalr import ERROR, LOOK, REDUCE, SHIFT, ParseTables, compile_tables
from grammar_rae.grammar.tokens import terminal_trie, tokenize

Ints = NDArray[np.int32]
_SHOWN = 8  # how many of the legal terminals an error message lists


class Derivations(NamedTuple):
    """The leftmost derivations of the accepted texts of a batch, end to end.

    ``codes`` int32 (sum of lengths,); ``offsets`` int64 (accepted + 1,); ``rejected`` the index and the error of each
    other text.
    """

    codes: Ints
    offsets: NDArray[np.int64]
    rejected: list[tuple[int, TextError]]


class Parser(Protocol):
    """What reads a text by a grammar."""

    grammar: Grammar

    def parse(self, text: str) -> Ints:
        """The productions of the leftmost derivation, int32 (T,).

        Raises
        ------
        TextError
            With the position, when the text is not in the language.
        """
        ...

    def parse_batch(self, texts: Sequence[str]) -> Derivations:
        """The same for many texts at once; raises for none of them."""
        ...


@cache
def parser_for(grammar: Grammar) -> Parser:
    """The compiled parser where the grammar has one, else NLTK's chart parser."""
    try:
        return CompiledParser(grammar)
    except GrammarError:
        return ChartParser(grammar)


class CompiledParser:
    """The LALR(k) parser of a grammar.

    Raises
    ------
    GrammarError
        When the grammar has no LALR(k) table.
    """

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.tables = compile_tables(grammar)
        self._trie = terminal_trie(grammar)

    def parse(self, text: str) -> Ints:
        derivations = self.parse_batch([text])
        if derivations.rejected:
            raise derivations.rejected[0][1]
        return derivations.codes

    def parse_batch(self, texts: Sequence[str]) -> Derivations:
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        tables = self.tables
        codes, lengths, bad_token, bad_byte = _parse_all(
            np.frombuffer(b"".join(encoded), dtype=np.uint8),
            ends,
            *self._trie,
            tables.action,
            tables.goto,
            tables.lhs,
            tables.length,
        )
        wrong = np.flatnonzero(lengths < 0)
        rejected = [
            (int(i), self._error(texts[i], int(bad_token[i]), int(bad_byte[i]), encoded[i])) for i in wrong
        ]
        kept = lengths[lengths >= 0]
        return Derivations(codes, np.concatenate(([0], np.cumsum(kept))).astype(np.int64), rejected)

    def _error(self, text: str, bad_token: int, bad_byte: int, encoded: bytes) -> TextError:
        """A text that failed, as a sentence: where, what stands there, and what could have stood there."""
        if bad_token < 0:
            return _no_terminal(self.grammar, text, bad_byte)
        position = _position(text, bad_byte)
        if not text:
            message, where = "the text is empty", None
        elif bad_byte == len(encoded):
            message, where = "the text ends too early", "end of text"
        else:
            token = max((t for t in self.grammar.terminals if text.startswith(t, position)), key=len)
            message, where = f"{token!r} cannot stand here", f"character {position + 1}"
        legal = self.expected(text[:position])
        shown = ", ".join(legal[:_SHOWN]) + (f" or {len(legal) - _SHOWN} others" if len(legal) > _SHOWN else "")
        return TextError(message, text=text, position=position, where=where, expected=shown)

    def expected(self, prefix: str) -> list[str]:
        """The terminals that can follow a prefix of the language ("end of text" among them), in the grammar's order.

        Raises
        ------
        TextError
            When the prefix cannot be continued to a text of the language.
        """
        tokens, bad = _tokens(self.grammar, prefix)
        stacks = [[0]]
        for token in tokens:
            stacks = self._shifted(stacks, int(token))
        if bad >= 0 or not stacks:
            raise TextError(f"no text of the grammar {self.grammar.name!r} begins so", text=prefix)
        names = [*self.grammar.terminals, "end of text"]
        return [name for token, name in enumerate(names) if self._shifted(stacks, token)]

    def _shifted(self, stacks: list[list[int]], token: int) -> list[list[int]]:
        """Every stack that one more token can lead to. Where the tables ask for the token behind it, each answer is
        followed: this is for messages, not for speed."""
        tables, found = self.tables, []
        todo = [(stack, int(tables.action[stack[-1], token])) for stack in stacks]
        while todo:
            stack, action = todo.pop()
            target = action >> 2
            if action & 3 == LOOK:
                todo.extend((stack, int(behind)) for behind in np.unique(tables.action[target]))
            elif action & 3 == SHIFT:
                found.append([*stack, target])
            elif action & 3 == REDUCE and tables.lhs[target] < 0:
                found.append(stack)
            elif action & 3 == REDUCE:
                kept = stack[: len(stack) - int(tables.length[target])]
                kept.append(int(tables.goto[kept[-1], tables.lhs[target]]))
                todo.append((kept, int(tables.action[kept[-1], token])))
        return found


class ChartParser:
    """NLTK's chart parser behind the same face; hundreds of times slower, and it takes any grammar."""

    def __init__(self, grammar: Grammar) -> None:
        from nltk import CFG, Nonterminal
        from nltk.grammar import Production as NltkProduction
        from nltk.parse import ChartParser as NltkChartParser

        self.grammar = grammar
        names = [Nonterminal(name) for name in grammar.nonterminals]
        productions = [
            NltkProduction(names[p.lhs], [names[s] if s >= 0 else grammar.terminals[~s] for s in p.rhs])
            for p in grammar.productions
        ]
        self._number = {production: index for index, production in enumerate(productions)}
        self._parser = NltkChartParser(CFG(names[grammar.start], productions))

    def parse(self, text: str) -> Ints:
        tokens, bad = _tokens(self.grammar, text)
        if bad >= 0:
            raise _no_terminal(self.grammar, text, bad)
        tree = next(iter(self._parser.parse([self.grammar.terminals[t] for t in tokens])), None)
        if tree is None:
            raise TextError(f"the grammar {self.grammar.name!r} does not derive this text", text=text)
        return np.array([self._number[production] for production in tree.productions()], dtype=np.int32)

    def parse_batch(self, texts: Sequence[str]) -> Derivations:
        codes, rejected = [], []
        for index, text in enumerate(texts):
            try:
                codes.append(self.parse(text))
            except TextError as error:
                rejected.append((index, error))
        offsets = np.cumsum([0, *map(len, codes)], dtype=np.int64)
        return Derivations(np.concatenate([np.zeros(0, np.int32), *codes]), offsets, rejected)


def _tokens(grammar: Grammar, text: str) -> tuple[Ints, int]:
    """The tokens of one text, and the byte that no terminal matches (-1 when all match)."""
    encoded = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    tokens, begins = np.zeros(len(encoded), np.int32), np.zeros(len(encoded), np.int32)
    n, bad = tokenize(encoded, *terminal_trie(grammar), tokens, begins)
    return tokens[:n], bad


def _position(text: str, byte: int) -> int:
    return len(text.encode("utf-8", "surrogatepass")[:byte].decode("utf-8", "surrogatepass"))


def _no_terminal(grammar: Grammar, text: str, bad_byte: int) -> TextError:
    position = _position(text, bad_byte)
    return TextError(
        f"{text[position]!r} is no terminal of the grammar {grammar.name!r}",
        text=text,
        position=position,
        where=f"character {position + 1}",
    )


def spell(grammar: Grammar, derivation: NDArray[np.integer]) -> str:
    """The text of a complete leftmost derivation, int (T,).

    Raises
    ------
    InputError
        When the productions are not a complete leftmost derivation of the grammar.
    """
    text: list[str] = []
    stack = [grammar.start]
    for step, production in enumerate(derivation.tolist()):
        while stack and stack[-1] < 0:
            text.append(grammar.terminals[~stack.pop()])
        if not stack:
            raise InputError("the derivation goes on after its end", received=f"{len(derivation)} productions")
        nonterminal = stack.pop()
        if not 0 <= production < grammar.size or grammar.productions[production].lhs != nonterminal:
            raise InputError(
                "this production cannot stand here",
                received=grammar.show(production) if 0 <= production < grammar.size else production,
                expected=f"one that expands {grammar.nonterminals[nonterminal]}",
                where=f"step {step + 1}",
            )
        stack.extend(reversed(grammar.productions[production].rhs))
    while stack and stack[-1] < 0:
        text.append(grammar.terminals[~stack.pop()])
    if stack:
        raise InputError(
            "the derivation is not complete",
            received=f"{len(derivation)} productions",
            expected=f"more, for {grammar.nonterminals[stack[-1]]}",
        )
    return "".join(text)


# -- the kernel -----------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _parse_all(  # type: ignore[no-untyped-def]
    buffer, ends, next_node, token_of, action, goto, lhs, length
):
    """Parse every text of a buffer; returns codes, their number (-1: failed), and where a failure is.

    The automaton meets productions in the order of a bottom-up parse. Each symbol on its stack carries the list of the
    productions below it in leftmost order (first and last node of a linked list), so that a reduction only joins the
    lists of its parts behind its own node.
    """
    n_texts = len(ends) - 1
    codes = np.empty(max(64, 8 * len(buffer)), np.int32)
    n_codes = 0
    lengths = np.empty(n_texts, np.int64)
    bad_token = np.full(n_texts, -1, np.int64)
    bad_byte = np.full(n_texts, -1, np.int64)
    end_token = action.shape[1] - 1
    accepting = len(lhs) - 1
    longest = 0
    for text in range(n_texts):
        longest = max(longest, ends[text + 1] - ends[text])
    tokens = np.empty(longest + 4, np.int32)
    begins = np.empty(longest + 4, np.int32)
    state = np.empty(longest + 64, np.int32)
    head = np.empty(longest + 64, np.int32)
    tail = np.empty(longest + 64, np.int32)
    node_production = np.empty(8 * longest + 64, np.int32)
    node_next = np.empty(8 * longest + 64, np.int32)
    for text in range(n_texts):
        lengths[text] = -1
        n, bad = tokenize(buffer[ends[text] : ends[text + 1]], next_node, token_of, tokens, begins)
        if bad >= 0:
            bad_byte[text] = bad
            continue
        begins[n] = ends[text + 1] - ends[text]
        for extra in range(4):
            tokens[n + extra] = end_token
        top = 0
        state[0] = 0
        head[0] = -1
        tail[0] = -1
        at = 0
        n_nodes = 0
        while True:
            ahead = at
            act = action[state[top], tokens[at]]
            while act & 3 == LOOK:
                ahead += 1
                act = action[act >> 2, tokens[min(ahead, n + 3)]]
            target = act >> 2
            if top + 2 >= len(state):
                state, head, tail = _doubled(state), _doubled(head), _doubled(tail)
            if act & 3 == SHIFT:
                top += 1
                state[top] = target
                head[top] = -1
                at += 1
            elif act & 3 == REDUCE and target != accepting:
                if n_nodes == len(node_production):
                    node_production, node_next = _doubled(node_production), _doubled(node_next)
                node_production[n_nodes] = target
                node_next[n_nodes] = -1
                last = n_nodes
                first_part = top - length[target] + 1
                for part in range(first_part, top + 1):
                    if head[part] >= 0:
                        node_next[last] = head[part]
                        last = tail[part]
                top = first_part
                state[top] = goto[state[top - 1], lhs[target]]
                head[top] = n_nodes
                tail[top] = last
                n_nodes += 1
            else:
                break
        if act & 3 == ERROR:
            bad_token[text] = ahead if ahead < n else n
            bad_byte[text] = begins[bad_token[text]]
            continue
        if n_codes + n_nodes > len(codes):
            grown = np.empty(2 * (n_codes + n_nodes), np.int32)
            grown[:n_codes] = codes[:n_codes]
            codes = grown
        node = head[top]
        while node >= 0:
            codes[n_codes] = node_production[node]
            n_codes += 1
            node = node_next[node]
        lengths[text] = n_nodes
    return codes[:n_codes].copy(), lengths, bad_token, bad_byte


@njit(cache=True, nogil=True)
def _doubled(array):  # type: ignore[no-untyped-def]
    grown = np.empty(2 * len(array), array.dtype)
    grown[: len(array)] = array
    return grown
