"""What a search asks for next: the model's draws, then what its strategy chooses, within limits and kept apart."""

import hashlib
import json
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import DataError, InputError
from grammar_rae.optimization.analogues import DRAWS
from grammar_rae.optimization.base import Array, Observations, Question, Strategy
from grammar_rae.optimization.ledger import Ledger, Molecule
from grammar_rae.optimization.profile import Profile
from grammar_rae.optimization.proposals import Decoded, Decoder, Filter, density_of_codes, propose
from grammar_rae.optimization.wishes import find_wishes
from grammar_rae.seeds import wrap_seed

_PROBED = 4  # molecules whose codes tell one model from another
_ATTEMPTS = 8  # times to draw until there is enough that is new and within the limits


class Chooser:
    """What there is to know of the molecules of a ledger, as a strategy sees it, and what it chooses.

    Parameters
    ----------
    model
        The model.
    ledger, profile, strategy
        Those of the search.
    """

    def __init__(self, model: Any, ledger: Ledger, profile: Profile, strategy: Strategy) -> None:
        self.model, self._ledger, self._profile, self._strategy = model, ledger, profile, strategy
        self._decoder = Decoder(model, constraint=ledger.settings["constraint"])
        self._codes: dict[str, NDArray[np.float32]] = {}
        ranges = getattr(model, "property_ranges_", None) or {}
        self._wishes = find_wishes(profile, ranges)

    # -- what is chosen -----------------------------------------------------------------------------------------

    def choose(self, n: int) -> list[Molecule]:
        """The next n molecules: plain draws as long as little is known, then what the strategy chooses."""
        seen = self._observe()
        return self._draw(n) if seen is None else self._ask_strategy(n, seen)

    def _seed(self) -> int:
        """The seed of what comes next: it follows from how much there is."""
        rng = np.random.default_rng([self._ledger.settings["seed"], len(self._ledger.molecules), self._ledger.batches])
        return int(rng.integers(2**62))

    def _draw(self, n: int) -> list[Molecule]:
        """Plain draws of the model, as many as it has in a few attempts."""
        known = {one.text for one in self._ledger.molecules.values()}
        accepts, constraint = self._filter(), self._ledger.settings["constraint"]
        found: dict[str, None] = {}
        drawn = refused = 0
        for attempt in range(_ATTEMPTS):
            if len(found) < n:
                seed = wrap_seed(self._seed() + attempt)
                texts = list(dict.fromkeys(self.model.sample(2 * n, seed=seed, constraint=constraint).texts))
                _, rows = self._decoder.encode_own(texts)
                fresh = [texts[row] for row in rows if texts[row] not in known and texts[row] not in found]
                refused += sum(not self._profile.has(text) for text in fresh)
                drawn += len(fresh)
                found |= {text: None for text in fresh if accepts.allows(text) and self._decoder.may_propose(text)}
        if drawn and drawn == refused:
            limits = self._profile.limits
            raise InputError(
                "no molecule can be asked for",
                received=f"{drawn} draws of the model, none of them within the limits",
                expected=None if limits is None else limits.text,
                remedy="Check that the limits do not contradict the constraint, and that the model has such molecules.",
            )
        texts = list(found)
        picked = self._profile.diversity.pick(texts, n, accepts.counts)
        return self.name([Decoded(texts[row], True, 1.0, DRAWS) for row in picked], 0, None)

    def _ask_strategy(self, n: int, seen: Observations) -> list[Molecule]:
        known = {one.text for one in self._ledger.molecules.values()}
        density = density_of_codes(self.model, seen.initial)
        question = Question(n, self._seed(), density, wishes=self._wishes)
        found = propose(self._strategy, self._decoder, seen, known, question, True, self._filter())
        if not found.decoded:
            return []
        # What the model decodes but does not read could not be learned from later.
        _, rows = self._decoder.encode_own([one.text for one in found.decoded])
        codes, decoded = found.codes[rows], [found.decoded[row] for row in rows]
        self._codes |= {one.text: code for one, code in zip(decoded, codes, strict=True)}
        expected = self._strategy.expect(seen, question, codes.astype(np.float64), decoded)
        return self.name(decoded, self._ledger.iterations + 1, expected)

    def _filter(self) -> Filter:
        diversity = self._profile.diversity
        if diversity.scaffold_bucket is None:
            return Filter(self._profile.has, diversity, Counter())
        molecules = list(self._ledger.molecules.values())
        if diversity.minimum:
            worths = self._profile.values(self._values(molecules))[:, 0]
            molecules = [one for one, worth in zip(molecules, worths, strict=True) if worth >= diversity.minimum]
        return Filter(self._profile.has, diversity, diversity.count(one.text for one in molecules))

    def name(self, decoded: list[Decoded], iteration: int, expected: tuple[Array, Array] | None) -> list[Molecule]:
        """Molecules with names that no other search of another seed or other settings gives."""
        settings = self._ledger.settings
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).digest()
        tag = "".join(chr(ord("a") + byte % 26) for byte in digest[:3])
        first = len(self._ledger.molecules) + 1
        found = [
            Molecule(f"{tag}{first + index}", one.text, one.origin, iteration) for index, one in enumerate(decoded)
        ]
        if expected is not None:
            for column, target in enumerate(self._profile.targets):
                for row, one in enumerate(found):
                    mean, spread = (float(part[row, column]) for part in expected)
                    one.expected[target.name] = (target.sign * mean, spread)
        return found

    # -- what is known ------------------------------------------------------------------------------------------

    def _values(self, molecules: list[Molecule]) -> Array:
        names = self._profile.names
        return np.array([[one.value(name) for name in names] for one in molecules]).reshape(-1, len(names))

    def _observe(self) -> Observations | None:
        """What the strategy may learn from; None as long as that is too little."""
        waiting = {one.id for one in self._ledger.unsettled(self._profile.names)}
        rows = [one for one in self._ledger.molecules.values() if one.id not in waiting]
        values = self._profile.values(self._values(rows))
        iterations = np.array([one.iteration for one in rows], np.int64)
        first = np.isfinite(values[iterations == 0]).all(axis=1)
        if first.sum() < 2 or len(rows) < self._ledger.settings["n_initial"]:
            return None
        texts = [one.text for one in rows]
        return Observations(self.encode(texts), values, iterations, texts, [one.origin for one in rows])

    def encode(self, texts: list[str]) -> Array:
        """The codes (N, D) of texts that came from the model, or that it accepted."""
        if missing := [text for text in texts if text not in self._codes]:
            codes, rows = self._decoder.encode(missing)
            if len(rows) < len(missing):
                raise self._other_model()
            self._codes |= dict(zip(missing, codes, strict=True))
        return np.stack([self._codes[text] for text in texts]).astype(np.float64)

    def accept(self, texts: list[str]) -> NDArray[np.int64]:
        """The rows of texts that the model can encode."""
        codes, rows = self._decoder.encode(texts)
        self._codes |= {texts[row]: code for row, code in zip(rows, codes, strict=True)}
        return rows

    def probe(self, batch: list[Molecule]) -> list[list[float]]:
        """Codes of the first molecules, once."""
        if self._ledger.probe:
            return []
        first = [*self._ledger.molecules.values(), *batch][:_PROBED]
        return [list(map(float, row)) for row in self.encode([one.text for one in first])]

    def check_model(self) -> None:
        """Raise where the first molecules had other codes."""
        texts = [one.text for one in self._ledger.molecules.values()][: len(self._ledger.probe)]
        codes, before = self.encode(texts), np.array(self._ledger.probe)
        near = 1e-2 * float(before.std() + 1e-12)
        if codes.shape != before.shape or not np.allclose(codes, before, rtol=1e-2, atol=near):
            raise self._other_model()

    def _other_model(self) -> DataError:
        return DataError(
            "the search was made with another model",
            where=None if self._ledger.folder is None else str(self._ledger.folder),
            remedy="Pass that model, or choose another folder.",
        )
