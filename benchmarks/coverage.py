"""What models make of molecules that somebody brings: how many they read, and how many come back."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.rows import Row
from grammar_rae.datasets import read_texts
from grammar_rae.model import TextModel

REASONS = 3
"""How many of the reasons are told for which rows are refused, the most frequent first."""


def run(
    sources: Sequence[Path], models: dict[str, TextModel], rows: int, nearest: int, seed: int, column: str | None = None
) -> list[Row]:
    """For every file and model: which share is read, what of it was changed, what comes back, and why the rest is not read.

    Of several molecules in one row, for example a salt, the largest is taken, which counts as changed.

    Parameters
    ----------
    sources
        Files of texts.
    models
        By name.
    rows
        How many rows of each file, drawn by the seed; a file with fewer is taken whole.
    nearest
        How many other texts are tried where the likeliest one's code differs, as for
        :meth:`~grammar_rae.model.TextModel.reconstruction`; 0 for the likeliest alone.
    column
        The column of a table that has the texts.
    """
    found: list[Row] = []
    for source in sources:
        texts = [text for _, text in read_texts(source, column)]
        chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:rows])
        sample = [texts[row] for row in chosen]
        for name, model in models.items():
            likeliest = model.reconstruction(sample, fragments="largest")
            row: Row = {
                "file": source.name,
                "model": name,
                "rows": len(sample),
                "read": 1 - likeliest.refused / len(sample),
                "changed": len(likeliest.changed) / len(sample),
                "exact": likeliest.share,
            }
            if nearest:
                tried = model.reconstruction(sample, fragments="largest", nearest=nearest, seed=seed)
                row["exact, nearest"] = tried.share
            reasons = Counter(re.sub(r"\d+", "N", reason) for reason in likeliest.rejected.values())
            row["refused"] = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(REASONS))
            found.append(row)
    return found
