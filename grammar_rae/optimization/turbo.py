"""Trust regions around the best codes, a local surrogate, Thompson sampling."""

import numpy as np
import torch
from numpy.typing import NDArray

from grammar_rae.optimization.acquisition import choose_by_thompson
from grammar_rae.optimization.base import Array, Observations, Question, Strategy, best_rows, check_number
from grammar_rae.optimization.surrogate import SparseGP

OCTAVES = 4
"""A candidate's step is the region's size halved up to this many times, as it is not known how far apart texts lie."""


class LocalStrategy(Strategy):
    """What strategies around the best points share: a surrogate of few rows, and a pool of many codes.

    Parameters
    ----------
    n_local
        Rows that the surrogate, an exact Gaussian process, is fitted on: half of them the best ones, a quarter the
        nearest to the centres, and a quarter any others, which tell it that not all the world is as good.
    n_regions
        Number of centres: the best codes.
    n_pool
        Codes that are decoded for each batch; fewer where each takes several decodings, but four a point.
    trust
        The share of new texts that may be chosen: those whose own code is nearest to the code that they were decoded
        from. Where the two are far apart, the decoder did not know what the code means.
    size
        The longest step at first, in standard deviations of the codes around, or in differences of two codes.
    """

    spare = 4

    def __init__(
        self, *, n_local: int = 500, n_regions: int = 10, n_pool: int = 1000, trust: float = 0.5, size: float = 0.8
    ) -> None:
        super().__init__(n_inducing=check_number("n_local", n_local, 10))
        self.n_regions = check_number("n_regions", n_regions, 1)
        self.n_pool = check_number("n_pool", n_pool, 1)
        self.trust = check_number("trust", trust, 0.0, 1.0)
        self.size = check_number("size", size, 1e-6)

    def pool_size(self, asked: Question) -> int:
        """The number of codes to decode: ``n_pool`` decodings in all, but at least four codes for each point."""
        return max(4 * asked.n, int(self.n_pool // asked.decodings))

    def select_trusted(self, latent: Array, codes: Array, n: int) -> NDArray[np.int64]:
        """The rows whose own codes are nearest to those they were decoded from: the share ``trust``, at least n."""
        distance = np.square(latent - codes).sum(1)
        # A distance of 0 is that of a text that the encoder refuses.
        order = np.argsort(np.where(distance > 0, distance, np.inf), kind="stable")
        return np.sort(order[: max(n, int(self.trust * len(codes)))])

    def fit_surrogates(self, seen: Observations, seed: int) -> list[SparseGP]:
        """As of all strategies, but with the values of the worst twentieth of the data raised to the best of it.

        A few values that are very low would take all the attention of a process that is to tell good from better.
        """
        rows = self.surrogate_rows(seen)
        floor = np.quantile(seen.complete[seen.iterations == 0], 0.05, axis=0)
        values = np.maximum(seen.complete[rows], floor)
        return [SparseGP.fit(seen.codes[rows], column, n_inducing=self.n_inducing, seed=seed) for column in values.T]

    def surrogate_rows(self, seen: Observations) -> NDArray[np.int64]:
        """At most ``n_local`` rows: the best half, those nearest to the best codes, and some others at random."""
        n, total = self.n_inducing, len(seen.codes)
        if total <= n:
            return np.arange(total)
        order = np.argsort(-seen.merit, kind="stable")
        best, others = order[: n // 2], order[n // 2 :]
        centres = seen.codes[best_rows(seen, self.n_regions)]
        units = seen.codes.std(0) + 1e-12
        distance = np.full(len(others), np.inf)
        for centre in centres / units:
            distance = np.minimum(distance, np.square(seen.codes[others] / units - centre).sum(1))
        others = others[np.argsort(distance, kind="stable")]
        near, far = np.split(others, [n // 4])
        return np.concatenate([best, near, np.random.default_rng(total).permutation(far)[: n - n // 2 - n // 4]])

    def reach(self, seen: Observations, asked: Question) -> float:
        """The longest step now: the region's size, and more where all in it was seen."""
        return region_size(seen, self.size) * 2.0**asked.attempt

    def jumps(self, codes: Array, around: Array, size: float, rng: np.random.Generator) -> Array:
        """Codes (P, D) moved by steps of many lengths, up to ``size``, as codes ``around`` them (K, D) lie.

        A third of them in a few coordinates; a third along the difference of two codes, which tells what directions
        mean something to the decoder; a third towards another code.
        """
        n, dimensions = codes.shape
        length = size * 0.5 ** rng.uniform(0, OCTAVES, (n, 1))
        some = rng.uniform(size=(n, dimensions)) < min(1.0, 20 / dimensions)
        some[np.arange(n), rng.integers(dimensions, size=n)] = True
        coordinates = some * rng.normal(size=(n, dimensions)) * around.std(0)
        one, other = around[rng.integers(len(around), size=(2, n))]
        kind = rng.integers(3, size=(n, 1))
        step = np.where(kind == 0, coordinates, np.where(kind == 1, one - other, one - codes))
        return np.asarray(codes + length * step)


class TurboStrategy(LocalStrategy):
    """Trust regions (after TuRBO; Eriksson et al., 2019) around the best codes of all.

    Each batch is drawn around the ``n_regions`` best codes. The regions' size doubles after an iteration that found a
    better value and is halved after one that did not. All candidates are decoded, and encoded again; texts that are new
    are chosen by the maxima of functions drawn from a Gaussian process of the nearest and best data.

    Its options are those of :class:`LocalStrategy`.
    """

    def pool(self, seen: Observations, asked: Question) -> Array:
        """Codes around the best ones, within the present size of the trust regions."""
        rng = asked.generator(1)
        centres = seen.codes[best_rows(seen, self.n_regions)]
        around = seen.codes[self.surrogate_rows(seen)]
        start = centres[np.arange(self.pool_size(asked)) % len(centres)]
        return self.jumps(start, around, self.reach(seen, asked), rng)

    def _choose(self, surrogate: SparseGP, seen: Observations, asked: Question, codes: torch.Tensor) -> list[int]:
        return choose_by_thompson(surrogate, codes, asked.n, torch.Generator().manual_seed(asked.seed))


def region_size(seen: Observations, first: float) -> float:
    """The size of the trust regions after what was seen: twice as large after a success, half after a failure."""
    size, merit = first, seen.merit
    best = merit[seen.iterations == 0].max()
    for iteration in range(1, int(seen.iterations.max()) + 1):
        found = merit[seen.iterations == iteration].max(initial=-np.inf)
        size = float(np.clip(size * (2 if found > best else 0.5), first / 64, 2 * first))
        best = max(best, found)
    return size
