"""How long mixtures take to fit, and how good they are: this package's EM beside scikit-learn's."""

import time
from os import PathLike

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.rows import Row
from grammar_rae.arrays import read_array
from grammar_rae.density import MixtureDensity
from grammar_rae.errors import DataError, InputError

HELD_OUT = 10_000
"""The number of codes that both are judged by."""
JITTER = 0.05
"""Noise on codes that are drawn more than once, in standard deviations."""


def read_codes(path: str | PathLike[str]) -> NDArray[np.float64]:
    """The latent codes (N, D) of a .npy file.

    Raises
    ------
    InputError
        For a file that holds none.
    """
    wrong = "the file holds no latent codes"
    try:
        codes = read_array(path).astype(np.float64)
    except (DataError, ValueError, TypeError) as error:
        raise InputError(wrong, received=str(error), expected="a .npy file of numbers", where=str(path)) from error
    if codes.ndim != 2 or len(codes) < 2 or not np.isfinite(codes).all():
        finite = "" if np.isfinite(codes).all() else ", not all finite"
        raise InputError(wrong, received=f"shape {codes.shape}{finite}", expected="(N, D), N > 1", where=str(path))
    return codes


def overlapping_codes(n: int, latent: int, n_components: int, seed: int) -> NDArray[np.float64]:
    """Codes (n, latent) from correlated Gaussians of unlike shapes that overlap.

    Standard deviations fall from 2 to 0.4 along directions that are each component's own; the means are so close that
    no plane separates the components.
    """
    chance = np.random.default_rng(seed)
    weights = chance.dirichlet(np.full(n_components, 3.0))
    means = 0.5 * chance.normal(size=(n_components, latent))
    spectrum = np.geomspace(2, 0.4, latent)
    turns = np.linalg.qr(chance.normal(size=(n_components, latent, latent)))[0]
    which = chance.choice(n_components, n, p=weights)
    codes: NDArray[np.float64] = spectrum * chance.normal(size=(n, latent))
    for component in range(n_components):
        rows = which == component
        codes[rows] = codes[rows] @ turns[component].T + means[component]
    return codes


def resample(codes: NDArray[np.float64], n: int, seed: int) -> NDArray[np.float64]:
    """Draw n of the codes with replacement, with a little noise, so that no two are equal."""
    chance = np.random.default_rng(seed)
    drawn = codes[chance.integers(0, len(codes), n)]
    drawn += JITTER * codes.std(axis=0) * chance.normal(size=drawn.shape)
    return drawn


def run(
    n: int = 100_000,
    latent: int = 56,
    n_components: int = 10,
    seed: int = 0,
    codes: str | PathLike[str] | None = None,
    repeats: int = 2,
    threads: int = 2,
) -> list[Row]:
    """Fit both solvers in turn, several times, with the same tolerance, ridge and limit of iterations.

    Parameters
    ----------
    n, latent, n_components
        How many codes, of how many dimensions, and K.
    codes
        An array (N, D) in a file of NumPy; n of its rows are drawn, with a little noise. Without it, codes are made up.
    repeats
        Fits of each, with other seeds.
    threads
        That both may use.

    Raises
    ------
    InputError
        For a file that holds no codes.
    """
    if codes is None:
        name, made = "random", overlapping_codes(n + HELD_OUT, latent, n_components, seed)
        held_out, training = made[:HELD_OUT], made[HELD_OUT:]
    else:
        name, array = "from a file", read_codes(codes)
        array = array[np.random.default_rng(seed).permutation(len(array))]
        few = max(1, min(HELD_OUT, len(array) // 10))
        held_out = resample(array[:few], HELD_OUT, seed)
        training = resample(array[few:], n, seed + 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fits = [_fit(solver, n_components, seed + i, training, held_out) for i in range(repeats) for solver in _SOLVERS]
    finally:
        torch.set_num_threads(before)
    rows = [{"codes": name, "n": len(training), "latent": training.shape[1], **fit} for fit in fits]
    return [*rows, _compare(rows)]


_SOLVERS = ("torch", "sklearn")


def _fit(
    solver: str, n_components: int, seed: int, training: NDArray[np.float64], held_out: NDArray[np.float64]
) -> Row:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn depends on it

    density = MixtureDensity(training.shape[1], n_components, solver=solver)
    with threadpool_limits(torch.get_num_threads()):
        began, used = time.perf_counter(), time.process_time()
        density.fit(training, seed=seed)
        seconds, used = time.perf_counter() - began, time.process_time() - used
    return {
        "solver": solver,
        "components": n_components,
        "seed": seed,
        "seconds": seconds,
        "processor_seconds": used,
        "iterations": density.iterations,
        "held_out_log_likelihood": density.score(held_out),
    }


def _compare(rows: list[Row]) -> Row:
    """Means over the repeats, of one solver by the other."""
    torchs, sklearns = ([row for row in rows if row["solver"] == solver] for solver in _SOLVERS)

    def mean(figure: str, of: list[Row]) -> float:
        return float(np.mean([row[figure] for row in of]))

    ours, theirs = (mean("held_out_log_likelihood", of) for of in (torchs, sklearns))
    return {
        "codes": rows[0]["codes"],
        "ratio_of_seconds": mean("seconds", torchs) / mean("seconds", sklearns),
        "ratio_of_processor_seconds": mean("processor_seconds", torchs) / mean("processor_seconds", sklearns),
        "log_likelihood_torch": ours,
        "log_likelihood_sklearn": theirs,
        "relative_gain": (ours - theirs) / abs(theirs),
    }
