"""Structural alerts: patterns that medicinal chemists look at twice, from the catalogues that RDKit brings."""

from functools import cache
from typing import Any

from rdkit.Chem import FilterCatalog

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule
from grammar_rae.errors import UnknownNameError

# RDKit's type stubs lack what the module defines while it is imported.
_catalogues: Any = FilterCatalog.FilterCatalogParams.FilterCatalogs

CATALOGUES = {"pains": "PAINS", "brenk": "BRENK", "nih": "NIH"}
"""Catalogues: pan-assay interference (Baell and Holloway, 2010), unwanted groups (Brenk et al., 2008), and groups that
hinder assays (NIH's MLSMR)."""


@quiet
def alerts(text: str, catalogue: str | None = None) -> list[str]:
    """The alerts that a molecule raises, by their names.

    Parameters
    ----------
    text
        A SMILES.
    catalogue
        One of :data:`CATALOGUES`; None for all.

    Raises
    ------
    TextError
        When RDKit refuses the text.
    UnknownNameError
        For a catalogue that does not exist.

    Examples
    --------
    >>> alerts("O=C1CSC(=S)N1", "pains")
    ['rhod_sat_A(33)']
    >>> alerts("CC(=O)Cl", "brenk")
    ['acid_halide']
    """
    if catalogue is not None and catalogue not in CATALOGUES:
        raise UnknownNameError("catalogue of alerts", catalogue, CATALOGUES)
    return [match.GetDescription() for match in _catalogue(catalogue).GetMatches(molecule(text))]


@cache
def _catalogue(name: str | None) -> Any:
    parameters = FilterCatalog.FilterCatalogParams()
    for one in CATALOGUES if name is None else (name,):
        parameters.AddCatalog(getattr(_catalogues, CATALOGUES[one]))
    return FilterCatalog.FilterCatalog(parameters)
