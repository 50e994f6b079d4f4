"""How many bonds an atom takes, found by trials with RDKit instead of a table."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rdkit import Chem

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule_or_none

#: The atoms that a SMILES writes without brackets; RDKit gives them the hydrogen atoms that they lack.
ORGANIC = ("B", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I")

#: The largest capacity that is tried. A dummy atom and most metals would take any number of bonds.
LARGEST_CAPACITY = 8

_BONDS = {1: "", 2: "=", 3: "#", 4: "$"}
_CARBON = dict.fromkeys(_BONDS, "C")
_OXYGEN = 8


@quiet
def capacities(atoms: Iterable[str]) -> dict[str, int]:
    """The largest sum of bond orders that each atom takes.

    Up to this sum, however it is made up (two single bonds or a double one), and as long as its neighbours are of the
    same atoms and keep to theirs, RDKit sanitises the atom, and reads the canonical SMILES again where no rings are
    (the aromatic form that it gives to rare ring systems it cannot read). Sums that RDKit takes only by rewriting the
    atom's charge do not count: "N" takes 3, although ``CN(=O)=O`` can be read.

    The capacities belong together. RDKit rewrites neutral iodine among oxygen atoms alone, and fails at it when one of
    these is a cation with a double bond: "I" takes 5 among common atoms, and 1 where "[O+]" or "[OH+]" is one of them.

    Parameters
    ----------
    atoms
        SMILES of single atoms: "C", "[NH3+]", "[C@@H]".

    Returns
    -------
    dict[str, int]
        Text -> capacity from 0 to :data:`LARGEST_CAPACITY`, in alphabetical order. What RDKit refuses even alone is
        left out: impossible atoms, aromatic ones (they need a ring), texts that are not a single atom.
    """
    alone = {text: atom for text in sorted(set(atoms)) if (atom := _atom(text)) is not None}
    found = {text: _capacity(text, _CARBON, LARGEST_CAPACITY, atom.GetFormalCharge()) for text, atom in alone.items()}
    # RDKit rewrites only double bonds to oxygen, so only such neighbours need to be tried beside carbon.
    for oxygen in [text for text, atom in alone.items() if atom.GetAtomicNum() == _OXYGEN and found[text] > 1]:
        neighbours = _saturate(oxygen, found[oxygen])
        found = {text: _capacity(text, neighbours, most) for text, most in found.items()}
    return found


def _atom(text: str) -> Any:
    """RDKit's atom of a text, or None where the text is not a single atom that RDKit takes."""
    molecule = None if molecule_or_none(text) is None else _read_with_hydrogens(text)
    return None if molecule is None or molecule.GetNumAtoms() != 1 else molecule.GetAtomWithIdx(0)


def _saturate(text: str, capacity: int) -> dict[int, str]:
    """An atom as a neighbour: order of the bond to it -> the atom, and the carbon atoms that use up what is left.

    Left open, it could take what RDKit's rewriting does to it.
    """
    return {order: text + "(C)" * (capacity - order) for order in _BONDS if order <= capacity}


def _capacity(text: str, neighbours: Mapping[int, str], most: int, charge: int | None = None) -> int:
    """The last sum, from 0 to ``most``, before the first that is unsafe in one of its ways."""
    for total in range(1, most + 1):
        if not all(_is_safe(_star(text, neighbours, orders), charge) for orders in _partitions(total, neighbours)):
            return total - 1
    return most


def _partitions(total: int, terms: Iterable[int]) -> Iterator[tuple[int, ...]]:
    """The ways to make up a sum of these terms, in no particular order."""
    if not total:
        yield ()
    for first in terms:
        if first <= total:
            for rest in _partitions(total - first, [term for term in terms if term <= first]):
                yield first, *rest


def _star(text: str, neighbours: Mapping[int, str], orders: tuple[int, ...]) -> str:
    """The atom and its neighbours, joined by bonds of these orders."""
    return text + "".join(f"({_BONDS[order]}{neighbours[order]})" for order in orders)


def _is_safe(text: str, charge: int | None) -> bool:
    """Whether RDKit sanitises a molecule and reads its canonical SMILES again, with this charge in it and no other."""
    molecule = _read_with_hydrogens(text)
    again = None if molecule is None else molecule_or_none(_write_or_none(molecule))
    if again is None or charge is None:
        return again is not None
    return [atom.GetFormalCharge() for atom in again.GetAtoms() if atom.GetFormalCharge()] == [charge] * bool(charge)


def _read_with_hydrogens(text: str) -> Any:
    """The sanitised molecule with the hydrogen atoms that are written out, or None.

    RDKit would remove them before it checks valences, and so would miss what is wrong with them.
    """
    options: Any = Chem.SmilesParserParams()
    options.removeHs = False
    try:
        return Chem.MolFromSmiles(text, options)
    except (ValueError, RuntimeError):  # as in ``molecule_or_none``
        return None


def _write_or_none(molecule: Any) -> str | None:
    try:
        return str(Chem.MolToSmiles(molecule))
    except (ValueError, RuntimeError):
        return None
