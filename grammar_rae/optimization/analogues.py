"""Analogues of what was good: children by noise on codes and by crossing, and plain draws as long as they earn it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.optimization.base import Array, Observations, Question, Strategy, best_rows, check_number
from grammar_rae.optimization.proposals import Decoded, Decoder
from grammar_rae.optimization.surrogates import SURROGATES, Known, Surrogate, describe_points

DRAWS, CROSSING, WISHES = "draws", "crossing", "properties"
"""Ways to make a text, beside the levels of noise; the last one where the scores wish for properties."""

CROSSING_NOISE = 0.5
"""The level of the noise on the code between two parents."""

MEMORY = 0.8
"""What an iteration counts for when the next one is over."""

_REMEMBERED = 40  # iterations, after which one counts for a ten-thousandth

GREED = 0.02
"""How soon the chance of a parent falls with its rank, as a share of the parents: see :func:`parent_chances`."""


class AnaloguesStrategy(Strategy):
    r"""Learned mutation: parents by rank, children by decoding their codes with noise, a surrogate that chooses.

    A text is made in one of several ways: at one of several levels of noise on a parent's code, by crossing (a code
    between those of two parents), as a plain draw of the model, or, where the scores are functions of properties that
    the model can be told, as a draw that is asked for the best of these. Each way has a share of the decoded texts in
    proportion to what it earned, which is how often its texts came among the best ``n_parents`` of their time. The
    draws have this share of what is evaluated, too, so that a search is not worse than its own model as long as
    that model is better than the search.

    Which texts are evaluated is asked of a surrogate: by upper confidence bounds, each point of a batch with another
    weight of the spread; of several scores, each point with other weights of the scores (ParEGO; Knowles, 2006).

    Parameters
    ----------
    surrogate
        A row of :data:`grammar_rae.optimization.SURROGATES`; None for ``tanimoto`` where all texts are molecules, and
        ``codes`` elsewhere.
    levels
        Levels of noise: standard deviations, of a decoder that hears noise as its ``smoothing``.
    n_parents
        Parents: the best ones.
    n_pool
        Texts that are decoded for each batch; at least six for each point.
    """

    spare = 4
    needs_botorch = False

    def __init__(
        self,
        *,
        surrogate: str | None = None,
        levels: Sequence[float] = (0.5, 1.0, 1.5, 2.0),
        n_parents: int = 100,
        n_pool: int = 400,
    ) -> None:
        super().__init__()
        self._earned: tuple[Observations, bool, dict[str, float]] | None = None
        if surrogate is not None and surrogate not in SURROGATES:
            raise UnknownNameError("surrogate", surrogate, SURROGATES)
        if not isinstance(levels, list | tuple) or not levels:
            raise InputError("levels cannot be used", received=repr(levels), expected="a list of numbers above 0")
        self.surrogate = surrogate
        self.levels = tuple(check_number("levels", level, 1e-6) for level in levels)
        self.n_parents = check_number("n_parents", n_parents, 2)
        self.n_pool = check_number("n_pool", n_pool, 1)

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways to make a text, by name, that there always are."""
        return (*(f"noise {level:g}" for level in self.levels), CROSSING, DRAWS)

    def shares(self, seen: Observations, wishes: bool = False) -> dict[str, float]:
        """The share of each way, in proportion to what it earned; all equal as long as nothing was observed.

        What a way earned is the share of its texts that came among the best of their time, as a mean under a uniform
        prior, in which earlier iterations fade: so no way is lost for good. As long as all that is known is equally
        good, there are no parents to speak of, and the draws, which reach furthest, have all.
        """
        if self._earned is None or self._earned[0] is not seen or self._earned[1] != wishes:
            self._earned = (seen, wishes, self._weigh(seen, (*self.ways, WISHES) if wishes else self.ways))
        return self._earned[2]

    def _weigh(self, seen: Observations, ways: Sequence[str]) -> dict[str, float]:
        hits, trials = (dict.fromkeys(ways, 0.0) for _ in range(2))
        merit = seen.merit
        if seen.origins and _is_level(seen):
            return {way: float(way == DRAWS) for way in ways}
        last = int(seen.iterations.max()) if seen.origins else 0
        for iteration in range(max(1, last - _REMEMBERED), last + 1):
            before = merit[seen.iterations < iteration]
            top = min(len(before), self.n_parents)
            bar = np.partition(before, len(before) - top)[len(before) - top]
            for table in (hits, trials):
                for way in table:
                    table[way] *= MEMORY
            for row in np.flatnonzero(seen.iterations == iteration):
                if (way := seen.origins[int(row)]) in trials:
                    trials[way] += 1
                    hits[way] += bool(merit[row] > bar)
        means = {way: (hits[way] + 1) / (trials[way] + 2) for way in ways}
        total = sum(means.values())
        return {way: mean / total for way, mean in means.items()}

    # -- what is decoded ----------------------------------------------------------------------------------------

    def pool(self, seen: Observations, asked: Question) -> Array:
        """Codes (P, D) before any noise: those of parents, and those between two."""
        return np.concatenate(list(self._codes(seen, asked, self._counts(seen, asked)).values()))

    def draw(self, seen: Observations, asked: Question, decoder: Decoder) -> tuple[NDArray[np.float32], list[Decoded]]:
        """Texts of all ways, and the codes that they were made from."""
        latent: list[Array] = []
        found: list[Decoded] = []
        for codes, texts in self.make(seen, asked, decoder, self._counts(seen, asked)):
            latent.append(np.asarray(codes, np.float64))
            found += texts
        return np.concatenate(latent).astype(np.float32), found

    def make(
        self, seen: Observations, asked: Question, decoder: Decoder, counts: Mapping[str, int]
    ) -> Iterator[tuple[NDArray[Any], list[Decoded]]]:
        """Codes (P, D) and P texts, as many of each way as ``counts`` has; all children of parents come at once."""
        noise = {way: level for way, level in zip(self.ways, self.levels, strict=False)} | {CROSSING: CROSSING_NOISE}
        made = self._codes(seen, asked, counts)
        codes = np.concatenate(list(made.values()))
        levels = np.concatenate([np.full(len(part), noise[way]) for way, part in made.items()])
        origins = [way for way, part in made.items() for _ in part]
        seed = int(asked.generator(2).integers(2**62))
        yield codes, decoder.decode_noisy(codes, levels, seen.codes.std(0), seed, origins)
        yield decoder.sample(counts[DRAWS], int(asked.generator(3).integers(2**62)), DRAWS)
        if count := counts.get(WISHES):
            yield decoder.sample(count, int(asked.generator(5).integers(2**62)), WISHES, asked.wishes)

    def _counts(self, seen: Observations, asked: Question) -> dict[str, int]:
        """How many texts of each way are decoded; where too few were new, all ways get the same."""
        shares = self.shares(seen, bool(asked.wishes))
        if asked.attempt:
            shares = dict.fromkeys(shares, 1 / len(shares))
        total = max(6 * asked.n, self.n_pool)
        return {way: max(1, round(total * share)) for way, share in shares.items()}

    def _codes(self, seen: Observations, asked: Question, counts: Mapping[str, int]) -> dict[str, Array]:
        """By way, codes that noise is added to."""
        rng = asked.generator(1)
        parents = seen.codes[best_rows(seen, self.n_parents)]
        chances = parent_chances(len(parents))
        found = {}
        for way, count in counts.items():
            if way not in self.ways[: len(self.levels) + 1]:
                continue
            one, other = (parents[rng.choice(len(parents), count, p=chances)] for _ in range(2))
            between = rng.uniform(0.2, 0.8, (count, 1))
            found[way] = one + between * (other - one) if way == CROSSING else one
        return found

    # -- what is evaluated --------------------------------------------------------------------------------------

    def needs_codes(self, seen: Observations) -> bool:
        """Whether the surrogate reads codes."""
        molecules = seen.points.counts is not None
        return not molecules or self._kind(molecules).needs_codes

    def _kind(self, molecules: bool) -> type[Surrogate]:
        return SURROGATES[self.surrogate or ("tanimoto" if molecules else "codes")]

    def fit_surrogates(self, seen: Observations, seed: int) -> Any:
        """One for each score, with the mean and the deviation by which its values are standardised.

        All that is known may lie between 0 and 1e-60, which a surrogate would take for rounding.
        """
        points = seen.points
        floor = np.quantile(seen.complete, 0.05, axis=0)  # a few values that are very low would take all the attention
        kind, found = self._kind(points.counts is not None), []
        for column in np.maximum(seen.complete, floor).T:
            mean, deviation = float(column.mean()), float(column.std()) or 1.0
            known = Known(points, (column - mean) / deviation, seen.iterations)
            found.append((kind().fit(known, seed), mean, deviation))
        return found

    def expect(
        self, seen: Observations, asked: Question, codes: Array, found: Sequence[Decoded]
    ) -> tuple[Array, Array]:
        """Mean and standard deviation, (P, M) each, of the values of P texts that are observed at codes (P, D)."""
        points = describe_points(codes, [one.text for one in found])
        means, spreads = [], []
        for surrogate, middle, deviation in self.fitted(seen, asked.seed):
            mean, spread = surrogate.predict(points)
            means.append(middle + deviation * mean)
            spreads.append(deviation * spread)
        return np.stack(means, axis=1), np.stack(spreads, axis=1)

    def choose(self, seen: Observations, asked: Question, codes: Array, found: Sequence[Decoded] = ()) -> list[int]:
        """Indices of at most ``asked.n`` texts: of the draws as many as they earned, then of all others.

        As long as all that is known is equally good, these are the first draws: a surrogate would know nothing but
        what is unlike all others, which the model seldom draws for a reason.
        """
        if len(codes) <= asked.n:
            return list(range(len(codes)))
        drawn = np.array([one.origin == DRAWS for one in found] or [False] * len(codes))
        if _is_level(seen):
            return [int(row) for row in np.argsort(~drawn, kind="stable")[: asked.n]]
        mean, spread = self.expect(seen, asked, codes, found)
        quota = min(int(drawn.sum()), round(asked.n * self.shares(seen, bool(asked.wishes))[DRAWS]))
        rng = asked.generator(4)
        scale = np.where(seen.complete.std(0) > 0, seen.complete.std(0), 1)
        mean, spread = (mean - seen.complete.mean(0)) / scale, spread / scale
        free = np.ones(len(codes), bool)
        chosen: list[int] = []
        for place in range(asked.n):
            value = _join(mean + 10 ** rng.uniform(-1.5, 0.3) * spread, rng)
            # Spread over the batch, so that any part of it has its draws.
            is_drawn = (place + 1) * quota // asked.n > place * quota // asked.n
            group = free & (drawn if is_drawn else ~drawn)
            group = group if group.any() else free
            best = int(np.where(group, value, -np.inf).argmax())
            chosen.append(best)
            free[best] = False
        return chosen


def _is_level(seen: Observations) -> bool:
    """Whether all that is known is equally good."""
    merit = seen.merit
    return bool(merit.min() == merit.max())


def parent_chances(n: int) -> Array:
    """The chance of each of n parents, the best first: 1 / (:data:`GREED` n + rank), which is the same for each octave.

    (Tripp and Hernández-Lobato, "Genetic algorithms are strong baselines for molecule generation", 2023.)
    """
    weights = 1 / (GREED * n + np.arange(n))
    return np.asarray(weights / weights.sum())


def _join(values: Array, rng: np.random.Generator) -> Array:
    """Standardised values (P, M) as one (P,): of several, the worst by random weights, and a little of their sum."""
    if values.shape[1] == 1:
        return np.asarray(values[:, 0])
    weighted = values * rng.dirichlet(np.ones(values.shape[1]))
    return np.asarray(weighted.min(1) + 0.05 * weighted.sum(1))
