"""The jobs that chemists bring, measured: analogues by their dial, decorations and windows beside free draws."""

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.rows import Row
from grammar_rae.chem import scaffold
from grammar_rae.chem.alerts import alerts
from grammar_rae.chem.templates import join_template
from grammar_rae.errors import DecodingError, InputError, TextError
from grammar_rae.model import TextModel
from grammar_rae.scores import Window, score

WINDOWS = (
    "250 <= weight <= 350 and 1 <= logp <= 3",
    "logp < 1 and 60 <= tpsa <= 120",
    "weight <= 300 and rotatable_bonds <= 3 and aromatic_rings == 1",
    "350 <= weight <= 500 and logp < 4 and donors <= 2 and alerts == 0",
    "fsp3 >= 0.6 and 20 <= tpsa <= 60 and rings >= 2",
)
"""Fragment-like, polar, small, late in a project, and three-dimensional: what chemists ask for."""


def run_analogues(
    model: TextModel,
    leads: Sequence[str],
    *,
    similarities: Sequence[float] = (0.4, 0.6, 0.8),
    n: int = 100,
    seed: int = 0,
) -> list[Row]:
    """Analogues of each lead at each similarity: how like they are, how many differ, and how long it took.

    Parameters
    ----------
    leads
        Molecules that the model was not trained on.
    n
        Analogues that are asked for, of each.
    """
    found: list[Row] = []
    for similarity in similarities:
        began, rows = time.perf_counter(), []
        for lead in leads:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frame = model.analogues([lead], n, similarity, changes=False, seed=seed)
            report = frame.attrs["report"][lead]
            likeness = frame["similarity"].to_numpy()
            mean = likeness.mean() if len(frame) else np.nan
            rows.append((len(frame), mean, *_shares(likeness, similarity), report))
        counts, means, within, of_asked = (np.array([row[i] for row in rows], float) for i in range(4))
        known = np.array([share == 1 for share in (model.reconstruction([lead]).share for lead in leads)])
        found.append(
            {
                "asked": similarity,
                "leads": len(leads),
                "n": n,
                "reached": float(np.nanmean(means)),
                "error_of_a_lead": float(np.nanmean(np.abs(means - similarity))),
                "within_a_tenth": float(np.nanmean(within)),
                "distinct": float(counts.mean()),
                "distinct_within_a_tenth": float(of_asked.mean()),
                "reconstructed_leads": float(known.mean()),
                "reached_of_these": float(np.nanmean(means[known])),
                "within_of_these": float(np.nanmean(within[known])),
                "valid": float(np.mean([row[4]["valid"] for row in rows])),
                "seconds_a_lead": (time.perf_counter() - began) / len(leads),
            }
        )
    return found


def _shares(likeness: Any, similarity: float) -> tuple[float, float]:
    near = np.abs(likeness - similarity) <= 0.1
    return (float(near.mean()) if len(near) else np.nan), float(near.sum())


def run_decoration(model: TextModel, *, pairs: int = 200, each: int = 3, seed: int = 0) -> list[Row]:
    """Free draws, and decorations of their scaffolds at the same places: how likely, SA and QED.

    Parameters
    ----------
    pairs
        Draws of which the scaffold is decorated.
    each
        Decorations of each scaffold.
    """
    free: list[str] = []
    decorated: list[str] = []
    refused = 0
    for place, text in enumerate(dict.fromkeys(model.sample(4 * pairs, seed=seed).texts)):
        if len(free) == pairs:
            break
        core = scaffold(text)
        template = join_template(core, [text], optional=0) if core else None
        if template is None:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frame = model.decorate(template, each, seed=seed + place)
        except (InputError, DecodingError, TextError):
            refused += 1
            continue
        free.append(text)
        decorated += list(frame["smiles"])
    return [
        {"molecules": name, "n": len(texts), "refused": refused, **_quality(model, texts)}
        for name, texts in (("free draws", free), ("decorations", decorated))
    ]


def _quality(model: TextModel, texts: list[str]) -> Row:
    values = score(texts, ["sa", "qed", "weight"])
    likely = -np.asarray(model.log_prob(texts, errors="nan"), float)
    return {
        "nll": float(np.nanmean(likely)),
        "nll_error": float(np.nanstd(likely) / np.sqrt(np.isfinite(likely).sum())),
        **{name: float(np.nanmean(column)) for name, column in values.items()},
        "without_alerts": float(np.mean([not alerts(text) for text in texts])),
    }


def run_windows(model: TextModel, *, n: int = 200, windows: Sequence[str] = WINDOWS, seed: int = 0) -> list[Row]:
    """Hits for each molecule that is decoded: with the decoder told of the window, and by rejection of plain draws."""
    plain = model.sample(5_000, valid_only=False, seed=seed)
    found: list[Row] = []
    for text in windows:
        result = model.sample(n, where=text, seed=seed + 1)
        window = Window(text)
        rate = sum(map(window.has, plain.valid_texts)) / plain.attempts
        told = len(result.texts) / result.attempts
        found.append({"window": text, "n": len(result.texts), "rejection": rate, "told": told, "ratio": told / rate})
    return found
