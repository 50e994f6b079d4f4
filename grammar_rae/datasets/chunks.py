"""Rows encoded some at a time, in this process or in others: tokens of those that a codec accepts, and the others."""

import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from itertools import cycle, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from grammar_rae.checks import check_count, check_jobs
from grammar_rae.datasets.duplicates import REPEATED, SeenKeys, row_keys
from grammar_rae.datasets.encoded import Rejected
from grammar_rae.datasets.reading import Row
from grammar_rae.datasets.sdf import END_OF_MOLECULE
from grammar_rae.errors import InputError, TextError
from grammar_rae.parallel import leaves_process, map_parts

if TYPE_CHECKING:
    from grammar_rae.codecs import Codec

CHUNK = 2000
"""Texts that a worker encodes at a time: at least about a tenth of a second of work."""


class Refusal(NamedTuple):
    """A row that has no tokens, why in short, and the symbol at which it left the codec's language."""

    row: Rejected
    kind: str
    symbol: str | None


class Chunk(NamedTuple):
    """Some rows of the source: of accepted ones tokens and so on, and texts if they are asked for; the others.

    ``parsed`` are the texts as they were parsed, where the codec says so.
    """

    read: int
    tokens: npt.NDArray[np.uint16]
    lengths: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    texts: list[str]
    changed: dict[int, str]
    atoms: frozenset[str]
    refused: list[Refusal]
    parsed: Sequence[str] = ()


class _RowCounter:
    """An iterator over rows that counts them."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def encode_chunks(
    rows: Iterable[Row],
    codec: "Codec",
    jobs: int = 1,
    prepared: bool = False,
    chunk: int = CHUNK,
    texts: bool = True,
    shard: int | None = None,
) -> Generator[Chunk, None, None]:
    """Encode rows some at a time, in their order; arguments and errors as in ``encode``.

    ``texts`` keeps the texts. After so many rows as ``shard`` says, a chunk ends.
    """
    if not callable(getattr(codec, "encode_batch", None)):
        raise InputError("this is no codec", received=repr(codec), expected="a codec, such as model.codec")
    jobs, chunk = check_jobs(jobs), check_count("chunk", chunk, 1, 2**31)
    counter = _RowCounter(rows)
    chunks = _chunks(iter(counter), chunk, shard)
    if not leaves_process(jobs):
        return _check_all(counter, (_encode_rows(codec, some, prepared, texts) for some in chunks))
    described = json.dumps(codec.to_dict())
    parts = ((described, some, prepared, texts) for some in chunks)
    return _check_all(counter, map_parts(_encode_rows_in_worker, parts, jobs))


def _check_all(counter: _RowCounter, chunks: Generator[Chunk, None, None]) -> Generator[Chunk, None, None]:
    """The chunks; in the end it is asserted that all rows that were read are among them."""
    read = 0
    with closing(chunks):
        for chunk in chunks:
            read += chunk.read
            yield chunk
    assert read == counter.count, "a row was lost"


def _encode_rows_in_worker(described: str, rows: list[Row], prepared: bool, texts: bool) -> Chunk:
    return _encode_rows(_codec(described), rows, prepared, texts)


@lru_cache(maxsize=1)
def _codec(text: str) -> "Codec":
    """The codec of a description; a worker process builds it once."""
    from grammar_rae.codecs import codec_from_dict

    return codec_from_dict(json.loads(text))


def _chunks(rows: Iterator[Row], size: int, shard: int | None) -> Iterator[list[Row]]:
    whole, rest = divmod(shard or size, size)
    sizes = cycle([*[size] * whole, *([rest] if rest else [])])
    return iter(lambda: list(islice(rows, next(sizes))), [])


def _encode_rows(codec: "Codec", rows: list[Row], prepared: bool, texts: bool) -> Chunk:
    usable = [row for row in rows if row.problem is None]
    encoded = codec.encode_batch([row.text for row in usable], prepared=prepared)
    errors = dict(encoded.rejected)
    accepted = [row for index, row in enumerate(usable) if index not in errors]
    lengths = np.diff(encoded.offsets)
    assert len(accepted) == len(lengths) == len(usable) - len(errors), "the codec lost a text"
    refused = [_refuse(usable[index], error) for index, error in errors.items()]
    refused += [Refusal(reject(row), row.problem, None) for row in rows if row.problem is not None]
    refused.sort(key=lambda one: one.row.line)
    lines = np.array([row.line for row in accepted], dtype=np.int64)
    kept = [row.text for row in accepted] if texts else []
    changed = {usable[index].line: what for index, what in encoded.changed}
    parsed = encoded.parsed if texts else ()
    return Chunk(len(rows), encoded.tokens, lengths, lines, kept, changed, encoded.atoms, refused, parsed)


def drop_repeated(chunk: Chunk, seen: SeenKeys) -> Chunk:
    """The chunk with the rows refused whose tokens came before."""
    new = seen.add(row_keys(chunk.tokens, np.concatenate(([0], np.cumsum(chunk.lengths)))))
    if new.all():
        return chunk
    refused = list(chunk.refused)
    for index in np.flatnonzero(~new):
        row = Rejected(int(chunk.lines[index]), _title(chunk.texts[index]), REPEATED)
        refused.append(Refusal(row, REPEATED, None))
    return chunk._replace(
        tokens=chunk.tokens[np.repeat(new, chunk.lengths)],
        lengths=chunk.lengths[new],
        lines=chunk.lines[new],
        texts=[text for text, is_new in zip(chunk.texts, new, strict=True) if is_new],
        parsed=(),
        changed={line: chunk.changed[line] for line in chunk.lines[new].tolist() if line in chunk.changed},
        refused=sorted(refused, key=lambda one: one.row.line),
    )


def _refuse(row: Row, error: TextError) -> Refusal:
    return Refusal(reject(row, error), error.kind, _offending_symbol(error))


def reject(row: Row, error: TextError | None = None) -> Rejected:
    """What is written down of a row that a codec refused, or, without an error, that holds no text."""
    if error is None:
        return Rejected(row.line, _title(row.text), row.problem or "")
    return Rejected(row.line, _title(row.text), error.reason, None if error.source is not None else error.position)


def _title(text: str) -> str:
    """A text as a list shows it: of the block of a molecule, the title."""
    return text.partition("\n")[0].strip() if "\n" in text and END_OF_MOLECULE in text else text


def _offending_symbol(error: TextError) -> str | None:
    """The character at which a text left the codec's language; inside a bracket atom, the whole atom."""
    text, position = error.text, error.position
    if position is None:
        return None
    if position >= len(text):
        return "end of text"
    opening = text.rfind("[", 0, position + 1)
    closing_after = text.find("]", position)
    if opening >= 0 and closing_after >= 0 and "]" not in text[opening:position]:
        return text[opening : closing_after + 1]
    return text[position]
