"""One iteration of a search before anything is decoded: the surrogate's fit to all codes, and what to decode next."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.densities import read_codes
from benchmarks.grid import check_names
from benchmarks.rows import Row
from grammar_rae.optimization import STRATEGIES, Observations, Question


def run(
    strategies: Sequence[str], codes: Path | None, n: int, latent: int, batch: int, seeds: Sequence[int]
) -> list[Row]:
    """A row for each strategy and seed.

    Parameters
    ----------
    strategies
        Rows of ``STRATEGIES``.
    codes
        A .npy file of codes (N, D); None makes ``n`` Gaussian ones of ``latent`` dimensions. Fewer than ``n`` are
        repeated with a little noise. Their values are made: a smooth function of a few directions, and noise.
    batch
        Points of the iteration.

    Raises
    ------
    UnknownNameError
        For a strategy that is not there.
    InputError
        For a file that holds no codes.
    """
    check_names("strategy", strategies, STRATEGIES)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, latent)) if codes is None else read_codes(codes)
    if len(z) < n:
        more = z[rng.integers(len(z), size=n - len(z))]
        z = np.concatenate([z, more + 0.1 * z.std(0) * rng.normal(size=more.shape)])
    z = z[:n]
    directions = rng.normal(size=(z.shape[1], 5)) / (z.std(0)[:, None] * z.shape[1] ** 0.5)
    values = np.sin(z @ directions).sum(1) + rng.normal(size=len(z))
    seen = Observations(z, values[:, None], np.zeros(len(z), np.int64))
    rows = []
    for seed in seeds:
        for name in strategies:
            asked = Question(batch, seed, lambda points: -0.5 * np.square(points).sum(1))
            begun = time.perf_counter()
            pool = STRATEGIES[name]().pool(seen, asked)
            rows.append(
                {
                    "strategy": name,
                    "seed": seed,
                    "codes": len(z),
                    "dimensions": z.shape[1],
                    "candidates": len(pool),
                    "seconds": time.perf_counter() - begun,
                }
            )
    return rows
