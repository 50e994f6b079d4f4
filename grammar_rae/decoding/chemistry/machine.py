"""What a derivation of a molecule has spelled so far, and what one more production does to it.

One row of int16 numbers holds the state of one molecule: some counters, the symbols that are still open, what each atom
can still bind, the atoms at which branches began, the rings that are open and those that are closed. :func:`apply`
takes one production and says whether RDKit would still read the text: each atom's bonds stay within its capacity, a
ring bond joins two different atoms that are not bonded yet, both of its ends agree on its order, and nothing is left
open at the end.

Under a template (``templates.py``) a row also knows its *stage*: how far the text has come in the template. Outside of
the template's *holes* only productions with which the template goes on are legal. In a hole anything is, until the
stack is as low as it was before the hole's symbol; rings that are open outside are neither closed nor opened again
there, and those opened inside are closed inside.

The functions are compiled by Numba: one step of a decoder asks for some ten thousand such productions, each of a few
dozen machine instructions that depend on the ones before. Neither tensors nor Python can do that in the time that the
step leaves. The kernels take two arrays, a row and the tables of the grammar ``t``, and both begin with the places of
their parts: a call with thirty arrays would take longer than the work that it does.

Other modules of the wing read the numbers below as ``machine.NAME``: Numba compiles them in as constants.
"""

import numpy as np
from numpy.typing import NDArray

from grammar_rae.decoding.chemistry.cycles import has_allowed_rings
from grammar_rae.kernels import njit

Row = NDArray[np.int16]
Tables = NDArray[np.int32]

# -- a row ------------------------------------------------------------------------------------------------------------

# Counters: open symbols; the node of a trie, and the height of the stack below what it spells; the current atom, -1 for
# none; the order of the bond that is written before the next atom or number, 0 for none; atoms, heavy atoms, open
# rings, nested branches, ring bonds; tokens that are left, tokens that are owed; the stage of the template.
HEIGHT, NODE, BASE, CURRENT, PENDING, ATOMS, HEAVY, OPEN, DEPTH, CLOSED, LEFT, OWED, STAGE = range(13)
# The hole that is being filled, 0 for none; and of it the height of the stack below, and the atoms, the heavy atoms and
# the open rings before it (0 outside of holes).
HOLE, HOLE_BASE, HOLE_FIRST, HOLE_HEAVY, OUTER = range(13, 18)
# Where the parts begin, each up to the next one: the stack; of each atom the capacity that is free, and the atom to its
# left; the atoms that branches began at; of each open ring the number, the atom and the written order; the ring bonds.
STACK, FREE, PARENT, BRANCH, NUMBER, AT, ORDER, RING_A, RING_B, END = range(18, 28)
COUNTERS = 28

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
# Numbers that are no places: T_WIDTH; how many nodes, and leaves; how many sizes, 0 where any is allowed; the most
# heavy atoms; the most productions of a token; how many ring numbers there are; 1 to count the bonds of rings and ask
# no more of them.
T_WIDTH, N_NODES, N_LEAVES, N_SIZES, MOST_HEAVY, LONGEST, N_NUMBERS, LENIENT = range(39, 47)
PLACES = 47

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
    onto[:COUNTERS] = row[:COUNTERS]
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


@njit(cache=True, nogil=True)
def apply(row, production, t):  # type: ignore[no-untyped-def]
    """Expand the nonterminal on top by a production; False where RDKit would no longer read the text."""
    if follows_template(row):
        stage = next_stage(row[STAGE], production, t)
        if stage < 0:
            return False
        row[STAGE] = stage
    stack = row[STACK]
    height = row[HEIGHT] - 1
    top = row[stack + height]
    if t[t[T_LHS] + production] != top:
        return False
    ended = -1
    if t[t[T_INSIDE] + top]:
        ended = spell_on(row, production, top, height, t)
        if ended == NO_LEAF:
            return False
    begin, end = t[t[T_START] + production], t[t[T_START] + production + 1]
    if stack + height + end - begin > row[FREE]:
        return False
    for i in range(begin, end):
        row[stack + height] = t[t[T_BODY] + i]
        height += 1
    row[HEIGHT] = height
    if ended >= 0:
        if t[t[T_IS_ATOM] + ended]:
            if not add_atom(row, ended, t):
                return False
        elif not add_number(row, t[t[T_VALUE] + ended], t):
            return False
    while True:
        if row[HOLE] > 0 and row[HEIGHT] <= row[HOLE_BASE] and not leave_hole(row, t):
            return False
        if row[HEIGHT] == 0 or row[stack + row[HEIGHT] - 1] >= 0:
            break
        row[HEIGHT] -= 1
        if not apply_event(row, row[stack + row[HEIGHT]]):
            return False
    if follows_template(row):
        enter_hole(row, t)
    return row[HEIGHT] > 0 or ends_legally(row, t)


@njit(cache=True, nogil=True)
def follows_template(row):  # type: ignore[no-untyped-def]
    """Whether a template says what comes next."""
    return row[STAGE] != FREELY and row[HOLE] == 0


@njit(cache=True, nogil=True)
def next_stage(stage, production, t):  # type: ignore[no-untyped-def]
    """Return the stage that a production leads to; -1 for none."""
    for edge in range(t[t[T_STAGE_EDGES] + stage], t[t[T_STAGE_EDGES] + stage + 1]):
        if t[t[T_STAGE_EDGE] + 2 * edge] == production:
            return t[t[T_STAGE_EDGE] + 2 * edge + 1]
    return -1


@njit(cache=True, nogil=True)
def enter_hole(row, t):  # type: ignore[no-untyped-def]
    """Begin the hole of a stage, where it has one: what the symbol on top of the stack becomes."""
    hole = t[t[T_STAGE_HOLE] + row[STAGE]]
    if hole > 0:
        row[HOLE], row[HOLE_BASE], row[HOLE_FIRST] = hole, row[HEIGHT] - 1, row[ATOMS]
        row[HOLE_HEAVY], row[OUTER] = row[HEAVY], row[OPEN]


@njit(cache=True, nogil=True)
def leave_hole(row, t):  # type: ignore[no-untyped-def]
    """Go on with the template behind a hole; False where a ring of the hole is open or has no allowed size."""
    if row[OPEN] > row[OUTER] or not has_asked_sizes(row, t):
        return False
    row[STAGE] = t[t[T_STAGE_BEHIND] + row[STAGE]]
    row[HOLE] = row[HOLE_FIRST] = row[HOLE_HEAVY] = row[OUTER] = 0
    return True


@njit(cache=True, nogil=True)
def asked_sizes(row, t):  # type: ignore[no-untyped-def]
    """Return whether rings may have each size here, none where any is allowed."""
    begin = t[T_SIZES] + row[HOLE] * t[N_SIZES]
    return t[begin : begin + t[N_SIZES] * t[t[T_SIZED] + row[HOLE]]]


@njit(cache=True, nogil=True)
def has_asked_sizes(row, t):  # type: ignore[no-untyped-def]
    """Whether the rings of the hole, or outside of holes of the molecule, have the sizes that are asked."""
    sizes = asked_sizes(row, t)
    if len(sizes) == 0 or row[CLOSED] == 0:
        return True
    n_atoms, parent, ring_a, ring_b, n_rings = own_graph(row)
    return has_allowed_rings(n_atoms, parent, ring_a, ring_b, n_rings, sizes)


@njit(cache=True, nogil=True)
def own_graph(row):  # type: ignore[no-untyped-def]
    """Return the atoms and bonds of the hole, or outside of holes of the molecule, as ``cycles.py`` takes them.

    A hole hangs on one bond, so that its smallest rings are those of the molecule that lie in it.
    """
    first, n_rings = row[HOLE_FIRST], row[CLOSED] + 0
    parent = row[row[PARENT] : row[BRANCH]]
    ring_a, ring_b = row[row[RING_A] : row[RING_B]], row[row[RING_B] : row[END]]
    if first > 0:
        parent, ring_a, ring_b = parent[first : row[ATOMS]].copy(), ring_a.copy(), ring_b.copy()
        for atom in range(len(parent)):
            parent[atom] = max(parent[atom] - first, -1)
        n_rings = 0
        for i in range(row[CLOSED]):
            if ring_a[i] >= first:
                ring_a[n_rings], ring_b[n_rings] = ring_a[i] - first, ring_b[i] - first
                n_rings += 1
    return row[ATOMS] - first, parent, ring_a, ring_b, n_rings


@njit(cache=True, nogil=True)
def spell_on(row, production, top, height, t):  # type: ignore[no-untyped-def]
    """Go on inside an atom or a ring's number: the leaf that ends with this production, -1 for none, or NO_LEAF."""
    node = row[NODE]
    if node == OUTSIDE:
        node = t[t[T_ROOT] + top]
        row[BASE] = height
    node = next_node(node, production, t)
    if node == OUTSIDE:
        return NO_LEAF
    ended = t[t[T_LEAF] + node]
    row[NODE] = OUTSIDE if ended >= 0 else node
    return ended


@njit(cache=True, nogil=True)
def ends_legally(row, t):  # type: ignore[no-untyped-def]
    """Whether a complete text leaves nothing open and keeps what is asked of the whole molecule."""
    # Sizes of rings are not asked before: a later ring bond may split a ring of another size into allowed ones.
    return row[OPEN] == 0 and has_asked_sizes(row, t)


@njit(cache=True, nogil=True)
def next_node(node, production, t):  # type: ignore[no-untyped-def]
    """Return the node that a production leads to; OUTSIDE for none."""
    for edge in range(t[t[T_EDGES] + node], t[t[T_EDGES] + node + 1]):
        if t[t[T_EDGE] + 2 * edge] == production:
            return t[t[T_EDGE] + 2 * edge + 1]
    return OUTSIDE


@njit(cache=True, nogil=True)
def apply_event(row, what):  # type: ignore[no-untyped-def]
    """Write a terminal other than those of atoms and ring numbers; False where it is refused."""
    if what == BEGIN_BRANCH:
        if row[BRANCH] + row[DEPTH] >= row[NUMBER]:
            return False
        row[row[BRANCH] + row[DEPTH]] = row[CURRENT]
        row[DEPTH] += 1
    elif what == END_BRANCH:
        row[DEPTH] -= 1
        row[CURRENT] = row[row[BRANCH] + row[DEPTH]]
    elif what == NEXT_PART:
        row[CURRENT] = -1
    elif what == REFUSED:
        return False
    else:
        row[PENDING] = SINGLE - what + 1
    return True


@njit(cache=True, nogil=True)
def add_atom(row, leaf, t):  # type: ignore[no-untyped-def]
    """Write an atom, bonded to the one before it; False where that is not legal."""
    new, current, hole, heavy = row[ATOMS], row[CURRENT], row[HOLE], t[t[T_HEAVY] + leaf]
    if row[FREE] + new >= row[PARENT] or row[HEAVY] + heavy > t[MOST_HEAVY]:
        return False
    if hole > 0 and (
        not t[t[T_PERMITTED] + hole * t[N_LEAVES] + leaf]
        or row[HEAVY] - row[HOLE_HEAVY] + heavy > t[t[T_HOLE_HEAVY] + hole]
    ):
        return False
    free = t[t[T_VALUE] + leaf]
    if current >= 0:
        order = max(row[PENDING], 1)
        free -= order
        row[row[FREE] + current] -= order
        if free < 0 or row[row[FREE] + current] < 0:
            return False
    row[row[FREE] + new] = free
    row[row[PARENT] + new] = current
    row[ATOMS] = new + 1
    row[HEAVY] += heavy
    row[CURRENT] = new
    row[PENDING] = 0
    return True


@njit(cache=True, nogil=True)
def ring_bond_order(row, ring, pending, free):  # type: ignore[no-untyped-def]
    """Return the order of the bond that would close an open ring at the current atom; 0 where none can.

    ``pending`` is the order that is written before the ring's number here, 0 for none; ``free`` is the free capacity of
    the current atom.
    """
    other, current, opened = row[row[AT] + ring], row[CURRENT], row[row[ORDER] + ring]
    if other == current or row[row[PARENT] + current] == other:
        return 0
    if opened and pending and opened != pending:
        return 0
    order = max(opened, pending, 1)
    if free < order or row[row[FREE] + other] < order - max(opened, 1):
        return 0
    # The ring bonds that end at the current atom are the last ones: an atom's numbers stand behind it.
    i = row[CLOSED] - 1
    while i >= 0 and row[row[RING_B] + i] == current:
        if row[row[RING_A] + i] == other:
            return 0
        i -= 1
    return order


@njit(cache=True, nogil=True)
def add_number(row, number, t):  # type: ignore[no-untyped-def]
    """Write a ring's number behind the current atom: it closes that ring or opens it; False where neither is legal."""
    current, pending, n = row[CURRENT], row[PENDING], row[OPEN]
    row[PENDING] = 0
    if t[LENIENT]:
        row[row[FREE] + current] -= max(pending, 1)
        return row[row[FREE] + current] >= 0
    for i in range(n):
        if row[row[NUMBER] + i] == number:
            if i < row[OUTER]:
                return False
            order = ring_bond_order(row, i, pending, row[row[FREE] + current])
            if order == 0 or row[RING_A] + row[CLOSED] >= row[RING_B]:
                return False
            other = row[row[AT] + i]
            row[row[FREE] + current] -= order
            row[row[FREE] + other] -= order - max(row[row[ORDER] + i], 1)
            row[row[RING_A] + row[CLOSED]] = other
            row[row[RING_B] + row[CLOSED]] = current
            row[CLOSED] += 1
            for part in (row[NUMBER], row[AT], row[ORDER]):
                for j in range(part + i, part + n - 1):
                    row[j] = row[j + 1]
            row[OPEN] = n - 1
            return True
    row[row[FREE] + current] -= max(pending, 1)
    if row[row[FREE] + current] < 0 or row[NUMBER] + n >= row[AT]:
        return False
    row[row[NUMBER] + n] = number
    row[row[AT] + n] = current
    row[row[ORDER] + n] = pending
    row[OPEN] = n + 1
    return True
