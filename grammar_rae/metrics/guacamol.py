r"""GuacaMol's benchmarks of distribution learning.

Brown, Fiscato, Segler and Vaucher, "GuacaMol: Benchmarking Models for de Novo Molecular Design", J. Chem. Inf. Model.
59 (2019), as its program computes them (``guacamol/distribution_learning_benchmark.py``, ``frechet_benchmark.py`` and
``utils/`` of BenevolentAI/guacamol). Five scores between 0 and 1, all of n molecules (10,000 in the paper) against the
training set:

- validity: of the first n draws;
- uniqueness: of the first n valid draws, the different ones over n;
- novelty: of the first n different molecules, those outside the training set, over n;
- KL divergence: of the first n different molecules and n of the training set, the mean over ten descriptors of
  :math:`e^{-D(training \| draws)}`, see :func:`kl_divergences`;
- FCD: :math:`e^{-0.2 \, FCD}` of the first n valid draws and n molecules of the training set.

A model has ten draws for each requested molecule (the program's ``max_tries``); molecules that are not found count as
missing. The program draws again for each score; here all scores use the same draws. The n different molecules are
different as canonical SMILES; they are counted and compared without stereochemistry and isotopes.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from grammar_rae import chem
from grammar_rae.errors import InputError
from grammar_rae.metrics.molecule_sets import describe, part_of
from grammar_rae.metrics.molecules import chemnet_moments, fcd
from grammar_rae.metrics.similarity import nearest_similarity

Floats = NDArray[np.float64]

CONTINUOUS = ("bertz_ct", "logp", "weight", "tpsa", "internal_similarity")
"""Descriptors whose densities are compared."""

DISCRETE = ("acceptors", "donors", "rotatable_bonds", "aliphatic_rings", "aromatic_rings")
"""Descriptors that are compared by histograms."""

TRIES = 10
"""The greatest number of draws for each requested molecule."""

_FEWEST = 3
_FLOOR = 1e-10  # of a density: its logarithm is taken


class Selection(NamedTuple):
    """The draws that the five scores evaluate.

    Attributes
    ----------
    first
        The number of valid draws among the first n.
    valid
        The first n valid draws, or fewer.
    flat
        The same as canonical SMILES without stereochemistry and isotopes.
    different
        The first n different molecules, stripped of stereochemistry and isotopes, each once, so possibly fewer.
    attempts
        The number of draws needed to find these.
    """

    first: int
    valid: list[str]
    flat: list[str]
    different: list[str]
    attempts: int


@dataclass(frozen=True)
class GuacaMol:
    """The five scores of n molecules and their ingredients; NaN where there were too few molecules.

    ``fcd`` is the distance itself, ``fcd_floor`` that of other molecules of the training set; ``divergences`` has one
    for each descriptor. ``training_copies`` is the share of valid draws that are in the training set, which novelty, a
    share of different molecules, does not show; ``attempts`` is the number of draws.
    """

    n: int
    attempts: int
    validity: float
    uniqueness: float
    novelty: float
    training_copies: float
    kl_score: float
    fcd_score: float
    fcd: float
    fcd_floor: float
    divergences: dict[str, float]


def choose(draws: Iterable[str], n: int, jobs: int = 1) -> Selection:
    """Choose the molecules to score from at most ten times as many draws.

    Parameters
    ----------
    draws
        Texts in the order of drawing, invalid ones included. An iterator is consumed in parts of n, only as far as
        needed.
    n
        The number of molecules to score.
    jobs
        Number of processes; -1 for one per core.

    Raises
    ------
    InputError
        For fewer than n draws.
    """
    if n < 1:
        raise InputError("the scores need at least one molecule", received=f"n = {n}", expected="1 or more")
    first = attempts = 0
    valid: list[str] = []
    flat: list[str] = []
    different: dict[str, str] = {}  # canonical -> without stereochemistry
    stream = islice(draws, TRIES * n)
    while (attempts < n or len(different) < n) and (part := list(islice(stream, n))):
        for text, row in zip(part, chem.compute_traits(part, ["canonical", "flat"], jobs), strict=True):
            if attempts >= n and len(different) == n:
                break
            attempts += 1
            if row is None:
                continue
            first += attempts <= n
            if len(valid) < n:
                valid.append(text)
                flat.append(row[1])
            if len(different) < n:
                different.setdefault(*row)
    if attempts < n:
        raise InputError("too few draws", received=attempts, expected=f"n = {n} or more")
    return Selection(first, valid, flat, list(dict.fromkeys(different.values())), attempts)


def guacamol_scores(
    selection: Selection,
    n: int,
    training: Sequence[str],
    is_known: Callable[[str], bool],
    *,
    jobs: int = 1,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> GuacaMol:
    """Compute the five scores.

    Parameters
    ----------
    selection, n
        The result of :func:`choose` for n molecules.
    training
        Molecules of the training set, drawn at random: n to compare with, and others to measure the floor with, 2 n in
        all. With fewer, each of the two has half of them.
    is_known
        Tells whether the training set has a molecule, from canonical SMILES without stereochemistry and isotopes.
    jobs
        Number of processes; -1 for one per core.
    device
        Where ChemNet runs, and similarities are computed.
    progress
        Whether to show progress bars.

    Raises
    ------
    InputError
        For fewer than six molecules of the training set.
    TextError
        For a molecule of the training set that RDKit refuses.
    MissingExtraError
        Without the package fcd_torch.
    """
    half = min(n, len(training) // 2)
    if half < _FEWEST:
        raise InputError("too few training molecules", received=len(training), expected=f"{2 * _FEWEST} or more")
    sample, others = training[:half], training[half : 2 * half]
    moments = chemnet_moments(sample, device, progress=progress)
    distance = math.nan
    if len(selection.valid) > 1:
        distance = fcd(chemnet_moments(selection.valid, device, progress=progress), moments)
    divergences: dict[str, float] = {}
    unlike = list(dict.fromkeys(row[0] for row in chem.compute_traits(sample, ["flat"], jobs) if row is not None))
    if min(len(selection.different), len(unlike)) >= _FEWEST:
        divergences = kl_divergences(selection.different, unlike, jobs=jobs, device=device, progress=progress)
    copies = sum(map(is_known, selection.flat))
    return GuacaMol(
        n=n,
        attempts=selection.attempts,
        validity=selection.first / n,
        uniqueness=len(set(selection.flat)) / n,
        novelty=sum(not is_known(text) for text in selection.different) / n,
        training_copies=copies / len(selection.flat) if selection.flat else math.nan,
        kl_score=kl_score(divergences),
        fcd_score=fcd_score(distance),
        fcd=distance,
        fcd_floor=fcd(chemnet_moments(others, device, progress=progress), moments),
        divergences=divergences,
    )


def kl_divergences(
    smiles: Sequence[str],
    training: Sequence[str],
    *,
    jobs: int = 1,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> dict[str, float]:
    r"""For each of ten descriptors, the Kullback-Leibler divergence of the training set's distribution from the draws'.

    :math:`D = \sum_x P(x) \log (P(x) / Q(x))`, P of the training set and Q of the draws: see
    :func:`continuous_divergence` and :func:`discrete_divergence`. The internal similarity of a molecule is the largest
    Tanimoto similarity of its Morgan fingerprint (radius 2, 4096 bits) to another one of its own set.

    Parameters
    ----------
    smiles, training
        Two lists of different molecules, of similar lengths.

    Returns
    -------
    Divergences by the name of the descriptor; :func:`kl_score` turns them into the score.

    Raises
    ------
    InputError
        For fewer than three molecules in a set: two similarities to each other are one number, which has no density.
    """
    for texts in (smiles, training):
        if len(texts) < _FEWEST:
            raise InputError(
                "too few molecules to estimate a distribution", received=len(texts), expected=f"{_FEWEST} or more"
            )
    traits = [name for name in (*CONTINUOUS, *DISCRETE) if name in chem.TRAITS]
    tables = []
    for texts in (training, smiles):
        found = describe(texts, [*traits, "long_fingerprints"], jobs=jobs, progress=progress)
        similarity = nearest_similarity(part_of(found, "long_fingerprints"), device=device)
        tables.append(found.values | {"internal_similarity": similarity})
    ours, theirs = tables[1], tables[0]
    return {name: continuous_divergence(theirs[name], ours[name]) for name in CONTINUOUS} | {
        name: discrete_divergence(theirs[name], ours[name]) for name in DISCRETE
    }


def kl_score(divergences: Mapping[str, float]) -> float:
    """The mean of exp(-D) over the descriptors; an undefined one counts as 0 (GuacaMol fails or has NaN).

    NaN without descriptors.
    """
    if not divergences:
        return math.nan
    shares = [0.0 if math.isnan(value) else math.exp(-value) for value in divergences.values()]
    return sum(shares) / len(shares)


def fcd_score(distance: float) -> float:
    """exp(-0.2 FCD)."""
    return math.exp(-0.2 * distance)


def continuous_divergence(training: Floats, draws: Floats) -> float:
    """The divergence of two Gaussian kernel densities (Scott's bandwidth) at 1000 points over the range of both.

    NaN where all values of one side are equal, which have no such density.
    """
    from scipy.stats import entropy, gaussian_kde

    if min(np.ptp(training), np.ptp(draws)) == 0:
        return float("nan")
    both = np.concatenate([training, draws])
    points = np.linspace(both.min(), both.max(), 1000)
    p, q = (gaussian_kde(values)(points) + _FLOOR for values in (training, draws))
    return float(entropy(p, q))


def discrete_divergence(training: Floats, draws: Floats) -> float:
    """The divergence of two histograms of ten bins over the range of the training set; values outside are ignored.

    NaN where none is inside.
    """
    from scipy.stats import entropy

    p, edges = np.histogram(training, bins=10, density=True)
    counts, _ = np.histogram(draws, bins=edges)
    if not counts.any():
        return float("nan")
    q = counts / (counts.sum() * np.diff(edges))
    return float(entropy(p + _FLOOR, q + _FLOOR))
