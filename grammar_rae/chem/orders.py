"""One molecule written in several orders of its atoms."""

from rdkit import Chem

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule


@quiet
def reorder(text: str, n: int, seed: int) -> list[str]:
    """At most n different Kekulé SMILES of a molecule, each in a random order of atoms and none canonical.

    Parameters
    ----------
    text
        A SMILES.
    n
        How many are drawn; those that come twice, or are canonical, are left out.
    seed
        Seed of the orders, from 0 to 2**31 - 2.

    Raises
    ------
    TextError
        When RDKit refuses the text.
    """
    found = molecule(text)
    Chem.Kekulize(found, clearAromaticFlags=True)
    drawn = Chem.MolToRandomSmilesVect(found, n, seed + 1)  # by a seed of 0 it would draw one
    return [spelling for spelling in dict.fromkeys(drawn) if spelling != Chem.MolToSmiles(found)]
