"""Grammars of molecules as the kernels read them: which nonterminal is an atom, a bond, a ring's number, and so on.

The chemistry constraint knows two grammars by the names and productions of their nonterminals, whatever atoms, bonds
and numbers they have: one that spells from left to right (``smiles``) and the left-recursive one of the grammar VAE
(``zinc``). Atoms and ring numbers are tries over productions: an atom that may be written is a path from the
nonterminal ``atom`` to a leaf, so brackets need no rules of their own.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.decoding.chemistry import layout, policy
from grammar_rae.decoding.chemistry.holes import Hole, piece_tables
from grammar_rae.decoding.chemistry.layout import Tables
from grammar_rae.decoding.chemistry.templates import Program
from grammar_rae.errors import InputError, TextError
from grammar_rae.grammar import Grammar, MacroTable, parser_for


class Part(NamedTuple):
    """What the policy does with a nonterminal: see ``policy.py`` and ``layout.py``; ``moves`` as right-hand sides."""

    role: int
    moves: tuple[str, ...] = ()
    demand: int = 0
    stops: bool = False
    places: bool = False
    steps: int = -1


_BOND = Part(policy.BOND, ("-", "=", "#"), steps=1)

DIALECTS: dict[str, dict[str, Part]] = {
    "from left to right": {
        "smiles": Part(policy.ONLY, ("chain",), stops=True, places=True, steps=3),
        "chain": Part(policy.ONLY, ("atom tail",), demand=1, stops=True, places=True, steps=2),
        "tail": Part(policy.TAIL, ("", "chain", "ring tail"), stops=True, steps=1),
        "more": Part(policy.MORE, ("", "chain"), stops=True, steps=1),
        "branch": Part(policy.ONLY, ("( chain )",), demand=1, places=True, steps=3),
        "ring": Part(policy.RING, ("number",), demand=1),
        "bond": _BOND,
        "atom": Part(policy.SPELLED, demand=1, stops=True),
        "number": Part(policy.SPELLED, demand=1),
    },
    "left-recursive": {
        "smiles": Part(policy.ONLY, ("chain",), stops=True),
        "chain": Part(policy.ONLY, ("branched_atom",), demand=1, stops=True, places=True, steps=2),
        "branched_atom": Part(
            policy.BRANCHED, ("atom", "atom RB", "atom BB", "atom RB BB"), demand=1, stops=True, places=True, steps=1
        ),
        "RB": Part(policy.RINGS, ("ringbond", "RB ringbond"), demand=1, steps=3),
        "ringbond": Part(policy.RING, ("DIGIT",), demand=1, steps=2),
        "BB": Part(policy.ONLY, ("branch",), demand=1, places=True, steps=4),
        "branch": Part(policy.ONLY, ("( chain )",), demand=1, places=True, steps=3),
        "bond": _BOND,
        "atom": Part(policy.SPELLED, demand=1, stops=True),
        "DIGIT": Part(policy.SPELLED, demand=1, steps=1),
    },
}
"""The grammars whose molecules can always be finished, by their nonterminals."""

ATOM = "atom"
_NUMBERS = ("number", "DIGIT")
_EVENTS = {
    "(": layout.BEGIN_BRANCH,
    ")": layout.END_BRANCH,
    ".": layout.NEXT_PART,
    "-": layout.SINGLE,
    "/": layout.SINGLE,
    "\\": layout.SINGLE,
    "=": layout.DOUBLE,
    "#": layout.TRIPLE,
}


class Atom(NamedTuple):
    """An atom that may be written: its text, the bonds it can take, and its element."""

    text: str
    capacity: int
    element: str

    @property
    def heavy(self) -> bool:
        """Whether it is other than hydrogen."""
        return self.element not in ("H", "*")


def find_dialect(grammar: Grammar) -> dict[str, Part]:
    """Return the dialect that a grammar speaks.

    Raises
    ------
    InputError
        When it speaks none of :data:`DIALECTS`.
    """
    written = {(grammar.nonterminals[p.lhs], _side(grammar, p.rhs)) for p in grammar.productions}
    for dialect in DIALECTS.values():
        needed = {(name, side) for name, part in dialect.items() for side in _required_sides(part)}
        if needed <= written and dialect.keys() <= set(grammar.nonterminals):
            return dialect
    raise InputError(
        "the chemistry constraint does not know this grammar",
        received=f"grammar {grammar.name!r}",
        expected="the nonterminals and productions of 'smiles' or 'zinc', with whatever atoms",
        remedy="Decode with constraint='grammar', and reject what is not valid.",
    )


def _required_sides(part: Part) -> tuple[str, ...]:
    return part.moves[:1] if part.role == policy.BOND else part.moves


def _side(grammar: Grammar, rhs: Sequence[int]) -> str:
    return " ".join(grammar.terminals[~s] if s < 0 else grammar.nonterminals[s] for s in rhs)


def subtree(grammar: Grammar, derivation: Iterable[int], nonterminal: int) -> tuple[int, ...]:
    """Return the productions of a leftmost derivation below its first node of that nonterminal."""
    found: list[int] = []
    still_open = 0
    for production in map(int, derivation):
        lhs, children = grammar.productions[production].lhs, grammar.productions[production].children
        if found or lhs == nonterminal:
            still_open += len(children) - (1 if found else 0)
            found.append(production)
            if still_open == 0:
                break
    return tuple(found)


def spelling(grammar: Grammar, text: str, nonterminal: int) -> tuple[int, ...] | None:
    """Return the productions of ``nonterminal`` in a text; None where the text is not in the grammar."""
    try:
        return subtree(grammar, parser_for(grammar).parse(text), nonterminal)
    except TextError:
        return None


def compile_tables(
    macros: MacroTable,
    atoms: Sequence[Atom],
    prefer: str,
    most_open: int,
    holes: Sequence[Hole],
    program: Program,
) -> Tables:
    """Return the tables of a grammar and its macros, int32 (W,): see ``layout.py``.

    Parameters
    ----------
    macros
        Over a grammar of one of the :data:`DIALECTS`.
    atoms
        Those that may be written; what the grammar does not know is left out.
    prefer
        The text of the atom that molecules are finished with, where it is among them.
    most_open
        The most rings that are open at once.
    holes
        What may be written outside of holes, and in each hole of the program.
    program
        What a template says comes next.

    Raises
    ------
    InputError
        For a grammar of another dialect, or when no atom is left.
    """
    grammar = macros.grammar
    dialect = find_dialect(grammar)
    number = {name: index for index, name in enumerate(grammar.nonterminals)}
    roots = {number[ATOM]: layout.ATOM_ROOT, number[next(n for n in _NUMBERS if n in dialect)]: layout.NUMBER_ROOT}
    inside = _find_reachable(grammar, roots)
    starts, bodies = _body_tables(grammar, inside)
    asked = [hole.ring_sizes for hole in holes if hole.ring_sizes is not None]
    n_sizes = max(size for sizes in asked for size in (2, *sizes)) + 1 if asked else 0
    token_starts, token_bodies = macros.expansions
    tables = {
        layout.T_LHS: [p.lhs for p in grammar.productions],
        layout.T_START: starts,
        layout.T_BODY: bodies,
        layout.T_ROOT: [roots.get(n, layout.OUTSIDE) for n in range(len(number))],
        layout.T_INSIDE: [n in inside for n in range(len(number))],
        **_role_tables(grammar, dialect, inside),
        **_trie_tables(grammar, atoms, roots, prefer, holes),
        layout.T_SIZED: [hole.ring_sizes is not None for hole in holes],
        layout.T_SIZES: [[size in (hole.ring_sizes or ()) for size in range(n_sizes)] for hole in holes],
        layout.T_HOLE_HEAVY: [hole.heavy_atoms for hole in holes],
        **program.tables(),
        layout.T_TOKEN: token_starts,
        layout.T_TOKEN_BODY: token_bodies,
    }
    tables |= piece_tables(grammar, holes, tables)
    flat = {
        place: np.asarray(table, dtype=np.int32).ravel() for place, table in tables.items() if place < layout.T_WIDTH
    }
    head = np.zeros(layout.PLACES, dtype=np.int32)
    at = layout.PLACES
    for place, table in flat.items():
        head[place] = at
        at += len(table)
    for count in (layout.T_WIDTH, layout.N_NODES, layout.N_LEAVES):
        head[count] = tables[count]
    head[layout.N_SIZES], head[layout.MOST_HEAVY] = n_sizes, holes[0].heavy_atoms
    head[layout.N_NUMBERS] = min(int((tables[layout.T_NUMBER] >= 0).sum()), most_open)
    head[layout.LONGEST] = int(np.diff(token_starts).max())
    return np.concatenate([head, *flat.values()])


class _Trie:
    """Paths of productions from the two roots, and the leaves at which they end."""

    def __init__(self) -> None:
        self.edges: list[dict[int, int]] = [{}, {}, {}]
        self.leaves: list[tuple[tuple[int, ...], list[int]]] = []
        self.leaf_at: dict[int, int] = {}

    def add(self, root: int, path: tuple[int, ...]) -> bool:
        """Add a path; False where it is there already."""
        trail = [root]
        for production in path:
            node = self.edges[trail[-1]].get(production)
            if node is None:
                node = self.edges[trail[-1]][production] = len(self.edges)
                self.edges.append({})
            trail.append(node)
        if trail[-1] in self.leaf_at:
            return False
        self.leaf_at[trail[-1]] = len(self.leaves)
        self.leaves.append((path, trail))
        return True


class _Leaf(NamedTuple):
    """What a leaf spells: an atom with its capacity and element, or a ring's number.

    ``is_hydrogen`` tells the hydrogen that RDKit takes for none: in a hole it would be a point where nothing grows.
    """

    is_atom: bool
    value: int
    heavy: bool
    element: str = ""
    is_hydrogen: bool = False


def _fill_trie(grammar: Grammar, atoms: Sequence[Atom], roots: Mapping[int, int]) -> tuple[_Trie, list[_Leaf]]:
    """Return the trie of the atoms and ring numbers that the grammar can write, and its leaves."""
    trie = _Trie()
    leaves: list[_Leaf] = []
    atom_symbol, number_symbol = roots
    for atom in atoms:
        path = spelling(grammar, atom.text, atom_symbol)
        if path is not None and trie.add(layout.ATOM_ROOT, path):
            leaves.append(_Leaf(True, atom.capacity, atom.heavy, atom.element, atom.text == "[H]"))
    if not leaves:
        raise InputError(
            "the grammar can write none of the atoms that may be written",
            received=", ".join(atom.text for atom in atoms) or "none",
            remedy="Allow more elements.",
        )
    for value in range(layout.MOST_NUMBERS):
        text = str(value) if value < 10 else f"%{value}"  # RDKit takes "%05" for no number
        path = spelling(grammar, f"C{text}CC{text}", number_symbol)
        if path is not None and trie.add(layout.NUMBER_ROOT, path):
            leaves.append(_Leaf(False, value, False))
    return trie, leaves


def _trie_tables(
    grammar: Grammar, atoms: Sequence[Atom], roots: Mapping[int, int], prefer: str, holes: Sequence[Hole]
) -> dict[int, Any]:
    """Return the tables of nodes, leaves and ring numbers."""
    trie, leaves = _fill_trie(grammar, atoms, roots)
    atom_symbol, _ = roots
    n_nodes, width = len(trie.edges), 1 + max(len(path) for path, _ in trie.leaves)
    path_table = np.full((len(leaves), width), -1)
    trail_table = np.full((len(leaves), width), -1)
    depth, leaf = np.zeros(n_nodes), np.full(n_nodes, -1)
    numbers = np.full(layout.MOST_NUMBERS, -1)
    for one, ((path, trail), end) in enumerate(zip(trie.leaves, leaves, strict=True)):
        path_table[one, : len(path)] = path
        trail_table[one, : len(trail)] = trail
        leaf[trail[-1]] = one
        depth[trail] = np.arange(len(trail))
        if not end.is_atom:
            numbers[end.value] = one
    permitted = [[not hole or _permits(one, end) for end in leaves] for hole, one in enumerate(holes)]
    wanted = spelling(grammar, prefer, atom_symbol)
    best = [_best_leaves(trie, leaves, permits, wanted) for permits in permitted]
    return {
        layout.T_EDGES: np.cumsum([0, *map(len, trie.edges)]),
        layout.T_EDGE: [pair for edges in trie.edges for pair in edges.items()],
        layout.T_LEAF: leaf,
        layout.T_NODE_DEPTH: depth,
        layout.T_PREFERRED: [preferred for preferred, _ in best],
        layout.T_STRONGEST: [strongest for _, strongest in best],
        layout.T_PERMITTED: permitted,
        layout.T_IS_ATOM: [end.is_atom for end in leaves],
        layout.T_VALUE: [end.value for end in leaves],
        layout.T_HEAVY: [end.heavy for end in leaves],
        layout.T_PATH: path_table,
        layout.T_TRAIL: trail_table,
        layout.T_LENGTH: [len(path) for path, _ in trie.leaves],
        layout.T_WIDTH: width,
        layout.N_NODES: n_nodes,
        layout.N_LEAVES: len(leaves),
        layout.T_NUMBER: numbers,
    }


def _permits(hole: Hole, end: _Leaf) -> bool:
    """Whether a leaf may be written in a hole."""
    return not end.is_atom or (not end.is_hydrogen if hole.elements is None else end.element in hole.elements)


def _best_leaves(
    trie: _Trie, leaves: Sequence[_Leaf], permitted: Sequence[bool], wanted: tuple[int, ...] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return below each node the permitted atom to finish with, and the one of the largest capacity, -1 for none."""
    strongest = np.full(len(trie.edges), -1)
    atoms = [one for one, end in enumerate(leaves) if end.is_atom and permitted[one]]
    for one in atoms:
        for node in trie.leaves[one][1]:
            if strongest[node] < 0 or leaves[one].value > leaves[strongest[node]].value:
                strongest[node] = one
    preferred = strongest.copy()
    for one in atoms:
        path, trail = trie.leaves[one]
        if path == wanted:
            preferred[trail] = one
    return preferred, strongest


def _find_reachable(grammar: Grammar, roots: Iterable[int]) -> set[int]:
    found, waiting = set(roots), list(roots)
    while waiting:
        top = waiting.pop()
        for production in grammar.productions:
            if production.lhs == top:
                new = set(production.children) - found
                found |= new
                waiting.extend(new)
    return found


def _body_tables(grammar: Grammar, inside: set[int]) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    rows = []
    for production in grammar.productions:
        row = [
            symbol if symbol >= 0 else _EVENTS.get(grammar.terminals[~symbol], layout.REFUSED)
            for symbol in reversed(production.rhs)
            if symbol >= 0 or production.lhs not in inside
        ]
        rows.append(row)
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int32)
    return starts, np.array([symbol for row in rows for symbol in row], dtype=np.int16)


def _role_tables(grammar: Grammar, dialect: Mapping[str, Part], inside: set[int]) -> dict[int, Any]:
    """Return the tables of what the policy does with each nonterminal."""
    index = {(grammar.nonterminals[p.lhs], _side(grammar, p.rhs)): i for i, p in enumerate(grammar.productions)}
    parts = [
        dialect.get(name, Part(policy.SPELLED if one in inside else policy.UNKNOWN))
        for one, name in enumerate(grammar.nonterminals)
    ]
    moves = np.full((len(parts), 4), -1)
    for one, part in enumerate(parts):
        for i, side in enumerate(part.moves):
            moves[one, i] = index.get((grammar.nonterminals[one], side), -1)
    return {
        layout.T_ROLE: [part.role for part in parts],
        layout.T_MOVES: moves,
        layout.T_DEMAND: [part.demand for part in parts],
        layout.T_STOPS: [part.stops for part in parts],
        layout.T_PLACES: [part.places for part in parts],
        layout.T_STEPS: [part.steps for part in parts],
    }
