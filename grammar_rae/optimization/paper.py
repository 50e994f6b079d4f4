"""Expected improvement in the box of the data's codes: the search of the grammar variational autoencoder's authors."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch

from grammar_rae.optimization.acquisition import log_expected_improvement, search_box
from grammar_rae.optimization.base import Array, Observations, Question, Strategy, best_rows, check_number
from grammar_rae.optimization.surrogate import SparseGP


class PaperStrategy(Strategy):
    """The protocol of Kusner, Paige and Hernández-Lobato (2017).

    A sparse process with a squared exponential of one length-scale a dimension learns the score of all codes. Each
    point of a batch maximises the expected improvement inside the box that holds the data's codes, and is then believed
    to have the value that the process expects. What is to be improved on is the highest value that the process expects
    anywhere in the box: the best value of the data may be one that no code nearby comes close to. All points are
    evaluated, whatever they decode to; one that decodes to nothing is observed with the worst value of all. For several
    scores the points are the best of random codes in the box, by the hypervolume that they are expected to add.

    Parameters
    ----------
    n_inducing
        Inducing points of the process.
    n_raw
        Codes, uniform in the box, from the best of which (and of some beside the best data) each search starts.
    n_starts
        Searches a point.
    """

    distinct: ClassVar[bool] = False
    recenters: ClassVar[bool] = False

    def __init__(self, *, n_inducing: int = 500, n_raw: int = 512, n_starts: int = 8) -> None:
        super().__init__(n_inducing=n_inducing)
        self.n_raw, self.n_starts = check_number("n_raw", n_raw, 1), check_number("n_starts", n_starts, 1)

    def pool(self, seen: Observations, asked: Question) -> Array:
        """The codes to evaluate: each maximises the acquisition function within the box of the initial codes."""
        surrogates = self.fit_surrogates(seen, asked.seed)
        low, high = (torch.from_numpy(part) for part in (seen.initial.min(0), seen.initial.max(0)))
        rng = asked.generator(1)
        if len(surrogates) > 1:
            raw = self._raw(seen, low, high, rng)
            return raw[self.choose_by_front(surrogates, seen, asked, raw)].numpy()
        (surrogate,) = surrogates

        def highest(worth: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
            """The code (1, D) in the box that is worth most, as far as a few searches find."""
            raw = self._raw(seen, low, high, rng)
            starts = raw[worth(raw).argsort(descending=True, stable=True)[: self.n_starts]]
            return search_box(worth, low, high, starts)[:1]

        peak = highest(lambda codes: surrogate.predict(codes)[0])
        best = float(surrogate.predict(peak)[0])
        found = []
        for _ in range(asked.n):
            found.append(highest(_improvement(surrogate, best)))
            surrogate = surrogate.believe(found[-1])
        return torch.cat(found).numpy()

    def _raw(self, seen: Observations, low: torch.Tensor, high: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Uniform codes, and some beside the best data: in many dimensions, uniform ones are far from all data."""
        uniform = torch.from_numpy(rng.uniform(size=(self.n_raw, len(low))))
        best = torch.from_numpy(seen.codes[best_rows(seen, 8)])
        beside = best.repeat(8, 1) + 0.05 * (high - low) * torch.from_numpy(rng.normal(size=(8 * len(best), len(low))))
        return torch.cat([low + (high - low) * uniform, beside]).clamp(low, high)


def _improvement(surrogate: SparseGP, best: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda codes: log_expected_improvement(*surrogate.predict(codes), best)
