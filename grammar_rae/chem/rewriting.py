"""What RDKit changes in a molecule while it reads it: more than its spelling."""

import re
from collections import Counter
from typing import Any

from rdkit import Chem

from grammar_rae.chem.log import quiet

CHARGES = "charges written otherwise"
MARKS = "stereo marks left out"
DATIVE = "bonds made dative"

_BRACKET = re.compile(r"\[([^\]]*)\]")
_CHARGE = re.compile(r"([+-]+)(\d*)(?::\d+)?$")
_WORTH_A_LOOK = re.compile(r"[\[/\\>]")
_UNMARKED: Any = (Chem.BondStereo.STEREONONE, Chem.BondStereo.STEREOANY)


@quiet
def rewriting(text: str, written: str) -> str | None:
    """What differs between the molecule of a text and what RDKit wrote for it; None where only the spelling does.

    RDKit separates charges (``CN(=O)=O`` is written ``C[N+](=O)[O-]``), makes bonds to metals dative, and leaves out
    stereo marks that it does not support (of allenes, of bridgehead nitrogen) or that mark no stereocentre.

    Parameters
    ----------
    text
        A SMILES that RDKit accepts.
    written
        The SMILES that RDKit wrote for it, in canonical or Kekulé form.

    Examples
    --------
    >>> rewriting("CN(=O)=O", "C[N+](=O)[O-]")
    'charges written otherwise'
    >>> rewriting("OCC", "CCO")
    """
    if not _WORTH_A_LOOK.search(text) and not _WORTH_A_LOOK.search(written):
        return None
    parts = [
        what
        for what, differs in (
            (DATIVE, "->" not in text and "<-" not in text and ("->" in written or "<-" in written)),
            (CHARGES, _charges(text) != _charges(written)),
            (MARKS, _centres(written) < _centres(text) or _marked_bonds(written) < _marked_bonds(text)),
        )
        if differs
    ]
    return ", ".join(parts) or None


def _charges(text: str) -> Counter[int]:
    """How many atoms have each charge."""
    found: Counter[int] = Counter()
    for atom in _BRACKET.findall(text):
        if match := _CHARGE.search(atom):
            signs, number = match.groups()
            found[(int(number) if number else len(signs)) * (1 if signs[0] == "+" else -1)] += 1
    return found


def _centres(text: str) -> int:
    return sum("@" in atom for atom in _BRACKET.findall(text))


def _marked_bonds(text: str) -> int:
    """How many double bonds have a direction on both of their ends."""
    if "/" not in text and "\\" not in text:
        return 0
    molecule: Any = Chem.MolFromSmiles(text, sanitize=False)
    if molecule is None:
        return 0
    directed = {
        end.GetIdx()
        for bond in molecule.GetBonds()
        if bond.GetBondDir() != Chem.BondDir.NONE or bond.GetStereo() not in _UNMARKED
        for end in (bond.GetBeginAtom(), bond.GetEndAtom())
    }
    doubles = [bond for bond in molecule.GetBonds() if bond.GetBondTypeAsDouble() == 2.0]
    return sum(bond.GetBeginAtomIdx() in directed and bond.GetEndAtomIdx() in directed for bond in doubles)
