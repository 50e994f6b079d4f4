"""The figures of one set of molecules, drawn or real: by itself, against a training set, against a reference."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from grammar_rae.evaluation.results import Distribution, DrawFigures, ReferenceFigures, SetFigures
from grammar_rae.evaluation.sets import Reference, TrainingSet
from grammar_rae.metrics import MoleculeSet, fcd, moses
from grammar_rae.metrics.molecule_sets import PROPERTIES

_BINS = 60
_FEWEST_BINS = 10


def figures_of_draws(valid: Sequence[str], attempts: int, training: TrainingSet | None) -> DrawFigures:
    """What the texts alone tell.

    Parameters
    ----------
    valid
        Canonical SMILES, in the order in which they were drawn.
    attempts
        How many draws they were among.
    training
        The molecules that the model has seen; without them nothing is known of novelty and copies.
    """
    figures = DrawFigures(
        attempts=attempts,
        valid=len(valid),
        validity=len(valid) / attempts,
        unique=len(set(valid)) / len(valid) if valid else None,
    )
    if training is None or not valid:
        return figures
    known = {text for text in set(valid) if training.has(text)}
    copies = sum(text in known for text in valid) / len(valid)
    return replace(figures, novelty=moses.novelty(valid, known), training_copies=copies)


def figures_of_set(
    valid: Sequence[str],
    draws: DrawFigures,
    found: MoleculeSet | None,
    references: dict[str, ReferenceFigures],
    device: str,
) -> SetFigures:
    """What MOSES tells of a set by itself, beside its draws and references; ``found`` is None for too few molecules."""
    thousand, ten_thousand = (moses.unique_at(valid, n) if len(valid) >= n else None for n in (1_000, 10_000))
    figures = SetFigures(draws, thousand, ten_thousand, references=references)
    if found is None:
        return figures
    diversity, diversity2 = moses.internal_diversity(found, device)
    return replace(figures, filters=moses.filters(found), int_div=diversity, int_div2=diversity2)


def figures_against(
    found: MoleculeSet, reference: Reference, seed: int, device: str = "cpu", progress: bool = False
) -> ReferenceFigures:
    """What MOSES tells of a set and a reference; the seed chooses the molecules of the distance's floor."""
    theirs = reference.described
    assert found.chemnet is not None and theirs.chemnet is not None
    size = min(found.n, theirs.n // 2)
    return ReferenceFigures(
        molecules=theirs.n,
        fcd=fcd(found.chemnet, theirs.chemnet),
        fcd_floor=reference.fcd_floor(size, seed, device, progress),
        fcd_floor_molecules=size,
        snn=moses.snn(found, theirs, device),
        frag=moses.fragment_similarity(found, theirs),
        scaf=moses.scaffold_similarity(found, theirs),
        **{name: moses.property_distance(found, theirs, name) for name in PROPERTIES},
    )


def distributions(sides: Mapping[str, MoleculeSet]) -> dict[str, Distribution]:
    """The density of each property in each set, by histograms.

    The bins are common, of equal width, between the outermost thousandths of all molecules; there are fewer where a
    side has less than 3,600 molecules, so that what is seen is not noise.
    """
    smallest = min(side.n for side in sides.values())
    bins = int(np.clip(np.sqrt(smallest), _FEWEST_BINS, _BINS))
    found: dict[str, Distribution] = {}
    for name in PROPERTIES:
        values = {side: one.values[name] for side, one in sides.items()}
        low, high = np.quantile(np.concatenate(list(values.values())), [0.001, 0.999])
        edges = np.linspace(low, high if high > low else low + 1, bins + 1)
        heights = {
            side: (np.histogram(column, edges)[0] / (len(column) * np.diff(edges))).tolist()
            for side, column in values.items()
        }
        found[name] = Distribution(((edges[1:] + edges[:-1]) / 2).tolist(), heights)
    return found
