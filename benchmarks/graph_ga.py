"""A genetic algorithm on molecular graphs, which needs no model: what searches are compared with.

After Jensen (Chem. Sci. 10, 2019), with the sizes of PMO (Gao et al., 2022), in own code: parents by their score, a
child from a piece of each, and now and then a small edit. It has no limits but those of :func:`_finish`, so its
molecules may be hard to make; the tables of a study say by how much.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from grammar_rae.chem.log import quiet

Graph = Chem.RWMol

POPULATION = 120
"""The best molecules, which are the parents."""

MUTATED = 0.067
"""The share of children that are edited after crossing."""

RING_CUTS = 0.5
"""The share of crossings that cut rings, where both parents have one."""

MOST_ATOMS, MOST_RING = 50, 7
"""The most heavy atoms of a molecule, and of a ring."""

ELEMENTS = (6, 6, 6, 7, 7, 8, 8, 16, 9, 17)
"""Atomic numbers of new atoms: each as likely as it is often here."""

TRIES = 100  # for each child that is wanted

_SINGLE, _DOUBLE, _TRIPLE = Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE


@quiet  # what cannot be a molecule is the rule here
def breed(texts: Sequence[str], values: NDArray[np.float64], n: int, seed: Sequence[int]) -> list[tuple[str, str]]:
    """Up to n children of molecules with values of 0 or more, that are not among them, and how each was made."""
    rng = np.random.default_rng(seed)
    order = np.argsort(-values, kind="stable")[:POPULATION]
    chances = values[order] + 1e-9
    parents = [_open(texts[row]) for row in order]
    known, found = set(texts), dict[str, str]()
    for _ in range(TRIES * n):
        if len(found) == n:
            break
        one, other = (parents[row] for row in rng.choice(len(parents), 2, p=chances / chances.sum()))
        origin, child = "crossing", _cross(one, other, rng)
        if child is not None and rng.random() < MUTATED:
            origin, child = "edit", _finish(EDITS[rng.integers(len(EDITS))](_open(child), rng))
        if child is not None and child not in known and child not in found:
            found[child] = origin
    return list(found.items())


def _open(text: str) -> Graph:
    """A molecule to be edited: Kekulé, without stereo marks, hydrogens where valence has room."""
    graph = Chem.RWMol(Chem.MolFromSmiles(text))
    Chem.Kekulize(graph, clearAromaticFlags=True)
    Chem.RemoveStereochemistry(graph)
    for atom in graph.GetAtoms():
        if not atom.GetFormalCharge():
            atom.SetNoImplicit(False)
            atom.SetNumExplicitHs(0)
    return graph


def _finish(graph: Graph | None) -> str | None:
    """The SMILES of what was made; None unless it is one molecule, not too large, with no strained or large rings."""
    if graph is None:
        return None
    found = graph.GetMol()
    if Chem.SanitizeMol(found, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        return None
    text: str = Chem.MolToSmiles(found)
    if "." in text or not 2 <= found.GetNumAtoms() <= MOST_ATOMS:
        return None
    if any(len(ring) > MOST_RING for ring in found.GetRingInfo().AtomRings()):
        return None
    if found.HasSubstructMatch(_STRAINED) or Chem.MolFromSmiles(text) is None:
        return None
    return text


_STRAINED = Chem.MolFromSmarts("[$([R]=[R]=[R]),$([R]#[R]),$([r3,r4]=[r3,r4])]")


# ---- crossing


def _cross(one: Graph, other: Graph, rng: np.random.Generator) -> str | None:
    """A piece of each of two molecules as one, cut and joined at one bond or at two bonds of a ring."""
    rings = all(graph.GetRingInfo().NumRings() for graph in (one, other))
    cut = _cut_ring if rings and rng.random() < RING_CUTS else _cut_chain
    pieces = [cut(graph, rng) for graph in (one, other)]
    if pieces[0] is None or pieces[1] is None:
        return None
    (left, mine), (right, theirs) = pieces[0], pieces[1]
    joined = Chem.RWMol(Chem.CombineMols(left, right))
    for here, there in zip(mine, rng.permutation(theirs), strict=True):
        if joined.GetBondBetweenAtoms(here, int(there) + left.GetNumAtoms()) is not None:
            return None
        joined.AddBond(here, int(there) + left.GetNumAtoms(), _SINGLE)
    return _finish(joined)


def _cut_chain(graph: Graph, rng: np.random.Generator) -> tuple[Chem.Mol, list[int]] | None:
    """A piece of a molecule cut at a single bond outside rings, and the atom that it was cut at."""
    bonds = [bond for bond in graph.GetBonds() if bond.GetBondType() == _SINGLE and not bond.IsInRing()]
    return _split(graph, [bonds[rng.integers(len(bonds))]], rng) if bonds else None


def _cut_ring(graph: Graph, rng: np.random.Generator) -> tuple[Chem.Mol, list[int]] | None:
    """A piece of a molecule cut at two single bonds of a ring, and the two atoms that it was cut at."""
    rings = graph.GetRingInfo().BondRings()
    ring = [graph.GetBondWithIdx(index) for index in rings[rng.integers(len(rings))]]
    single = [bond for bond in ring if bond.GetBondType() == _SINGLE]
    if len(single) < 2:
        return None
    return _split(graph, [single[row] for row in rng.choice(len(single), 2, replace=False)], rng)


def _split(graph: Graph, bonds: Sequence[Chem.Bond], rng: np.random.Generator) -> tuple[Chem.Mol, list[int]] | None:
    """One of the two pieces that are left without some bonds, and its atoms that had these; None where not two are."""
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds]
    cut = Chem.RWMol(graph)
    for one, other in ends:
        cut.RemoveBond(one, other)
    atoms: list[tuple[int, ...]] = []
    pieces = Chem.GetMolFrags(cut, asMols=True, sanitizeFrags=False, fragsMolAtomMapping=atoms)
    if len(pieces) != 2:
        return None
    chosen = int(rng.integers(2))
    places = {atom: place for place, atom in enumerate(atoms[chosen])}
    at = [places[atom] for pair in ends for atom in pair if atom in places]
    return (pieces[chosen], at) if len(at) == len(bonds) else None


# ---- edits


def _append(graph: Graph, rng: np.random.Generator) -> Graph:
    """A new atom at another."""
    at = int(rng.integers(graph.GetNumAtoms()))
    graph.AddBond(at, graph.AddAtom(_new_atom(rng)), _order(rng))
    return graph


def _insert(graph: Graph, rng: np.random.Generator) -> Graph | None:
    """A new atom in the middle of a single bond."""
    bonds = [bond for bond in graph.GetBonds() if bond.GetBondType() == _SINGLE]
    if not bonds:
        return None
    one, other = _ends(bonds, rng)
    graph.RemoveBond(one, other)
    new = graph.AddAtom(_new_atom(rng))
    graph.AddBond(one, new, _SINGLE)
    graph.AddBond(new, other, _SINGLE)
    return graph


def _delete(graph: Graph, rng: np.random.Generator) -> Graph | None:
    """One atom less; of two neighbours the bond closes again."""
    atom = graph.GetAtomWithIdx(int(rng.integers(graph.GetNumAtoms())))
    beside = [one.GetIdx() for one in atom.GetNeighbors()]
    if len(beside) > 2:
        return None
    if len(beside) == 2:
        if graph.GetBondBetweenAtoms(*beside) is not None:
            return None
        graph.AddBond(beside[0], beside[1], _SINGLE)
    graph.RemoveAtom(atom.GetIdx())
    return graph


def _exchange(graph: Graph, rng: np.random.Generator) -> Graph:
    """Another element."""
    atom = graph.GetAtomWithIdx(int(rng.integers(graph.GetNumAtoms())))
    atom.SetAtomicNum(_new_number(rng))
    atom.SetFormalCharge(0)
    return graph


def _reorder(graph: Graph, rng: np.random.Generator) -> Graph | None:
    """Another order of a bond."""
    bonds = list(graph.GetBonds())
    if not bonds:
        return None
    bonds[rng.integers(len(bonds))].SetBondType(_order(rng))
    return graph


def _close(graph: Graph, rng: np.random.Generator) -> Graph | None:
    """A new ring of five or six atoms."""
    distances = Chem.GetDistanceMatrix(graph)
    pairs = np.argwhere(np.triu((distances == 4) | (distances == 5)))
    if not len(pairs):
        return None
    one, other = pairs[rng.integers(len(pairs))]
    graph.AddBond(int(one), int(other), _SINGLE)
    return graph


def _break(graph: Graph, rng: np.random.Generator) -> Graph | None:
    """One bond of a ring less."""
    bonds = [bond for bond in graph.GetBonds() if bond.IsInRing()]
    if bonds:
        graph.RemoveBond(*_ends(bonds, rng))
    return graph if bonds else None


EDITS: tuple[Callable[[Graph, np.random.Generator], Graph | None], ...] = (
    _append,
    _insert,
    _delete,
    _exchange,
    _reorder,
    _close,
    _break,
)


def _ends(bonds: Sequence[Chem.Bond], rng: np.random.Generator) -> tuple[int, int]:
    bond = bonds[int(rng.integers(len(bonds)))]
    return bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()


def _new_number(rng: np.random.Generator) -> int:
    return ELEMENTS[int(rng.integers(len(ELEMENTS)))]


def _new_atom(rng: np.random.Generator) -> Chem.Atom:
    return Chem.Atom(_new_number(rng))


def _order(rng: np.random.Generator) -> Chem.BondType:
    return (_SINGLE, _SINGLE, _SINGLE, _DOUBLE, _DOUBLE, _TRIPLE)[int(rng.integers(6))]
