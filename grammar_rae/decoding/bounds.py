"""How many productions it takes at most to finish a molecule, told from the state alone.

Following the policy of :mod:`~grammar_rae.decoding.finish` to the end tells whether a molecule fits into the tokens
that are left; where there is room enough anyway, a bound is cheaper.
"""

from grammar_rae.decoding.finish import RING, RINGS, SPELLED, demand
from grammar_rae.decoding.machine import (
    ATOM_ROOT,
    ATOMS,
    BASE,
    BRANCH,
    CLOSED,
    CURRENT,
    DEPTH,
    END_BRANCH,
    FREE,
    HEAVY,
    HEIGHT,
    MOST_HEAVY,
    N_NUMBERS,
    N_PREFIX,
    N_SIZES,
    NODE,
    OPEN,
    ORDER,
    OUTSIDE,
    PARENT,
    PENDING,
    RING_A,
    RING_B,
    STACK,
    T_LENGTH,
    T_NODE_DEPTH,
    T_PLACES,
    T_PREFERRED,
    T_ROLE,
    T_ROOT,
    T_STEPS,
    T_STOPS,
    T_STRONGEST,
    T_VALUE,
    WRITTEN,
)
from grammar_rae.kernels import njit


@njit(cache=True, nogil=True)
def most_productions(row, t):  # type: ignore[no-untyped-def]
    """A number of productions with which variant 0 of the policy is sure to finish, without following it; -1: not sure.

    For the left-recursive dialect, in which dozens of symbols may be open. What each of them takes is known. A ring
    bond that must come closes a ring or, at worst, opens one. Each open ring is closed at the latest by the next atom
    whose left neighbour was added by the policy without ring bonds of its own; it takes up to four productions more.
    """
    if t[N_SIZES] > 0 or row[WRITTEN] < t[N_PREFIX]:
        return -1
    plain = t[t[T_PREFERRED] + ATOM_ROOT]
    if t[t[T_VALUE] + plain] < 4:
        return -1
    atom = t[t[T_LENGTH] + plain]
    height, current = row[HEIGHT], row[CURRENT]
    total = atoms = 0
    fresh = False
    node = row[NODE]
    if node == OUTSIDE and t[t[T_ROOT] + row[row[STACK] + height - 1]] == ATOM_ROOT:
        node = ATOM_ROOT
        height -= 1
    elif node != OUTSIDE:
        height = row[BASE]
    if node != OUTSIDE:
        leaf = t[t[T_PREFERRED] + node]
        if leaf < 0:
            return -1
        taken = max(row[PENDING], 1)
        needed = demand(row, height, t) + (taken if current >= 0 else 0)
        if t[t[T_VALUE] + leaf] < needed:
            leaf = t[t[T_STRONGEST] + node]
            if t[t[T_VALUE] + leaf] < needed:
                return -1
        total = t[t[T_LENGTH] + leaf] - t[t[T_NODE_DEPTH] + node]
        atoms, fresh = 1, True
    else:
        taken = demand(row, height, t) + max(row[PENDING] - 1, 0)
        if row[PENDING] > 1 and not t[t[T_STOPS] + row[row[STACK] + height - 1]]:
            return -1
    if current >= 0 and row[row[FREE] + current] < taken:
        return -1
    places, rings, depth = 0, row[OPEN], row[DEPTH]
    for i in range(height - 1, -1, -1):
        symbol = row[row[STACK] + i]
        if symbol == END_BRANCH:
            depth -= 1
            fresh = False
            before = row[row[BRANCH] + depth]
            if row[row[FREE] + before] < demand(row, i, t) + (taken if before == current else 0):
                return -1
            continue
        steps = t[t[T_STEPS] + symbol] if symbol >= 0 else -1
        if steps < 0:
            return -1
        total += steps
        role = t[t[T_ROLE] + symbol]
        if role in (RINGS, RING, SPELLED):
            rings += 1
            fresh = False
        if t[t[T_PLACES] + symbol]:
            total += atom
            atoms += 1
            places += fresh
            # An atom that only a branch brings is no neighbour of what comes behind the branch.
            fresh = fresh or t[t[T_STOPS] + symbol] > 0
    for i in range(row[OPEN]):
        if row[row[ORDER] + i] > 2:
            return -1
    if (
        places < rings
        or rings > t[N_NUMBERS]
        or row[FREE] + row[ATOMS] + atoms > row[PARENT]
        or row[HEAVY] + atoms > t[MOST_HEAVY]
        or row[RING_A] + row[CLOSED] + rings > row[RING_B]
    ):
        return -1
    return total + 4 * rings
