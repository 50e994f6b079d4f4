"""Templates with two pieces, or with rings that are still to be closed, as one text."""

from collections.abc import Sequence

from grammar_rae.chem.writing import PIECE
from grammar_rae.errors import TextError

_BONDS = "-=#:$/\\"


def link(first: str, second: str, label: int) -> str:
    """Write the second piece behind the point of the first one.

    The second begins with its own point of that number, whose place the other one takes. Ring numbers of the second
    that are open around the point of the first are replaced.

    >>> link("C1C([*:2])C1", "[*:2]C1CC1", 2)
    'C1C([*:2]C2CC2)C1'
    """
    before, point, after = first.partition(f"[*:{label}]")
    taken = _open_numbers(PIECE.findall(before))
    pieces = PIECE.findall(second)[1:]
    own = {number for piece in pieces if (number := _ring_number(piece))}
    free = (number for number in range(1, 100) if number not in own and number not in taken)
    replaced = {number: next(free) for number in sorted(own & taken)}
    written = [spell_number(replaced.get(number, number)) if (number := _ring_number(one)) else one for one in pieces]
    return before + point + "".join(written) + after


def close_ring(text: str, label: int) -> tuple[str, int]:
    """Open a ring in the place of the first of two points of one number; return the text, and the ring's number.

    >>> close_ring("C([*:1])CC[*:1]", 1)
    ('C1CC[*:1]', 1)

    Raises
    ------
    TextError
        Where the point's bond has a mark of a double bond's sides.
    """
    pieces = PIECE.findall(text)
    used = {_ring_number(piece) for piece in pieces}
    number = next(number for number in range(1, 100) if number not in used)
    at = pieces.index(f"[*:{label}]")
    if pieces[at - 1] in "/\\":
        raise TextError(
            f"a ring that is closed at the point [*:{label}] would begin at a marked bond",
            text=text,
            remedy="Write the template without the marks of that double bond's sides.",
        )
    begin, end = (at - 1, at + 2) if pieces[at - 1] == "(" else (at, at + 1)
    host, branches = _find_host(pieces, begin)
    place = host + 1
    while place < begin and (_ring_number(pieces[place]) or _is_bond_of_ring(pieces, place)):
        place += 1
    atom = _flip(pieces[host]) if branches % 2 else pieces[host]
    written = [*pieces[:host], atom, *pieces[host + 1 : place], spell_number(number)]
    return "".join([*written, *pieces[place:begin], *pieces[end:]]), number


def _find_host(pieces: Sequence[str], at: int) -> tuple[int, int]:
    """The atom before a place on the same level, and how many of its branches stand between."""
    depth = branches = 0
    for place in range(at - 1, -1, -1):
        piece = pieces[place]
        depth += (piece == ")") - (piece == "(")
        branches += piece == "(" and depth == 0
        if depth == 0 and piece[0] not in _BONDS + "()" and not _ring_number(piece):
            return place, branches
    raise AssertionError("a text begins with an atom")


def _flip(atom: str) -> str:
    """An atom's text with the other parity, for a neighbour that has moved by one place."""
    if "@" not in atom:
        return atom
    return atom.replace("@@", "@") if "@@" in atom else atom.replace("@", "@@")


def _is_bond_of_ring(pieces: Sequence[str], at: int) -> bool:
    return pieces[at] in _BONDS and at + 1 < len(pieces) and _ring_number(pieces[at + 1]) > 0


def _open_numbers(pieces: Sequence[str]) -> set[int]:
    still_open: set[int] = set()
    for piece in pieces:
        if number := _ring_number(piece):
            still_open ^= {number}
    return still_open


def _ring_number(piece: str) -> int:
    """The number of a ring bond; 0 for what is none."""
    return int(piece.lstrip("%")) if piece.lstrip("%").isdecimal() else 0


def spell_number(number: int) -> str:
    """The text of a ring's number."""
    return str(number) if number < 10 else f"%{number}"
