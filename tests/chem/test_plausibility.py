"""What RDKit accepts and hardly any molecule has."""

import pytest

from grammar_rae.chem import is_plausible, is_valid


@pytest.mark.parametrize(
    "smiles",
    [
        *("CCO", "C[N+](C)(C)C", "CS(=O)(=O)[O-]", "O=[N+]([O-])c1ccccc1", "[C-]#[N+]C", "CP(=O)(O)O", "C[Si](C)(C)C"),
        *("c1ccc2[nH]ccc2c1", "CC(=O)[O-]", "[NH4+]", "CSC", "C[S@@](=O)CC", "OB(O)c1ccccc1", "C[PH](=O)O"),
    ],
)
def test_what_chemists_make(smiles: str) -> None:
    assert is_plausible(smiles)


@pytest.mark.parametrize(
    "smiles",
    ["C[CH]C", "[CH2]C", "C[N-]", "CC(=O)[N]C", "C[Si](C)C", "C[SH](C)C", "C[SH](=O)(C)C", "CC[N+](C)C", "[C]"],
)
def test_what_nobody_makes_though_rdkit_reads_it(smiles: str) -> None:
    assert is_valid(smiles) and not is_plausible(smiles)


def test_what_is_no_molecule() -> None:
    assert not is_plausible("C1CC") and not is_plausible("")
