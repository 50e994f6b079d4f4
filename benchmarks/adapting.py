"""Adapting, measured: to a few actives of a target, and to a file of many rows beside a training from nothing."""

import time
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import grammar_rae
from benchmarks.rows import Row, peak_memory
from benchmarks.training import sampling, training_figures
from grammar_rae.chem import canonical, morgan
from grammar_rae.datasets import read_texts
from grammar_rae.errors import DataError
from grammar_rae.metrics.similarity import nearest_similarity
from grammar_rae.model import TextModel
from grammar_rae.model.current import find_model

ALIKE = 0.6
ACTIVE = 7.0
"""From this p on, that is from 100 nM downward, a ligand counts as active."""


def run_targets(
    table: str | PathLike[str],
    *,
    start: str = "molecules",
    actives: int = 200,
    draws: int = 2_000,
    seeds: int = 3,
    targets: tuple[str, ...] = (),
    **options: Any,
) -> list[Row]:
    """Adapt a model to some actives of each target and look for the others among its draws.

    Parameters
    ----------
    table
        A table with the columns ``smiles``, ``target`` and ``p``.
    start
        The model to begin with; its own draws are the row of comparison.
    actives
        How many of each target are trained on, drawn by the seed; all other actives are held out.
    draws
        How many valid draws are looked at.
    targets
        Which ones; () for all.
    options
        As for :func:`grammar_rae.train`.

    Raises
    ------
    DataError
        For a table without these columns.
    """
    rows = pd.read_csv(table, sep=None, engine="python")
    if missing := {"smiles", "target", "p"} - set(rows.columns):
        raise DataError("the table lacks columns", received=", ".join(sorted(missing)), where=str(table))
    found: list[Row] = []
    for target in targets or sorted(rows["target"].unique()):
        own = rows[(rows["target"] == target) & (rows["p"] >= ACTIVE)]
        every = sorted({canonical(text) for text in own["smiles"]})
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(every))
            chosen, held_out = ([every[i] for i in part] for part in (order[:actives], order[actives:]))
            key: Row = {"target": target, "seed": seed, "actives": len(chosen), "held_out": len(held_out)}
            found.append(key | {"model": start} | hits(find_model(start), chosen, held_out, draws, seed))
            began, worked = time.monotonic(), time.process_time()
            model = grammar_rae.train(chosen, start=start, seed=seed, progress=False, **options)
            spent = {
                "minutes": (time.monotonic() - began) / 60,
                "processor_minutes": (time.process_time() - worked) / 60,
                "stopped": model.history.stopped,
            }
            found.append(key | {"model": "adapted"} | spent | hits(model, chosen, held_out, draws, seed))
    return found


def hits(model: TextModel, chosen: list[str], held_out: list[str], draws: int, seed: int) -> Row:
    """What valid draws of a model have to do with actives that were not trained on."""
    result = model.sample(draws, seed=seed)
    others = np.stack([morgan(text) for text in held_out])
    nearest = nearest_similarity(np.stack([morgan(text) for text in result.texts]), others)
    distinct = set(result.texts)
    return {
        "reconstruction": model.reconstruction(held_out).share,
        "encoder alone": model.reconstruction(held_out, polish=0).share,
        "raw_validity": result.validity,
        "draws": len(result),
        "unique": len(distinct) / len(result),
        "new": float(np.mean([text not in set(chosen) for text in result.texts])),
        "held_out_found": len(distinct & set(held_out)),
        "near_held_out": float((nearest >= ALIKE).mean()),
        "mean_similarity": float(nearest.mean()),
    }


def run_file(
    source: str | PathLike[str],
    held_out: str | PathLike[str],
    *,
    start: str = "molecules",
    rows: int = 60_000,
    time_limit: float = 300.0,
    test_rows: int = 1_000,
    draws: int = 1_000,
    seed: int = 0,
    nothing: str | None = "moses",
) -> list[Row]:
    """Adapt a model to the first rows of a file, and train one from nothing for the same time.

    Parameters
    ----------
    source, held_out
        Files of texts: what is trained on, and what is reconstructed.
    rows, test_rows
        How many of each.
    nothing
        The recipe of the training from nothing; None leaves it out.
    """
    texts, others = ([text for _, text in read_texts(Path(file))] for file in (source, held_out))
    texts, others = texts[:rows], others[:test_rows]
    key: Row = {"rows": len(texts), "seconds_allowed": time_limit, "seed": seed}
    found: list[Row] = [key | {"model": start} | _figures(find_model(start), others, draws, seed)]
    for name, began in (("adapted", start), (nothing, None)):
        if name is None:
            continue
        recipe = "molecules" if began else name
        model = grammar_rae.train(texts, recipe, start=began, time_limit=time_limit, seed=seed, progress=False, jobs=1)
        row = {"model": name, **training_figures(model), "peak_megabytes": peak_memory()}
        found.append(key | row | _figures(model, others, draws, seed))
    return found


def _figures(model: TextModel, others: list[str], draws: int, seed: int) -> Row:
    found = model.reconstruction(others)
    return {
        "held_out": len(others),
        "reconstruction": found.share,
        "refused": found.refused,
        **sampling(model, draws, seed),
    }
