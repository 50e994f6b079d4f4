"""Where things stand in the two arrays of the machine: a row, the state of one molecule, and the tables of a grammar.

Both begin with the places of their parts. Other modules of the wing read the numbers below as ``layout.NAME``: Numba
compiles them in as constants. Kernels that only look something up are compiled where they are called: one more kernel
takes longer to compile than a copy of one line. So do assignments to slices, which can raise, rather than loops.
"""

import numpy as np
from numpy.typing import NDArray

from grammar_rae.kernels import njit

Row = NDArray[np.int16]
Tables = NDArray[np.int32]

# -- a row ------------------------------------------------------------------------------------------------------------

# Counters: open symbols; the node of a trie, and the height of the stack below what it spells; the current atom, -1 for
# none; the order of the bond that is written before the next atom or number, 0 for none; atoms, heavy atoms, open
# rings, nested branches, ring bonds; tokens that are left, tokens that are owed; the stage of the template.
HEIGHT, NODE, BASE, CURRENT, PENDING, ATOMS, HEAVY, OPEN, DEPTH, CLOSED, LEFT, OWED, STAGE = range(13)
# The hole that is being filled, 0 for none; and of it the height of the stack below, and the atoms, the heavy atoms and
# the open rings before it (0 outside of holes); and how many productions of the piece that it must end with are
# written, 0 for none.
HOLE, HOLE_BASE, HOLE_FIRST, HOLE_HEAVY, OUTER, MATCHED = range(13, 19)
# Where the parts begin, each up to the next one: the stack; of each atom the capacity that is free, and the atom to its
# left; the atoms that branches began at; of each open ring the number, the atom and the written order; the ring bonds.
STACK, FREE, PARENT, BRANCH, NUMBER, AT, ORDER, RING_A, RING_B, END = range(19, 29)
COUNTERS = 29

# -- the tables -------------------------------------------------------------------------------------------------------

# Places of the tables, by what indexes them.
# Production: the left-hand side; where its reversed right-hand side begins (and the next one's).
T_LHS, T_START, T_BODY = 0, 1, 2
# Nonterminal: the node at which it enters a trie; whether it lies inside of one; what finishing does with it, and with
# which four productions; the bonds that it will take of the atom to its left; whether that atom's text ends there; and
# whether it brings an atom that may get ring bonds and branches of its own; the productions that it takes besides those
# of that atom, -1 where that depends. See ``policy.py``.
T_ROOT, T_INSIDE, T_ROLE, T_MOVES, T_DEMAND, T_STOPS, T_PLACES, T_STEPS = range(3, 11)
# Node: where its edges begin (production, node after it); the leaf that ends there, -1 for none; the productions before
# it. Hole and node: the leaf below it that is the atom to finish with, and the one of largest capacity, -1 for none.
T_EDGES, T_EDGE, T_LEAF, T_NODE_DEPTH, T_PREFERRED, T_STRONGEST = range(11, 17)
# Leaf: whether it is an atom (else a ring's number); the atom's capacity, or the number; 1 for an atom other than
# hydrogen; the productions that spell it, and the nodes on the way (T_WIDTH of each); how many productions those are.
T_IS_ATOM, T_VALUE, T_HEAVY, T_PATH, T_TRAIL, T_LENGTH = range(17, 23)
# Ring number: the leaf that spells it, -1 for none.
T_NUMBER = 23
# Token: where its productions begin (and the next one's); the productions.
T_TOKEN, T_TOKEN_BODY = 24, 25
# Hole: whether each leaf may be written in it; whether it asks for ring sizes; whether a ring may have each size; the
# most heavy atoms. Hole 0 is what lies outside of holes.
T_PERMITTED, T_SIZED, T_SIZES, T_HOLE_HEAVY = range(26, 30)
# Stage: where its edges begin (production, stage after it); the production of its first edge, -1 for none; its hole, 0
# for none; the stage behind that. And of the shortest way to go on from there by first edges, with each hole filled as
# the policy does: the tokens, heavy atoms, atoms and ring bonds.
T_STAGE_EDGES, T_STAGE_EDGE, T_STAGE_FIRST, T_STAGE_HOLE, T_STAGE_BEHIND = range(30, 35)
T_STAGE_LEFT, T_STAGE_HEAVY, T_STAGE_ATOMS, T_STAGE_RINGS = range(35, 39)
# Hole: where the piece that it must end with begins (and the next one's); the other production that begins it; the
# number of the ring, open outside, that must be closed in it, -1 for none. Production of a piece: PIECE_WIDTH numbers.
T_PIECE, T_PIECE_STEPS, T_PIECE_OTHER, T_AWAITED = range(39, 43)
# Numbers that are no places: T_WIDTH; how many nodes, and leaves; how many sizes, 0 where any is allowed; the most
# heavy atoms; the most productions of a token; how many ring numbers there are; 1 to count the bonds of rings and ask
# no more of them.
T_WIDTH, N_NODES, N_LEAVES, N_SIZES, MOST_HEAVY, LONGEST, N_NUMBERS, LENIENT = range(43, 51)
PLACES = 51

# Of each production of a piece, and of its end: the production; how much of the piece is written still if something
# else comes; and of what is before it the heavy atoms, the atoms, and those that the hole does not permit.
STEP, SHORTER, STEP_HEAVY, STEP_ATOMS, STEP_STRANGE = range(5)
PIECE_WIDTH = 5

MOST_NUMBERS = 100

# Terminals as events; what spells an atom or a ring's number is silent, for the trie tells of it.
BEGIN_BRANCH, END_BRANCH, NEXT_PART, SINGLE, DOUBLE, TRIPLE, REFUSED = -1, -2, -3, -4, -5, -6, -7

# Nodes at which the trie of atoms and that of ring numbers begin; 0 is outside both.
OUTSIDE, ATOM_ROOT, NUMBER_ROOT = 0, 1, 2

# A production that no atom or number goes on with.
NO_LEAF = -2

# Tokens that no limit has room for.
NEVER = 1 << 20

# The stage at which no template says what comes next, and the first stage of a template.
FREELY, BEGINNING = 0, 1


def empty_row(start: int, stack: int, atoms: int, depth: int, open_rings: int, rings: int) -> Row:
    """Return the state of a molecule of which nothing is written.

    Parameters
    ----------
    start
        The nonterminal that the derivation begins with.
    stack, atoms, depth, open_rings, rings
        How many symbols, atoms, nested branches, rings open at once and ring bonds the row has room for. A production
        that needs more is not legal.

    Returns
    -------
    int16 (W,)
    """
    sizes = [stack, atoms, atoms, depth, open_rings, open_rings, open_rings, rings, rings]
    places = np.cumsum([COUNTERS, *sizes])
    row = np.zeros(places[-1], dtype=np.int16)
    row[STACK : END + 1] = places
    row[[HEIGHT, CURRENT]] = 1, -1
    row[row[STACK]] = start
    return row


@njit(cache=True, nogil=True)
def copy_row(row, onto):  # type: ignore[no-untyped-def]
    """Copy the parts of a row that are in use."""
    for i in range(COUNTERS):
        onto[i] = row[i]
    for start, n in (
        (row[STACK], row[HEIGHT]),
        (row[FREE], row[ATOMS]),
        (row[PARENT], row[ATOMS]),
        (row[BRANCH], row[DEPTH]),
        (row[NUMBER], row[OPEN]),
        (row[AT], row[OPEN]),
        (row[ORDER], row[OPEN]),
        (row[RING_A], row[CLOSED]),
        (row[RING_B], row[CLOSED]),
    ):
        for i in range(start, start + n):
            onto[i] = row[i]
