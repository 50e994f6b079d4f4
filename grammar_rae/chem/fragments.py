"""Parts of a molecule: its BRICS fragments, and its scaffold without side chains."""

from typing import Any

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule


@quiet
def brics_fragments(text: str) -> list[str]:
    """The fragments between a molecule's BRICS bonds (Degen et al., 2008), as SMILES with a numbered dummy at each cut.

    A fragment that occurs twice is listed twice; a molecule without such a bond is a single fragment.

    Raises
    ------
    TextError
        When RDKit refuses the text.
    """
    return fragments_of(molecule(text))


def fragments_of(found: Any) -> list[str]:
    """:func:`brics_fragments` of RDKit's molecule."""
    return str(Chem.MolToSmiles(Chem.FragmentOnBRICSBonds(found))).split(".")


@quiet
def scaffold(text: str, least_rings: int = 0) -> str | None:
    """The Bemis-Murcko scaffold (1996): rings, the chains between them, and the atoms that double bonds tie to these.

    Returns
    -------
    Its canonical SMILES; None for a molecule without rings, and for a scaffold of fewer rings than ``least_rings``.

    Raises
    ------
    TextError
        When RDKit refuses the text.
    """
    return scaffold_of(molecule(text), least_rings)


def scaffold_of(found: Any, least_rings: int) -> str | None:
    """:func:`scaffold` of RDKit's molecule."""
    from rdkit.Chem.Scaffolds import MurckoScaffold  # which imports all of RDKit's chemistry

    murcko: Any = MurckoScaffold  # RDKit's type stubs lack its annotations
    try:
        core = murcko.GetScaffoldForMol(found)
    except (ValueError, RuntimeError):  # what is left cannot always be sanitised
        return None
    if rdMolDescriptors.CalcNumRings(core) < least_rings:
        return None
    return str(Chem.MolToSmiles(core)) or None
