"""Templates as programs: the productions with which a text goes on, and the holes in which it grows.

A template is a molecule with points. Its text, with an atom in the place of each point, is parsed once; the subtree of
that atom is cut out and leaves a **hole**. What remains is a *path*: productions, and holes between them. The paths of
all spellings form a tree, the **program**, whose nodes are *stages*. A stage either has a hole or edges, so that one
number says where in the program a text is. A spelling that would need both at one stage is left out; the first never
is.

**Why there is still no dead end.** A hole hangs on one single bond, which the cut-out atom took when the template was
read, and rings do not cross its border. So what a hole holds changes nothing about what is legal outside of it, and the
fewest tokens W of ``constraint.py`` fall into parts: those to the end of the hole that is being filled, by the policy,
and those behind it, a constant of each stage (``T_STAGE_LEFT``), with each later hole filled as the policy fills it.
Take the first token of the shortest way to write the first part: the policy depends on the state alone, so that after
it this part takes one token less, and the rest is as before. Only what counts the whole molecule (heavy atoms, the room
of a state) depends on all holes together; there the stages' own share is set aside, and a token that would need it is
not allowed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.decoding.chemistry import layout, machine, policy
from grammar_rae.decoding.chemistry.holes import Hole
from grammar_rae.decoding.chemistry.layout import Row, Tables
from grammar_rae.decoding.chemistry.points import Point
from grammar_rae.errors import DecodingError
from grammar_rae.grammar import Grammar, MacroTable, parser_for
from grammar_rae.kernels import for_few

if TYPE_CHECKING:
    from grammar_rae.chem.templates import Spelling

Path = tuple[int, ...]
"""Productions, and a hole h as -h."""

NumberHole = Callable[[int, Path, int], int]
"""A point's number, the piece that its hole must end with, the ring that must be closed in it -> the hole."""


class Grown(NamedTuple):
    """What grew in a hole: the number of its point, its first atom in the text, and the one behind its last."""

    label: int
    first: int
    end: int


@dataclass(frozen=True)
class TemplateLimit:
    """A template as limits have it: a molecule that grows at its points.

    Attributes
    ----------
    text
        As it was asked for.
    spellings
        Its Kekulé texts, the best first.
    points
        What may grow at each point, by its number; closed ones are not among them.
    """

    text: str
    spellings: "tuple[Spelling, ...]"
    points: tuple[tuple[int, Point], ...]

    def __str__(self) -> str:
        return self.text


@dataclass
class Program:
    """The stages of a template; see the module's first lines.

    Attributes
    ----------
    edges
        For each stage the stage after a production. The first edge is the one to go on with where nothing else is said.
    holes
        For each stage its hole, 0 for none.
    behind
        The stage behind that hole.
    paths
        Those that were added.
    """

    edges: list[dict[int, int]] = field(default_factory=lambda: [{}, {}])
    holes: list[int] = field(default_factory=lambda: [0, 0])
    behind: list[int] = field(default_factory=lambda: [0, 0])
    paths: list[Path] = field(default_factory=list)

    def add(self, path: Path, freely: bool = False) -> bool:
        """Add a path, behind which the text goes on ``freely`` or ends; False where it does not fit the others."""
        trail = self._common_trail(path)
        if trail is None or len(trail) > len(path):
            return False
        stage = trail[-1]
        for at in range(len(trail) - 1, len(path)):
            last = at == len(path) - 1
            following = layout.FREELY if freely and last else len(self.edges)
            if path[at] < 0:
                self.holes[stage], self.behind[stage] = -path[at], following
            else:
                self.edges[stage][path[at]] = following
            if following != layout.FREELY:
                self.edges.append({})
                self.holes.append(0)
                self.behind.append(0)
            stage = following
        self.paths.append(path)
        return True

    def _common_trail(self, path: Path) -> list[int] | None:
        """The stages of the path that are there already; None where a hole meets productions, or another hole."""
        trail = [layout.BEGINNING]
        for item in path:
            stage = trail[-1]
            hole, edges = self.holes[stage], self.edges[stage]
            if (hole and item != -hole) or (edges and item < 0):
                return None
            following = self.behind[stage] if hole else edges.get(item)
            if following is None:
                break
            trail.append(following)
        return trail

    def tables(self) -> dict[int, Any]:
        """The tables of the stages, without those that :func:`measure_stages` fills."""
        nothing = [0] * len(self.edges)
        return {
            layout.T_STAGE_EDGES: np.cumsum([0, *map(len, self.edges)]),
            layout.T_STAGE_EDGE: [pair for edges in self.edges for pair in edges.items()],
            layout.T_STAGE_FIRST: [next(iter(edges), -1) for edges in self.edges],
            layout.T_STAGE_HOLE: self.holes,
            layout.T_STAGE_BEHIND: self.behind,
            layout.T_STAGE_LEFT: nothing,
            layout.T_STAGE_HEAVY: nothing,
            layout.T_STAGE_ATOMS: nothing,
            layout.T_STAGE_RINGS: nothing,
        }

    def tokens(self, macros: MacroTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the tokens that may go on from each stage: where they begin (and the next stage's), and the tokens.

        These spell productions of the program, as far as to a hole; what they spell in there is not looked at.
        """
        next_node, token_at = macros.trie
        below = _tokens_below(next_node, token_at)
        found: list[list[int]] = []
        for stage in range(len(self.edges)):
            tokens: set[int] = set()
            waiting = [(stage, 0)] if not self.holes[stage] else []
            while waiting:
                here, node = waiting.pop()
                for production, following in self.edges[here].items():
                    longer = int(next_node[node, production])
                    if longer == 0:
                        continue
                    if following == layout.FREELY or self.holes[following]:
                        tokens |= below[longer]
                    else:
                        if token_at[longer] >= 0:
                            tokens.add(int(token_at[longer]))
                        waiting.append((following, longer))
            found.append(sorted(tokens))
        starts = np.cumsum([0, *map(len, found)])
        return starts, np.array([token for tokens in found for token in tokens], dtype=np.int64)


def _tokens_below(next_node: NDArray[Any], token_at: NDArray[Any]) -> list[set[int]]:
    """The tokens that end at each node of the macros' trie or below it; a node's number is above its parent's."""
    below = [{int(token)} if token >= 0 else set() for token in token_at]
    above = np.zeros(len(below), dtype=np.int64)
    parents, letters = np.nonzero(next_node)
    above[next_node[parents, letters]] = parents
    for node in range(len(below) - 1, 0, -1):
        below[above[node]] |= below[node]
    return below


def find_path(grammar: Grammar, spelling: "Spelling", number_hole: NumberHole, atom: int) -> Path | None:
    """Return the path of a spelling.

    Parameters
    ----------
    grammar
        One that spells from left to right.
    spelling
        A text of the grammar.
    number_hole
        The hole of a point.
    atom
        The grammar's nonterminal of atoms.

    Returns
    -------
    The path, or None where more hangs on the atom of a point, so that it cannot be cut out.
    """
    derivation = [*map(int, parser_for(grammar).parse(spelling.text))]
    points, awaited, atoms = dict(spelling.points), dict(spelling.awaited), count()

    def items(at: int, end: int) -> list[int] | None:
        found: list[int] = []
        while at < end:
            begins_atom = grammar.productions[derivation[at]].children[:1] == (atom,)
            label = points.get(next(atoms)) if begins_atom else None
            if label is None:
                found.append(derivation[at])
                at += 1
                continue
            behind = at + 2  # the chain, the atom
            at = _end_of_subtree(grammar, derivation, at)
            rest = items(behind, at) if label in spelling.linked else [] if at == behind + 1 else None
            if rest is None:
                return None
            piece = tuple(takewhile(lambda item: item >= 0, rest))
            found += [-number_hole(label, piece, awaited.get(label, -1)), *rest[len(piece) :]]
        return found

    path = items(0, len(derivation))
    return None if path is None else tuple(path)


def _end_of_subtree(grammar: Grammar, derivation: Sequence[int], at: int) -> int:
    """Where a leftmost derivation goes on behind the subtree that begins at a step."""
    still_open = 1
    while still_open:
        still_open += len(grammar.productions[derivation[at]].children) - 1
        at += 1
    return at


def measure_stages(tables: Tables, program: Program, empty: Row, trie: Any, work: Any) -> int | None:
    """Write what each stage takes to the end into the tables.

    Parameters
    ----------
    tables
        With a program's stages.
    program
        The program.
    empty
        The state of a molecule of which nothing is written.
    trie, work
        As in ``kernels.py``.

    Returns
    -------
    None, or the index of the first path that is not legal; then the tables are not filled.
    """
    measured: set[int] = set()
    for index, path in enumerate(program.paths):
        row = empty.copy()
        parts = _run(row, [item for item in path if item >= 0], tables, work)
        if parts is None:
            return index
        left = 0
        for stages, written in reversed(parts):
            fewest = np.empty(len(written) + 1, dtype=np.int32)
            for_few(policy.fewest_tokens, 1)(np.array(written, dtype=np.int32), len(written), trie, fewest)
            for offset, stage, *counts in stages:
                if stage in measured:
                    continue
                measured.add(stage)
                tables[tables[layout.T_STAGE_LEFT] + stage] = fewest[offset] + left
                for place, before, counter in zip(_COUNTED, counts, _COUNTERS, strict=True):
                    tables[tables[place] + stage] = row[counter] - before
            left += int(fewest[0])
    return None


_COUNTED = layout.T_STAGE_HEAVY, layout.T_STAGE_ATOMS, layout.T_STAGE_RINGS
_COUNTERS = layout.HEAVY, layout.ATOMS, layout.CLOSED

_Part = tuple[list[tuple[int, ...]], list[int]]
"""Of a piece of a path: (offset, stage, heavy atoms, atoms, ring bonds before it), and the productions."""


def _run(row: Row, productions: Iterable[int], tables: Tables, work: Any) -> list[_Part] | None:
    """Write a path with its holes filled by the policy; return its pieces, or None where something is not legal."""
    _, room, _, distance = work
    parts: list[_Part] = []

    def fill() -> bool:
        n = for_few(policy.finish, 1)(row, 0, tables, len(room), room, distance)
        parts[-1][1].extend(map(int, room[: max(n, 0)]))
        return bool(n >= 0)

    def mark() -> None:
        stages, written = parts[-1]
        stages.append((len(written), int(row[layout.STAGE]), *(int(row[counter]) for counter in _COUNTERS)))

    def fill_hole() -> bool:
        parts.append(([], []))
        mark()
        return fill()

    for production in productions:
        in_hole = row[layout.HOLE] > 0
        while row[layout.HOLE] > 0:  # behind a piece another hole may begin at once
            if not fill_hole():
                return None
        if in_hole or not parts:
            parts.append(([], []))
        mark()
        parts[-1][1].append(production)
        if not for_few(machine.apply, 1)(row, production, tables):
            return None
    while row[layout.HOLE] > 0:
        if not fill_hole():
            return None
    # A text that goes on freely is finished in one piece with the path, for tokens may spell a part of both.
    return parts if row[layout.HEIGHT] == 0 or fill() else None


def find_grown(row: Row, productions: Iterable[int], tables: Tables, holes: Sequence[Hole]) -> tuple[Grown, ...]:
    """Write a whole derivation onto the state of an empty molecule, and return what grew in its holes.

    Raises
    ------
    DecodingError
        For a derivation that is not one of the template.
    """
    found = []
    for production in productions:
        hole, first = int(row[layout.HOLE]), int(row[layout.HOLE_FIRST])
        if not for_few(machine.apply, 1)(row, production, tables):
            raise DecodingError("the text is not one that the template allows")
        if hole and row[layout.HOLE] != hole:
            end = int(row[layout.ATOMS])
            if holes[hole].piece:
                last = tables[tables[layout.T_PIECE] + hole + 1] - 1
                end -= int(tables[tables[layout.T_PIECE_STEPS] + layout.PIECE_WIDTH * last + layout.STEP_ATOMS])
            found.append(Grown(holes[hole].label, first, end))
    return tuple(found)
