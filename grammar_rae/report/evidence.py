"""What a score does not say of the molecules that have the best of it: how odd, how alike, how alarming they are."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from grammar_rae.report import Table

RARE = 0.01
"""The share of a model's training rows below whose likelihood a molecule is outside of what the model knows."""

LONELY = 0.05
"""The share of known molecules that are less like all others than a molecule that is still among them."""

_KNOWN = 2_000  # known molecules that the bar of the nearest is measured on, at most
_NAMES = 2  # alerts that are named for one molecule


class Evidence(NamedTuple):
    """What there is to know of one molecule.

    ``likelihood`` is its log-probability in nats under the model, and ``typicality`` the share of the training rows
    that are less likely; both are None without a model that can say so.
    """

    sa: float
    alerts: list[str]
    nearest: str
    similarity: float
    likelihood: float | None
    typicality: float | None


def columns_of(found: Sequence[Evidence]) -> dict[str, list[Any]]:
    """Lines of the cards of molecules; {} for none."""
    if not found:
        return {}
    columns: dict[str, list[Any]] = {
        "SA": [one.sa for one in found],
        "alerts": [len(one.alerts) for one in found],
        "their names": [", ".join(one.alerts[:_NAMES]) + (" ..." if len(one.alerts) > _NAMES else "") for one in found],
        "nearest known": [one.nearest for one in found],
        "similarity to it": [one.similarity for one in found],
        "log-probability": [one.likelihood for one in found],
        "likelier than training rows": [one.typicality for one in found],
    }
    return {name: column for name, column in columns.items() if any(value not in (None, "") for value in column)}


def gather_evidence(texts: Sequence[str], known: Sequence[str], model: Any = None) -> list[Evidence]:
    """What there is to know of N molecules; [] where one of them is no molecule.

    Parameters
    ----------
    texts
        SMILES.
    known
        Molecules that were there before the search.
    model
        The model, for likelihoods; one that has none of them, or None, gives none.
    """
    from grammar_rae.chem import is_valid, sa
    from grammar_rae.chem.alerts import alerts
    from grammar_rae.optimization.fingerprints import nearest

    if not all(map(is_valid, texts)):
        return []
    likelihoods = _ask(model, "log_prob", texts)
    shares = _ask(model, "typicality", texts)
    near = nearest(texts, known) if texts else []
    return [
        Evidence(sa(text), alerts(text), *one, likelihood, share)
        for text, one, likelihood, share in zip(texts, near, likelihoods, shares, strict=True)
    ]


def _ask(model: Any, method: str, texts: Sequence[str]) -> list[float | None]:
    from grammar_rae.errors import InputError

    if not texts or not hasattr(model, method):
        return [None] * len(texts)
    try:
        values = getattr(model, method)(list(texts), errors="nan")
    except InputError:  # a decoder that always has a code, or a model that is older
        return [None] * len(texts)
    return [None if np.isnan(value) else float(value) for value in values]


def remark_on(found: Sequence[Evidence], known: Sequence[str]) -> list[str]:
    """Sentences about the best molecules that a reader should bear in mind; none where there is nothing to say."""
    from grammar_rae.optimization.fingerprints import fingerprint_counts, tanimoto

    remarks = []
    rare = sum(one.typicality is not None and one.typicality < RARE for one in found)
    if rare:
        remarks.append(
            f"{rare} of the {len(found)} molecules shown leave the data's domain: {1 - RARE:.0%} of the rows that the "
            "model was trained on are likelier."
        )
    some = fingerprint_counts(list(known)[:_KNOWN])
    if found and some is not None and len(some) > 1:
        similarity = tanimoto(some, some)
        np.fill_diagonal(similarity, 0)
        bar = float(np.quantile(similarity.max(1), LONELY))
        if far := sum(one.similarity < bar for one in found):
            remarks.append(
                f"{far} of the {len(found)} molecules shown leave the data's domain: they are less like any known "
                f"molecule ({bar:.2f}) than {1 - LONELY:.0%} of these are like each other."
            )
    if alarming := sum(bool(one.alerts) for one in found):
        remarks.append(f"{alarming} of the {len(found)} molecules shown raise structural alerts.")
    return remarks


def tabulate(found: Sequence[Evidence]) -> list[Table]:
    """The medians over the molecules shown."""
    if not found:
        return []
    rows = [
        ("SA score, 1 (easy) to 10", f"{np.median([one.sa for one in found]):.2f}"),
        ("structural alerts", f"{np.mean([len(one.alerts) for one in found]):.2f} a molecule"),
        ("similarity to the nearest known", f"{np.median([one.similarity for one in found]):.2f}"),
    ]
    if values := [one.likelihood for one in found if one.likelihood is not None]:
        rows.append(("log-probability under the model", f"{np.median(values):.1f} nats"))
    return [Table("What the score does not say", ("medians of the molecules shown", ""), rows)]
