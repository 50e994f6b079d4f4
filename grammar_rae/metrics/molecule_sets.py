"""Descriptions of sets of molecules, computed once for many metrics."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray

from grammar_rae import chem
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.metrics.frechet import Moments
from grammar_rae.metrics.molecules import as_list, chemnet_moments

PROPERTIES = ("logp", "sa", "qed", "weight")
"""The properties of molecules whose distributions MOSES compares."""

PARTS = ("fingerprints", "fragments", "scaffolds", "filters", *PROPERTIES, "chemnet")
"""The parts of a description that the metrics of MOSES need."""

_TEXTS = {"canonical", "flat"}  # traits of molecules that no metric needs


@dataclass(frozen=True, eq=False)
class MoleculeSet:
    """The description of N molecules by :func:`describe`; parts that were not requested are None or missing.

    Attributes
    ----------
    n
        The number of molecules.
    fingerprints, long_fingerprints
        Packed Morgan fingerprints of radius 2, uint8 (N, 128) of 1024 bits and (N, 512) of 4096 bits.
    fragments
        How often each BRICS fragment occurs.
    scaffolds
        How often each Bemis-Murcko scaffold of two rings or more occurs.
    filters
        Which molecules pass the filters of MOSES, bool (N,).
    values
        Numbers by name, float64 (N,) each.
    chemnet
        Mean and covariance of ChemNet's activations, for :func:`grammar_rae.metrics.fcd`.
    """

    n: int
    fingerprints: NDArray[np.uint8] | None = None
    long_fingerprints: NDArray[np.uint8] | None = None
    fragments: Counter[str] | None = None
    scaffolds: Counter[str] | None = None
    filters: NDArray[np.bool_] | None = None
    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    chemnet: Moments | None = None

    def __repr__(self) -> str:
        return f"<MoleculeSet: {self.n} molecules>"


Molecules: TypeAlias = Sequence[str] | MoleculeSet
"""A set of molecules as SMILES, or their description by :func:`describe`."""


def describe(
    smiles: Sequence[str],
    parts: Sequence[str] = PARTS,
    *,
    jobs: int = 1,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> MoleculeSet:
    """Describe N molecules for metrics, reading each once.

    Parameters
    ----------
    smiles
        The molecules.
    parts
        Names in :data:`PARTS`, ``"long_fingerprints"``, or names of numbers in :data:`grammar_rae.chem.TRAITS`.
    jobs
        Number of processes; -1 for one per core.
    device
        Where ChemNet runs.
    progress
        Whether to show a progress bar.

    Raises
    ------
    UnknownNameError
        For an unknown part.
    TextError
        For the first text that RDKit refuses.
    InputError
        Without molecules, or for fewer than two if ChemNet is requested.
    MissingExtraError
        If ChemNet is requested and fcd_torch is not installed.
    """
    texts = as_list(smiles)
    if not texts:
        raise InputError("no molecules to describe", expected="one SMILES or more")
    traits = [part for part in dict.fromkeys(parts) if part != "chemnet"]
    for name in traits:
        if name not in chem.TRAITS or name in _TEXTS:
            listed_by = "grammar_rae.metrics.molecule_sets.PARTS and grammar_rae.chem.TRAITS"
            raise UnknownNameError("part", name, {*PARTS, *chem.TRAITS} - _TEXTS, listed_by)
    columns: dict[str, list[Any]] = {name: [] for name in traits}
    if traits:
        rows = chem.compute_traits(texts, traits, jobs)
        for text, row in zip(texts, _show_progress(rows, len(texts), progress), strict=True):
            if row is None:
                chem.canonical(text)  # raises an error that says what is wrong
            for column, value in zip(columns.values(), cast(tuple[Any, ...], row), strict=True):
                column.append(value)
    found: dict[str, Any] = {name: _JOINED[name](columns.pop(name)) for name in traits if name in _JOINED}
    values = {name: np.array(column, np.float64) for name, column in columns.items()}
    moments = chemnet_moments(texts, device, progress=progress) if "chemnet" in parts else None
    return MoleculeSet(len(texts), **found, values=values, chemnet=moments)


def part_of(molecules: Molecules, part: str) -> Any:
    """One part of the description of a set, computed now for texts.

    Raises
    ------
    InputError
        For a description without that part.
    """
    given = molecules if isinstance(molecules, MoleculeSet) else describe(molecules, [part])
    found = given.values.get(part) if part in PROPERTIES or part in given.values else getattr(given, part, None)
    if found is None:
        raise InputError(
            "the molecule set lacks a part that the metric needs",
            expected=f"the part {part!r}",
            remedy=f"Add it to the parts: describe(smiles, [..., {part!r}]).",
        )
    return found


def _count_fragments(lists: list[list[str]]) -> Counter[str]:
    return Counter(fragment for fragments in lists for fragment in fragments)


_JOINED: dict[str, Any] = {
    "fingerprints": np.stack,
    "long_fingerprints": np.stack,
    "fragments": _count_fragments,
    "scaffolds": lambda found: Counter(scaffold for scaffold in found if scaffold is not None),
    "filters": lambda found: np.array(found, np.bool_),
}


def _show_progress(rows: Iterator[Any], total: int, progress: bool) -> Iterator[Any]:
    if not progress:
        return rows
    from grammar_rae.bars import bar_type

    tqdm = bar_type()

    return iter(tqdm(rows, desc="molecules", total=total, leave=False))
