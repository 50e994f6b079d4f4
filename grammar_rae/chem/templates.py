"""Templates: molecules with attachment points, and the Kekulé texts in which they can be written."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from rdkit import Chem

from grammar_rae.chem.joining import close_ring, link, spell_number
from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule
from grammar_rae.chem.writing import PIECE, kekule_as_written
from grammar_rae.errors import TextError

_ATOM = re.compile(r"[A-Za-z*\[]")
_POINT = re.compile(r"\*|\[\*(:\d+)?\]")
_NUMBERED = re.compile(r"\[[^\]*]*:\d+\]")  # an atom with a number of its own
_STAND_IN = "C"


class Spelling(NamedTuple):
    """A Kekulé text of a template, with a carbon atom in the place of each point.

    Attributes
    ----------
    text
        The text.
    points
        (Which atom of the text stands for a point, the point's number).
    atoms
        The texts of the other atoms.
    linked
        The numbers of points behind which another piece hangs.
    awaited
        (The number of a point, the number of the ring that what grows there must close).
    turned
        Whether the second piece is written first.
    """

    text: str
    points: tuple[tuple[int, int], ...]
    atoms: tuple[str, ...]
    linked: tuple[int, ...] = ()
    awaited: tuple[tuple[int, int], ...] = ()
    turned: bool = False

    def fill(self) -> str:
        """The text with all rings closed."""
        numbers, points, text = dict(self.awaited), dict(self.points), []
        for index, piece in _with_atoms(PIECE.findall(self.text)):
            text.append(piece)
            if (number := numbers.get(points.get(index, 0))) is not None:
                text.append(spell_number(number))
        return "".join(text)


class Joints(NamedTuple):
    """The numbers of a template's points.

    Attributes
    ----------
    labels
        All, in the order of the text.
    linked
        The one at which two pieces are linked; none for one piece.
    closed
        Those between which a ring is closed.
    """

    labels: tuple[int, ...]
    linked: tuple[int, ...] = ()
    closed: tuple[int, ...] = ()


@quiet
def read_points(text: str, rings: bool = False) -> Joints:
    """Return the numbers of a template's points, and what is joined at them.

    A point is written ``[*:1]``. Points without a number, ``*`` or ``[*]``, get the smallest ones that are free.

    Parameters
    ----------
    text
        The template: one piece, or two with a point of the same number.
    rings
        Whether two points of one number on one piece are to be joined to a ring.

    Raises
    ------
    TextError
        For a text that RDKit refuses, pieces that cannot be linked, no point, or one that no atom can be put in the
        place of.
    """
    return _label_points(molecule(text), text, rings)


@quiet
def spell_template(text: str, empty: Collection[int] = (), rings: bool = False) -> tuple[Spelling, ...]:
    """Return the texts of a template that has some points empty, the best first.

    That is its own text, where it begins with an atom; then RDKit's, with the atoms in the same order and each atom in
    the form in which RDKit writes it. Of two pieces, one is written behind the point of the other: the second one,
    unless it alone has more points.

    Parameters
    ----------
    text, rings
        As for :func:`read_points`.
    empty
        The points with hydrogen in their place.

    Raises
    ------
    TextError
        As :func:`read_points`, or for a molecule that cannot be written in Kekulé form.
    """
    found = molecule(text)
    joints = _label_points(found, text, rings)
    numbered = _number_points(text.strip(), found)
    if empty:
        found = _fill_with_hydrogen(found, empty)
    for atom in found.GetAtoms():
        if atom.GetAtomicNum():
            atom.SetAtomMapNum(0)
    Chem.Kekulize(found, clearAromaticFlags=True)
    parts = list(Chem.GetMolFrags(found, asMols=True, sanitizeFrags=False))
    own = numbered.split(".") if not empty else []
    if len(own) != len(parts):
        own = [""] * len(parts)
    turned = len(parts) == 2 and _count_points(parts[1]) > _count_points(parts[0]) == 1
    if turned:
        parts, own = parts[::-1], own[::-1]
    written = [*_own_texts(own[0]), _write(parts[0])]
    if len(parts) == 2:
        (label,) = joints.linked
        second = _write(parts[1], label)
        written = [link(first, second, label) for first in written]
    return tuple(dict.fromkeys(_spelling(one, joints)._replace(turned=turned) for one in written))


@quiet
def reorder_template(text: str, most: int, rings: bool = False) -> tuple[str, ...]:
    """Return a template in other orders of its atoms, at most so many: RDKit's, begun at different atoms.

    Raises
    ------
    TextError
        As :func:`read_points`.
    """
    found = molecule(text)
    joints = _label_points(found, text, rings)
    parts = list(Chem.GetMolFrags(found, asMols=True, sanitizeFrags=False))
    if len(parts) == 2 and _count_points(parts[1]) > _count_points(parts[0]) == 1:
        return ()  # the second piece is written first, from its own first atom
    roots = [atom.GetIdx() for atom in parts[0].GetAtoms() if atom.GetAtomicNum()]
    chosen = sorted({roots[place * len(roots) // most] for place in range(most)})
    first = [str(Chem.MolToSmiles(parts[0], rootedAtAtom=root)) for root in chosen]
    if len(parts) == 1:
        return tuple(dict.fromkeys(first))
    (label,) = joints.linked
    root = next(a.GetIdx() for a in parts[1].GetAtoms() if a.GetAtomMapNum() == label and not a.GetAtomicNum())
    second = str(Chem.MolToSmiles(parts[1], rootedAtAtom=root))
    return tuple(dict.fromkeys(f"{one}.{second}" for one in first))


def _write(part: Any, label: int = 0) -> str:
    """RDKit's text of a piece, begun with its first atom, or with a point, then with all others at ends of branches."""
    points = [atom.GetIdx() for atom in part.GetAtoms() if atom.GetAtomicNum() == 0]
    others = [atom.GetIdx() for atom in part.GetAtoms() if atom.GetAtomicNum()]
    if not others:
        raise TextError("nothing is left of the template without its points", text=Chem.MolToSmiles(part))
    if not label:
        return str(Chem.MolToSmiles(part, canonical=False, rootedAtAtom=others[0]))
    part = Chem.RenumberAtoms(part, others + points)
    root = next(a.GetIdx() for a in part.GetAtoms() if not a.GetAtomicNum() and a.GetAtomMapNum() == label)
    return str(Chem.MolToSmiles(part, canonical=False, rootedAtAtom=root))


def _count_points(part: Any) -> int:
    return sum(atom.GetAtomicNum() == 0 for atom in part.GetAtoms())


def _label_points(found: Any, text: str, rings: bool) -> Joints:
    """Give each point that has no number one, and return what is joined."""
    points = [atom for atom in found.GetAtoms() if atom.GetAtomicNum() == 0]
    if not points:
        raise TextError(
            "the template has no point to grow at",
            text=text,
            remedy="Mark each place where it may grow with a numbered point, as in c1ccc([*:1])cc1.",
        )
    for point in points:
        _check_point(point, text)
    labels = [point.GetAtomMapNum() for point in points]
    free = iter(sorted(set(range(1, len(points) + 1)) - set(labels)))
    labels = [label or next(free) for label in labels]
    for point, label in zip(points, labels, strict=True):
        point.SetAtomMapNum(label)
    pieces = Chem.GetMolFrags(found)
    if len(pieces) > 2:
        raise TextError(
            "a template has one piece, or two that are linked",
            text=text,
            received=f"{len(pieces)} pieces",
            remedy="Link two of them, and a result of that with the next one.",
        )
    at = [[labels[i] for i, point in enumerate(points) if point.GetIdx() in piece] for piece in pieces]
    common = sorted(set(at[0]) & set(at[-1])) if len(at) == 2 else []
    if len(at) == 2 and not common:
        raise TextError(
            "the two pieces of the template have no number in common",
            text=text,
            received=f"{', '.join(map(str, at[0])) or 'no point'}, and {', '.join(map(str, at[1])) or 'no point'}",
            remedy="Give the two points that shall be linked the same number, as in c1ccccc1[*:1].[*:1]N1CCOCC1.",
        )
    linked = common[:1]
    closed = sorted({label for label in labels if labels.count(label) > 1} - set(linked))
    if thrice := [label for label in labels if labels.count(label) > 2]:
        raise TextError(
            "more than two points of the template have the same number",
            text=text,
            received=f"[*:{thrice[0]}] {labels.count(thrice[0])} times",
            remedy="Give each point, or each two that are joined, a number of their own.",
        )
    if closed and not rings:
        raise TextError(
            "two points of the template have the same number: that is a ring to be closed, which was not asked for",
            text=text,
            received=f"[*:{closed[0]}] twice in {text}",
            remedy="Ask for it: Template(..., rings=True), or 'template=... | rings'; or give each point its number.",
        )
    if rings and not closed:
        raise TextError(
            "no two points have the same number, so that no ring can be closed between them",
            text=text,
            remedy="Give the two points the same number, or leave out rings.",
        )
    return Joints(tuple(dict.fromkeys(labels)), tuple(linked), tuple(closed))


def _check_point(point: Any, text: str) -> None:
    def refuse(reason: str, remedy: str) -> TextError:
        name = f"[*:{point.GetAtomMapNum()}]" if point.GetAtomMapNum() else "*"
        return TextError(f"the point {name} {reason}", text=text, remedy=remedy)

    if point.GetIsotope() or point.GetFormalCharge() or point.GetTotalNumHs() or point.GetNumRadicalElectrons():
        raise refuse("has an isotope, a charge or hydrogen", "Write points as [*:1], [*:2] and so on.")
    if point.GetDegree() != 1:
        raise refuse(f"has {point.GetDegree()} bonds", "A point hangs on one atom of the template, by a single bond.")
    if point.GetBonds()[0].GetBondType() != Chem.BondType.SINGLE:
        raise refuse(
            "hangs on a bond that is not single",
            "Write the atom behind the bond into the template, as in C=C[*:1] instead of C=[*:1].",
        )
    if point.GetNeighbors()[0].GetAtomicNum() == 0:
        raise refuse("hangs on another point", "A point hangs on an atom of the template.")


def _own_texts(text: str) -> list[str]:
    """A piece's own text in Kekulé form, none where that cannot be written."""
    if not text or not _is_plain(text):
        return []
    try:
        return [kekule_as_written(text)]
    except TextError:
        return []


def _is_plain(text: str) -> bool:
    """Whether a template's own text can be used: begun with an atom, its points written where they hang."""
    pieces = PIECE.findall(text.strip())
    behind = zip(pieces, [*pieces[1:], ""], strict=True)
    rings_at_points = any(_POINT.fullmatch(one) and (two[:1] == "%" or two.isdigit()) for one, two in behind)
    odd = any(_NUMBERED.fullmatch(piece) or piece == "[H]" for piece in pieces)
    return not _POINT.fullmatch(pieces[0]) and not rings_at_points and not odd


def _number_points(written: str, found: Any) -> str:
    """Give the points in a text the numbers that they have got."""
    labels = iter([atom.GetAtomMapNum() for atom in found.GetAtoms() if atom.GetAtomicNum() == 0])
    return "".join(f"[*:{next(labels)}]" if _POINT.fullmatch(piece) else piece for piece in PIECE.findall(written))


def _fill_with_hydrogen(found: Any, empty: Collection[int]) -> Any:
    filled: Any = Chem.RWMol(found)
    for atom in filled.GetAtoms():
        if atom.GetAtomicNum() == 0 and atom.GetAtomMapNum() in empty:
            atom.SetAtomicNum(1)
            atom.SetAtomMapNum(0)
            atom.SetNoImplicit(True)
    settings: Any = Chem.RemoveHsParameters()
    settings.removeDefiningBondStereo = True
    return Chem.RemoveHs(filled.GetMol(), settings)


def _spelling(written: str, joints: Joints) -> Spelling:
    awaited = []
    for label in joints.closed:
        written, number = close_ring(written, label)
        awaited.append((label, number))
    points, atoms, text = [], [], []
    for index, piece in _with_atoms(PIECE.findall(written)):
        if _POINT.fullmatch(piece):
            points.append((index, int(piece[3:-1])))
            text.append(_STAND_IN)
        else:
            text.append(piece)
            if index >= 0:
                atoms.append(piece)
    return Spelling("".join(text), tuple(points), tuple(atoms), joints.linked, tuple(awaited))


def _with_atoms(pieces: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Each piece of a SMILES with its place among the atoms, -1 for what is no atom."""
    n = 0
    for piece in pieces:
        is_atom = bool(_ATOM.match(piece))
        yield (n if is_atom else -1), piece
        n += is_atom


@quiet
def join_template(core: str, texts: Sequence[str], optional: int = 3) -> str | None:
    """A template of a core that molecules have in common, with a point wherever one of them has something more.

    Parameters
    ----------
    core
        A SMILES, for example a scaffold.
    texts
        Molecules that contain it.
    optional
        The most points that may stay empty: those where some of the molecules have nothing more. Of more, the last ones
        always grow.

    Returns
    -------
    The template with what may grow, as the constraint ``template=...`` takes it; None where the core is not found, or
    grows nowhere by single bonds.

    Examples
    --------
    >>> join_template("c1ccccc1", ["Cc1ccccc1", "Cc1ccc(F)cc1"])
    'c1cc([*:2])ccc1[*:1] | 2: optional'

    Raises
    ------
    TextError
        When RDKit refuses a text.
    """
    query = molecule(core)
    grows = []
    for text in texts:
        found = molecule(text)
        match = found.GetSubstructMatch(query)
        if not match:
            return None
        grows.append(_growing(found, match))
    places = sorted(set().union(*grows))
    free = [place for place in places if query.GetAtomWithIdx(place).GetTotalNumHs() > 0]
    if not free:
        return None
    growing: Any = Chem.RWMol(query)
    for label, place in enumerate(free, start=1):
        point = Chem.Atom(0)
        point.SetAtomMapNum(label)
        index = growing.AddAtom(point)
        growing.AddBond(place, index, Chem.BondType.SINGLE)
        atom = growing.GetAtomWithIdx(place)
        if atom.GetNumExplicitHs():
            atom.SetNumExplicitHs(atom.GetNumExplicitHs() - 1)
    Chem.SanitizeMol(growing)
    empty = [label for label, place in enumerate(free, start=1) if not all(place in one for one in grows)][:optional]
    return " | ".join([str(Chem.MolToSmiles(growing)), *(f"{label}: optional" for label in empty)])


def _growing(found: Any, match: Sequence[int]) -> set[int]:
    """The atoms of a core at which a molecule has something more on a single bond."""
    inside = set(match)
    return {
        place
        for place, index in enumerate(match)
        for bond in found.GetAtomWithIdx(index).GetBonds()
        if bond.GetOtherAtomIdx(index) not in inside and bond.GetBondType() == Chem.BondType.SINGLE
    }
