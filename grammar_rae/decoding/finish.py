"""How a molecule that has been begun can always be finished: one fixed policy, and the question that it answers.

The policy looks at a state and names one production: it ends what is open with as little as it can, closes each open
ring at the first atom where that is allowed, and adds carbon atoms (or what stands for them where carbon is not
allowed) where an open ring still lacks one. :func:`finished` follows it to the end of the molecule, on a copy of the
state; what it writes is the *witness* that the state can be finished. Nothing of it is kept: it is found again when it
is asked for again, since the policy depends on the state alone.
"""

from grammar_rae.decoding.cycles import closes_allowed
from grammar_rae.decoding.machine import (
    AT,
    ATOM_ROOT,
    ATOMS,
    BASE,
    BRANCH,
    CLOSED,
    CURRENT,
    END,
    FREE,
    HEIGHT,
    MOST_NUMBERS,
    N_PREFIX,
    N_SIZES,
    NODE,
    NUMBER,
    OPEN,
    ORDER,
    OUTSIDE,
    PARENT,
    PENDING,
    RING_A,
    RING_B,
    STACK,
    T_DEMAND,
    T_MOVES,
    T_NODE_DEPTH,
    T_NUMBER,
    T_PATH,
    T_PLACES,
    T_PREFERRED,
    T_PREFIX,
    T_ROLE,
    T_ROOT,
    T_SIZES,
    T_STOPS,
    T_STRONGEST,
    T_TRAIL,
    T_VALUE,
    T_WIDTH,
    WRITTEN,
    apply,
    bond_of_ring,
)
from grammar_rae.kernels import njit

# What finishing does with a nonterminal, and which productions `Machine.moves` holds for it.
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
def policy(row, variant, t, distance):  # type: ignore[no-untyped-def]
    """The production to go on with; -1 where the policy knows none.

    Variant 0 keeps an atom's last free bond for a way on; variant 1 closes rings first, and adds branches in the midst
    of a chain. ``distance`` is room for a number an atom.
    """
    if row[WRITTEN] < t[N_PREFIX]:
        return t[t[T_PREFIX] + row[WRITTEN]]
    height = row[HEIGHT] - 1
    top = row[row[STACK] + height]
    role = t[t[T_ROLE] + top]
    moves = t[T_MOVES] + 4 * top
    if role in (ONLY, RING):
        return t[moves]
    if role == SPELLED:
        return spelled(row, t)
    if role == BOND:
        return t[moves + bond_here(row, t) - 1]
    if role in (TAIL, MORE):
        if row[OPEN] == 0:
            return t[moves]
        free = row[row[FREE] + row[CURRENT]]
        longer = free > 0 and worth_an_atom(row, t, distance)
        if role == TAIL:
            i = closable(row, free, t)
            # The last free bond is worth more as a way on, as long as other rings are open.
            if i >= 0 and (row[OPEN] == 1 or free > max(row[row[ORDER] + i], 1) or not longer or variant == 1):
                return t[moves + 2]
        return t[moves + 1] if longer else t[moves]
    if role == RINGS:
        waiting = 1
        while height - waiting >= 0 and is_ring(row[row[STACK] + height - waiting], t):
            waiting += 1
        free = row[row[FREE] + row[CURRENT]] - demand(row, height - waiting + 1, t)
        return t[moves + 1] if count_closable(row, free, t) > waiting else t[moves]
    if role == BRANCHED:
        return t[moves + branched(row, height, variant, t, distance)]
    return -1


@njit(cache=True, nogil=True)
def is_ring(symbol, t):  # type: ignore[no-untyped-def]
    return symbol >= 0 and t[t[T_ROLE] + symbol] == RING


@njit(cache=True, nogil=True)
def demand(row, height, t):  # type: ignore[no-untyped-def]
    """The fewest bonds that the ``height`` lowest symbols of the stack will still take of the atom they follow."""
    total = 0
    for i in range(height - 1, -1, -1):
        symbol = row[row[STACK] + i]
        if symbol < 0:
            break
        total += t[t[T_DEMAND] + symbol]
        if t[t[T_STOPS] + symbol]:
            break
    return total


@njit(cache=True, nogil=True)
def closable(row, free, t):  # type: ignore[no-untyped-def]
    """The first open ring that can be closed at the current atom of so much free capacity; -1: none."""
    for i in range(row[OPEN]):
        if bond_of_ring(row, i, row[PENDING], free) > 0 and fits(row, i, t):
            return i
    return -1


@njit(cache=True, nogil=True)
def fits(row, ring, t):  # type: ignore[no-untyped-def]
    """Whether all rings have allowed sizes once an open one is closed at the current atom."""
    return t[N_SIZES] == 0 or closes_allowed(
        row[ATOMS],
        row[row[PARENT] : row[BRANCH]],
        row[row[RING_A] : row[RING_B]],
        row[row[RING_B] : row[END]],
        row[CLOSED],
        row[row[AT] + ring],
        row[CURRENT],
        t[t[T_SIZES] : t[T_SIZES] + t[N_SIZES]],
    )


@njit(cache=True, nogil=True)
def count_closable(row, free, t):  # type: ignore[no-untyped-def]
    """How many open rings can be closed together at the current atom of so much free capacity."""
    n = 0
    for i in range(row[OPEN]):
        order = bond_of_ring(row, i, 0, free)
        if order == 0 or not fits(row, i, t):
            continue
        twice = False
        for j in range(i):
            twice |= row[row[AT] + j] == row[row[AT] + i]
        if not twice:
            n += 1
            free -= order
    return n


@njit(cache=True, nogil=True)
def spelled(row, t):  # type: ignore[no-untyped-def]
    """The next production of the atom, or of the ring's number, that is best here."""
    base, node = row[BASE], row[NODE]
    if node == OUTSIDE:
        base = row[HEIGHT] - 1
        node = t[t[T_ROOT] + row[row[STACK] + base]]
    at = t[t[T_NODE_DEPTH] + node]
    leaf = t[t[T_PREFERRED] + node]
    if leaf >= 0:
        needed = demand(row, base, t)
        if row[CURRENT] >= 0:
            needed += max(row[PENDING], 1)
        if t[t[T_VALUE] + leaf] < needed:
            leaf = t[t[T_STRONGEST] + node]
        return t[t[T_PATH] + leaf * t[T_WIDTH] + at]
    free = row[row[FREE] + row[CURRENT]] - demand(row, base, t)
    for i in range(row[OPEN]):
        if bond_of_ring(row, i, row[PENDING], free) > 0 and fits(row, i, t):
            leaf = number_under(row[row[NUMBER] + i], node, at, t)
            if leaf >= 0:
                return t[t[T_PATH] + leaf * t[T_WIDTH] + at]
    for number in range(MOST_NUMBERS):
        taken = False
        for i in range(row[OPEN]):
            taken |= row[row[NUMBER] + i] == number
        leaf = -1 if taken else number_under(number, node, at, t)
        if leaf >= 0:
            return t[t[T_PATH] + leaf * t[T_WIDTH] + at]
    return -1


@njit(cache=True, nogil=True)
def number_under(number, node, at, t):  # type: ignore[no-untyped-def]
    """The leaf under a node of that depth that spells a ring's number; -1: none."""
    leaf = t[t[T_NUMBER] + number]
    return leaf if leaf >= 0 and t[t[T_TRAIL] + leaf * t[T_WIDTH] + at] == node else -1


@njit(cache=True, nogil=True)
def bond_here(row, t):  # type: ignore[no-untyped-def]
    """The order of a bond: single, but before a ring's number that of the ring it closes."""
    height = row[HEIGHT] - 1
    if height > 0:
        below = row[row[STACK] + height - 1]
        if below >= 0 and t[t[T_ROOT] + below] != OUTSIDE and t[t[T_ROOT] + below] != ATOM_ROOT:
            i = closable(row, row[row[FREE] + row[CURRENT]] - demand(row, height - 1, t), t)
            if i >= 0:
                return max(row[row[ORDER] + i], 1)
    return 1


@njit(cache=True, nogil=True)
def worth_an_atom(row, t, distance):  # type: ignore[no-untyped-def]
    """Whether some open ring could be closed at an atom that is added behind the current one, or behind that."""
    if t[N_SIZES] == 0:
        return True
    find_distances(row, distance, t[N_SIZES])
    found = False
    for i in range(row[OPEN]):
        found |= distance[row[row[AT] + i]] + 2 < t[N_SIZES]
    return found


@njit(cache=True, nogil=True)
def find_distances(row, distance, most):  # type: ignore[no-untyped-def]
    """The bonds from each atom to the current one; those farther than ``most`` may stand as ``most``."""
    n = row[ATOMS]
    for i in range(n):
        distance[i] = most
    distance[row[CURRENT]] = 0
    changed = True
    while changed:
        changed = False
        for k in range(n + row[CLOSED]):
            if k < n:
                a, b = k, row[row[PARENT] + k]
                if b < 0:
                    continue
            else:
                a, b = row[row[RING_A] + k - n], row[row[RING_B] + k - n]
            if distance[a] > distance[b] + 1:
                distance[a] = distance[b] + 1
                changed = True
            elif distance[b] > distance[a] + 1:
                distance[b] = distance[a] + 1
                changed = True


@njit(cache=True, nogil=True)
def branched(row, height, variant, t, distance):  # type: ignore[no-untyped-def]
    """What to hang on the atom that comes next: 0 nothing, 1 ring bonds, 2 a branch, 3 both."""
    n_open, new, current, pending = row[OPEN], row[ATOMS], row[CURRENT], row[PENDING]
    if n_open == 0 or row[FREE] + new >= row[PARENT]:
        return 0
    right = demand(row, height, t)
    left = max(pending, 1) if current >= 0 else 0
    leaf = t[t[T_PREFERRED] + ATOM_ROOT]
    if t[t[T_VALUE] + leaf] <= left + right:
        leaf = t[t[T_STRONGEST] + ATOM_ROOT]
    free = t[t[T_VALUE] + leaf] - left - right
    # As if the atom stood there already.
    row[row[FREE] + new], row[row[PARENT] + new] = free, current
    row[ATOMS], row[CURRENT], row[PENDING] = new + 1, new, 0
    closed = count_closable(row, free, t)
    branch = 0
    if closed < n_open and free > 0:
        if t[N_SIZES] > 0:
            branch = 2 if (right == 0 or variant == 1) and worth_an_atom(row, t, distance) else 0
        else:
            branch = 0 if later_place(row, height, t) else 2
        if branch:
            closed = count_closable(row, free - 1, t)
    row[ATOMS], row[CURRENT], row[PENDING] = new, current, pending
    return branch + (1 if closed else 0)


@njit(cache=True, nogil=True)
def later_place(row, height, t):  # type: ignore[no-untyped-def]
    """Whether an atom that is still to come may get what hangs on it of its own choice."""
    for i in range(height):
        symbol = row[row[STACK] + i]
        if symbol >= 0 and t[t[T_PLACES] + symbol]:
            return True
    return False


@njit(cache=True, nogil=True)
def finished(row, variant, t, most, written, distance):  # type: ignore[no-untyped-def]
    """Follow the policy to the end, in place; the number of productions, kept in ``written``, or -1."""
    n = 0
    while row[HEIGHT] > 0:
        if n == most:
            return -1
        production = policy(row, variant, t, distance)
        if production < 0 or not apply(row, production, t):
            return -1
        written[n] = production
        n += 1
    return n


@njit(cache=True, nogil=True)
def fewest_tokens(written, n, next_node, token_at, fewest):  # type: ignore[no-untyped-def]
    """The fewest tokens, productions and macros, that spell n productions."""
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
