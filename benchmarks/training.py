"""One training, measured: rate, memory, held-out reconstruction, and what its latent space samples."""

from os import PathLike
from typing import Any

import numpy as np

import grammar_rae
from benchmarks.rows import Row, peak_memory
from grammar_rae.datasets import sample_texts
from grammar_rae.model import TextModel


def run(
    source: str | PathLike[str],
    held_out: str | PathLike[str] | None,
    folder: str | PathLike[str],
    *,
    recipe: str = "moses",
    time_limit: float | None = None,
    epochs: int | None = None,
    samples: int = 10_000,
    test_rows: int = 5_000,
    seed: int = 0,
    column: str | None = None,
    progress: bool = True,
    **overrides: Any,
) -> Row:
    """Train, then measure.

    Parameters
    ----------
    source
        What to train on, a file or the folder of an encoded data set.
    held_out
        A file of molecules that are not among them; without one, the training's validation rows are used.
    folder
        Where the run goes.
    recipe, time_limit, epochs, seed, overrides
        As for :func:`grammar_rae.train`.
    samples, test_rows
        How many are sampled (raw, at the recipe's temperature), and how many are reconstructed (greedily, exactly).
    """
    model = grammar_rae.train(
        source,
        recipe,
        folder=folder,
        column=column,
        epochs=epochs,
        time_limit=time_limit,
        seed=seed,
        progress=progress,
        **overrides,
    )
    row = {"recipe": recipe, "seed": seed, **training_figures(model), "peak_megabytes": peak_memory()}
    if held_out is not None:
        row |= reconstruction(model, sample_texts(held_out, test_rows, seed, column))
    return row | sampling(model, samples, seed)


def training_figures(model: TextModel) -> Row:
    """How long a training took, how fast it was, and what its best validation gave."""
    history = model.history
    rates = [row["rate"] for row in history.rows if row["rate"]]
    best = history.best or {}
    return {
        "seconds": history.rows[-1]["seconds"],
        "steps": history.rows[-1]["step"],
        "epochs": history.rows[-1]["epoch"],
        "median_rate": float(np.median([rate for rate in rates if rate is not None])),
        "validation_loss": best.get("validation_loss"),
        "validation_exact_forced": best.get("validation_exact"),
        "parameters": sum(p.numel() for p in model.autoencoder_.parameters()),
    }


def reconstruction(model: TextModel, texts: list[str]) -> Row:
    """The share of texts that are reconstructed exactly, and how many the codec rejects."""
    found = model.reconstruction(texts)
    return {"held_out": len(texts), "held_out_rejected": found.refused, "reconstruction": found.share}


def sampling(model: TextModel, n: int, seed: int = 0) -> Row:
    """Raw validity and uniqueness of samples at the recipe's temperature and under its constraint."""
    result = model.sample(n, valid_only=False, seed=seed)
    valid = [text for text, good in zip(result.texts, result.valid, strict=True) if good]
    return {
        "samples": n,
        "constraint": result.constraint,
        "temperature": result.temperature,
        "raw_validity": result.validity,
        "uniqueness_of_valid": len(set(valid)) / max(1, len(valid)),
    }
