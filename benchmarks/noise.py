"""Decoding of logits that no training gave: whether every text is complete, a molecule, and can be read back."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.rows import Row
from grammar_rae import chem
from grammar_rae.codecs import GrammarCodec
from grammar_rae.datasets import coverage, pad_tokens
from grammar_rae.decoding import Constraint, decode
from grammar_rae.errors import DecodingError
from grammar_rae.grammar import parser_for

BATCH = 1024
MOST_LISTED = 20
LONGEST = 277
"""The positions of the paper's molecule model."""


class _Noise(NamedTuple):
    """What each row of a batch prefers, (B, R)."""

    preference: Tensor

    def rows(self, keep: Tensor) -> "_Noise":
        return _Noise(self.preference[keep])


class NoisyDecoder:
    """A decoder that has learned nothing: logits ``bias`` (R,) plus normal noise.

    Half of the noise's variance stays with a row from step to step, so that rows differ in what they keep doing: some
    only branch, some only open rings.

    Attributes
    ----------
    rows, row_steps
        Rows that were begun, and logits (R,) that were given, one for each row and step.
    """

    def __init__(self, bias: Tensor, scale: float, generator: torch.Generator) -> None:
        self._bias = bias
        self._scale = scale
        self._generator = generator
        self.rows = self.row_steps = 0

    def _noise(self, n: int) -> Tensor:
        if self._scale == 0:
            return torch.zeros(n, len(self._bias))
        return torch.randn(n, len(self._bias), generator=self._generator) * (self._scale / 2**0.5)

    def begin(self, z: Tensor) -> _Noise:
        """The state of new rows."""
        self.rows += len(z)
        return _Noise(self._noise(len(z)))

    def step(self, state: _Noise, previous: Tensor | None, lhs: Tensor) -> tuple[Tensor, _Noise]:
        """Logits (B, R) of the next step."""
        self.row_steps += len(lhs)
        return self._bias + state.preference + self._noise(len(lhs)), state


def _rarest(counts: NDArray[np.int64]) -> Tensor:
    """-10 log frequency: the rarer a token is in the data the better, and those that never occur most of all."""
    return torch.from_numpy(-10 * np.log(counts.clip(0.5) / counts.sum())).float()


def _even(counts: NDArray[np.int64]) -> Tensor:
    return torch.zeros(len(counts))


LOGITS: dict[str, tuple[Callable[[NDArray[np.int64]], Tensor], float]] = {
    "uniform": (_even, 0.0),
    "random": (_even, 1.0),
    "peaked": (_even, 30.0),
    "adversarial": (_rarest, 0.0),
}
"""Logits that no training gave: the bias, from each token's count in the data, and the scale of the noise."""


class Cell(NamedTuple):
    """What was decoded from one kind of logits at one limit; a text is None where the tokens spell none."""

    logits: str
    limit: int
    texts: list[str | None]
    tokens: int
    rows_begun: int
    row_steps: int
    seconds: float
    dead_ends: list[str]


def decode_noise(
    codec: GrammarCodec,
    constraint: Constraint[Any],
    counts: NDArray[np.int64],
    draws: int,
    longest: int = LONGEST,
    seed: int = 0,
) -> Iterator[Cell]:
    """At least ``draws`` texts, spread over the rows of :data:`LOGITS` and over limits from the smallest possible."""
    shortest = getattr(constraint, "shortest", codec.rules.shortest)
    far = {limit for limit in (8, 12, 16, 24, 32, 48, 64, 128, LONGEST) if shortest < limit <= longest}
    limits = sorted({shortest, shortest + 1, shortest + 2} | far)
    generator = torch.Generator().manual_seed(seed)
    with suppress(DecodingError):  # which will be counted below
        decode(NoisyDecoder(_even(counts), 0.0, generator), torch.zeros(2, 1), constraint, shortest)  # compile
    wanted = -(-draws // (len(LOGITS) * len(limits)))
    for name, (bias, scale) in LOGITS.items():
        for limit in limits:
            decoder = NoisyDecoder(bias(counts), scale, generator)
            texts: list[str | None] = []
            dead_ends: list[str] = []
            tokens = 0
            seconds = 0.0
            for start in range(0, wanted, BATCH):
                n = min(BATCH, wanted - start)
                began = time.perf_counter()
                try:
                    drawn = decode(decoder, torch.zeros(n, 1), constraint, limit, 1.0, generator).numpy()
                except DecodingError as error:
                    dead_ends.append(str(error))
                    texts += [None] * n
                else:
                    texts += codec.macros.spell(drawn)
                    tokens += int((drawn >= 0).sum())
                seconds += time.perf_counter() - began
            yield Cell(name, limit, texts, tokens, decoder.rows, decoder.row_steps, seconds, dead_ends)


def random_logits(
    codec: GrammarCodec, constraint: Constraint[Any], counts: NDArray[np.int64], draws: int, seed: int = 0
) -> list[Row]:
    """How many decodings of senseless logits are complete, and how many of these RDKit sanitises: a row a kind.

    ``dead_ends`` are batches in which nothing was allowed any more. ``retries`` are rows that a decoder began beyond
    the texts asked for, and ``steps_thrown_away`` logits that it gave for tokens that are in no text: both are 0 when
    every text is what the first and only pass wrote, with no way back.
    """
    parser = parser_for(codec.grammar)
    rows: dict[str, list[Cell]] = {name: [] for name in LOGITS}
    for cell in decode_noise(codec, constraint, counts, draws, seed=seed):
        rows[cell.logits].append(cell)
    found = []
    for name, cells in rows.items():
        every = [text for cell in cells for text in cell.texts]
        texts = [text for text in every if text is not None]
        unparsed = {index for index, _ in parser.parse_batch(texts).rejected}
        complete = [text for index, text in enumerate(texts) if index not in unparsed]
        refused = [text for text in complete if not chem.is_valid(text)]
        dead_ends = [reason for cell in cells for reason in cell.dead_ends]
        tokens = sum(cell.tokens for cell in cells)
        found.append(
            {
                "logits": name,
                "limits": ", ".join(str(cell.limit) for cell in cells),
                "draws": len(every),
                "complete": len(complete),
                "sanitised": len(complete) - len(refused),
                "dead_ends": len(dead_ends),
                "retries": sum(cell.rows_begun for cell in cells) - len(every),
                "steps_thrown_away": sum(cell.row_steps for cell in cells) - tokens,
                "different": len(set(complete)),
                "mean_tokens": tokens / max(1, len(texts)),
                "decoded_a_second": len(every) / sum(cell.seconds for cell in cells),
                "not_sanitised": refused[:MOST_LISTED],
                "dead_end": dead_ends[:1],
            }
        )
    return found


def round_trip(
    codec: GrammarCodec,
    constraint: Constraint[Any],
    counts: NDArray[np.int64],
    draws: int = 10_000,
    limit: int = LONGEST,
    seed: int = 0,
) -> Row:
    """Decode senseless logits, encode and decode the canonical SMILES again: how many come back, and why others do not.

    ``limit`` is the largest number of tokens for decoding and encoding.
    """
    codec = replace(codec, max_length=limit)
    texts = [text for cell in decode_noise(codec, constraint, counts, draws, limit, seed) for text in cell.texts]
    spelled = [None if text is None else chem.canonical_or_none(text) for text in texts]
    molecules = [text for text in spelled if text is not None]
    batch = codec.encode_batch(molecules)
    reasons: Counter[str] = Counter()
    symbols: Counter[str] = Counter()
    if batch.rejected:
        refused = coverage([molecules[index] for index, _ in batch.rejected], codec)
        reasons, symbols = refused.reasons, refused.unsupported
    out = {index for index, _ in batch.rejected}
    taken = [text for index, text in enumerate(molecules) if index not in out]
    back = codec.decode_batch(pad_tokens(batch.tokens, batch.offsets, np.arange(len(taken))))
    again = zip(taken, map(chem.canonical_or_none, back), strict=True)
    others = [f"{before} -> {after}" for before, after in again if before != after]
    same = len(taken) - len(others)
    return {
        "draws": len(texts),
        "molecules": len(molecules),
        "limit": limit,
        "same": same,
        "share_same": same / max(1, len(molecules)),
        "encoded_but_another": len(others),
        "refused": dict(reasons.most_common(MOST_LISTED)),
        "refused_at": dict(symbols.most_common(MOST_LISTED)),
        "others": others[:MOST_LISTED],
    }
