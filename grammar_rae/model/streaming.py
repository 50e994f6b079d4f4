"""Files of any length through a model: a few thousand rows at a time, read by other processes where that pays."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from grammar_rae.codecs import EncodedBatch, treat_fragments
from grammar_rae.datasets import Chunk, Record, Rejected, Row, encode_chunks, pad_tokens
from grammar_rae.errors import UnfamiliarWarning
from grammar_rae.model.fitted import Codes
from grammar_rae.model.known import UNTRAINED, Unfamiliar, check_unknown
from grammar_rae.model.sources import PARALLEL_FROM


class EncodedRecords(NamedTuple):
    """Some records of a file: K with codes, and the others.

    Attributes
    ----------
    codes
        float32 (K, D).
    lines, texts, cells
        Of each of the K, the line, the text and what stands beside it. The text of a block is the SMILES that the codec
        read.
    read
        Their texts as the codec read them where that is more than another spelling, else the texts.
    changed
        What was changed in each, None where nothing was.
    refused
        The others, with their reasons.
    """

    codes: Codes
    lines: list[int]
    texts: list[str]
    cells: list[tuple[Any, ...]]
    read: list[str]
    changed: list[str | None]
    refused: list[Rejected]


class RecordEncoder:
    """Encodes the records of a source with a model, and counts.

    Parameters
    ----------
    model
        A trained model of texts.
    records
        Iterator over the records.
    unknown
        What to do about texts that the model was not trained on, as for :meth:`TextModel.encode`; it warns at the end,
        once for all.
    fragments
        What to do with molecules of several parts, ``"refuse"`` or ``"largest"``; None as the model was trained.
    polish
        As for :meth:`TextModel.encode`.
    jobs
        Processes that read and parse, -1 for one a core; one for fewer than 4,000 records.

    Attributes
    ----------
    texts, encoded
        How many records held a text, and how many of these have a code.
    left_out, kinds, examples
        How many others there were, for which reason, and the first of each; each part has its own.
    changed
        What was changed -> in how many of those with a code.
    """

    def __init__(
        self,
        model: Any,
        records: Iterable[Record],
        unknown: str = "warn",
        fragments: str | None = None,
        jobs: int = 1,
        polish: int | None = None,
    ) -> None:
        check_unknown(unknown)
        self._model, self._unknown, self._jobs = model, unknown, jobs
        self._codec, self._polish = treat_fragments(model.codec, fragments), model._polish_steps(polish)
        self._records = iter(records)
        self._waiting: dict[int, tuple[Any, ...]] = {}  # what stands beside the texts that are being encoded
        self._strange = Unfamiliar()
        self.texts = self.encoded = self.left_out = 0
        self.kinds: Counter[str] = Counter()
        self.examples: dict[str, Rejected] = {}
        self.changed: Counter[str] = Counter()

    def __iter__(self) -> Iterator[EncodedRecords]:
        first = list(islice(self._records, PARALLEL_FROM))
        jobs = self._jobs if len(first) == PARALLEL_FROM else 1
        for chunk in encode_chunks(self._feed(chain(first, self._records)), self._codec, jobs):
            yield self._encode(chunk)
        if self._strange.texts:
            warnings.warn(self._strange.describe(self.encoded), UnfamiliarWarning, stacklevel=2)

    def _feed(self, records: Iterable[Record]) -> Iterator[Row]:
        for row, cells in records:
            self.texts += row.problem is None
            if row.problem is None:
                self._waiting[row.line] = cells
            yield row

    def _encode(self, chunk: Chunk) -> EncodedRecords:
        from grammar_rae.chem import is_block

        for refusal in chunk.refused:
            self._refuse(refusal.row, refusal.kind)
        offsets = np.concatenate(([0], np.cumsum(chunk.lengths))).astype(np.int64)
        rows = np.arange(len(chunk.lengths))
        parsed = chunk.parsed or self._codec.decode_batch(pad_tokens(chunk.tokens, offsets, rows))
        texts = [read if is_block(text) else text for text, read in zip(chunk.texts, parsed, strict=True)]
        batch = EncodedBatch(chunk.tokens, offsets, [], parsed=parsed)
        kept, refused = self._leave_out_unknown(chunk, batch, texts)
        codes = self._model._encode_rows(
            chunk.lengths[kept],
            lambda part: torch.from_numpy(pad_tokens(chunk.tokens, offsets, kept[part])),
            None,
            self._polish,
        )
        lines = [int(chunk.lines[index]) for index in kept]
        changed = [chunk.changed.get(line) for line in lines]
        self.changed.update(what for what in changed if what is not None)
        self.encoded += len(lines)
        read = [texts[index] if what is None else parsed[index] for index, what in zip(kept, changed, strict=True)]
        cells = [self._waiting.pop(line) for line in lines]
        for row in refused:
            self._waiting.pop(row.line, None)
        return EncodedRecords(codes, lines, [texts[index] for index in kept], cells, read, changed, refused)

    def _leave_out_unknown(
        self, chunk: Chunk, batch: EncodedBatch, texts: Sequence[str]
    ) -> tuple[NDArray[np.int64], list[Rejected]]:
        """The accepted rows that get codes, and all rows that do not: those with something unknown, as was asked."""
        kept = np.arange(len(texts))
        refused = [refusal.row for refusal in chunk.refused]
        known = self._model.known_
        if known is None or self._unknown == "ignore":
            return kept, refused
        found = known.unknown_in(batch, self._codec)
        if self._unknown != "refuse":
            self._strange.add(found, texts)
            return kept, refused
        for index, symbols in found.items():
            row = Rejected(int(chunk.lines[index]), texts[index], f"{UNTRAINED}: {', '.join(symbols)}")
            self._refuse(row, UNTRAINED)
            refused.append(row)
        refused.sort(key=lambda row: row.line)
        return np.setdiff1d(kept, list(found)).astype(np.int64), refused

    def _refuse(self, row: Rejected, kind: str) -> None:
        self.left_out += 1
        self.kinds[kind] += 1
        self.examples.setdefault(kind, row)
