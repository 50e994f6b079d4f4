"""The filters of MOSES: structures that medicinal chemists would avoid.

A molecule passes when it has no ring of eight atoms or more, no formal charge and no element but H, C, N, O, F, S, Cl
and Br, and holds none of two lists of substructures: the medicinal chemistry filters (MCF) of MOSES, and PAINS (Baell
and Holloway, 2010). RDKit has PAINS among its data, and corrected some of them after MOSES had taken its copy. Those,
and MCF, lie beside this file (``NOTICE.md`` has their origin and licences), so that the share of molecules that pass is
that of MOSES.

Polykovskiy et al., "Molecular Sets (MOSES): A Benchmarking Platform for Molecular Generation Models" (2020).
"""

import csv
from functools import cache
from pathlib import Path
from typing import Any

from rdkit import Chem, RDConfig

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule
from grammar_rae.errors import DataError

_OWN = Path(__file__).with_name("moses_filters.csv")
_ELEMENTS = frozenset({"H", "C", "N", "O", "F", "S", "Cl", "Br"})
_LARGEST_RING = 7


@quiet
def filter_matches(text: str) -> list[str]:
    """The reasons why a molecule fails the filters; empty if it passes.

    Raises
    ------
    TextError
        When RDKit refuses the text.

    Examples
    --------
    >>> filter_matches("C1OC1CCl")
    ['MCF4', 'MCF5']
    """
    found = molecule(text)
    with_hydrogens = Chem.AddHs(found)
    matches = [name for name, pattern in _patterns() if with_hydrogens.HasSubstructMatch(pattern)]
    return [*_plain_reasons(found), *matches]


def passes(found: Any) -> bool:
    """Whether RDKit's molecule passes, as an empty :func:`filter_matches` would say; stops at the first match."""
    if _plain_reasons(found):
        return False
    with_hydrogens = Chem.AddHs(found)
    return not any(with_hydrogens.HasSubstructMatch(pattern) for _, pattern in _patterns())


def _plain_reasons(found: Any) -> list[str]:
    reasons = []
    if any(len(ring) > _LARGEST_RING for ring in found.GetRingInfo().AtomRings()):
        reasons.append(f"a ring of more than {_LARGEST_RING} atoms")
    atoms = list(found.GetAtoms())
    if any(atom.GetFormalCharge() for atom in atoms):
        reasons.append("a charge")
    other = sorted({atom.GetSymbol() for atom in atoms} - _ELEMENTS)
    return reasons + [f"the element {symbol}" for symbol in other]


@cache
def _patterns() -> list[tuple[str, Any]]:
    """Name and pattern of each substructure, the cheaper list first."""
    with _OWN.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        own = {row["name"]: row["smarts"] for row in rows}
    mcf = {name: smarts for name, smarts in own.items() if name.startswith("MCF")}
    return [(name, Chem.MolFromSmarts(smarts)) for name, smarts in {**mcf, **_rdkit_pains(), **own}.items()]


def _rdkit_pains() -> dict[str, str]:
    path = Path(RDConfig.RDDataDir, "Pains", "wehi_pains.csv")
    if not path.is_file():
        raise DataError(
            "this installation of RDKit lacks the substructures of PAINS",
            expected=str(path),
            remedy="Install RDKit from PyPI (python -m pip install rdkit), which has them.",
        )
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row[0].strip(), row[1].strip()) for row in csv.reader(file)]
    return {f"PAINS {name.removeprefix('<regId=').rstrip('>')}": smarts for smarts, name in rows}
