"""What models make of molecules that somebody brings: how many they accept, and how many come back."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.rows import Row
from grammar_rae.codecs import treat_fragments
from grammar_rae.datasets import coverage, read_texts
from grammar_rae.model import TextModel

REASONS = 3
"""How many of the reasons are told for which rows are rejected, the most frequent first."""

LARGEST = "largest"
"""What is taken of molecules of several parts, such as salts."""


def run(
    sources: Sequence[Path], models: dict[str, TextModel], rows: int, seed: int, column: str | None = None
) -> list[Row]:
    """For every file and model: which share is accepted, why the rest is not, and which share of some rows comes back.

    What comes back from codes as the encoder gives them stands beside it.

    Parameters
    ----------
    sources
        Files of texts.
    models
        By name.
    rows
        How many rows of each file are encoded and decoded, drawn by the seed; a file with fewer is taken whole.
    column
        The column of a table that has the texts.
    """
    found: list[Row] = []
    for source in sources:
        texts = [text for _, text in read_texts(source, column)]
        chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:rows])
        sample = [texts[row] for row in chosen]
        for name, model in models.items():
            covered = coverage(texts, treat_fragments(model.codec, LARGEST))
            row: Row = {
                "file": source.name,
                "model": name,
                "rows": covered.read,
                "accepted": covered.share,
                "rejected": "; ".join(f"{why}: {count}" for why, count in covered.reasons.most_common(REASONS)),
                "changed": covered.changed.total() / covered.read,
                "decoded": len(sample),
                "exact": model.reconstruction(sample, fragments=LARGEST).share,
                "encoder alone": model.reconstruction(sample, fragments=LARGEST, polish=0).share,
            }
            found.append(row)
    return found
