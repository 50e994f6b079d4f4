"""The figures of one set of molecules, drawn or real: by itself, against a training set, against a reference."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.rows import Row
from grammar_rae.evaluation.sets import Reference, Training
from grammar_rae.metrics import (
    MoleculeSet,
    fcd,
    filters,
    fragment_similarity,
    internal_diversity,
    novelty,
    property_distance,
    scaffold_similarity,
    snn,
    unique_at,
)
from grammar_rae.metrics.molecule_sets import PROPERTIES

UNIQUE_AT = (1_000, 10_000)

_BINS = 60
_FEWEST_BINS = 10


def figures_of_draws(valid: Sequence[str], attempts: int, training: Training | None) -> Row:
    """What texts alone tell.

    Parameters
    ----------
    valid
        Canonical SMILES, in the order in which they were drawn.
    attempts
        How many draws they were among.
    training
        The molecules that the model has seen; without them nothing is said of novelty and copies.
    """
    figures: Row = {
        "attempts": attempts,
        "valid": len(valid),
        "validity": len(valid) / attempts,
        "unique": len(set(valid)) / len(valid) if valid else None,
    }
    if training is not None and valid:
        known = {text for text in set(valid) if training.has(text)}
        figures["novelty"] = novelty(valid, known)
        figures["training_copies"] = sum(text in known for text in valid) / len(valid)
    return figures


def figures_of_set(valid: Sequence[str], found: MoleculeSet | None, device: str) -> Row:
    """What MOSES tells of a set by itself; ``found`` is None for too few molecules to be described."""
    figures: Row = {f"unique@{k}": unique_at(valid, k) for k in UNIQUE_AT}
    if found is not None:
        figures["filters"] = filters(found)
        figures["int_div"], figures["int_div2"] = internal_diversity(found, device)
    return figures


def figures_against(
    found: MoleculeSet, reference: Reference, seed: int, device: str = "cpu", progress: bool = False
) -> Row:
    """What MOSES tells of a set and a reference, and the floor of the distance; the seed decides what is in that."""
    theirs = reference.described
    assert found.chemnet is not None and theirs.chemnet is not None
    size = min(found.n, theirs.n // 2)
    return {
        "molecules": theirs.n,
        "fcd": fcd(found.chemnet, theirs.chemnet),
        "fcd_floor": reference.fcd_floor(size, seed, device, progress),
        "fcd_floor_molecules": size,
        "snn": snn(found, theirs, device),
        "frag": fragment_similarity(found, theirs),
        "scaf": scaffold_similarity(found, theirs),
        **{name: property_distance(found, theirs, name) for name in PROPERTIES},
    }


def distributions(sides: Mapping[str, MoleculeSet]) -> Row:
    """The densities of each property, by histograms: ``x``, the middles of the bins, and a column for each side.

    The bins are common, of equal width, between the outermost thousandths of all molecules; fewer where a side has less
    than 3,600 molecules, so that what is seen is not noise.
    """
    smallest = min(side.n for side in sides.values())
    bins = int(np.clip(np.sqrt(smallest), _FEWEST_BINS, _BINS))
    rows: Row = {}
    for name in PROPERTIES:
        values = {side: found.values[name] for side, found in sides.items()}
        low, high = np.quantile(np.concatenate(list(values.values())), [0.001, 0.999])
        edges = np.linspace(low, high if high > low else low + 1, bins + 1)
        rows[name] = {"x": ((edges[1:] + edges[:-1]) / 2).tolist()} | {
            side: (np.histogram(column, edges)[0] / (len(column) * np.diff(edges))).tolist()
            for side, column in values.items()
        }
    return rows
