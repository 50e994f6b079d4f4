"""What may be written in the holes of a template, and what they must do besides: see ``linking.py``."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from grammar_rae.decoding.chemistry import layout
from grammar_rae.grammar import Grammar

_SPINE, _ATOM, _NUMBER = ("tail", "more"), "atom", "number"


class Hole(NamedTuple):
    """What may be written in a hole of a template, or outside of holes.

    Attributes
    ----------
    elements, ring_sizes
        Those that are allowed; None for any.
    heavy_atoms
        The most.
    label
        The number of the point; 0 outside of holes.
    piece
        The productions that the hole must end with.
    awaited
        The number of the ring that must be closed in it; -1 for none.
    """

    elements: frozenset[str] | None
    ring_sizes: frozenset[int] | None
    heavy_atoms: int
    label: int = 0
    piece: tuple[int, ...] = ()
    awaited: int = -1


def piece_tables(grammar: Grammar, holes: Sequence[Hole], tables: Mapping[int, Any]) -> dict[int, Any]:
    """Return the tables of what holes must do; ``tables`` holds those of atoms."""
    steps = [_steps(grammar, hole.piece, tables, index) if hole.piece else [] for index, hole in enumerate(holes)]
    return {
        layout.T_PIECE: np.cumsum([0, *map(len, steps)]),
        layout.T_PIECE_STEPS: [numbers for rows in steps for numbers in rows],
        layout.T_PIECE_OTHER: [find_twin(grammar, hole.piece[0]) if hole.piece else -1 for hole in holes],
        layout.T_AWAITED: [hole.awaited for hole in holes],
    }


def find_twin(grammar: Grammar, production: int) -> int:
    """Return the production that writes the same behind a branch, or behind an atom; -1 for none."""
    rhs = grammar.productions[production].rhs
    for index, other in enumerate(grammar.productions):
        if index != production and other.rhs == rhs and grammar.nonterminals[other.lhs] in _SPINE:
            return index
    return -1


def _steps(grammar: Grammar, piece: Sequence[int], tables: Mapping[int, Any], hole: int) -> list[tuple[int, ...]]:
    """The numbers of each production of a piece and of its end: see ``layout.py``."""
    edges = np.asarray(tables[layout.T_EDGE]).reshape(-1, 2)
    atoms: list[tuple[int, int, int]] = [(0, 0, 0)]  # heavy ones, all, those that the hole does not permit
    node = layout.OUTSIDE
    for production in piece:
        if grammar.nonterminals[grammar.productions[production].lhs] == _ATOM:
            node = layout.ATOM_ROOT
        begin, end = tables[layout.T_EDGES][node : node + 2]
        node = next((int(to) for by, to in edges[begin:end] if by == production), layout.OUTSIDE)
        leaf = int(tables[layout.T_LEAF][node]) if node else -1
        heavy, n, strange = atoms[-1]
        if leaf >= 0:
            heavy, n = heavy + int(tables[layout.T_HEAVY][leaf]), n + 1
            strange += not tables[layout.T_PERMITTED][hole][leaf]
            node = layout.OUTSIDE
        atoms.append((heavy, n, strange))
    return [
        (production, shorter, *counts)
        for production, shorter, counts in zip((*piece, -1), find_shorter(grammar, piece), atoms, strict=True)
    ]


def find_shorter(grammar: Grammar, piece: Sequence[int]) -> list[int]:
    """Return for each length of a match the longest shorter match that it ends with; 0 for none."""
    begins = {piece[0], find_twin(grammar, piece[0])}
    open_spine = _find_open_spine(grammar, piece)
    shorter = [0] * (len(piece) + 1)
    for length in range(2, len(piece)):
        for start in range(1, length):
            if open_spine[start] and piece[start] in begins and piece[start + 1 : length] == piece[1 : length - start]:
                shorter[length] = length - start
                break
    return shorter


def _find_open_spine(grammar: Grammar, piece: Sequence[int]) -> list[bool]:
    """Whether before each production nothing but the spine is left to expand, and no ring of the piece is open."""
    symbols = [grammar.productions[piece[0]].lhs]
    still_open: set[str] = set()
    floor, text, found = -1, "", []
    for production in piece:
        found.append(len(symbols) == 1 and not still_open)
        lhs, rhs = grammar.productions[production].lhs, grammar.productions[production].rhs
        symbols.pop()
        if grammar.nonterminals[lhs] == _NUMBER:
            floor, text = len(symbols), ""
        text += "".join(grammar.terminals[~symbol] for symbol in rhs if symbol < 0)
        symbols.extend(symbol for symbol in reversed(rhs) if symbol >= 0)
        if len(symbols) == floor:
            still_open ^= {text}
            floor = -1
    return found
