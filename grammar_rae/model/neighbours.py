"""The search for molecules like a lead: by noise on its code, and by regrowing what is cut off it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.decoding import AllOf, Constraint, ConstraintSpec, Point, Template, parse_spec
from grammar_rae.errors import DecodingError, InputError, TextError
from grammar_rae.seeds import wrap_seed

Measure = Callable[[str, Sequence[str]], NDArray[np.float64]]
"""A lead and N texts -> how like it each is, 0 to 1."""

LEVELS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
"""Levels of noise that a calibration tries."""

TRIALS = 24
"""Texts that a calibration decodes at each level."""

TOLERANCE = 0.1
"""How far from the similarity that was asked an analogue counts as a hit."""

ASIDE, NEARER = 0.03, 0.002
"""How far from it the mean of a table may be before more texts are decoded, and by how much a turn must mend that."""

ROOM, AT_ONCE = 256, 4
"""Texts that are decoded in one turn, and the sources that they come from."""

REGROWN_LEVEL = 1.5
"""The noise of what regrows: the template keeps the lead, so that the code need not."""

REGROWN_TEMPERATURE = 0.9
"""The temperature of what regrows, in place of a nucleus, which asks about many tokens of a template's at each step."""

MORE_ATOMS = 3
"""Heavy atoms that may regrow beyond those that were cut off."""

RINGS = (3, 5, 6, 7)
"""Sizes of rings that may regrow: with so few atoms, a ring of four is seldom one that anybody would make."""

UNMADE = ("[OX2][OX2]", "[NX3,OX2][F,Cl,Br,I]")
"""What regrows on no lead that has none of it: peroxides, and halogens on nitrogen or oxygen."""

MOST_CUTS = 24
"""Cuts of a lead that are tried, those first whose regrown molecules should be as like as asked."""

BELOW = 0.92
"""The likeness of what regrows, as a share of the cut's own: it has more bits than what was cut off."""


def tanimoto(lead: str, texts: Sequence[str]) -> NDArray[np.float64]:
    """The Tanimoto similarity of Morgan fingerprints (radius 2, 2,048 bits) of N molecules to a lead: (N,)."""
    from grammar_rae.chem import morgan

    reference = np.unpackbits(morgan(lead, 2048)).astype(bool)
    table = np.array([np.unpackbits(morgan(text, 2048)) for text in texts], dtype=bool).reshape(len(texts), 2048)
    union = (table | reference).sum(axis=1)
    common = (table & reference).sum(axis=1)
    return np.where(union > 0, common / np.maximum(union, 1), 1.0)


@dataclass
class Regrowth:
    """A template of a lead and what must hold besides, as a constraint that is bound once for all batches."""

    spec: ConstraintSpec
    bound: Constraint[Any] | None = None

    def bind(self, codec: Any, atoms: Any) -> Constraint[Any]:
        """Return the constraint for a codec.

        Raises
        ------
        InputError
            For a template that the model cannot write, or that does not combine with the rest.
        """
        if self.bound is None:
            self.bound = self.spec.bind(codec, atoms)
        return self.bound

    def __str__(self) -> str:
        return str(self.spec)


@dataclass
class Source:
    """Where texts come from, and the sum of what the new ones were worth, of so many draws.

    Attributes
    ----------
    level
        The noise on the lead's code.
    worth, draws
        What came of it, the last batch counting as much as all before it.
    regrowth
        What decoding must obey; None for noise alone.
    """

    level: float
    worth: float
    draws: float
    regrowth: Regrowth | None = None

    @property
    def chance(self) -> float:
        """What a text is worth, never 0, for trials err."""
        return (self.worth + 0.25) / (self.draws + 1)

    def learn(self, worth: float, draws: int) -> None:
        """Count a batch: what was found before is found no more, so that old batches promise too much."""
        self.worth, self.draws = self.worth / 2 + worth, self.draws / 2 + draws


def find_regrowths(lead: str, similarity: float, constraint: str | ConstraintSpec) -> list[Source]:
    """What may regrow on a lead, those first that should be as like as asked; none where it cannot be cut.

    Parameters
    ----------
    lead
        A molecule.
    similarity
        What is asked.
    constraint
        What must hold besides; under one that combines with no template there are none.
    """
    from grammar_rae.chem.cutting import cut_molecule

    try:
        cuts = cut_molecule(lead)
    except TextError:
        return []
    cuts.sort(key=lambda cut: abs(BELOW * cut.likeness - similarity))
    sources = []
    for cut in cuts[:MOST_CUTS]:
        point = Point(max_heavy_atoms=cut.heavy_atoms + MORE_ATOMS, ring_sizes=RINGS)
        try:
            rules = AllOf(Template(cut.template, {1: point}), parse_spec(constraint))
        except InputError:
            continue
        worth = 2 * closeness(BELOW * cut.likeness, similarity)
        sources.append(Source(REGROWN_LEVEL, worth, 7, Regrowth(rules)))
    return sources


def closeness(like: float, similarity: float) -> float:
    """What an analogue is worth: 1 as like as asked, 0.6 at the edge of what counts as a hit, little beyond."""
    return float(np.exp(-0.5 * ((like - similarity) / TOLERANCE) ** 2))


@dataclass
class Neighbours:
    """The search for analogues of one lead, and how it goes.

    Attributes
    ----------
    model, lead, z, measure, substructures, options, seed
        What is asked of whom.
    found
        The different analogues so far, with their similarities.
    regrown
        Those of them that were regrown.
    attempts, n_valid, repeated
        Texts decoded after the calibration, the valid ones, and those of them that were not new.
    implausible
        The valid ones that were left out, see :func:`grammar_rae.chem.is_plausible`, unless the lead is so itself.
    """

    model: Any
    lead: str
    z: NDArray[np.float32]
    measure: Measure
    substructures: Any
    options: dict[str, Any]
    seed: int
    found: dict[str, float] = field(default_factory=dict)
    regrown: set[str] = field(default_factory=set)
    attempts: int = 0
    n_valid: int = 0
    repeated: int = 0
    implausible: int = 0

    def add_noise(self, level: float, n: int, most: int) -> None:
        """Look for n analogues at one level of noise, however like they are, in at most so many texts."""
        source, turn = Source(level, 0, 0), 0
        while self.attempts < most and len(self.found) < n:
            self._take(source, min(ROOM, most - self.attempts), turn)
            turn += 1

    def search(self, n: int, similarity: float, most: int) -> float:
        """Look for n analogues as like as asked in at most so many texts, and return the level of noise that gave most.

        Texts come from those levels and regrowths that gave new analogues so far: the level whose mean is the
        similarity asked gives little but the lead itself where that is high. What regrows costs a few times as much as
        noise: it is left until noise has too little to find n within the texts that are left.
        """
        dial = self._measure_dial()
        for tried in dial:
            self.found |= tried
        sources = [
            Source(level, sum(closeness(like, similarity) for like in tried.values()), TRIALS)
            for level, tried in zip(LEVELS, dial, strict=True)
        ]
        noise, turn, cut, gap = list(sources), 0, False, np.inf
        while self.attempts < most:
            before, gap = gap, self._gap(n, similarity)
            if self.count_hits(similarity) >= n and (gap <= ASIDE or gap > before - NEARER):
                break
            left = most - self.attempts
            best = max(source.chance for source in sources)
            if not cut and best * left < n - self.count_hits(similarity):
                rules = self.options.get("constraint")
                sources += find_regrowths(
                    self.lead, similarity, self.model.recipe_.constraint if rules is None else rules
                )
                cut = True
            for source, count in _share(sources, min(ROOM, left)):
                try:
                    new = self._take(source, count, turn)
                except (InputError, DecodingError):
                    if source.regrowth is None:
                        raise
                    sources.remove(source)  # the model cannot write this template
                    continue
                turn += 1
                source.learn(sum(closeness(like, similarity) for like in new.values()), count)
        return max(noise, key=lambda source: source.chance).level

    def count_hits(self, similarity: float) -> int:
        """How many analogues are as like as asked."""
        return sum(abs(like - similarity) <= TOLERANCE for like in self.found.values())

    def nearest(self, n: int, similarity: float) -> list[str]:
        """The n analogues that are nearest to what is asked.

        Where there are more hits than n, their mean decides: n hits with neighbouring similarities are taken whose mean
        is nearest to what is asked.
        """
        ordered = sorted(self.found, key=lambda text: abs(self.found[text] - similarity))
        hits = sorted(ordered[: self.count_hits(similarity)], key=lambda text: self.found[text])
        if len(hits) <= n:
            return ordered[:n]
        sums = np.concatenate([[0.0], np.cumsum([self.found[text] for text in hits])])
        first = int(np.argmin(np.abs((sums[n:] - sums[:-n]) / n - similarity)))
        return hits[first : first + n]

    def _gap(self, n: int, similarity: float) -> float:
        """How far the mean of the n nearest is from what is asked."""
        likeness = [self.found[text] for text in self.nearest(n, similarity)]
        return abs(float(np.mean(likeness)) - similarity) if likeness else np.inf

    def _take(self, source: Source, count: int, turn: int) -> dict[str, float]:
        """Decode so many texts of a source, and return the new analogues among them, with their similarities."""
        drawn = self._draw(count, source, wrap_seed(self.seed + turn))
        texts = self._plausible(drawn)
        new = self._keep(list(dict.fromkeys(one for one in texts if one not in self.found and one != self.lead)))
        if source.regrowth is not None:
            new = [text for text in new if self._may_regrow.has(text)]
        alike = self._measure(new)
        self.found |= alike
        if source.regrowth is not None:
            self.regrown |= alike.keys()
        self.attempts, self.n_valid = self.attempts + count, self.n_valid + len(drawn)
        self.implausible += len(drawn) - len(texts)
        self.repeated += len(texts) - len(new)
        return alike

    def _plausible(self, texts: list[str]) -> list[str]:
        """Those of valid texts that a chemist would take; all, where the lead itself is none of these."""
        from grammar_rae.chem import is_plausible

        return [text for text in texts if is_plausible(text)] if is_plausible(self.lead) else texts

    @cached_property
    def _may_regrow(self) -> Any:
        """What regrows has nothing of :data:`UNMADE` that the lead is without."""
        from grammar_rae.chem.substructures import Substructures

        return Substructures(unwanted=[one for one in UNMADE if Substructures(unwanted=one).has(self.lead)])

    def _measure(self, texts: list[str]) -> dict[str, float]:
        return dict(zip(texts, self.measure(self.lead, texts).tolist(), strict=True)) if texts else {}

    def _keep(self, texts: list[str]) -> list[str]:
        return texts if self.substructures is None else [text for text in texts if self.substructures.has(text)]

    def _draw(self, count: int, source: Source, seed: int) -> list[str]:
        """The valid ones of so many texts of a source, in their canonical spelling."""
        if source.regrowth is None:
            options = {"temperature": 1.0, "top_p": self.model.recipe_.top_p} | self.options
        else:
            options = {"temperature": REGROWN_TEMPERATURE} | self.options | {"constraint": source.regrowth}
        z = np.repeat(self.z[None], count, axis=0)
        decoded = self.model.decode_batch(z, smoothing=source.level, seed=seed, **options)
        return list(decoded.valid_texts)

    def _measure_dial(self) -> tuple[dict[str, float], ...]:
        """The different texts that a trial of each level gave, measured or remembered, with their similarities.

        Its seeds are its own, so that both give the same analogues.
        """
        dials: dict[Any, tuple[dict[str, float], ...]] = self.model.fitted_.dials
        patterns = None if self.substructures is None else (self.substructures.wanted, self.substructures.unwanted)
        key = (self.lead, self.measure, patterns, tuple(sorted((name, str(v)) for name, v in self.options.items())))
        if key not in dials:
            dials[key] = tuple(self._try(level, seed) for seed, level in enumerate(LEVELS))
        return dials[key]

    def _try(self, level: float, seed: int) -> dict[str, float]:
        drawn = self._plausible(self._draw(TRIALS, Source(level, 0, 0), seed))
        return self._measure(self._keep(sorted({text for text in drawn if text != self.lead})))


def _share(sources: Sequence[Source], room: int) -> list[tuple[Source, int]]:
    """How many of so many texts come from each of the best sources, in proportion to what a text of theirs is worth."""
    best = sorted(sources, key=lambda source: -source.chance)[:AT_ONCE]
    chances = np.array([source.chance for source in best])
    counts = np.floor(room * chances / chances.sum()).astype(int)
    counts[0] += room - counts.sum()
    return [(source, int(count)) for source, count in zip(best, counts, strict=True) if count]
