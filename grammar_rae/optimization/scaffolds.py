"""Analogues that also cross molecules of one scaffold, by a template that grows where these differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import DecodingError, InputError
from grammar_rae.optimization.analogues import CROSSING_NOISE, AnaloguesStrategy, parent_chances
from grammar_rae.optimization.base import Observations, Question, best_rows, check_number
from grammar_rae.optimization.diversity import scaffold_or_none
from grammar_rae.optimization.proposals import Decoded, Decoder

SCAFFOLDS = "scaffolds"
"""The way to make a text under the template of a scaffold."""


class Pair(NamedTuple):
    """Two parents, by their rows, and the template of the scaffold that they share."""

    one: int
    other: int
    template: str


class ScaffoldsStrategy(AnaloguesStrategy):
    """:class:`AnaloguesStrategy` with one more way to make a text: crossing within a scaffold.

    Two parents of one scaffold (Bemis and Murcko, 1996) make a template: the scaffold, with a point wherever one of
    them has something else than hydrogen. Codes between those of the two are decoded under it, so a child has the
    scaffold, and at its points what the decoder makes of both. Where there is no such pair among the parents, or the
    model cannot write their templates, the texts come from the other ways.

    Parameters
    ----------
    n_templates
        Templates of a batch, of pairs by the rank of their better parent.
    surrogate, levels, n_parents, n_pool
        As for :class:`AnaloguesStrategy`.
    """

    def __init__(
        self,
        *,
        n_templates: int = 4,
        surrogate: str | None = None,
        levels: Sequence[float] = (0.5, 1.0, 1.5, 2.0),
        n_parents: int = 100,
        n_pool: int = 400,
    ) -> None:
        super().__init__(surrogate=surrogate, levels=levels, n_parents=n_parents, n_pool=n_pool)
        self.n_templates = check_number("n_templates", n_templates, 1)

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways to make a text, by name, that there always are."""
        return (*super().ways, SCAFFOLDS)

    def make(
        self, seen: Observations, asked: Question, decoder: Decoder, counts: Mapping[str, int]
    ) -> Iterator[tuple[NDArray[Any], list[Decoded]]]:
        """Codes (P, D) and P texts of one way after the other, as many as ``counts`` has."""
        yield from super().make(seen, asked, decoder, counts)
        rng = asked.generator(8)
        pairs = self.pairs(seen, rng)
        for index, pair in enumerate(pairs):
            count = max(1, counts[SCAFFOLDS] // len(pairs))
            between = rng.uniform(0.2, 0.8, (count, 1))
            codes = seen.codes[pair.one] + between * (seen.codes[pair.other] - seen.codes[pair.one])
            rules = f"template={pair.template}"
            rules = rules if decoder.constraint is None else f"{decoder.constraint}; {rules}"
            seed = int(asked.generator(9, index).integers(2**62))
            try:
                narrow = Decoder(decoder.model, constraint=rules)
                yield codes, narrow.decode_noisy(codes, CROSSING_NOISE, seen.codes.std(0), seed, SCAFFOLDS)
            except (InputError, DecodingError):  # the model cannot write this template, or not within its limits
                continue

    def pairs(self, seen: Observations, rng: np.random.Generator) -> list[Pair]:
        """Pairs of parents with one scaffold, and their templates."""
        from grammar_rae.chem.templates import join_template

        parents = best_rows(seen, self.n_parents)
        groups: dict[str, list[int]] = {}
        for row in parents if len(seen.texts) else ():
            if (core := scaffold_or_none(seen.texts[int(row)])) is not None:
                groups.setdefault(core, []).append(int(row))
        known = [(core, rows) for core, rows in groups.items() if len(rows) > 1]
        found: list[Pair] = []
        if not known:
            return found
        chances = parent_chances(len(known))  # in the order of their best
        for index in rng.choice(len(known), min(self.n_templates, len(known)), replace=False, p=chances):
            core, rows = known[int(index)]
            one = rows[int(rng.choice(len(rows), p=parent_chances(len(rows))))]
            other = int(rng.choice([row for row in rows if row != one]))
            template = join_template(core, (seen.texts[one], seen.texts[other]))
            if template is not None:
                found.append(Pair(one, other, template))
        return found
