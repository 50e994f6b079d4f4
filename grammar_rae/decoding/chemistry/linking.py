"""Holes that have more to do than to grow: one that ends with a piece of the template, one that closes a ring of it.

**Linked pieces.** The text of A and B with a linker between them is A's, in the hole of A's point the linker, and
behind it B's, which hangs on the last atom of the linker's *spine*, the chain that the hole's symbol becomes. So such a
hole must end with the productions of B, its *piece*, begun on the spine with none of the hole's own rings open. A
linker may look like the beginning of B, so nothing is guessed: a row counts how much of the piece is *matched*, the
longest beginning of it with which the hole's text ends, as Knuth, Morris and Pratt find words ("Fast pattern matching
in strings", SIAM Journal on Computing 6, 1977). A beginning within the piece that is not on the spine, or has rings
open, is no match. What has fallen out of a match is part of the linker, and must be permitted there. The policy goes on
with a match that has begun, and begins one where no ring is open.

The hole is left when the piece is matched to its end. Where B has a point of its own, the piece is B up to there: the
rest of B are stages like any others. Then the first match counts, which for a linker that holds all of the piece
is another reading of the same text, or refused.

**Closed rings.** A hole with an *awaited* ring is left when the ring of that number, which the template opened at
another atom, is closed in it by a single bond. What is legal elsewhere does not depend on where: the template's
atom gave its bond when the ring was opened.
"""

from grammar_rae.decoding.chemistry import layout
from grammar_rae.kernels import njit


@njit(nogil=True, inline="always")
def piece_length(row, t):  # type: ignore[no-untyped-def]
    """Return the productions of the piece that the hole must end with; 0 for none."""
    first = t[layout.T_PIECE] + row[layout.HOLE]
    return max(t[first + 1] - t[first] - 1, 0)


@njit(nogil=True, inline="always")
def step(row, at, what, t):  # type: ignore[no-untyped-def]
    """Return what is known of a production of the piece; at its end, of the piece."""
    return t[t[layout.T_PIECE_STEPS] + layout.PIECE_WIDTH * (t[t[layout.T_PIECE] + row[layout.HOLE]] + at) + what]


@njit(cache=True, nogil=True)
def match_piece(row, production, t):  # type: ignore[no-untyped-def]
    """Go on with the match by a production that is about to be written; False where what falls out is not permitted."""
    if piece_length(row, t) == 0:
        return True
    before = kept = row[layout.MATCHED]
    while kept > 0 and step(row, kept, layout.STEP, t) != production:
        kept = step(row, kept, layout.SHORTER, t)
    begins = kept == 0 and is_on_spine(row, row[layout.HEIGHT] - 1, t) and row[layout.OPEN] == row[layout.OUTER]
    if kept > 0 or (
        begins
        and (production == step(row, 0, layout.STEP, t) or production == t[t[layout.T_PIECE_OTHER] + row[layout.HOLE]])
    ):
        row[layout.MATCHED] = kept + 1
    else:
        row[layout.MATCHED] = 0
    if before == kept:
        return True
    heavy = row[layout.HEAVY] - row[layout.HOLE_HEAVY] - step(row, kept, layout.STEP_HEAVY, t)
    return (
        step(row, before - kept, layout.STEP_STRANGE, t) == 0 and heavy <= t[t[layout.T_HOLE_HEAVY] + row[layout.HOLE]]
    )


@njit(nogil=True, inline="always")
def has_written_piece(row, t):  # type: ignore[no-untyped-def]
    """Whether the hole has ended with its piece."""
    return row[layout.MATCHED] > 0 and row[layout.MATCHED] == piece_length(row, t)


@njit(nogil=True, inline="always")
def is_on_spine(row, height, t):  # type: ignore[no-untyped-def]
    """Whether the symbol at a height of the stack is that on which a piece must follow."""
    return height == row[layout.HOLE_BASE] and row[layout.HOLE] > 0 and piece_length(row, t) > 0


@njit(cache=True, nogil=True)
def begin_piece(row, top, t):  # type: ignore[no-untyped-def]
    """Return the production of a nonterminal with which the piece begins."""
    first = step(row, 0, layout.STEP, t)
    return first if t[t[layout.T_LHS] + first] == top else t[t[layout.T_PIECE_OTHER] + row[layout.HOLE]]


@njit(cache=True, nogil=True)
def own_atoms(row, t):  # type: ignore[no-untyped-def]
    """Return how many atoms there are but for those of a match."""
    if row[layout.MATCHED] == 0:
        return row[layout.ATOMS] + 0
    return row[layout.ATOMS] - step(row, row[layout.MATCHED], layout.STEP_ATOMS, t)


@njit(cache=True, nogil=True)
def awaited_ring(row, t):  # type: ignore[no-untyped-def]
    """Return which of the open rings is the one that must still be closed in the hole; -1 for none."""
    number = t[t[layout.T_AWAITED] + row[layout.HOLE]]
    if number >= 0:
        for i in range(row[layout.OUTER]):
            if row[row[layout.NUMBER] + i] == number:
                return i
    return -1
