"""The policy that finishes any molecule that has been begun: it names one production for every state.

It ends what is open with as little as it can, closes each open ring at the first atom where that is allowed, and adds
carbon atoms (or a substitute where carbon is not allowed) where an open ring still lacks one. Where a template says
what comes next, it does what the template says; in a hole it ends what is open in there. :func:`finish` follows it to
the end of the molecule, or of the hole, on a copy of the state; what it writes is the *witness* that the state can be
finished. The witness is not stored: since the policy depends on the state alone, it can be found again.
"""

from grammar_rae.decoding.chemistry import layout, linking, machine
from grammar_rae.decoding.chemistry.cycles import closes_allowed_ring
from grammar_rae.kernels import njit

# What the policy does with a nonterminal, and which productions T_MOVES holds for it.
UNKNOWN = 0
ONLY = 1  # always the same: (production,)
BOND = 2  # (single, double, triple)
SPELLED = 3  # an atom or a ring's number, by its trie
TAIL = 4  # what follows an atom: (nothing, one more atom, a ring bond)
MORE = 5  # what follows a branch: (nothing, one more atom)
BRANCHED = 6  # an atom with all that hangs on it: (alone, ring bonds, branches, both)
RINGS = 7  # the ring bonds of an atom, written from the right: (one, others and one)
RING = 8  # one ring bond: (production,)


@njit(cache=True, nogil=True)
def next_production(row, variant, t, distance):  # type: ignore[no-untyped-def]
    """Return the production to go on with; -1 where the policy knows none.

    Variant 0 keeps an atom's last free bond for a way on; variant 1 closes rings first, and adds branches in the midst
    of a chain. ``distance`` is room for one number per atom.
    """
    if machine.follows_template(row):
        return t[t[layout.T_STAGE_FIRST] + row[layout.STAGE]]
    if row[layout.MATCHED] > 0:
        return linking.step(row, row[layout.MATCHED], layout.STEP, t)
    height = row[layout.HEIGHT] - 1
    top = row[row[layout.STACK] + height]
    role = t[t[layout.T_ROLE] + top]
    moves = t[layout.T_MOVES] + 4 * top
    if role in (ONLY, RING):
        return t[moves]
    if role == SPELLED:
        return spell(row, t)
    if role == BOND:
        return t[moves + choose_bond(row, t) - 1]
    if role in (TAIL, MORE):
        return go_on(row, role, top, variant, t, distance)
    if role == RINGS:
        waiting = 1
        while height - waiting >= 0 and is_ring(row[row[layout.STACK] + height - waiting], t):
            waiting += 1
        free = row[row[layout.FREE] + row[layout.CURRENT]] - demand(row, height - waiting + 1, t)
        return t[moves + 1] if count_closable(row, free, t) > waiting else t[moves]
    if role == BRANCHED:
        return t[moves + choose_branches(row, height, variant, t, distance)]
    return -1


@njit(cache=True, nogil=True)
def go_on(row, role, top, variant, t, distance):  # type: ignore[no-untyped-def]
    """Return what follows an atom or a branch: nothing, one more atom, a ring bond, or the piece that must follow."""
    moves = t[layout.T_MOVES] + 4 * top
    on_spine, waiting = linking.is_on_spine(row, row[layout.HEIGHT] - 1, t), count_waiting(row, t)
    if waiting == 0:
        return linking.begin_piece(row, top, t) if on_spine else t[moves]
    free = row[row[layout.FREE] + row[layout.CURRENT]] + 0
    longer = free > 0 and can_close_later(row, t, distance)
    if role == TAIL:
        free -= on_spine
        i = find_closable(row, free, t)
        # The last free bond is worth more as a way on, as long as other rings are open.
        if i >= 0 and (waiting == 1 or free > max(row[row[layout.ORDER] + i], 1) or not longer or variant == 1):
            return t[moves + 2]
    return t[moves + 1] if longer else t[moves]


@njit(cache=True, nogil=True)
def count_waiting(row, t):  # type: ignore[no-untyped-def]
    """Count the open rings that must be closed here."""
    return row[layout.OPEN] - row[layout.OUTER] + (linking.awaited_ring(row, t) >= 0)


@njit(nogil=True, inline="always")
def must_close(row, ring, awaited):  # type: ignore[no-untyped-def]
    """Whether an open ring is to be closed here: one of the hole's own, or the awaited one."""
    return ring >= row[layout.OUTER] or ring == awaited


@njit(nogil=True, inline="always")
def is_ring(symbol, t):  # type: ignore[no-untyped-def]
    """Whether a symbol of the stack is a ring bond."""
    return symbol >= 0 and t[t[layout.T_ROLE] + symbol] == RING


@njit(cache=True, nogil=True)
def demand(row, height, t):  # type: ignore[no-untyped-def]
    """Return the fewest bonds that the ``height`` lowest symbols of the stack still take of the atom they follow."""
    total = 0
    for i in range(height - 1, -1, -1):
        symbol = row[row[layout.STACK] + i]
        if symbol < 0:
            break
        least = 1 if linking.is_on_spine(row, i, t) else 0  # older versions of Numba have no maximum with a boolean
        total += max(t[t[layout.T_DEMAND] + symbol], least)
        if t[t[layout.T_STOPS] + symbol]:
            break
    return total


@njit(cache=True, nogil=True)
def closes(row, i, awaited, free, t):  # type: ignore[no-untyped-def]
    """Return whether open ring ``i`` can be closed at the current atom of so much free capacity, and may be now."""
    return (
        must_close(row, i, awaited)
        and machine.ring_bond_order(row, i, row[layout.PENDING], free) > 0
        and keeps_ring_sizes(row, i, t)
    )


@njit(cache=True, nogil=True)
def find_closable(row, free, t):  # type: ignore[no-untyped-def]
    """Return the first open ring that can be closed at the current atom of so much free capacity; -1 for none."""
    awaited = linking.awaited_ring(row, t)
    for i in range(row[layout.OPEN]):
        if closes(row, i, awaited, free, t):
            return i
    return -1


@njit(cache=True, nogil=True)
def keeps_ring_sizes(row, ring, t):  # type: ignore[no-untyped-def]
    """Whether all rings have allowed sizes once this open one is closed at the current atom."""
    sizes, first = machine.asked_sizes(row, t), row[layout.HOLE_FIRST]
    if len(sizes) == 0 or ring < row[layout.OUTER]:
        return True
    n_atoms, parent, ring_a, ring_b, n_rings = machine.own_graph(row, t)
    begin, end = row[row[layout.AT] + ring] - first, row[layout.CURRENT] - first
    return closes_allowed_ring(n_atoms, parent, ring_a, ring_b, n_rings, begin, end, sizes)


@njit(cache=True, nogil=True)
def count_closable(row, free, t):  # type: ignore[no-untyped-def]
    """Count the open rings that can be closed together at the current atom of so much free capacity."""
    n = 0
    for i in range(row[layout.OPEN]):
        order = machine.ring_bond_order(row, i, 0, free)
        if order == 0 or not keeps_ring_sizes(row, i, t):
            continue
        twice = False
        for j in range(i):
            twice |= row[row[layout.AT] + j] == row[row[layout.AT] + i]
        if not twice:
            n += 1
            free -= order
    return n


@njit(cache=True, nogil=True)
def spell(row, t):  # type: ignore[no-untyped-def]
    """Return the next production of the atom, or of the ring's number, that is best here; -1 for none."""
    base, node = row[layout.BASE], row[layout.NODE]
    if node == layout.OUTSIDE:
        base = row[layout.HEIGHT] - 1
        node = t[t[layout.T_ROOT] + row[row[layout.STACK] + base]]
    at = t[t[layout.T_NODE_DEPTH] + node]
    among = row[layout.HOLE] * t[layout.N_NODES] + node
    leaf = t[t[layout.T_PREFERRED] + among]
    if leaf >= 0:
        needed = demand(row, base, t)
        if row[layout.CURRENT] >= 0:
            needed += max(row[layout.PENDING], 1)
        if t[t[layout.T_VALUE] + leaf] < needed:
            leaf = t[t[layout.T_STRONGEST] + among]
        return t[t[layout.T_PATH] + leaf * t[layout.T_WIDTH] + at]
    free = row[row[layout.FREE] + row[layout.CURRENT]] - demand(row, base, t)
    awaited = linking.awaited_ring(row, t)
    for i in range(row[layout.OPEN]):
        if closes(row, i, awaited, free, t):
            leaf = leaf_under(row[row[layout.NUMBER] + i], node, at, t)
            if leaf >= 0:
                return t[t[layout.T_PATH] + leaf * t[layout.T_WIDTH] + at]
    for number in range(layout.MOST_NUMBERS):
        taken = False
        for i in range(row[layout.OPEN]):
            taken |= row[row[layout.NUMBER] + i] == number
        leaf = -1 if taken else leaf_under(number, node, at, t)
        if leaf >= 0:
            return t[t[layout.T_PATH] + leaf * t[layout.T_WIDTH] + at]
    return -1


@njit(nogil=True, inline="always")
def leaf_under(number, node, at, t):  # type: ignore[no-untyped-def]
    """Return the leaf under a node of depth ``at`` that spells a ring's number; -1 for none."""
    leaf = t[t[layout.T_NUMBER] + number]
    return leaf if leaf >= 0 and t[t[layout.T_TRAIL] + leaf * t[layout.T_WIDTH] + at] == node else -1


@njit(cache=True, nogil=True)
def choose_bond(row, t):  # type: ignore[no-untyped-def]
    """Return the order of the next bond: single, but before a ring's number that of the ring it closes."""
    height = row[layout.HEIGHT] - 1
    if height > 0:
        below = row[row[layout.STACK] + height - 1]
        if (
            below >= 0
            and t[t[layout.T_ROOT] + below] != layout.OUTSIDE
            and t[t[layout.T_ROOT] + below] != layout.ATOM_ROOT
        ):
            i = find_closable(row, row[row[layout.FREE] + row[layout.CURRENT]] - demand(row, height - 1, t), t)
            if i >= 0:
                return max(row[row[layout.ORDER] + i], 1)
    return 1


@njit(cache=True, nogil=True)
def can_close_later(row, t, distance):  # type: ignore[no-untyped-def]
    """Whether some open ring could be closed at an atom that is added behind the current one, or at the next one."""
    most = len(machine.asked_sizes(row, t))
    if most == 0:
        return True
    find_distances(row, distance, most)
    found = linking.awaited_ring(row, t) >= 0
    for i in range(row[layout.OUTER], row[layout.OPEN]):
        found |= distance[row[row[layout.AT] + i]] + 2 < most
    return found


@njit(cache=True, nogil=True)
def find_distances(row, distance, most):  # type: ignore[no-untyped-def]
    """Write the number of bonds from each atom to the current one; ``most`` may stand for anything farther."""
    n = row[layout.ATOMS]
    for i in range(n):
        distance[i] = most
    distance[row[layout.CURRENT]] = 0
    changed = True
    while changed:
        changed = False
        for k in range(n + row[layout.CLOSED]):
            if k < n:
                a, b = k, row[row[layout.PARENT] + k]
                if b < 0:
                    continue
            else:
                a, b = row[row[layout.RING_A] + k - n], row[row[layout.RING_B] + k - n]
            if distance[a] > distance[b] + 1:
                distance[a] = distance[b] + 1
                changed = True
            elif distance[b] > distance[a] + 1:
                distance[b] = distance[a] + 1
                changed = True


@njit(cache=True, nogil=True)
def choose_branches(row, height, variant, t, distance):  # type: ignore[no-untyped-def]
    """Return what to hang on the atom that comes next: 0 nothing, 1 ring bonds, 2 a branch, 3 both."""
    n_open, new, current, pending = row[layout.OPEN], row[layout.ATOMS], row[layout.CURRENT], row[layout.PENDING]
    if n_open == 0 or row[layout.FREE] + new >= row[layout.PARENT]:
        return 0
    right = demand(row, height, t)
    left = max(pending, 1) if current >= 0 else 0
    leaf = t[t[layout.T_PREFERRED] + layout.ATOM_ROOT]
    if t[t[layout.T_VALUE] + leaf] <= left + right:
        leaf = t[t[layout.T_STRONGEST] + layout.ATOM_ROOT]
    free = t[t[layout.T_VALUE] + leaf] - left - right
    # As if the atom stood there already.
    row[row[layout.FREE] + new], row[row[layout.PARENT] + new] = free, current
    row[layout.ATOMS], row[layout.CURRENT], row[layout.PENDING] = new + 1, new, 0
    closed = count_closable(row, free, t)
    branch = 0
    if closed < n_open and free > 0:
        if len(machine.asked_sizes(row, t)) > 0:
            branch = 2 if (right == 0 or variant == 1) and can_close_later(row, t, distance) else 0
        else:
            branch = 0 if has_later_place(row, height, t) else 2
        if branch:
            closed = count_closable(row, free - 1, t)
    row[layout.ATOMS], row[layout.CURRENT], row[layout.PENDING] = new, current, pending
    return branch + (1 if closed else 0)


@njit(cache=True, nogil=True)
def has_later_place(row, height, t):  # type: ignore[no-untyped-def]
    """Whether an atom that is still to come may get ring bonds and branches of its own."""
    for i in range(height):
        symbol = row[row[layout.STACK] + i]
        if symbol >= 0 and t[t[layout.T_PLACES] + symbol]:
            return True
    return False


@njit(cache=True, nogil=True)
def finish(row, variant, t, most, written, distance):  # type: ignore[no-untyped-def]
    """Follow the policy in place to the end of the molecule, or to where a hole begins or ends.

    Returns
    -------
    The number of productions, written to ``written``; -1 where one is not legal, or there are more than ``most``.
    """
    n, hole = 0, row[layout.HOLE]
    while row[layout.HEIGHT] > 0 and row[layout.HOLE] == hole:
        if n == most:
            return -1
        production = next_production(row, variant, t, distance)
        if production < 0 or not machine.apply(row, production, t):
            return -1
        written[n] = production
        n += 1
    return n


@njit(cache=True, nogil=True)
def fewest_tokens(written, n, trie, fewest):  # type: ignore[no-untyped-def]
    """Return the fewest tokens, single productions and macros, that spell n productions.

    ``trie`` is that of the macros; ``fewest`` is room for n + 1 numbers.
    """
    next_node, token_at = trie
    fewest[n] = 0
    for at in range(n - 1, -1, -1):
        fewest[at] = n + 1
        node = 0
        for ahead in range(at, n):
            node = next_node[node, written[ahead]]
            if node == 0:
                break
            if token_at[node] >= 0:
                fewest[at] = min(fewest[at], fewest[ahead + 1] + 1)
    return fewest[0]
