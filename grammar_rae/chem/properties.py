"""Properties of RDKit's molecule that a model can be told, and asked for: cheap numbers that people think in."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import QED, Crippen, rdMolDescriptors

from grammar_rae.chem.descriptors import sa_of
from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule

# RDKit's type stubs lack what these modules define while they are imported.
_crippen: Any = Crippen
_qed: Any = QED
_descriptors: Any = rdMolDescriptors


def _marked_centres(found: Any) -> int:
    return sum(atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED for atom in found.GetAtoms())


PROPERTIES: dict[str, Callable[[Any], float]] = {
    "logp": lambda found: _crippen.MolLogP(found),
    "weight": lambda found: _descriptors._CalcMolWt(found),
    "tpsa": lambda found: _descriptors.CalcTPSA(found),
    "qed": lambda found: _qed.qed(found),
    "sa": sa_of,
    "donors": lambda found: _descriptors.CalcNumHBD(found),
    "acceptors": lambda found: _descriptors.CalcNumHBA(found),
    "rotatable_bonds": lambda found: _descriptors.CalcNumRotatableBonds(found),
    "rings": lambda found: _descriptors.CalcNumRings(found),
    "aromatic_rings": lambda found: _descriptors.CalcNumAromaticRings(found),
    "fsp3": lambda found: _descriptors.CalcFractionCSP3(found),
    "stereo_centres": _marked_centres,
    "charge": Chem.GetFormalCharge,
}
"""name -> function of RDKit's molecule. Stereo centres are those whose arrangement is given."""


def properties_of(found: Any, names: Sequence[str] = tuple(PROPERTIES)) -> NDArray[np.float32]:
    """Some properties of RDKit's molecule, float32 (K,) in the order of the names."""
    return np.array([PROPERTIES[name](found) for name in names], dtype=np.float32)


@quiet
def properties(text: str, names: Sequence[str] = tuple(PROPERTIES)) -> NDArray[np.float32]:
    """Some properties of a molecule, float32 (K,) in the order of the names.

    Raises
    ------
    TextError
        When RDKit refuses the text.
    """
    return properties_of(molecule(text), names)
