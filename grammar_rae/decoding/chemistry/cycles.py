"""Smallest rings of a molecule that is still being written: the kernels of the constraint on ring sizes.

The molecule is a graph: a forest of tree bonds, each from an atom to an earlier one, and ring bonds. A cycle is known
by the ring bonds on it, a row of bits, for the rest of it runs through the forest. The smallest rings are the cycles of
a minimum cycle basis. There may be several such bases; all have the same sizes.

The basis is picked greedily, shortest first, from the candidates of Horton ("A polynomial-time algorithm to find the
shortest cycle basis of a graph", SIAM Journal on Computing 16, 1987): search breadth first from a root r; each bond x-y
outside the tree of that search gives the candidate path(r, x) + x-y + path(r, y), of length d(x) + d(y) + 1. Where the
paths begin alike, the candidate's cycle is shorter than that, and never longer.

One end of each ring bond is enough as a root, since every cycle passes through one: n ring bonds give at most n * n
candidates. To see that they suffice, take a cycle of length L that is no sum of shorter ones, and a root on it. Its two
ways from the root to the far side are shortest paths: a short cut would split it into two shorter cycles. Replacing
them by the paths of the search adds closed walks of fewer than L bonds, which are sums of shorter cycles, and leaves a
candidate of length L (for an even L, perhaps the sum of two). So, by induction, the candidates of length up to L span
all cycles of that length.
"""

import numpy as np

from grammar_rae.kernels import njit


@njit(cache=True, nogil=True)
def has_allowed_rings(n_atoms, parent, ring_a, ring_b, n_rings, allowed):  # type: ignore[no-untyped-def]
    """Whether every smallest ring of a molecule has an allowed size.

    Parameters
    ----------
    n_atoms
        A, the number of atoms.
    parent
        int16 (A or more,): the earlier atom that each atom is bonded to, -1 where a fragment begins.
    ring_a, ring_b
        int16 (n_rings or more,): the ends of each ring bond, two different atoms. A ring bond may join two fragments.
    n_rings
        How many ring bonds there are.
    allowed
        Bool (S,): whether a ring may have a size, in atoms; S and more are not allowed.

    Returns
    -------
    bool
    """
    n_atoms, n_rings = np.int64(n_atoms), np.int64(n_rings)
    _, n_cycles = _find_components(n_atoms, parent, ring_a, ring_b, n_rings)
    first, after, end = _link_bonds(n_atoms, parent, ring_a, ring_b, n_rings)
    return _has_allowed_basis(n_atoms, n_rings, n_cycles, first, after, end, allowed)


@njit(cache=True, nogil=True)
def closes_allowed_ring(n_atoms, parent, ring_a, ring_b, n_rings, a, b, allowed):  # type: ignore[no-untyped-def]
    """Whether every smallest ring has an allowed size once a ring bond between the atoms a and b is added.

    Parameters
    ----------
    n_atoms, parent, ring_a, ring_b, n_rings, allowed
        As in :func:`has_allowed_rings`: the molecule without the new bond. The arrays are not changed.
    a, b
        Two different atoms. A bond beside another one makes a ring of two atoms.

    Returns
    -------
    bool
    """
    n_atoms, n_rings, a, b = np.int64(n_atoms), np.int64(n_rings), np.int64(a), np.int64(b)
    component, n_cycles = _find_components(n_atoms, parent, ring_a, ring_b, n_rings)
    first, after, end = _link_bonds(n_atoms, parent, ring_a, ring_b, n_rings)
    if component[a] == component[b]:
        # The shortest cycle through a bond is a sum of cycles of a minimum basis. One of these holds the bond, is thus
        # no shorter, and can be exchanged for it. So this size occurs in every minimum basis, whatever the others are.
        size = _distance(n_atoms, first, after, end, a, b, len(allowed) - 1) + 1
        if size >= len(allowed) or not allowed[size]:
            return False
        n_cycles += 1
    _link(first, after, end, n_atoms + n_rings, a, b)
    return _has_allowed_basis(n_atoms, n_rings + 1, n_cycles, first, after, end, allowed)


@njit(cache=True, nogil=True)
def _find_components(n_atoms, parent, ring_a, ring_b, n_rings):  # type: ignore[no-untyped-def]
    """Return one atom for the component of each atom, and the number of independent cycles."""
    component = np.empty(n_atoms, np.int32)
    for atom in range(n_atoms):
        component[atom] = atom if parent[atom] < 0 else component[parent[atom]]
    n_cycles = n_rings
    for ring in range(n_rings):
        kept = component[ring_a[ring]]
        joined = component[ring_b[ring]]
        if kept != joined:
            n_cycles -= 1
            for atom in range(n_atoms):
                if component[atom] == joined:
                    component[atom] = kept
    return component, n_cycles


@njit(cache=True, nogil=True)
def _link_bonds(n_atoms, parent, ring_a, ring_b, n_rings):  # type: ignore[no-untyped-def]
    """Return linked lists of each atom's bonds, with room for one more.

    Bond i < A is atom i's tree bond, bond A + k is ring bond k; bond i is seen from its ends as 2i and 2i + 1.

    Returns
    -------
    int32 (A,): the first of an atom's list; int32 (2(A + n_rings + 1),): the next in the list, -1 at its end; and of
    the same shape, the atom at the other side.
    """
    first = np.full(n_atoms, -1, np.int32)
    after = np.empty(2 * (n_atoms + n_rings + 1), np.int32)
    end = np.empty(2 * (n_atoms + n_rings + 1), np.int32)
    for atom in range(n_atoms):
        if parent[atom] >= 0:
            _link(first, after, end, atom, atom, np.int64(parent[atom]))
    for ring in range(n_rings):
        _link(first, after, end, n_atoms + ring, np.int64(ring_a[ring]), np.int64(ring_b[ring]))
    return first, after, end


@njit(cache=True, nogil=True)
def _link(first, after, end, bond, a, b):  # type: ignore[no-untyped-def]
    end[2 * bond] = b
    after[2 * bond] = first[a]
    first[a] = 2 * bond
    end[2 * bond + 1] = a
    after[2 * bond + 1] = first[b]
    first[b] = 2 * bond + 1


@njit(cache=True, nogil=True)
def _distance(n_atoms, first, after, end, a, b, bound):  # type: ignore[no-untyped-def]
    """Return the number of bonds between two atoms of a component, or ``bound`` if that is less."""
    distance = np.full(n_atoms, -1, np.int32)
    queue = np.empty(n_atoms, np.int32)
    distance[a] = 0
    queue[0] = a
    found = 1
    for at in range(n_atoms):
        atom = queue[at]
        if atom == b or distance[atom] >= bound:
            return distance[atom]
        half = first[atom]
        while half >= 0:
            other = end[half]
            if distance[other] < 0:
                distance[other] = distance[atom] + 1
                queue[found] = other
                found += 1
            half = after[half]
    return bound


@njit(cache=True, nogil=True)
def _has_allowed_basis(n_atoms, n_rings, n_cycles, first, after, end, allowed):  # type: ignore[no-untyped-def]
    """Pick a basis greedily, shortest first: a candidate that is no sum of earlier ones is a ring of it."""
    words = (n_rings + 63) // 64
    shortest, following, cycles = _find_candidates(n_atoms, n_rings, words, first, after, end, len(allowed))
    basis = np.empty((n_rings, words), np.int64)
    filled = np.zeros(n_rings, np.bool_)
    for size in range(len(allowed)):
        candidate = shortest[size]
        while candidate >= 0:
            ring = _reduce(cycles[candidate], basis, filled)
            if ring >= 0:
                if not allowed[size]:
                    return False
                n_cycles -= 1
                for word in range(words):
                    basis[ring, word] = cycles[candidate, word]
                filled[ring] = True
            candidate = following[candidate]
    return n_cycles == 0  # what is missing is larger than anything allowed


@njit(cache=True, nogil=True)
def _reduce(cycle, basis, filled):  # type: ignore[no-untyped-def]
    """Add cycles of the basis, whose row i begins at ring bond i, until none fits; return where the rest begins."""
    for ring in range(len(filled)):
        if (cycle[ring >> 6] >> (ring & 63)) & 1:
            if not filled[ring]:
                return ring
            for word in range(len(cycle)):
                cycle[word] ^= basis[ring, word]
    return -1


@njit(cache=True, nogil=True)
def _find_candidates(n_atoms, n_rings, words, first, after, end, bound):  # type: ignore[no-untyped-def]
    """Return Horton's candidates of less than ``bound`` atoms, as linked lists by size.

    Returns
    -------
    int32 (bound,): the first candidate of a size, -1 if there is none; int32 (n_rings ** 2,): the next of the same
    size; int64 (n_rings ** 2, words): each one's ring bonds, as bits.
    """
    shortest = np.full(bound, -1, np.int32)
    following = np.empty(n_rings * n_rings, np.int32)
    cycles = np.empty((n_rings * n_rings, words), np.int64)
    n = 0
    place = np.empty(n_atoms, np.int32)  # where an atom stands in the queue, -1 before it is found
    queue = np.empty(n_atoms, np.int32)
    distance = np.empty(n_atoms, np.int32)
    path = np.empty((n_atoms, words), np.int64)  # the ring bonds on the way from the root
    for root_ring in range(n_rings):
        root = end[2 * (n_atoms + root_ring)]
        for atom in range(n_atoms):
            place[atom] = -1
        place[root] = 0
        queue[0] = root
        distance[root] = 0
        for word in range(words):
            path[root, word] = 0
        found = 1
        at = 0
        while at < found and 2 * distance[queue[at]] + 1 < bound:
            atom = queue[at]
            half = first[atom]
            while half >= 0:
                other = end[half]
                bond = half >> 1
                if place[other] < 0:
                    place[other] = found
                    queue[found] = other
                    found += 1
                    distance[other] = distance[atom] + 1
                    for word in range(words):
                        path[other, word] = path[atom, word]
                    _flip(path[other], bond - n_atoms)
                elif place[other] > at:
                    size = distance[atom] + distance[other] + 1
                    if size < bound:
                        for word in range(words):
                            cycles[n, word] = path[atom, word] ^ path[other, word]
                        _flip(cycles[n], bond - n_atoms)
                        following[n] = shortest[size]
                        shortest[size] = n
                        n += 1
                half = after[half]
            at += 1
    return shortest, following, cycles


@njit(cache=True, nogil=True)
def _flip(bits, ring):  # type: ignore[no-untyped-def]
    """Add a ring bond to a cycle; a tree bond, below 0, is not recorded."""
    if ring >= 0:
        bits[ring >> 6] ^= np.int64(1) << (ring & 63)
