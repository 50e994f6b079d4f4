"""What a derivation of a molecule has spelled so far, and what one more production does to it.

One row of int16 numbers holds the state of one molecule: some counters, the symbols that are still open, what each atom
can still bind, the atoms at which branches began, the rings that are open and those that are closed. :func:`apply`
takes one production and says whether RDKit would still read the text: each atom's bonds stay within its capacity, a
ring bond joins two different atoms that are not bonded yet, both of its ends agree on its order, and nothing is left
open at the end.

Under a template (``templates.py``) a row also knows its *stage*: how far the text has come in the template. Outside of
the template's *holes* only productions with which the template goes on are legal. In a hole anything is, until the
stack is as low as it was before the hole's symbol; rings that are open outside are neither closed nor opened again
there, and those opened inside are closed inside. A hole may have to close one ring of the outside, and may have to end
with a piece of the template: see ``linking.py``.

The functions are compiled by Numba: one step of a decoder asks for some ten thousand such productions, each of a few
dozen machine instructions that depend on the ones before. Neither tensors nor Python can do that in the time that the
step leaves. The kernels take two arrays, a row and the tables of the grammar ``t``, and both begin with the places of
their parts: a call with thirty arrays would take longer than the work that it does.

Where their parts stand says ``layout.py``.
"""

import numpy as np

from grammar_rae.decoding.chemistry import layout, linking
from grammar_rae.decoding.chemistry.cycles import has_allowed_rings
from grammar_rae.kernels import njit


@njit(cache=True, nogil=True)
def apply(row, production, t):  # type: ignore[no-untyped-def]
    """Expand the nonterminal on top by a production; False where RDKit would no longer read the text."""
    if follows_template(row):
        stage = next_stage(row[layout.STAGE], production, t)
        if stage < 0:
            return False
        row[layout.STAGE] = stage
    elif row[layout.HOLE] > 0 and not linking.match_piece(row, production, t):
        return False
    stack = row[layout.STACK]
    height = row[layout.HEIGHT] - 1
    top = row[stack + height]
    if t[t[layout.T_LHS] + production] != top:
        return False
    ended = -1
    if t[t[layout.T_INSIDE] + top]:
        ended = spell_on(row, production, top, height, t)
        if ended == layout.NO_LEAF:
            return False
    begin, end = t[t[layout.T_START] + production], t[t[layout.T_START] + production + 1]
    if stack + height + end - begin > row[layout.FREE]:
        return False
    for i in range(begin, end):
        row[stack + height] = t[t[layout.T_BODY] + i]
        height += 1
    row[layout.HEIGHT] = height
    if ended >= 0:
        if t[t[layout.T_IS_ATOM] + ended]:
            if not add_atom(row, ended, t):
                return False
        elif not add_number(row, t[t[layout.T_VALUE] + ended], t):
            return False
    while True:
        if row[layout.HOLE] > 0 and row[layout.HEIGHT] <= row[layout.HOLE_BASE] and not leave_hole(row, t):
            return False
        if row[layout.HEIGHT] == 0 or row[stack + row[layout.HEIGHT] - 1] >= 0:
            break
        row[layout.HEIGHT] -= 1
        if not apply_event(row, row[stack + row[layout.HEIGHT]]):
            return False
    if row[layout.HOLE] > 0 and linking.has_written_piece(row, t) and not leave_hole(row, t):
        return False
    if follows_template(row):
        enter_hole(row, t)
    return row[layout.HEIGHT] > 0 or ends_legally(row, t)


@njit(nogil=True, inline="always")
def follows_template(row):  # type: ignore[no-untyped-def]
    """Whether a template says what comes next."""
    return row[layout.STAGE] != layout.FREELY and row[layout.HOLE] == 0


@njit(cache=True, nogil=True)
def next_stage(stage, production, t):  # type: ignore[no-untyped-def]
    """Return the stage that a production leads to; -1 for none."""
    for edge in range(t[t[layout.T_STAGE_EDGES] + stage], t[t[layout.T_STAGE_EDGES] + stage + 1]):
        if t[t[layout.T_STAGE_EDGE] + 2 * edge] == production:
            return t[t[layout.T_STAGE_EDGE] + 2 * edge + 1]
    return -1


@njit(cache=True, nogil=True)
def enter_hole(row, t):  # type: ignore[no-untyped-def]
    """Begin the hole of a stage, where it has one: what the symbol on top of the stack becomes."""
    hole = t[t[layout.T_STAGE_HOLE] + row[layout.STAGE]]
    if hole > 0:
        row[layout.HOLE], row[layout.HOLE_BASE], row[layout.HOLE_FIRST] = (
            hole,
            row[layout.HEIGHT] - 1,
            row[layout.ATOMS],
        )
        row[layout.HOLE_HEAVY], row[layout.OUTER] = row[layout.HEAVY], row[layout.OPEN]
        awaited = linking.awaited_ring(row, t)
        if awaited >= 0:
            row[row[layout.ORDER] + awaited] = 1  # the bond that a point has


@njit(cache=True, nogil=True)
def leave_hole(row, t):  # type: ignore[no-untyped-def]
    """Go on with the template behind a hole; False where it is not done, or a ring in it has no allowed size."""
    piece = linking.piece_length(row, t)
    if row[layout.MATCHED] < piece or (piece == 0 and row[layout.OPEN] > row[layout.OUTER]):
        return False
    if linking.awaited_ring(row, t) >= 0 or not has_asked_sizes(row, t):
        return False
    row[layout.STAGE] = t[t[layout.T_STAGE_BEHIND] + row[layout.STAGE]]
    row[layout.HOLE] = row[layout.HOLE_FIRST] = row[layout.HOLE_HEAVY] = row[layout.OUTER] = row[layout.MATCHED] = 0
    return True


@njit(nogil=True, inline="always")
def asked_sizes(row, t):  # type: ignore[no-untyped-def]
    """Return whether rings may have each size here, none where any is allowed."""
    begin = t[layout.T_SIZES] + row[layout.HOLE] * t[layout.N_SIZES]
    return t[begin : begin + t[layout.N_SIZES] * t[t[layout.T_SIZED] + row[layout.HOLE]]]


@njit(cache=True, nogil=True)
def has_asked_sizes(row, t):  # type: ignore[no-untyped-def]
    """Whether the rings of the hole, or outside of holes of the molecule, have the sizes that are asked."""
    sizes = asked_sizes(row, t)
    if len(sizes) == 0 or row[layout.CLOSED] == 0:
        return True
    n_atoms, parent, ring_a, ring_b, n_rings = own_graph(row, t)
    return has_allowed_rings(n_atoms, parent, ring_a, ring_b, n_rings, sizes)


@njit(cache=True, nogil=True)
def own_graph(row, t):  # type: ignore[no-untyped-def]
    """Return the atoms and bonds of the hole, or outside of holes of the molecule, as ``cycles.py`` takes them.

    A hole hangs on one bond, so that its smallest rings are those of the molecule that lie in it. So does a piece
    that it ends with, which is left out; a ring that the hole closes for the template is not looked at.
    """
    first, last, n_rings = row[layout.HOLE_FIRST], linking.own_atoms(row, t), row[layout.CLOSED] + 0
    parent = row[row[layout.PARENT] : row[layout.BRANCH]]
    ring_a, ring_b = row[row[layout.RING_A] : row[layout.RING_B]], row[row[layout.RING_B] : row[layout.END]]
    if first > 0:
        parent = np.empty(last - first, np.int16)
        for atom in range(last - first):
            parent[atom] = max(row[row[layout.PARENT] + first + atom] - first, -1)
        ring_a, ring_b, n_rings = np.empty(n_rings, np.int16), np.empty(n_rings, np.int16), 0
        for i in range(row[layout.CLOSED]):
            a, b = row[row[layout.RING_A] + i], row[row[layout.RING_B] + i]
            if a >= first and b < last:
                ring_a[n_rings], ring_b[n_rings] = a - first, b - first
                n_rings += 1
    return last - first, parent, ring_a, ring_b, n_rings


@njit(cache=True, nogil=True)
def spell_on(row, production, top, height, t):  # type: ignore[no-untyped-def]
    """Go on inside an atom or a ring's number: the leaf that ends with this production, -1 for none, or NO_LEAF."""
    node = row[layout.NODE]
    if node == layout.OUTSIDE:
        node = t[t[layout.T_ROOT] + top]
        row[layout.BASE] = height
    node = next_node(node, production, t)
    if node == layout.OUTSIDE:
        return layout.NO_LEAF
    ended = t[t[layout.T_LEAF] + node]
    row[layout.NODE] = layout.OUTSIDE if ended >= 0 else node
    return ended


@njit(cache=True, nogil=True)
def ends_legally(row, t):  # type: ignore[no-untyped-def]
    """Whether a complete text leaves nothing open and keeps what is asked of the whole molecule."""
    # Sizes of rings are not asked before: a later ring bond may split a ring of another size into allowed ones.
    return row[layout.OPEN] == 0 and has_asked_sizes(row, t)


@njit(cache=True, nogil=True)
def next_node(node, production, t):  # type: ignore[no-untyped-def]
    """Return the node that a production leads to; OUTSIDE for none."""
    for edge in range(t[t[layout.T_EDGES] + node], t[t[layout.T_EDGES] + node + 1]):
        if t[t[layout.T_EDGE] + 2 * edge] == production:
            return t[t[layout.T_EDGE] + 2 * edge + 1]
    return layout.OUTSIDE


@njit(cache=True, nogil=True)
def apply_event(row, what):  # type: ignore[no-untyped-def]
    """Write a terminal other than those of atoms and ring numbers; False where it is refused."""
    if what == layout.BEGIN_BRANCH:
        if row[layout.BRANCH] + row[layout.DEPTH] >= row[layout.NUMBER]:
            return False
        row[row[layout.BRANCH] + row[layout.DEPTH]] = row[layout.CURRENT]
        row[layout.DEPTH] += 1
    elif what == layout.END_BRANCH:
        row[layout.DEPTH] -= 1
        row[layout.CURRENT] = row[row[layout.BRANCH] + row[layout.DEPTH]]
    elif what == layout.NEXT_PART:
        row[layout.CURRENT] = -1
    elif what == layout.REFUSED:
        return False
    else:
        row[layout.PENDING] = layout.SINGLE - what + 1
    return True


@njit(cache=True, nogil=True)
def add_atom(row, leaf, t):  # type: ignore[no-untyped-def]
    """Write an atom, bonded to the one before it; False where that is not legal."""
    new, current, hole, heavy = row[layout.ATOMS], row[layout.CURRENT], row[layout.HOLE], t[t[layout.T_HEAVY] + leaf]
    if row[layout.FREE] + new >= row[layout.PARENT] or row[layout.HEAVY] + heavy > t[layout.MOST_HEAVY]:
        return False
    if (
        hole > 0
        and row[layout.MATCHED] == 0
        and (
            not t[t[layout.T_PERMITTED] + hole * t[layout.N_LEAVES] + leaf]
            or row[layout.HEAVY] - row[layout.HOLE_HEAVY] + heavy > t[t[layout.T_HOLE_HEAVY] + hole]
        )
    ):
        return False
    free = t[t[layout.T_VALUE] + leaf]
    if current >= 0:
        order = max(row[layout.PENDING], 1)
        free -= order
        row[row[layout.FREE] + current] -= order
        if free < 0 or row[row[layout.FREE] + current] < 0:
            return False
    row[row[layout.FREE] + new] = free
    row[row[layout.PARENT] + new] = current
    row[layout.ATOMS] = new + 1
    row[layout.HEAVY] += heavy
    row[layout.CURRENT] = new
    row[layout.PENDING] = 0
    return True


@njit(cache=True, nogil=True)
def ring_bond_order(row, ring, pending, free):  # type: ignore[no-untyped-def]
    """Return the order of the bond that would close an open ring at the current atom; 0 where none can.

    ``pending`` is the order that is written before the ring's number here, 0 for none; ``free`` is the free capacity of
    the current atom.
    """
    other, current, opened = row[row[layout.AT] + ring], row[layout.CURRENT], row[row[layout.ORDER] + ring]
    if other == current or row[row[layout.PARENT] + current] == other:
        return 0
    if opened and pending and opened != pending:
        return 0
    order = max(opened, pending, 1)
    if free < order or row[row[layout.FREE] + other] < order - max(opened, 1):
        return 0
    # The ring bonds that end at the current atom are the last ones: an atom's numbers stand behind it.
    i = row[layout.CLOSED] - 1
    while i >= 0 and row[row[layout.RING_B] + i] == current:
        if row[row[layout.RING_A] + i] == other:
            return 0
        i -= 1
    return order


@njit(cache=True, nogil=True)
def add_number(row, number, t):  # type: ignore[no-untyped-def]
    """Write a ring's number behind the current atom: it closes that ring or opens it; False where neither is legal."""
    current, pending, n = row[layout.CURRENT], row[layout.PENDING], row[layout.OPEN]
    row[layout.PENDING] = 0
    if t[layout.LENIENT]:
        row[row[layout.FREE] + current] -= max(pending, 1)
        return row[row[layout.FREE] + current] >= 0
    for i in range(n):
        if row[row[layout.NUMBER] + i] == number:
            if i < row[layout.OUTER] and i != linking.awaited_ring(row, t):
                return False
            order = ring_bond_order(row, i, pending, row[row[layout.FREE] + current] + 0)
            if order == 0 or row[layout.RING_A] + row[layout.CLOSED] >= row[layout.RING_B]:
                return False
            other = row[row[layout.AT] + i]
            row[row[layout.FREE] + current] -= order
            row[row[layout.FREE] + other] -= order - max(row[row[layout.ORDER] + i], 1)
            row[row[layout.RING_A] + row[layout.CLOSED]] = other
            row[row[layout.RING_B] + row[layout.CLOSED]] = current
            row[layout.CLOSED] += 1
            for part in (row[layout.NUMBER], row[layout.AT], row[layout.ORDER]):
                for j in range(part + i, part + n - 1):
                    row[j] = row[j + 1]
            row[layout.OPEN] = n - 1
            row[layout.OUTER] -= i < row[layout.OUTER]
            return True
    row[row[layout.FREE] + current] -= max(pending, 1)
    if row[row[layout.FREE] + current] < 0 or row[layout.NUMBER] + n >= row[layout.AT]:
        return False
    row[row[layout.NUMBER] + n] = number
    row[row[layout.AT] + n] = current
    row[row[layout.ORDER] + n] = pending
    row[layout.OPEN] = n + 1
    return True
