r"""A search that stays where the data's codes are: improvement under the density that was fitted to them."""

from dataclasses import replace

import numpy as np
import torch

from grammar_rae.optimization.acquisition import choose_by_expected_improvement, log_expected_improvement
from grammar_rae.optimization.base import Array, Observations, Question, best_rows, check_number
from grammar_rae.optimization.surrogate import SparseGP
from grammar_rae.optimization.turbo import LocalStrategy


class DensityStrategy(LocalStrategy):
    r"""Codes drawn from the expected improvement, tilted by the model's density q of codes.

    A decoder was trained where the data's codes are, and an acquisition is greatest where it is least sure: far from
    them. This strategy draws its candidates from

    .. math:: \pi(z) \propto \mathrm{EI}(z)^{g} \exp(-w \max(0, \tau - \log q(z)))

    with :math:`\tau` a quantile of :math:`\log q` over the data: nothing is paid among the data, and w nats for each
    nat below them. Chains begin at the best codes and are moved by differences of codes (differential evolution Monte
    Carlo, ter Braak 2006); their ends are decoded, encoded again, and what is new is chosen by expected improvement,
    each text given those before it, at the same price for its own code.

    Parameters
    ----------
    n_local, n_regions, n_pool, trust, size
        As for :class:`LocalStrategy`; chains begin at the ``n_regions`` best codes.
    weight
        w.
    greed
        g: above 1, the draws gather where the improvement is greatest.
    quantile
        The share of the data's codes that pay.
    steps
        Moves of each chain. Few do not reach the distribution above, and leave the draws near the best codes; many lose
        them in places where nothing is known.
    """

    def __init__(
        self,
        *,
        n_local: int = 500,
        n_regions: int = 10,
        n_pool: int = 1000,
        trust: float = 0.5,
        size: float = 0.8,
        weight: float = 1.0,
        greed: float = 1.0,
        quantile: float = 0.5,
        steps: int = 4,
    ) -> None:
        super().__init__(n_local=n_local, n_regions=n_regions, n_pool=n_pool, trust=trust, size=size)
        self.weight, self.greed = check_number("weight", weight, 0.0), check_number("greed", greed, 0.0)
        self.quantile, self.steps = check_number("quantile", quantile, 0.0, 1.0), check_number("steps", steps, 1)

    def pool(self, seen: Observations, asked: Question) -> Array:
        """The codes (P, D) at which the chains end."""
        rng = asked.generator(1)
        around, merit = seen.codes[self.surrogate_rows(seen)], seen.merit
        if seen.values.shape[1] > 1:  # the chains follow the mean of the scores; the choice knows better
            surrogate = self.fit_surrogates(replace(seen, values=merit[:, None]), asked.seed)[0]
        else:
            surrogate = self.fit_surrogates(seen, asked.seed)[0]
        best = float(merit.max())
        threshold = self._threshold(seen, asked)

        def worth(codes: Array) -> Array:
            improvement = log_expected_improvement(*surrogate.predict(torch.from_numpy(codes)), best).numpy()
            # Where all that the density likes was seen, it has to be paid less.
            return np.asarray(self.greed * improvement - 0.5**asked.attempt * self._price(codes, threshold, asked))

        n = self.pool_size(asked)
        starts = seen.codes[best_rows(seen, self.n_regions)]
        codes = starts[np.arange(n) % len(starts)]
        value = worth(codes)
        for _ in range(self.steps):
            moved = self.jumps(codes, around, self.reach(seen, asked), rng)
            new = worth(moved)
            accepted = np.log(rng.uniform(size=n)) < new - value
            codes[accepted], value[accepted] = moved[accepted], new[accepted]
        return codes

    def _threshold(self, seen: Observations, asked: Question) -> float:
        """The log-density below which a code pays."""
        some = seen.initial[:: max(1, len(seen.initial) // 5000)]
        return float(np.quantile(asked.log_density(some), self.quantile))

    def _price(self, codes: Array, threshold: float, asked: Question) -> Array:
        return np.asarray(self.weight * np.maximum(0, threshold - asked.log_density(codes)))

    def _choose(self, surrogate: SparseGP, seen: Observations, asked: Question, codes: torch.Tensor) -> list[int]:
        price = self._price(codes.numpy(), self._threshold(seen, asked), asked)
        # The improvement is raised to g in the draws: by its logarithm, the price here is w / g.
        fee = torch.from_numpy(price / max(self.greed, 1.0))
        return choose_by_expected_improvement(surrogate, float(np.nanmax(seen.values)), codes, asked.n, fee)
