"""Macro-productions: frequent runs of a leftmost derivation as single decisions.

A derivation takes a hundred productions for a molecule, most of them forced or habitual. :func:`learn_macros` joins the
most frequent pair (a rule, the rule that expands its leftmost open nonterminal), again and again, as byte-pair encoding
does on text (Gage, 1994). In a leftmost derivation the rule after one that leaves something open always expands its
leftmost open nonterminal, so such a pair is just two neighbours of which the first has arity > 0. Together they
are a fragment of a tree with the left-hand side of the first rule and a known list of open nonterminals, so masks,
stacks and budgets work on macros as they do on productions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import GrammarError, InputError
from grammar_rae.grammar.cfg import Grammar
from grammar_rae.grammar.rules import Rules
from grammar_rae.grammar.trie import build_trie
from grammar_rae.kernels import njit

Ints = NDArray[np.int32]

MAX_TOKENS = 1 << 16
"""Tokens are stored as uint16."""

_FEW_ROWS = 256  # which Python writes out in less time than Numba takes to start


@dataclass(frozen=True)
class MacroTable:
    """A grammar's productions followed by its macros: the vocabulary of tokens.

    Token ``t < P`` is production ``t``; token ``P + m`` is macro ``m``.

    Attributes
    ----------
    grammar
        The grammar of P productions.
    macros
        Each macro as the productions that it stands for, at least two, in leftmost order.
    """

    grammar: Grammar
    macros: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.size > MAX_TOKENS:
            raise GrammarError("too many tokens", received=self.size, expected=f"at most {MAX_TOKENS}")
        for index, macro in enumerate(self.macros):
            if len(macro) < 2:
                raise GrammarError(
                    "a macro must contain at least two productions", received=macro, where=f"macro {index}"
                )
        _ = self._open  # which refuses what is no run of steps

    @property
    def size(self) -> int:
        """R, productions and macros."""
        return self.grammar.size + len(self.macros)

    @cached_property
    def rules(self) -> Rules:
        """Productions and macros as the table of rules for decoders."""
        productions = self.grammar.productions
        return Rules.build(
            [p.lhs for p in productions] + [productions[m[0]].lhs for m in self.macros],
            [*self._children, *self._open],
            len(self.grammar.nonterminals),
            self.grammar.start,
            self._terminal_counts,
        )

    @cached_property
    def _terminal_counts(self) -> NDArray[np.int64]:
        """How often each token itself writes each terminal, int64 (R, V)."""
        starts, flat = self.expansions
        productions = np.zeros((self.grammar.size, len(self.grammar.terminals)), dtype=np.int64)
        for counts, production in zip(productions, self.grammar.productions, strict=True):
            np.add.at(counts, [~symbol for symbol in production.rhs if symbol < 0], 1)
        return np.add.reduceat(productions[flat], starts[:-1])  # what a macro writes, its productions write

    @cached_property
    def _children(self) -> list[tuple[int, ...]]:
        return [production.children for production in self.grammar.productions]

    @cached_property
    def _open(self) -> list[tuple[int, ...]]:
        """What each macro leaves open."""
        lhs = [production.lhs for production in self.grammar.productions]
        return [_open_nonterminals(self.grammar.name, lhs, self._children, macro) for macro in self.macros]

    def encode(self, derivations: Ints, offsets: NDArray[np.int64]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """Encode productions in the fewest tokens that spell the derivation.

        Parameters
        ----------
        derivations, offsets
            Leftmost derivations end to end, int32 (sum,), and where each begins, int64 (N + 1,).

        Returns
        -------
        Tokens end to end, uint16, and where each begins, int64 (N + 1,).

        Raises
        ------
        InputError
            For a production outside 0 ... P - 1.
        """
        _check_range(derivations, self.grammar.size, "production")
        encoded: tuple[NDArray[np.uint16], NDArray[np.int64]] = _encode(derivations, offsets, *self.trie)
        return encoded

    def expand(self, tokens: NDArray[np.integer]) -> Ints:
        """Expand tokens (T,) to productions, int32.

        Raises
        ------
        InputError
            For a token outside 0 ... R - 1.
        """
        _check_range(tokens, self.size, "token")
        tokens = tokens.astype(np.int64)
        starts, flat = self.expansions
        lengths = starts[tokens + 1] - starts[tokens]
        ends = np.cumsum(lengths)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        productions: Ints = flat[np.repeat(starts[tokens], lengths) + within]
        return productions

    def body(self, token: int) -> tuple[int, ...]:
        """The right-hand side of a production or a macro, in the symbols of :class:`Production`."""
        if token < self.grammar.size:
            return self.grammar.productions[token].rhs
        macro = self.macros[token - self.grammar.size]
        symbols = [self.grammar.productions[macro[0]].lhs]
        at = 0
        for production in macro:
            while symbols[at] < 0:
                at += 1
            symbols[at : at + 1] = self.grammar.productions[production].rhs
        return tuple(symbols)

    def show(self, token: int) -> str:
        """The text that a token spells, with what it leaves open in angle brackets: ``C=<chain>``."""
        grammar = self.grammar
        return "".join(grammar.terminals[~s] if s < 0 else f"<{grammar.nonterminals[s]}>" for s in self.body(token))

    def spell(self, tokens: NDArray[np.integer]) -> list[str | None]:
        """The text of each row of tokens (B, T), up to its first -1; None where it is incomplete."""
        rules = self.rules
        rows = np.ascontiguousarray(tokens, dtype=np.int64)
        if len(rows) <= _FEW_ROWS:
            return [self._spell_row(row) for row in rows.tolist()]
        buffer, ends, complete = _spell(rows, *self._bodies, rules.lhs, rules.start)
        data = buffer.tobytes()
        return [data[ends[row] : ends[row + 1]].decode() if complete[row] else None for row in range(len(rows))]

    def _spell_row(self, tokens: list[int]) -> str | None:
        """What :func:`_spell` writes for one row."""
        pieces, lhs, at = self._pieces, self._lhs, 0
        written: list[str] = []
        stack: list[str | int] = [self.grammar.start]
        while stack:
            piece = stack.pop()
            if isinstance(piece, str):
                written.append(piece)
                continue
            token = tokens[at] if at < len(tokens) else -1
            if not 0 <= token < len(lhs) or lhs[token] != piece:
                return None
            at += 1
            stack += pieces[token]
        return "".join(written) if at == len(tokens) or tokens[at] < 0 else None

    def to_dict(self) -> dict[str, Any]:
        """The table as a JSON-compatible dictionary."""
        return {"grammar": self.grammar.to_dict(), "macros": [list(macro) for macro in self.macros]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "MacroTable":
        """The table that :meth:`to_dict` wrote; GrammarError when ``data`` does not describe one."""
        try:
            grammar = Grammar.from_dict(data["grammar"])
            macros = tuple(tuple(int(p) for p in macro) for macro in data["macros"])
        except (KeyError, TypeError, ValueError) as error:
            raise GrammarError(f"cannot rebuild a macro table from these data ({error!r})") from error
        return cls(grammar, macros)

    @cached_property
    def expansions(self) -> tuple[NDArray[np.int64], Ints]:
        """Where each token's productions begin, int64 (R + 1,), and the productions of all tokens."""
        parts = [(p,) for p in range(self.grammar.size)] + list(self.macros)
        starts = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        return starts, np.array([p for part in parts for p in part], dtype=np.int32)

    @cached_property
    def _bodies(self) -> tuple[NDArray[np.int64], Ints]:
        """Where each token's body begins, int64 (R + 1,), and the bodies: nonterminals, and terminals as ``~byte``."""
        terminals = [[~byte for byte in terminal.encode()] for terminal in self.grammar.terminals]
        bodies = [
            [item for symbol in self.body(token) for item in (terminals[~symbol] if symbol < 0 else [symbol])]
            for token in range(self.size)
        ]
        starts = np.cumsum([0, *map(len, bodies)], dtype=np.int64)
        return starts, np.array([item for body in bodies for item in body], dtype=np.int32)

    @cached_property
    def _lhs(self) -> list[int]:
        lhs: list[int] = self.rules.lhs.tolist()
        return lhs

    @cached_property
    def _pieces(self) -> list[list[str | int]]:
        """Each token's body from its end: nonterminals, and the text of terminals that stand together."""
        terminals = self.grammar.terminals
        found: list[list[str | int]] = []
        for token in range(self.size):
            pieces: list[str | int] = []
            for is_text, symbols in groupby(self.body(token), lambda symbol: symbol < 0):
                if is_text:
                    pieces.append("".join(terminals[~symbol] for symbol in symbols))
                else:
                    pieces.extend(symbols)
            found.append(pieces[::-1])
        return found

    @cached_property
    def trie(self) -> tuple[Ints, Ints]:
        """The trie of the tokens.

        Returns
        -------
        next_node
            int32 (nodes, P): the node after a production, 0 where there is none.
        token_at
            int32 (nodes,): the token that ends at a node, or -1.
        """
        return build_trie([*((p,) for p in range(self.grammar.size)), *self.macros], self.grammar.size)


def _check_range(tokens: NDArray[np.integer], size: int, what: str) -> None:
    """Raise an InputError for a token outside 0 ... size - 1."""
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < size:
        wrong = next(int(token) for token in tokens if not 0 <= token < size)
        raise InputError(f"unknown {what}", received=wrong, expected=f"0 to {size - 1}")


def _open_nonterminals(
    grammar: str, lhs: Sequence[int], children: Sequence[tuple[int, ...]], macro: Sequence[int]
) -> tuple[int, ...]:
    """The nonterminals that a macro leaves open, from the left.

    Raises
    ------
    GrammarError
        When a production does not expand the leftmost nonterminal that is open.
    """
    stack: list[int] = []
    for step, production in enumerate(macro):
        if not 0 <= production < len(lhs):
            raise GrammarError(
                "a macro refers to a production that the grammar lacks", received=production, where=grammar
            )
        if step and (not stack or stack.pop() != lhs[production]):
            raise GrammarError("a macro must be a run of steps of a leftmost derivation", received=macro, where=grammar)
        stack.extend(reversed(children[production]))
    return tuple(reversed(stack))


def learn_macros(
    grammar: Grammar, derivations: NDArray[np.integer], offsets: NDArray[np.int64], n_macros: int, min_count: int = 2
) -> MacroTable:
    """Learn up to ``n_macros`` macros from derivations.

    Parameters
    ----------
    grammar
        The grammar of the derivations.
    derivations, offsets
        Leftmost derivations end to end, and where each begins (N + 1,). About 20,000 molecules suffice.
    n_macros
        The greatest number of macros; learning stops earlier when no pair occurs ``min_count`` times.

    Returns
    -------
    The table; the same derivations give the same table everywhere (ties go to the smaller tokens).
    """
    return extend_macros(MacroTable(grammar), derivations, offsets, n_macros, min_count)


def extend_macros(
    table: MacroTable, derivations: NDArray[np.integer], offsets: NDArray[np.int64], n_macros: int, min_count: int = 2
) -> MacroTable:
    """Learn up to ``n_macros`` further macros; the tokens of ``table`` keep their numbers and meanings.

    The other arguments are those of :func:`learn_macros`. Pairs are counted in the fewest known tokens that spell each
    derivation.
    """
    if n_macros < 0:
        raise InputError("the number of macros cannot be negative", received=n_macros, expected="0 or more")
    known, starts = table.encode(derivations.astype(np.int32), offsets)
    # A separator keeps pairs inside one derivation; it acts as a rule that leaves nothing open.
    tokens = np.insert(known.astype(np.int32), starts[1:-1], -1)
    size = table.size
    arity = np.zeros(size + n_macros, dtype=np.int32)
    arity[:size] = table.rules.arity
    first_token, flat = table.expansions
    expansions = [tuple(flat[a:b].tolist()) for a, b in pairwise(first_token.tolist())]
    n = len(tokens)
    for _ in range(n_macros):
        first, second, count = _most_frequent_pair(tokens, n, arity, len(expansions))
        if count < max(min_count, 1):
            break
        arity[len(expansions)] = arity[first] - 1 + arity[second]
        n = _merge(tokens, n, first, second, len(expansions))
        expansions.append(expansions[first] + expansions[second])
    return MacroTable(table.grammar, tuple(expansions[table.grammar.size :]))


# -- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _most_frequent_pair(tokens, n, arity, n_tokens):  # type: ignore[no-untyped-def]
    counts = np.zeros((n_tokens, n_tokens), np.int32)
    for i in range(n - 1):
        a, b = tokens[i], tokens[i + 1]
        if a >= 0 and b >= 0 and arity[a] > 0:
            counts[a, b] += 1
    best = counts.argmax()
    return best // n_tokens, best % n_tokens, counts.flat[best]


@njit(cache=True, nogil=True)
def _merge(tokens, n, first, second, merged):  # type: ignore[no-untyped-def]
    """Replace each (first, second) by ``merged``, from the left, in place; returns the new length."""
    out = 0
    i = 0
    while i < n:
        if i + 1 < n and tokens[i] == first and tokens[i + 1] == second:
            tokens[out] = merged
            i += 2
        else:
            tokens[out] = tokens[i]
            i += 1
        out += 1
    return out


@njit(cache=True, nogil=True)
def _encode(derivations, offsets, next_node, token_at):  # type: ignore[no-untyped-def]
    """Shortest paths from each derivation's end to its beginning; of equally short ones, the longest first step."""
    tokens = np.empty(len(derivations), np.uint16)
    ends = np.zeros(len(offsets), np.int64)
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    fewest = np.empty(longest + 1, np.int64)
    token = np.empty(longest + 1, np.int32)
    after = np.empty(longest + 1, np.int64)
    out = 0
    for row in range(len(offsets) - 1):
        begin = offsets[row]
        n = offsets[row + 1] - begin
        fewest[n] = 0
        for at in range(n - 1, -1, -1):
            fewest[at] = n + 1
            node = 0
            for ahead in range(at, n):
                node = next_node[node, derivations[begin + ahead]]
                if node == 0:
                    break
                if token_at[node] >= 0 and fewest[ahead + 1] + 1 <= fewest[at]:
                    fewest[at] = fewest[ahead + 1] + 1
                    token[at] = token_at[node]
                    after[at] = ahead + 1
        at = 0
        while at < n:
            tokens[out] = token[at]
            out += 1
            at = after[at]
        ends[row + 1] = out
    return tokens[:out].copy(), ends


@njit(cache=True, nogil=True)
def _spell(tokens, starts, bodies, lhs, start):  # type: ignore[no-untyped-def]
    """Write out every row; returns the bytes, where each row's begin, and whether the row was a complete derivation."""
    buffer = np.empty(64 * len(tokens) + 64, np.uint8)
    ends = np.zeros(len(tokens) + 1, np.int64)
    complete = np.zeros(len(tokens), np.bool_)
    stack = np.empty(256, np.int32)
    n = 0
    for row in range(len(tokens)):
        stack[0] = start
        top = 1
        at = 0
        while top > 0:
            top -= 1
            symbol = stack[top]
            if symbol < 0:
                if n == len(buffer):
                    grown = np.empty(2 * n, np.uint8)
                    grown[:n] = buffer
                    buffer = grown
                buffer[n] = ~symbol
                n += 1
                continue
            token = tokens[row, at] if at < tokens.shape[1] else -1
            if token < 0 or token >= len(lhs) or lhs[token] != symbol:
                top = -1
                break
            at += 1
            size = starts[token + 1] - starts[token]
            if top + size > len(stack):
                deeper = np.empty(2 * (top + size), np.int32)
                deeper[:top] = stack[:top]
                stack = deeper
            for item in range(size):
                stack[top + item] = bodies[starts[token + 1] - 1 - item]
            top += size
        if top == 0 and (at == tokens.shape[1] or tokens[row, at] < 0):
            complete[row] = True
        else:
            n = ends[row]
        ends[row + 1] = n
    return buffer[:n].copy(), ends, complete
