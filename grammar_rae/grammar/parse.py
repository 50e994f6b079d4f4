"""Text to leftmost derivations and back.

:class:`CompiledParser` runs LALR(k) tables (see :mod:`grammar_rae.grammar.lalr`) over a whole batch of texts in one
compiled kernel: linear in the text, no Python object a terminal. :class:`ChartParser` is NLTK's, for the grammars that
have no such table, the ambiguous ones among them; of several derivations it takes the first that NLTK finds.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import GrammarError, InputError, TextError
from grammar_rae.grammar.cfg import Grammar
from grammar_rae.grammar.lalr import ERROR, LOOK, REDUCE, SHIFT, compile_tables
from grammar_rae.grammar.terminals import scan_terminals, terminal_trie
from grammar_rae.kernels import njit

Ints = NDArray[np.int32]
_Stack = tuple[int, "_Stack | None"]  # a state and the stack below it: a push or pop copies nothing
_SHOWN = 8  # how many of the legal terminals an error message lists


class Derivations(NamedTuple):
    """The leftmost derivations of the accepted texts of a batch, end to end.

    ``tokens`` int32 (sum of lengths,); ``offsets`` int64 (accepted + 1,); ``rejected`` the index and the error of each
    other text.
    """

    tokens: Ints
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
    """The compiled parser where the grammar has one, else NLTK's chart parser, with a warning that says why."""
    try:
        return CompiledParser(grammar)
    except GrammarError as error:
        warnings.warn(f"NLTK's chart parser reads the texts, hundreds of times slower. {error}", stacklevel=2)
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
        return derivations.tokens

    def parse_batch(self, texts: Sequence[str]) -> Derivations:
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        tables = self.tables
        tokens, lengths = _parse_all(
            np.frombuffer(b"".join(encoded), dtype=np.uint8),
            ends,
            *self._trie,
            tables.action,
            tables.goto,
            tables.lhs,
            tables.length,
        )
        rejected = [(i, self._error(texts[i])) for i in np.flatnonzero(lengths < 0).tolist()]
        kept = lengths[lengths >= 0]
        return Derivations(tokens, np.concatenate(([0], np.cumsum(kept))).astype(np.int64), rejected)

    def _error(self, text: str) -> TextError:
        """A text that failed, as a sentence: where, what stands there, and what could have stood there.

        The tables notice an error at a terminal or, where they look further ahead, some terminals behind it; walking
        through the text again finds the first terminal that no text of the language has there.
        """
        terminals, begins, bad = _terminals(self.grammar, text)
        if bad >= 0:
            return _no_terminal(self.grammar, text, bad)
        stacks, n = self._walk(terminals)
        position = len(text) if n == len(terminals) else _position(text, int(begins[n]))
        if not text:
            message, where = "the text is empty", None
        elif n == len(terminals):
            message, where = "the text ends too early", "end of text"
        else:
            message, where = f"{self.grammar.terminals[terminals[n]]!r} cannot stand here", f"character {position + 1}"
        legal = self._legal(stacks)
        shown = ", ".join(legal[:_SHOWN]) + (f" or {len(legal) - _SHOWN} others" if len(legal) > _SHOWN else "")
        return TextError(message, text=text, position=position, where=where, expected=shown)

    def expected(self, prefix: str) -> list[str]:
        """The terminals that can follow a prefix of the language ("end of text" among them), in the grammar's order.

        Raises
        ------
        TextError
            When the prefix cannot be continued to a text of the language.
        """
        terminals, _, bad = _terminals(self.grammar, prefix)
        stacks, n = self._walk(terminals)
        if bad >= 0 or n < len(terminals):
            raise TextError(f"no text of the grammar {self.grammar.name!r} begins so", text=prefix)
        return self._legal(stacks)

    def _legal(self, stacks: list[_Stack]) -> list[str]:
        names = [*self.grammar.terminals, "end of text"]
        return [name for terminal, name in enumerate(names) if self._shifted(stacks, terminal)]

    def _walk(self, terminals: Ints) -> tuple[list[_Stack], int]:
        """The stacks behind the longest part of the terminals that begins a text of the language, and its length."""
        stacks: list[_Stack] = [(0, None)]
        for n, terminal in enumerate(terminals.tolist()):
            after = self._shifted(stacks, terminal)
            if not after:
                return stacks, n
            stacks = after
        return stacks, len(terminals)

    def _shifted(self, stacks: list[_Stack], terminal: int) -> list[_Stack]:
        """Every stack that one more terminal can lead to. Where the tables ask for the terminal behind it, each answer
        is followed: this is for messages, not for speed."""
        tables = self.tables
        found: list[_Stack] = []
        todo = [(stack, int(tables.action[stack[0], terminal])) for stack in stacks]
        while todo:
            stack, action = todo.pop()
            target = action >> 2
            if action & 3 == LOOK:
                todo.extend((stack, behind) for behind in self._answers(target))
            elif action & 3 == SHIFT:
                found.append((target, stack))
            elif action & 3 == REDUCE and tables.lhs[target] < 0:
                found.append(stack)
            elif action & 3 == REDUCE:
                kept: _Stack | None = stack
                for _ in range(int(tables.length[target])):
                    assert kept is not None
                    kept = kept[1]
                assert kept is not None
                state = int(tables.goto[kept[0], tables.lhs[target]])
                todo.append(((state, kept), int(tables.action[state, terminal])))
        return found

    def _answers(self, row: int) -> set[int]:
        """The actions that a lookahead row can lead to, whatever the terminals behind it are."""
        found: set[int] = set()
        for action in np.unique(self.tables.action[row]).tolist():
            found |= self._answers(action >> 2) if action & 3 == LOOK else {action}
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
        terminals, _, bad = _terminals(self.grammar, text)
        if bad >= 0:
            raise _no_terminal(self.grammar, text, bad)
        try:
            tree = next(iter(self._parser.parse([self.grammar.terminals[t] for t in terminals])), None)
        except (ValueError, RecursionError, TimeoutError) as error:  # newer versions give up after some seconds
            raise TextError(f"the text is too much for NLTK's chart parser ({error})", text=text) from error
        if tree is None:
            raise TextError(f"the grammar {self.grammar.name!r} does not derive this text", text=text)
        return np.array([self._number[production] for production in tree.productions()], dtype=np.int32)

    def parse_batch(self, texts: Sequence[str]) -> Derivations:
        tokens, rejected = [], []
        for index, text in enumerate(texts):
            try:
                tokens.append(self.parse(text))
            except TextError as error:
                rejected.append((index, error))
        offsets = np.cumsum([0, *map(len, tokens)], dtype=np.int64)
        return Derivations(np.concatenate([np.zeros(0, np.int32), *tokens]), offsets, rejected)


def _terminals(grammar: Grammar, text: str) -> tuple[Ints, Ints, int]:
    """The terminals of one text, the byte where each begins, and the byte that no terminal matches (-1: all match)."""
    encoded = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    terminals, begins = np.zeros(len(encoded), np.int32), np.zeros(len(encoded), np.int32)
    n, bad = scan_terminals(encoded, *terminal_trie(grammar), terminals, begins)
    return terminals[:n], begins[:n], bad


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
    buffer, ends, next_node, terminal_of, action, goto, lhs, length
):
    """Parse every text of a buffer; returns the tokens end to end and how many each text has (-1: it failed).

    The automaton meets productions in the order of a bottom-up parse. Each symbol on its stack carries the list of the
    productions below it in leftmost order (first and last node of a linked list), so that a reduction only joins the
    lists of its parts behind its own node.
    """
    n_texts = len(ends) - 1
    tokens = np.empty(max(64, 8 * len(buffer)), np.int32)
    n_tokens = 0
    lengths = np.empty(n_texts, np.int64)
    end_terminal = action.shape[1] - 1
    accepting = len(lhs) - 1
    longest = 0
    for text in range(n_texts):
        longest = max(longest, ends[text + 1] - ends[text])
    terminals = np.empty(longest + 4, np.int32)
    begins = np.empty(longest + 4, np.int32)
    state = np.empty(longest + 64, np.int32)
    head = np.empty(longest + 64, np.int32)
    tail = np.empty(longest + 64, np.int32)
    node_production = np.empty(8 * longest + 64, np.int32)
    node_next = np.empty(8 * longest + 64, np.int32)
    for text in range(n_texts):
        lengths[text] = -1
        n, bad = scan_terminals(buffer[ends[text] : ends[text + 1]], next_node, terminal_of, terminals, begins)
        if bad >= 0:
            continue
        for extra in range(4):
            terminals[n + extra] = end_terminal
        top = 0
        state[0] = 0
        head[0] = -1
        tail[0] = -1
        at = 0
        n_nodes = 0
        while True:
            ahead = at
            act = action[state[top], terminals[at]]
            while act & 3 == LOOK:  # at most MAX_LOOKAHEAD - 1 times
                ahead += 1
                act = action[act >> 2, terminals[ahead]]
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
            continue
        if n_tokens + n_nodes > len(tokens):
            grown = np.empty(2 * (n_tokens + n_nodes), np.int32)
            grown[:n_tokens] = tokens[:n_tokens]
            tokens = grown
        node = head[top]
        while node >= 0:
            tokens[n_tokens] = node_production[node]
            n_tokens += 1
            node = node_next[node]
        lengths[text] = n_nodes
    return tokens[:n_tokens].copy(), lengths


@njit(cache=True, nogil=True)
def _doubled(array):  # type: ignore[no-untyped-def]
    grown = np.empty(2 * len(array), array.dtype)
    grown[: len(array)] = array
    return grown
