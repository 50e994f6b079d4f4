"""LALR(k) tables for a grammar, k as small as the grammar allows.

The paper's molecule grammar is not LALR(1): after ``C1=`` only the terminal after the bond distinguishes a ring closure
from the next atom. So the tables look one terminal ahead and, in the few cells where that leaves a choice, further:
such a cell points to another row of the same table, which is looked up with the next terminal. Parsing stays linear in
the text.

Construction: the LR(0) automaton with sets of lookahead strings of length k carried along it until nothing changes
(DeRemer and Pennello, "Efficient computation of LALR(1) look-ahead sets", 1982, done by plain propagation, for any k).
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import GrammarError
from grammar_rae.grammar.cfg import Grammar

MAX_LOOKAHEAD = 3
MAX_STRINGS = 200_000
"""How many lookahead strings of two or more terminals an automaton may carry, which takes some seconds. A grammar of 40
terminals has millions of strings of three."""

# An action is one integer: its kind in the two lowest bits, its target above them.
ERROR, SHIFT, REDUCE, LOOK = 0, 1, 2, 3
"""No action; shift and go to a state; reduce a production (the last one accepts); look at the next terminal."""

Lookahead = tuple[int, ...]
Item = tuple[int, int]  # production, position of the dot


@dataclass(frozen=True, eq=False)
class ParseTables:
    """The automaton, ready for the parsing kernel.

    Attributes
    ----------
    action
        int32 (states + lookahead rows, terminals + 1): ``target << 2 | kind``; the last terminal is the end of the
        text.
    goto
        int32 (states, L): the state after a nonterminal.
    lhs, length
        int32 (P + 1,): left-hand side and number of symbols of each production; the last one is the accepting one.
    k
        The greatest number of terminals looked ahead.
    """

    action: NDArray[np.int32]
    goto: NDArray[np.int32]
    lhs: NDArray[np.int32]
    length: NDArray[np.int32]
    k: int


@cache
def compile_tables(grammar: Grammar) -> ParseTables:
    """Compile the tables with the smallest possible k.

    Raises
    ------
    GrammarError
        When the grammar is not LALR(k) for any k up to ``MAX_LOOKAHEAD``, or the tables would be too large; an
        ambiguous grammar never has one.
    """
    tried, conflict = 0, ""
    for k in range(1, MAX_LOOKAHEAD + 1):
        try:
            automaton = _Automaton(grammar, k)
        except _TooLargeError:
            break
        tried = k
        action, conflict = automaton.actions()
        if not conflict:
            return ParseTables(action, automaton.goto(), automaton.lhs(), automaton.lengths(), k)
    beyond = "" if tried == MAX_LOOKAHEAD else f", and the tables for more lookahead than {tried} would be too large"
    raise GrammarError(
        f"the grammar is not LALR({tried}): {conflict}{beyond}",
        where=grammar.name,
        remedy="NLTK's chart parser reads any grammar, ambiguous ones included.",
    )


class _TooLargeError(Exception):
    """More lookahead strings than ``MAX_STRINGS``."""


class _Automaton:
    """The LR(0) automaton of the grammar with a fresh start production, and its lookaheads of length k.

    Productions that can never be completed are left out: each state then begins some text of the language.
    """

    def __init__(self, grammar: Grammar, k: int) -> None:
        self.grammar = grammar
        self.k = k
        self.end = len(grammar.terminals)
        # Symbols as in the grammar: s >= 0 a nonterminal, ~s a terminal. The accepting production comes last.
        self.rhs = [p.rhs for p in grammar.productions] + [(grammar.start,)]
        self.of_nonterminal: dict[int, list[int]] = defaultdict(list)
        for index in np.flatnonzero(grammar.rules.usable).tolist():
            self.of_nonterminal[grammar.productions[index].lhs].append(index)
        self.first = self._first_sets()
        self._suffix_first: dict[tuple[int, ...], frozenset[Lookahead]] = {}
        self.kernels: list[frozenset[Item]] = []
        self.moves: list[dict[int, int]] = []
        self._build_states()
        self.lookaheads: list[dict[Item, set[Lookahead]]] = [{item: set() for item in items} for items in self.kernels]
        self._propagate()

    # -- FIRST sets ---------------------------------------------------------------------------------------------

    def _first_sets(self) -> list[frozenset[Lookahead]]:
        first: list[frozenset[Lookahead]] = [frozenset() for _ in self.grammar.nonterminals]
        changed = True
        while changed:
            changed = False
            for lhs, index in [(lhs, index) for lhs, indices in self.of_nonterminal.items() for index in indices]:
                strings: frozenset[Lookahead] = frozenset({()})
                for symbol in self.rhs[index]:
                    strings = self._join(strings, first[symbol] if symbol >= 0 else frozenset({(~symbol,)}))
                if not strings <= first[lhs]:
                    first[lhs] |= strings
                    changed = True
            self._check_size(sum(map(len, first)))
        return first

    def _check_size(self, n_strings: int) -> None:
        if self.k > 1 and n_strings > MAX_STRINGS:
            raise _TooLargeError

    def _join(self, left: frozenset[Lookahead], right: frozenset[Lookahead]) -> frozenset[Lookahead]:
        """Every string of ``left`` continued by every string of ``right``, cut to k terminals."""
        full = {string for string in left if len(string) == self.k}
        return frozenset(full | {(a + b)[: self.k] for a in left - full for b in right})

    def _first_of(self, symbols: tuple[int, ...]) -> frozenset[Lookahead]:
        if symbols not in self._suffix_first:
            strings: frozenset[Lookahead] = frozenset({()})
            for symbol in symbols:
                strings = self._join(strings, self.first[symbol] if symbol >= 0 else frozenset({(~symbol,)}))
            self._suffix_first[symbols] = strings
        return self._suffix_first[symbols]

    # -- states -------------------------------------------------------------------------------------------------

    def _closure(self, kernel: frozenset[Item]) -> list[Item]:
        items = list(kernel)
        seen = set(items)
        for production, dot in items:  # the list grows while it is read
            rhs = self.rhs[production]
            if dot < len(rhs) and rhs[dot] >= 0:
                for expanded in self.of_nonterminal[rhs[dot]]:
                    if (expanded, 0) not in seen:
                        seen.add((expanded, 0))
                        items.append((expanded, 0))
        return items

    def _build_states(self) -> None:
        first = frozenset({(len(self.rhs) - 1, 0)})
        number = {first: 0}
        self.kernels.append(first)
        for kernel in self.kernels:  # grows while it is read
            targets: dict[int, set[Item]] = defaultdict(set)
            for production, dot in self._closure(kernel):
                if dot < len(self.rhs[production]):
                    targets[self.rhs[production][dot]].add((production, dot + 1))
            moves = {}
            for symbol, items in targets.items():
                target = frozenset(items)
                if target not in number:
                    number[target] = len(self.kernels)
                    self.kernels.append(target)
                moves[symbol] = number[target]
            self.moves.append(moves)

    # -- lookaheads ---------------------------------------------------------------------------------------------

    def _close_items(self, state: int) -> dict[Item, set[Lookahead]]:
        """The closure of the items of a state, with their lookaheads."""
        strings = {item: set(found) for item, found in self.lookaheads[state].items()}
        waiting = list(strings)
        while waiting:
            item = waiting.pop()
            rhs = self.rhs[item[0]]
            if item[1] == len(rhs) or rhs[item[1]] < 0:
                continue
            behind = self._join(self._first_of(rhs[item[1] + 1 :]), frozenset(strings[item]))
            for production in self.of_nonterminal[rhs[item[1]]]:
                known = strings.setdefault((production, 0), set())
                if not behind <= known:
                    known |= behind
                    waiting.append((production, 0))
        return strings

    def _propagate(self) -> None:
        self.lookaheads[0][(len(self.rhs) - 1, 0)].add((self.end,) * self.k)
        waiting, carried = {0}, 0
        while waiting:
            self._check_size(carried)
            state = waiting.pop()
            for (production, dot), strings in self._close_items(state).items():
                if dot == len(self.rhs[production]):
                    continue
                target = self.moves[state][self.rhs[production][dot]]
                known = self.lookaheads[target][production, dot + 1]
                if not strings <= known:
                    carried -= len(known)
                    known |= strings
                    carried += len(known)
                    waiting.add(target)

    # -- tables -------------------------------------------------------------------------------------------------

    def actions(self) -> tuple[NDArray[np.int32], str]:
        """The action table, and a description of the first conflict ("" when there is none)."""
        rows: list[list[int]] = [[ERROR] * (self.end + 1) for _ in self.kernels]
        for state in range(len(self.kernels)):
            choices: dict[Lookahead, int] = {}
            for (production, dot), strings in self._close_items(state).items():
                rhs = self.rhs[production]
                if dot == len(rhs):
                    action = production << 2 | REDUCE
                elif rhs[dot] < 0:
                    action = self.moves[state][rhs[dot]] << 2 | SHIFT
                    strings = set(self._join(self._first_of(rhs[dot:]), frozenset(strings)))
                else:
                    continue
                for string in strings:
                    if choices.setdefault(string, action) != action:
                        return np.zeros((0, 0), np.int32), self._describe(string, choices[string], action)
            self._fill(rows, state, choices)
        return np.array(rows, dtype=np.int32), ""

    def _fill(self, rows: list[list[int]], row: int, choices: dict[Lookahead, int]) -> None:
        """Write one row; a terminal that leaves a choice points to a new row for the terminal after it."""
        by_terminal: dict[int, dict[Lookahead, int]] = defaultdict(dict)
        for string, action in choices.items():
            by_terminal[string[0]][string[1:]] = action
        for terminal, rest in by_terminal.items():
            if len(set(rest.values())) == 1:
                rows[row][terminal] = next(iter(rest.values()))
            else:
                rows.append([ERROR] * (self.end + 1))
                rows[row][terminal] = (len(rows) - 1) << 2 | LOOK
                self._fill(rows, len(rows) - 1, rest)

    def _describe(self, string: Lookahead, one: int, other: int) -> str:
        names = [*self.grammar.terminals, "end of text"]
        seen = " ".join(repr(names[terminal]) for terminal in string)

        def describe(action: int) -> str:
            if action & 3 == SHIFT:
                return "read on"
            return f"complete {self.grammar.show(action >> 2)}" if action >> 2 < self.grammar.size else "end"

        return f"before {seen} it could " + " or ".join(sorted(map(describe, (one, other))))

    def goto(self) -> NDArray[np.int32]:
        table = np.full((len(self.kernels), len(self.grammar.nonterminals)), -1, dtype=np.int32)
        for state, moves in enumerate(self.moves):
            for symbol, target in moves.items():
                if symbol >= 0:
                    table[state, symbol] = target
        return table

    def lhs(self) -> NDArray[np.int32]:
        return np.array([p.lhs for p in self.grammar.productions] + [-1], dtype=np.int32)

    def lengths(self) -> NDArray[np.int32]:
        return np.array([len(rhs) for rhs in self.rhs], dtype=np.int32)
