"""Templates: molecules with attachment points, and the Kekulé texts in which they can be written."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from rdkit import Chem

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
    """

    text: str
    points: tuple[tuple[int, int], ...]
    atoms: tuple[str, ...]


@quiet
def read_points(text: str) -> tuple[int, ...]:
    """Return the numbers of a template's points, in the order of the text.

    A point is written ``[*:1]``. Points without a number, ``*`` or ``[*]``, get the smallest ones that are free.

    Raises
    ------
    TextError
        For a text that RDKit refuses, of several molecules, without a point, or with one that no atom can be put in the
        place of.
    """
    return tuple(_label_points(_read(text), text))


@quiet
def spell_template(text: str, empty: Collection[int] = ()) -> tuple[Spelling, ...]:
    """Return the texts of a template that has some points empty, the best first.

    That is its own text, where it begins with an atom; then RDKit's, with the atoms in the same order and each atom in
    the form in which RDKit writes it.

    Parameters
    ----------
    text
        The template.
    empty
        The points with hydrogen in their place.

    Raises
    ------
    TextError
        As :func:`read_points`, or for a molecule that RDKit cannot write in Kekulé form.
    """
    found = _read(text)
    _label_points(found, text)
    written = [] if empty else [_number_points(own, found) for own in _own_texts(text)]
    if empty:
        found = _fill_with_hydrogen(found, empty)
    for atom in found.GetAtoms():
        if atom.GetAtomicNum():
            atom.SetAtomMapNum(0)
    Chem.Kekulize(found, clearAromaticFlags=True)
    roots = [atom.GetIdx() for atom in found.GetAtoms() if atom.GetAtomicNum()]
    if not roots:
        raise TextError("nothing is left of the template without its points", text=text)
    written.append(Chem.MolToSmiles(found, canonical=False, rootedAtAtom=roots[0]))
    return tuple(dict.fromkeys(map(_spelling, written)))


def _read(text: str) -> Any:
    found = molecule(text)
    if len(Chem.GetMolFrags(found)) > 1:
        raise TextError(
            "a template is one piece: pieces are not linked",
            text=text,
            position=text.find("."),
            expected="one piece",
        )
    return found


def _label_points(found: Any, text: str) -> list[int]:
    """Give each point that has no number one, and return all numbers."""
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
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise TextError(
            "two points of the template have the same number: rings are not closed between points",
            text=text,
            received=f"[*:{twice[0]}] twice in {text}",
            remedy="Give each point a number of its own.",
        )
    return labels


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
    """A template's own text in Kekulé form, none where that cannot be written."""
    if not _is_plain(text):
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


def _spelling(written: str) -> Spelling:
    pieces: Sequence[str] = PIECE.findall(written)
    points, atoms, text = [], [], []
    for index, piece in _with_atoms(pieces):
        if _POINT.fullmatch(piece):
            points.append((index, int(piece[3:-1])))
            text.append(_STAND_IN)
        else:
            text.append(piece)
            if index >= 0:
                atoms.append(piece)
    return Spelling("".join(text), tuple(points), tuple(atoms))


def _with_atoms(pieces: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Each piece of a SMILES with its place among the atoms, -1 for what is no atom."""
    n = 0
    for piece in pieces:
        is_atom = bool(_ATOM.match(piece))
        yield (n if is_atom else -1), piece
        n += is_atom
