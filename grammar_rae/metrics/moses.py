r"""The metrics of MOSES, as its package molsets 0.3.1 computes them.

Polykovskiy et al., "Molecular Sets (MOSES): A Benchmarking Platform for Molecular Generation Models", Frontiers in
Pharmacology 11 (2020). G are generated molecules, R reference molecules, T the Tanimoto similarity of Morgan
fingerprints (radius 2, 1024 bits). The paper's distance of ChemNet's activations is :func:`grammar_rae.metrics.fcd`.

Each function takes SMILES, or their description by :func:`grammar_rae.metrics.describe`, and raises
:class:`~grammar_rae.errors.TextError` at the first invalid text: what to do with those is a choice that a metric should
not hide. MOSES leaves them out, and counts them in :func:`grammar_rae.metrics.validity`.
"""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import torch

from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.metrics.molecule_sets import PROPERTIES, Molecules, part_of
from grammar_rae.metrics.molecules import as_list
from grammar_rae.metrics.similarity import mean_powers, nearest_similarity


def snn(smiles: Molecules, reference: Molecules, device: str | torch.device = "cpu") -> float:
    r"""The mean similarity to the nearest neighbour, :math:`\frac{1}{|G|} \sum_{g \in G} \max_{r \in R} T(g, r)`.

    It grows with the number of reference molecules: compare only values with the same reference.
    """
    ours, theirs = part_of(smiles, "fingerprints"), part_of(reference, "fingerprints")
    return float(nearest_similarity(ours, theirs, device).mean())


def internal_diversity(smiles: Molecules, device: str | torch.device = "cpu") -> tuple[float, float]:
    r"""IntDiv and IntDiv2, the diversity of a set of molecules.

    For p = 1 and 2, it is

    .. math:: 1 - \frac{1}{|G|} \sum_{a \in G} \Big( \frac{1}{|G|} \sum_{b \in G} T(a, b)^p \Big)^{1/p}.

    Pairs of a molecule with itself are included. The paper prints IntDiv2 with the root outside both sums; the program,
    and so the published values, have it inside the first.
    """
    first, second = mean_powers(part_of(smiles, "fingerprints"), (1, 2), device)
    return 1 - float(first.mean()), 1 - float(np.sqrt(second).mean())


def fragment_similarity(smiles: Molecules, reference: Molecules) -> float:
    """Frag: the cosine similarity of the counts of BRICS fragments."""
    return cosine(part_of(smiles, "fragments"), part_of(reference, "fragments"))


def scaffold_similarity(smiles: Molecules, reference: Molecules) -> float:
    """Scaf: the cosine similarity of the counts of Bemis-Murcko scaffolds of two rings or more.

    NaN where a set has no such scaffold.
    """
    return cosine(part_of(smiles, "scaffolds"), part_of(reference, "scaffolds"))


def cosine(first: Counter[str], second: Counter[str]) -> float:
    r"""The cosine similarity of two tables of counts, :math:`\sum_k a_k b_k / (|a| |b|)`; NaN where one is empty."""
    if not first or not second:
        return float("nan")
    # Integers of Python do not overflow.
    common = sum(count * second[name] for name, count in first.items() if name in second)
    norms = [sum(count * count for count in counts.values()) ** 0.5 for counts in (first, second)]
    return float(common / (norms[0] * norms[1]))


def filters(smiles: Molecules) -> float:
    """The share of molecules that pass the filters of MOSES (see :mod:`grammar_rae.chem.filters`)."""
    return float(part_of(smiles, "filters").mean())


def property_distance(smiles: Molecules, reference: Molecules, name: str) -> float:
    r"""The Wasserstein-1 distance of a property's distributions, :math:`\int |F_G(x) - F_R(x)| \, dx`.

    Parameters
    ----------
    name
        ``"logp"``, ``"sa"``, ``"qed"`` or ``"weight"``.

    Raises
    ------
    UnknownNameError
        For another property.
    """
    from scipy.stats import wasserstein_distance

    if name not in PROPERTIES:
        raise UnknownNameError("property", name, PROPERTIES)
    return float(wasserstein_distance(part_of(reference, name), part_of(smiles, name)))


def unique_at(canonical: Sequence[str], k: int) -> float:
    """The share of different texts among the first k; NaN where there are fewer (molsets takes these, and warns).

    Parameters
    ----------
    canonical
        Canonical SMILES, in the order of drawing.
    """
    texts = as_list(canonical)
    if k < 1:
        raise InputError("the share needs at least one text", received=f"k = {k}", expected="1 or more")
    return len(set(texts[:k])) / k if len(texts) >= k else float("nan")


def novelty(canonical: Sequence[str], training: Collection[str]) -> float:
    """The share of the different texts that do not occur in the training set; NaN without texts.

    Parameters
    ----------
    canonical, training
        Texts in the same canonical form. Canonical SMILES of another version of RDKit may differ, which would make
        known molecules look new.
    """
    different = set(as_list(canonical))
    known = training if isinstance(training, set | frozenset | dict) else set(training)
    return sum(text not in known for text in different) / len(different) if different else float("nan")
