"""An upper bound on the productions that finish a molecule, computed from the state alone.

Following the policy of :mod:`~grammar_rae.decoding.chemistry.policy` to the end tells whether a molecule fits into the
tokens that are left; where there is room enough anyway, a bound is cheaper.
"""

from grammar_rae.decoding.chemistry import layout, policy
from grammar_rae.kernels import njit

NOT_SURE = -1


@njit(cache=True, nogil=True)
def most_productions(row, t):  # type: ignore[no-untyped-def]
    """Return a number of productions within which variant 0 of the policy surely finishes, or NOT_SURE.

    For the left-recursive dialect, in which dozens of symbols may be open. What each of them takes is known. A ring
    bond that must come closes a ring or, at worst, opens one. Each open ring is closed at the latest by the next atom
    whose left neighbour was added by the policy without ring bonds of its own; it takes up to four productions more.
    """
    if t[layout.N_SIZES] > 0 or row[layout.STAGE] != layout.FREELY:
        return NOT_SURE
    plain = t[t[layout.T_PREFERRED] + layout.ATOM_ROOT]
    if t[t[layout.T_VALUE] + plain] < 4:
        return NOT_SURE
    height, taken, begun = top_productions(row, t)
    current = row[layout.CURRENT]
    if begun == NOT_SURE or (current >= 0 and row[row[layout.FREE] + current] < taken):
        return NOT_SURE
    within_atom = begun > 0
    atom = t[t[layout.T_LENGTH] + plain]
    total, atoms, places, rings = open_productions(row, height, taken, within_atom, atom, t)
    atoms += within_atom
    if total == NOT_SURE or places < rings or not has_room(row, atoms, rings, t):
        return NOT_SURE
    return begun + total + 4 * rings


@njit(cache=True, nogil=True)
def top_productions(row, t):  # type: ignore[no-untyped-def]
    """Bound the productions of the atom that is being spelled, or that comes next.

    Returns
    -------
    The height of the stack below that atom; the bonds that will be taken of the current atom; the productions, 0 where
    no atom is on top, or NOT_SURE.
    """
    height, current, node = row[layout.HEIGHT], row[layout.CURRENT], row[layout.NODE]
    if node == layout.OUTSIDE and t[t[layout.T_ROOT] + row[row[layout.STACK] + height - 1]] == layout.ATOM_ROOT:
        node = layout.ATOM_ROOT
        height -= 1
    elif node != layout.OUTSIDE:
        height = row[layout.BASE]
    if node == layout.OUTSIDE:
        taken = policy.demand(row, height, t) + max(row[layout.PENDING] - 1, 0)
        if row[layout.PENDING] > 1 and not t[t[layout.T_STOPS] + row[row[layout.STACK] + height - 1]]:
            return height, taken, NOT_SURE
        return height, taken, 0
    taken = max(row[layout.PENDING], 1)
    leaf = t[t[layout.T_PREFERRED] + node]
    if leaf < 0:
        return height, taken, NOT_SURE
    needed = policy.demand(row, height, t) + (taken if current >= 0 else 0)
    if t[t[layout.T_VALUE] + leaf] < needed:
        leaf = t[t[layout.T_STRONGEST] + node]
        if t[t[layout.T_VALUE] + leaf] < needed:
            return height, taken, NOT_SURE
    return height, taken, t[t[layout.T_LENGTH] + leaf] - t[t[layout.T_NODE_DEPTH] + node]


@njit(cache=True, nogil=True)
def open_productions(row, height, taken, fresh, atom, t):  # type: ignore[no-untyped-def]
    """Bound what the ``height`` lowest open symbols take.

    Parameters
    ----------
    taken
        The bonds that the symbols above them take of the current atom.
    fresh
        Whether the atom before them is one that the policy adds without ring bonds.
    atom
        The productions of the atom that molecules are finished with.

    Returns
    -------
    The productions without those of ring bonds, or NOT_SURE; the atoms; the atoms at which a ring can surely be closed;
    the rings that are open now or may be opened.
    """
    total = atoms = places = 0
    rings, depth = row[layout.OPEN], row[layout.DEPTH]
    for i in range(height - 1, -1, -1):
        symbol = row[row[layout.STACK] + i]
        if symbol == layout.END_BRANCH:
            depth -= 1
            fresh = False
            before = row[row[layout.BRANCH] + depth]
            needed = policy.demand(row, i, t) + (taken if before == row[layout.CURRENT] else 0)
            if row[row[layout.FREE] + before] < needed:
                return NOT_SURE, atoms, places, rings
            continue
        steps = t[t[layout.T_STEPS] + symbol] if symbol >= 0 else -1
        if steps < 0:
            return NOT_SURE, atoms, places, rings
        total += steps
        role = t[t[layout.T_ROLE] + symbol]
        if role in (policy.RINGS, policy.RING, policy.SPELLED):
            rings += 1
            fresh = False
        if t[t[layout.T_PLACES] + symbol]:
            total += atom
            atoms += 1
            places += fresh
            # An atom that only a branch brings is no neighbour of what comes behind the branch.
            fresh = fresh or t[t[layout.T_STOPS] + symbol] > 0
    return total, atoms, places, rings


@njit(cache=True, nogil=True)
def has_room(row, atoms, rings, t):  # type: ignore[no-untyped-def]
    """Whether the row and the limits have room for so many more atoms and ring bonds, none of more than order 2."""
    for i in range(row[layout.OPEN]):
        if row[row[layout.ORDER] + i] > 2:
            return False
    return not (
        rings > t[layout.N_NUMBERS]
        or row[layout.FREE] + row[layout.ATOMS] + atoms > row[layout.PARENT]
        or row[layout.HEAVY] + atoms > t[layout.MOST_HEAVY]
        or row[layout.RING_A] + row[layout.CLOSED] + rings > row[layout.RING_B]
    )
