"""Many numbers of one molecule that is read once: similarities to others, substructures, atoms, descriptors.

``MEASURES`` is the table. A measure is a name and what it is about: a SMILES for similarities, a SMARTS for
substructures, an element for atoms. For a descriptor it is empty, or a SMILES: the number is then the difference to
that molecule's.
"""

from collections.abc import Callable, Iterable
from functools import cache, lru_cache, partial
from typing import Any

from rdkit import Chem
from rdkit.Chem import QED, Crippen, GraphDescriptors, rdMolDescriptors, rdqueries

from grammar_rae.chem.fingerprints import COUNT_FINGERPRINTS, count_similarity
from grammar_rae.chem.log import quiet
from grammar_rae.chem.pharmacophores import pharmacophore_similarity
from grammar_rae.chem.smiles import molecule
from grammar_rae.errors import InputError, UnknownNameError

# RDKit's type stubs lack what these modules define while they are imported.
_crippen: Any = Crippen
_graph: Any = GraphDescriptors
_qed: Any = QED

_Function = Callable[[Any], float]


@quiet
def measure(text: str, wanted: Iterable[tuple[str, str]]) -> list[float]:
    """The numbers of one molecule, one for each measure.

    Parameters
    ----------
    text
        A SMILES.
    wanted
        Measures, each a name in :data:`MEASURES` and what it is about.

    Raises
    ------
    TextError
        When RDKit refuses the text, or a SMILES that a measure is about.
    UnknownNameError
        When a name is not in the table.
    InputError
        When RDKit knows no such element or SMARTS.

    Examples
    --------
    >>> measure("CCO", [("atoms", "C"), ("atoms", "H"), ("atoms", ""), ("rings", ""), ("ECFP4", "CCO")])
    [2.0, 6.0, 9.0, 0.0, 1.0]
    """
    found = molecule(text)
    return [_function(name)(found, about) for name, about in wanted]


def _function(name: str) -> Callable[[Any, str], float]:
    try:
        return MEASURES[name]
    except KeyError:
        raise UnknownNameError("measure", name, MEASURES, "grammar_rae.chem.MEASURES") from None


def _atoms(found: Any, element: str) -> float:
    """The atoms of an element, hydrogen atoms among them whether they are written or not; of all for an empty text."""
    every = found.GetNumAtoms(onlyExplicit=False)
    if not element:
        return float(every)
    written = len(found.GetAtomsMatchingQuery(_element(element)))
    return float(written + (every - found.GetNumAtoms() if element == "H" else 0))


@cache
def _element(symbol: str) -> Any:
    try:
        number = Chem.GetPeriodicTable().GetAtomicNumber(symbol)
    except RuntimeError:
        raise InputError("there is no such element", received=repr(symbol), expected="a symbol such as 'Cl'") from None
    return rdqueries.AtomNumEqualsQueryAtom(number)


def _substructure(found: Any, smarts: str) -> float:
    return float(found.HasSubstructMatch(_pattern(smarts)))


def _matches(found: Any, smarts: str) -> float:
    return float(len(found.GetSubstructMatches(_pattern(smarts))))


@lru_cache(maxsize=64)
def _pattern(smarts: str) -> Any:
    pattern = Chem.MolFromSmarts(smarts)
    if pattern is None:
        raise InputError("RDKit cannot read this SMARTS", received=repr(smarts))
    return pattern


def _descriptor(function: _Function, found: Any, reference: str) -> float:
    value = float(function(found))
    return value - _reference(function, reference) if reference else value


@lru_cache(maxsize=64)
def _reference(function: _Function, text: str) -> float:
    return float(function(molecule(text)))


def _similarity(kind: str, found: Any, target: str) -> float:
    return count_similarity(found, kind, target)


_DESCRIPTORS: dict[str, _Function] = {
    "logp": _crippen.MolLogP,
    "tpsa": rdMolDescriptors.CalcTPSA,
    "bertz": _graph.BertzCT,
    "rings": rdMolDescriptors.CalcNumRings,
    "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings,
    "qed": _qed.qed,
}

#: name -> function of RDKit's molecule and of what the measure is about.
MEASURES: dict[str, Callable[[Any, str], float]] = {
    **{kind: partial(_similarity, kind) for kind in COUNT_FINGERPRINTS},
    "PHCO": pharmacophore_similarity,
    "atoms": _atoms,
    "substructure": _substructure,
    "matches": _matches,
    **{name: partial(_descriptor, function) for name, function in _DESCRIPTORS.items()},
}
