"""Text to leftmost derivations and back.

:class:`CompiledParser` runs LALR(k) tables (see :mod:`grammar_rae.grammar.lalr`) over a whole batch of texts in one
compiled kernel, in time linear in the text. :class:`ChartParser` is NLTK's, for grammars without such a table,
ambiguous ones included; of several derivations it takes the first that NLTK finds.
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
from grammar_rae.kernels import for_few, njit

Ints = NDArray[np.int32]
_Stack = tuple[int, "_Stack | None"]  # a state and the stack below it: a push or pop copies nothing
_SHOWN = 8  # how many of the legal terminals an error message lists


class Derivations(NamedTuple):
    """The leftmost derivations of the accepted texts of a batch, end to end.

    ``productions`` int32 (sum of lengths,); ``offsets`` int64 (accepted + 1,); ``rejected`` the index and the error of
    each other text.
    """

    productions: Ints
    offsets: NDArray[np.int64]
    rejected: list[tuple[int, TextError]]


class Parser(Protocol):
    """The interface of a parser."""

    grammar: Grammar

    def parse(self, text: str) -> Ints:
        """The productions of the leftmost derivation, int32 (T,).

        Raises
        ------
        TextError
            When the text is not in the language; it names the position.
        """
        ...

    def parse_batch(self, texts: Sequence[str]) -> Derivations:
        """Parse many texts at once; those that fail are listed instead of raised."""
        ...


@cache
def parser_for(grammar: Grammar) -> Parser:
    """The compiled parser of a grammar, or NLTK's chart parser with a warning where no table exists."""
    try:
        return CompiledParser(grammar)
    except GrammarError as error:
        warnings.warn(f"texts are parsed by NLTK's chart parser, hundreds of times slower: {error}", stacklevel=2)
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
        """See :meth:`Parser.parse`."""
        derivations = self.parse_batch([text])
        if derivations.rejected:
            raise derivations.rejected[0][1]
        return derivations.productions

    def parse_batch(self, texts: Sequence[str]) -> Derivations:
        """See :meth:`Parser.parse_batch`."""
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        tables = self.tables
        productions, lengths = for_few(_parse_all, len(texts))(
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
        return Derivations(productions, np.concatenate(([0], np.cumsum(kept))).astype(np.int64), rejected)

    def _error(self, text: str) -> TextError:
        """The error of a text that failed: where, what was found, and what was expected.

        The tables may notice an error some terminals late, where they look further ahead; walking through the text
        again finds the first terminal that no text of the language has there.
        """
        terminals, begins, bad = _terminals(self.grammar, text)
        if bad >= 0:
            return _unknown_terminal(self.grammar, text, bad)
        stacks, n = self._walk(terminals)
        position = len(text) if n == len(terminals) else _position(text, int(begins[n]))
        if not text:
            message, where = "the text is empty", None
        elif n == len(terminals):
            message, where = "the text ends too early", "end of text"
        else:
            message, where = f"{self.grammar.terminals[terminals[n]]!r} is unexpected here", f"character {position + 1}"
        legal = self._legal_terminals(stacks)
        shown = ", ".join(legal[:_SHOWN]) + (f" or {len(legal) - _SHOWN} others" if len(legal) > _SHOWN else "")
        return TextError(message, text=text, position=position, where=where, expected=shown)

    def next_terminals(self, prefix: str) -> list[str]:
        """The terminals that can follow a prefix of the language ("end of text" among them), in the grammar's order.

        Raises
        ------
        TextError
            When the prefix cannot be continued to a text of the language.
        """
        terminals, _, bad = _terminals(self.grammar, prefix)
        stacks, n = self._walk(terminals)
        if bad >= 0 or n < len(terminals):
            raise TextError(f"no text of the grammar {self.grammar.name!r} begins with this prefix", text=prefix)
        return self._legal_terminals(stacks)

    def _legal_terminals(self, stacks: list[_Stack]) -> list[str]:
        names = [*self.grammar.terminals, "end of text"]
        return [name for terminal, name in enumerate(names) if self._shift(stacks, terminal)]

    def _walk(self, terminals: Ints) -> tuple[list[_Stack], int]:
        """The stacks after the longest prefix of the terminals that begins a text of the language, and its length."""
        stacks: list[_Stack] = [(0, None)]
        for n, terminal in enumerate(terminals.tolist()):
            after = self._shift(stacks, terminal)
            if not after:
                return stacks, n
            stacks = after
        return stacks, len(terminals)

    def _shift(self, stacks: list[_Stack], terminal: int) -> list[_Stack]:
        """Every stack that one more terminal can lead to.

        Where the tables look further ahead, all possible actions are followed: this serves messages, not speed.
        """
        tables = self.tables
        found: list[_Stack] = []
        todo = [(stack, int(tables.action[stack[0], terminal])) for stack in stacks]
        while todo:
            stack, action = todo.pop()
            target = action >> 2
            if action & 3 == LOOK:
                todo.extend((stack, behind) for behind in self._possible_actions(target))
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

    def _possible_actions(self, row: int) -> set[int]:
        """The actions that a lookahead row can lead to, whatever terminals follow."""
        found: set[int] = set()
        for action in np.unique(self.tables.action[row]).tolist():
            found |= self._possible_actions(action >> 2) if action & 3 == LOOK else {action}
        return found


class ChartParser:
    """NLTK's chart parser behind the same interface: for any grammar, hundreds of times slower."""

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
        """See :meth:`Parser.parse`."""
        terminals, _, bad = _terminals(self.grammar, text)
        if bad >= 0:
            raise _unknown_terminal(self.grammar, text, bad)
        try:
            tree = next(iter(self._parser.parse([self.grammar.terminals[t] for t in terminals])), None)
        except (ValueError, RecursionError, TimeoutError) as error:  # newer versions give up after some seconds
            raise TextError(f"NLTK's chart parser gave up on the text ({error})", text=text) from error
        if tree is None:
            raise TextError(f"the grammar {self.grammar.name!r} does not derive this text", text=text)
        return np.array([self._number[production] for production in tree.productions()], dtype=np.int32)

    def parse_batch(self, texts: Sequence[str]) -> Derivations:
        """See :meth:`Parser.parse_batch`."""
        derivations, rejected = [], []
        for index, text in enumerate(texts):
            try:
                derivations.append(self.parse(text))
            except TextError as error:
                rejected.append((index, error))
        offsets = np.cumsum([0, *map(len, derivations)], dtype=np.int64)
        return Derivations(np.concatenate([np.zeros(0, np.int32), *derivations]), offsets, rejected)


def _terminals(grammar: Grammar, text: str) -> tuple[Ints, Ints, int]:
    """The terminals of one text, the byte where each begins, and the byte that no terminal matches (-1: all match)."""
    encoded = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    terminals, begins = np.zeros(len(encoded), np.int32), np.zeros(len(encoded), np.int32)
    n, bad = for_few(scan_terminals, 1)(encoded, *terminal_trie(grammar), terminals, begins)
    return terminals[:n], begins[:n], bad


def _position(text: str, byte: int) -> int:
    return len(text.encode("utf-8", "surrogatepass")[:byte].decode("utf-8", "surrogatepass"))


def _unknown_terminal(grammar: Grammar, text: str, bad_byte: int) -> TextError:
    position = _position(text, bad_byte)
    return TextError(
        f"{text[position]!r} is not a terminal of the grammar {grammar.name!r}",
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
            raise InputError("the derivation continues after its end", received=f"{len(derivation)} productions")
        nonterminal = stack.pop()
        if not 0 <= production < grammar.size or grammar.productions[production].lhs != nonterminal:
            raise InputError(
                "this production cannot be applied here",
                received=grammar.show(production) if 0 <= production < grammar.size else production,
                expected=f"one that expands {grammar.nonterminals[nonterminal]}",
                where=f"step {step + 1}",
            )
        stack.extend(reversed(grammar.productions[production].rhs))
    while stack and stack[-1] < 0:
        text.append(grammar.terminals[~stack.pop()])
    if stack:
        raise InputError(
            "the derivation is incomplete",
            received=f"{len(derivation)} productions",
            expected=f"more, for {grammar.nonterminals[stack[-1]]}",
        )
    return "".join(text)


# -- the kernel -----------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _parse_all(  # type: ignore[no-untyped-def]
    buffer, ends, next_node, terminal_of, action, goto, lhs, length
):
    """Parse every text of a buffer; returns the productions end to end and how many each text has (-1: it failed).

    The automaton meets productions in the order of a bottom-up parse. Each symbol on its stack carries the list of the
    productions below it in leftmost order (first and last node of a linked list), so that a reduction only joins the
    lists of its parts behind its own node.
    """
    n_texts = len(ends) - 1
    productions = np.empty(max(64, 8 * len(buffer)), np.int32)
    n_productions = 0
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
                state, head, tail = _double(state), _double(head), _double(tail)
            if act & 3 == SHIFT:
                top += 1
                state[top] = target
                head[top] = -1
                at += 1
            elif act & 3 == REDUCE and target != accepting:
                if n_nodes == len(node_production):
                    node_production, node_next = _double(node_production), _double(node_next)
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
        if n_productions + n_nodes > len(productions):
            grown = np.empty(2 * (n_productions + n_nodes), np.int32)
            grown[:n_productions] = productions[:n_productions]
            productions = grown
        node = head[top]
        while node >= 0:
            productions[n_productions] = node_production[node]
            n_productions += 1
            node = node_next[node]
        lengths[text] = n_nodes
    return productions[:n_productions].copy(), lengths


@njit(cache=True, nogil=True)
def _double(array):  # type: ignore[no-untyped-def]
    grown = np.empty(2 * len(array), array.dtype)
    grown[: len(array)] = array
    return grown
