"""Analogues by a decoder that learns the best molecules found so far, from the beginning for each batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError
from grammar_rae.optimization.analogues import DRAWS, AnaloguesStrategy, parent_chances
from grammar_rae.optimization.base import Observations, Question, best_rows, check_number
from grammar_rae.optimization.proposals import Decoded, Decoder

ADAPTED_DRAWS, ADAPTED_NOISE = "adapted draws", "adapted noise"
"""Ways of the decoder that has learned: draws, and children of parents at :data:`LEVEL`."""

LEVEL = 1.0


class AdaptStrategy(AnaloguesStrategy):
    """:class:`AnaloguesStrategy` with two more ways to make a text, by a decoder that learns between batches.

    Before each batch the model's decoder learns the best molecules for a few steps, half of whose rows are the model's
    own draws. It starts from the model's weights each time, so what it makes follows from what was observed; codes and
    density are the model's. The texts of the model itself are among those that share the batch, as long as they earn
    it. (Augmented memory does the like for language models: Guo and Schwaller, JACS Au 4, 2024.)

    Parameters
    ----------
    steps, learning_rate
        How long and how fast the decoder learns.
    n_learned
        Molecules that it learns: the best.
    surrogate, levels, n_parents, n_pool
        As for :class:`AnaloguesStrategy`.
    """

    def __init__(
        self,
        *,
        steps: int = 20,
        learning_rate: float = 1e-3,
        n_learned: int = 50,
        surrogate: str | None = None,
        levels: Sequence[float] = (0.5, 1.0, 1.5, 2.0),
        n_parents: int = 100,
        n_pool: int = 400,
    ) -> None:
        super().__init__(surrogate=surrogate, levels=levels, n_parents=n_parents, n_pool=n_pool)
        self.steps = check_number("steps", steps, 1)
        self.learning_rate = check_number("learning_rate", learning_rate, 1e-9, 1.0)
        self.n_learned = check_number("n_learned", n_learned, 1)
        self._refined: tuple[Observations, Any] | None = None

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways to make a text, by name, that there always are."""
        return (*super().ways, ADAPTED_DRAWS, ADAPTED_NOISE)

    def make(
        self, seen: Observations, asked: Question, decoder: Decoder, counts: Mapping[str, int]
    ) -> Iterator[tuple[NDArray[Any], list[Decoded]]]:
        """Codes (P, D) and P texts of one way after the other, as many as ``counts`` has."""
        yield from super().make(seen, asked, decoder, counts)
        learned = replace(decoder, model=self._learn(seen, decoder.model))
        seeds = [int(number) for number in asked.generator(6).integers(2**62, size=2)]
        yield learned.sample(counts[ADAPTED_DRAWS], seeds[0], ADAPTED_DRAWS)
        parents = seen.codes[best_rows(seen, self.n_parents)]
        chances = parent_chances(len(parents))
        codes = parents[asked.generator(7).choice(len(parents), counts[ADAPTED_NOISE], p=chances)]
        yield codes, learned.decode_noisy(codes, LEVEL, seen.codes.std(0), seeds[1], ADAPTED_NOISE)

    def _learn(self, seen: Observations, model: Any) -> Any:
        """The model after it has learned the best of what was observed; once for the same observations."""
        if not hasattr(model, "refined"):
            raise InputError("this model's decoder cannot be adapted", remedy="Choose another strategy.")
        if self._refined is None or self._refined[0] is not seen:
            best = best_rows(seen, self.n_learned)
            drawn = [
                row
                for row, (n, origin) in enumerate(zip(seen.iterations, seen.origins, strict=True))
                if n == 0 or origin == DRAWS
            ]
            rng = np.random.default_rng(len(seen.codes))
            rehearsed = rng.permutation(drawn)[: 4 * self.n_learned]
            found = model.refined(
                [seen.texts[row] for row in best],
                rehearsed=[seen.texts[row] for row in rehearsed],
                steps=self.steps,
                learning_rate=self.learning_rate,
                seed=len(seen.codes),
            )
            self._refined = (seen, found)
        return self._refined[1]
