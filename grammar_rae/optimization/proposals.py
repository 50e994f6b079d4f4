"""From codes to the points of an iteration: decoding, the vote of several decodings, and what is new."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError, TextError
from grammar_rae.optimization.base import Array, Observations, Question, Strategy

ROUNDS = 4
"""Pools that are decoded, at most, to have more new texts than a batch has points."""

MOST_ROUNDS = 10
"""Pools that are decoded, at most, to have as many. Each reaches twice as far as the one before it."""

_ROWS = 200_000  # decodings at once


class Decoded(NamedTuple):
    """What a code came to: the text, whether it is valid, and the share of its decodings that were."""

    text: str
    valid: bool
    share: float


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
        How many codes were decoded for them (``decoded``), how many came to nothing valid (``invalid``), and how many
        to a text that was seen before or twice (``seen``).
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
        With ``decode``, ``encode`` and ``codec.canonical``.
    decodings
        1 for the likeliest text of a code; more for that many draws, the most frequent valid one of which counts.
    constraint
        Of the decoding.
    """

    model: Any
    decodings: int = 1
    constraint: Any = None

    def __call__(self, codes: NDArray[Any], seed: int) -> list[Decoded]:
        """What codes (N, D) come to; ``seed`` is that of the draws."""
        found: list[Decoded] = []
        rows = max(1, _ROWS // self.decodings)
        for start in range(0, len(codes), rows):
            part = np.repeat(np.asarray(codes[start : start + rows], np.float32), self.decodings, axis=0)
            temperature = 0.0 if self.decodings == 1 else 1.0
            texts = self.model.decode(
                part,
                temperature=temperature,
                constraint=self.constraint,
                seed=seed + start if self.decodings > 1 else None,
            )
            if len(texts) != len(part):
                raise InputError("the model decoded another number of texts", received=len(texts), expected=len(part))
            spelled = {text: self.model.codec.canonical(text) for text in set(texts)}
            found += [_elected(texts[i : i + self.decodings], spelled) for i in range(0, len(texts), self.decodings)]
        return found

    def encode(self, texts: list[str], instead: NDArray[Any]) -> NDArray[np.float32]:
        """The codes of texts (N, D), and the rows of ``instead`` for those that the encoder refuses."""
        codes, taken = encode_some(self.model, texts)
        found = np.array(instead, np.float32)
        if len(codes):
            found[taken] = codes
        return found


def _elected(texts: list[str], spelled: dict[str, str | None]) -> Decoded:
    valid = [name for text in texts if (name := spelled[text]) is not None]
    if not valid:
        return Decoded(texts[0], False, 0.0)
    return Decoded(Counter(valid).most_common(1)[0][0], True, len(valid) / len(texts))


def propose(
    strategy: Strategy,
    decoder: Decoder,
    seen: Observations,
    known: Collection[str],
    asked: Question,
    distinct: bool,
) -> Proposals:
    """The next points: what the strategy chooses among what its codes come to.

    Parameters
    ----------
    known
        Texts that were seen.
    distinct
        Whether only valid texts that are not known count, each once. Where :data:`MOST_ROUNDS` pools have too few of
        them, there are fewer points than were asked for.
    """
    latent: list[Array] = []
    decoded: list[Decoded] = []
    counts = {"decoded": 0, "invalid": 0, "seen": 0}
    mine: set[str] = set()
    for attempt in range(MOST_ROUNDS):
        question = asked.again(attempt)
        codes = np.asarray(strategy.pool(seen, question), np.float32)
        for code, found in zip(codes, decoder(codes, question.seed), strict=True):
            again = found.text in known or found.text in mine
            counts["decoded"] += 1
            counts["invalid"] += not found.valid
            counts["seen"] += found.valid and again
            if not distinct or (found.valid and not again):
                mine.add(found.text)
                latent.append(code)
                decoded.append(found)
        if len(decoded) >= (strategy.spare if attempt + 1 < ROUNDS else 1) * asked.n:
            break
    if not decoded:
        nothing = np.zeros((0, seen.codes.shape[1]), np.float32)
        return Proposals(nothing, nothing, [], counts)
    points = np.stack(latent).astype(np.float32)
    codes = decoder.encode([found.text for found in decoded], points) if strategy.recenters else points
    trusted = strategy.trusted(points.astype(np.float64), codes.astype(np.float64), asked.n)
    chosen = trusted[strategy.choose(seen, asked, codes[trusted].astype(np.float64))]
    return Proposals(points[chosen], codes[chosen], [decoded[i] for i in chosen], counts)


def encode_some(model: Any, texts: list[str], rows: int = 1024) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The codes (K, D) of those of N texts that the encoder takes, and which they are, bool (N,)."""
    parts: list[NDArray[np.float32]] = []
    taken = np.zeros(len(texts), dtype=bool)
    # One text that is refused stops its batch: then halves of it are tried.
    waiting = [(start, min(start + rows, len(texts))) for start in range(0, len(texts), rows)][::-1]
    while waiting:
        start, end = waiting.pop()
        try:
            codes = np.asarray(model.encode(texts[start:end]), np.float32)
        except TextError:
            if end - start > 1:
                middle = (start + end) // 2
                waiting += [(middle, end), (start, middle)]
            continue
        if codes.ndim != 2 or len(codes) != end - start:
            raise InputError("these are not the codes of texts", received=f"shape {codes.shape}", expected="(N, D)")
        taken[start:end] = True
        parts.append(codes)
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32), taken
