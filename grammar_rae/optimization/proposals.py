"""From codes to the points of an iteration: decoding, the vote of several decodings, and what is new."""

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from grammar_rae.codecs import FORMS
from grammar_rae.density import GaussianDensity
from grammar_rae.errors import InputError, UnfamiliarWarning
from grammar_rae.optimization.base import Array, Observations, Question, Strategy
from grammar_rae.optimization.diversity import Diversity
from grammar_rae.regularizers import NoiseConditioned
from grammar_rae.seeds import wrap_seed

ROUNDS = 4
"""Pools that are decoded, at most, to have more new texts than a batch has points."""

MOST_ROUNDS = 10
"""Pools that are decoded, at most, to have as many. Each reaches twice as far as the one before it."""

_ROWS = 200_000  # decodings at once


class Decoded(NamedTuple):
    """What a code decodes to: the text, whether it is valid, and the share of its decodings that were.

    ``origin`` says how the strategy made it, where it has several ways.
    """

    text: str
    valid: bool
    share: float
    origin: str = ""


@dataclass(frozen=True)
class Proposals:
    """The points of one iteration, before they are evaluated.

    Attributes
    ----------
    latent, codes
        float32 (n, D): the codes that were decoded, and those that the points are observed at.
    decoded
        n of them.
    counts
        How many codes were decoded for them (``decoded``), how many gave nothing valid (``invalid``), and how many a
        text that was seen before (``seen``).
    """

    latent: NDArray[np.float32]
    codes: NDArray[np.float32]
    decoded: list[Decoded]
    counts: dict[str, int]


@dataclass(frozen=True)
class Decoder:
    """A model as the search sees it.

    Attributes
    ----------
    model
        With ``decode_batch`` and ``encode``: see :func:`grammar_rae.optimization.optimize`.
    decodings
        1 for the likeliest text of a code; more for that many draws, of which the most frequent valid one counts.
    constraint
        Constraint of the decoding.
    """

    model: Any
    decodings: int = 1
    constraint: Any = None
    _read: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, codes: NDArray[Any], seed: int) -> list[Decoded]:
        """What codes (N, D) decode to; ``seed`` is that of the draws."""
        found: list[Decoded] = []
        each = self.decodings
        rows = max(1, _ROWS // each)
        for start in range(0, len(codes), rows):
            part = np.repeat(np.asarray(codes[start : start + rows], np.float32), each, axis=0)
            batch = self.model.decode_batch(
                part,
                temperature=0.0 if each == 1 else 1.0,
                constraint=self.constraint,
                seed=wrap_seed(seed + start) if each > 1 else None,
            )
            if not len(batch.texts) == len(batch.valid) == len(part):
                raise InputError(
                    "the model decoded another number of texts", received=len(batch.texts), expected=len(part)
                )
            found += [_elect(batch.texts[i : i + each], batch.valid[i : i + each]) for i in range(0, len(part), each)]
        return found

    @cached_property
    def hears_noise(self) -> bool:
        """Whether the model's decoder was trained on codes with noise, whose level it is told."""
        regularizer = getattr(getattr(self.model, "autoencoder_", None), "regularizer", None)
        return isinstance(regularizer, NoiseConditioned)

    @cached_property
    def writes_molecules(self) -> bool:
        """Whether the model's texts are molecules; False of a model that does not say."""
        form = getattr(getattr(self.model, "codec", None), "form", None)
        return form in FORMS and FORMS[form].molecules

    def may_propose(self, text: str) -> bool:
        """Whether a valid text is one that somebody might make: see :func:`grammar_rae.chem.is_plausible`."""
        if not self.writes_molecules:
            return True
        from grammar_rae.chem import is_plausible

        return is_plausible(text)

    def decode_noisy(
        self,
        codes: NDArray[Any],
        levels: float | NDArray[Any],
        units: NDArray[Any],
        seed: int,
        origins: str | Sequence[str],
    ) -> list[Decoded]:
        """One draw of the decoder for each of the codes (N, D) with noise.

        Parameters
        ----------
        codes
            The codes.
        levels
            The noise's standard deviation, one or (N,): of a decoder that hears noise, its ``smoothing``; else in
            ``units``.
        units
            (D,), or what can be broadcast to it.
        seed
            Seed of the noise and of the draws.
        origins
            What the texts remember, one or N.
        """
        options: dict[str, Any] = {"temperature": 1.0, "constraint": self.constraint, "seed": wrap_seed(seed)}
        top_p = getattr(getattr(self.model, "recipe_", None), "top_p", 1.0)
        options |= {} if top_p == 1.0 else {"top_p": top_p}
        codes = np.asarray(codes, np.float32)
        each = np.broadcast_to(np.asarray(levels, np.float64), (len(codes),))
        if self.hears_noise:
            options["smoothing"] = np.array(each, np.float32)
        else:
            noise = np.random.default_rng([seed, 1]).normal(size=codes.shape)
            codes = (codes + each[:, None] * np.asarray(units) * noise).astype(np.float32)
        batch = self.model.decode_batch(codes, **options)
        names = [origins] * len(codes) if isinstance(origins, str) else origins
        return [
            Decoded(text, bool(valid), float(bool(valid)), name)
            for text, valid, name in zip(batch.texts, batch.valid, names, strict=True)
        ]

    def sample(
        self, n: int, seed: int, origin: str, properties: Mapping[str, tuple[float, float]] | None = None
    ) -> tuple[NDArray[np.float32], list[Decoded]]:
        """What is valid of n draws, each text once, and the codes (K, D) it was decoded from; plain without properties.

        Those that are not valid are not replaced: a few more draws take as long as a batch of them.
        """
        options: dict[str, Any] = {"properties": properties} if properties else {}
        drawn = self.model.sample(n, valid_only=False, seed=wrap_seed(seed), constraint=self.constraint, **options)
        rows = list({drawn.texts[row]: row for row in np.flatnonzero(drawn.valid)[::-1]}.values())[::-1]
        return drawn.latent[rows], [Decoded(drawn.texts[row], True, 1.0, origin) for row in rows]

    def encode(self, texts: list[str]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The codes (K, D) of those of N texts that the model accepts, and their rows among the texts, (K,)."""
        # What the encoder says is near enough for a search, and quick.
        options = {"polish": 0} if getattr(getattr(self.model, "recipe_", None), "polish", 0) else {}
        encoded = self.model.encode(texts, errors="skip", **options)
        codes, rows = np.asarray(encoded.codes, np.float32), np.asarray(encoded.rows, np.int64)
        if codes.ndim != 2 or rows.shape != codes.shape[:1]:
            raise InputError(
                "codes and rows of texts do not match",
                received=f"{codes.shape} and {rows.shape}",
                expected="(K, D), (K,)",
            )
        return codes, rows

    def encode_own(self, texts: list[str]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The same of texts that the model wrote itself: nobody is told that it learned from none like them.

        The last texts are remembered: who has chosen them asks again which of them can be read.
        """
        if self._read.get("texts") != texts:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnfamiliarWarning)
                self._read.update(texts=list(texts), found=self.encode(texts))
        codes, rows = self._read["found"]
        return codes, rows

    def encode_or(self, texts: list[str], fallback: NDArray[Any]) -> NDArray[np.float32]:
        """The codes of texts (N, D); for a text that the model rejects, its row of ``fallback`` (N, D)."""
        codes, rows = self.encode_own(texts)
        found = np.array(fallback, np.float32)
        if len(rows):
            found[rows] = codes
        return found


def _elect(texts: Sequence[str], valid: Sequence[Any] | NDArray[np.bool_]) -> Decoded:
    """The most frequent valid one of a code's decodings."""
    votes = Counter(text for text, good in zip(texts, valid, strict=True) if good)
    if not votes:
        return Decoded(texts[0], False, 0.0)
    return Decoded(votes.most_common(1)[0][0], True, votes.total() / len(texts))


@dataclass(frozen=True)
class Filter:
    """Which texts may be proposed, and how those of a batch are kept apart.

    Attributes
    ----------
    has
        Whether a text is within the hard limits.
    diversity
        What keeps molecules apart.
    counts
        How many molecules of each scaffold there are already.
    """

    has: Callable[[str], bool]
    diversity: Diversity
    counts: Mapping[str, int]

    def allows(self, text: str) -> bool:
        """Whether a text may be proposed."""
        return not self.diversity.is_full(text, self.counts) and self.has(text)


def propose(
    strategy: Strategy,
    decoder: Decoder,
    seen: Observations,
    known: Collection[str],
    asked: Question,
    distinct: bool,
    accept: Filter | None = None,
) -> Proposals:
    """The next points: what the strategy chooses among the texts that its codes decode to.

    Parameters
    ----------
    known
        Texts that were seen.
    distinct
        Whether only valid and plausible texts that are not known count, each once. Where :data:`MOST_ROUNDS` pools have
        too few of them, there are fewer points than were asked for.
    accept
        What else a text has to be; None for nothing.
    """
    latent: list[Array] = []
    decoded: list[Decoded] = []
    counts = {"decoded": 0, "invalid": 0, "seen": 0}
    mine: set[str] = set()
    for attempt in range(MOST_ROUNDS):
        question = asked.retry(attempt)
        for code, found in zip(*strategy.draw(seen, question, decoder), strict=True):
            again = found.text in known or found.text in mine
            counts["decoded"] += 1
            counts["invalid"] += not found.valid
            counts["seen"] += found.valid and again
            if not distinct or (found.valid and not again):
                mine.add(found.text)
                refused = accept is not None and not accept.allows(found.text)
                if refused or (distinct and not decoder.may_propose(found.text)):
                    counts["refused"] = counts.get("refused", 0) + 1
                    continue
                latent.append(code)
                decoded.append(found)
        if len(decoded) >= (strategy.spare if attempt + 1 < ROUNDS else 1) * asked.n:
            break
    if not decoded:
        nothing = np.zeros((0, seen.codes.shape[1]), np.float32)
        return Proposals(nothing, nothing, [], counts)
    points = np.stack(latent).astype(np.float32)
    early = strategy.recenters and strategy.needs_codes(seen)
    codes = decoder.encode_or([found.text for found in decoded], points) if early else points
    trusted = strategy.select_trusted(points.astype(np.float64), codes.astype(np.float64), asked.n)
    texts = [decoded[row] for row in trusted]
    wanted = asked if accept is None else replace(asked, n=accept.diversity.wanted(asked.n))
    order = strategy.choose(seen, wanted, codes[trusted].astype(np.float64), texts)
    if accept is not None:
        picked = accept.diversity.pick([texts[row].text for row in order], asked.n, accept.counts)
        order = [order[row] for row in picked]
    chosen = trusted[order]
    points, codes, decoded = points[chosen], codes[chosen], [decoded[i] for i in chosen]
    if strategy.recenters and not early:
        codes = decoder.encode_or([found.text for found in decoded], codes)
    return Proposals(points, codes, decoded, counts)


def density_of_codes(model: Any, codes: NDArray[Any]) -> Callable[[Array], Array]:
    """Codes (N, D) -> log-densities (N,) under the model's density; under a Gaussian of ``codes`` where it has none."""
    density: Any = getattr(model, "density_", None)
    if not hasattr(density, "log_prob"):
        density = GaussianDensity(codes.shape[1]).fit(codes)

    def log_density(codes: Array) -> Array:
        with torch.no_grad():
            return np.asarray(density.log_prob(torch.from_numpy(codes)).cpu().numpy(), np.float64)

    return log_density
