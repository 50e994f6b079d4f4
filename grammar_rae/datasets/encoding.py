"""Encode texts as a data set, or measure how well a codec covers them: in parallel, in constant memory."""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from grammar_rae.checks import check_path
from grammar_rae.datasets.chunks import CHUNK, Chunk, drop_repeated, encode_chunks
from grammar_rae.datasets.duplicates import Duplicates, SeenKeys, check_duplicates
from grammar_rae.datasets.encoded import FORMAT, KIND, Rejected, TokenDataset, fingerprint
from grammar_rae.datasets.reading import Fields, Source, read_rows
from grammar_rae.datasets.writing import Writer, building_folder, check_replaceable, describe_source, versions
from grammar_rae.errors import DataError, shorten

if TYPE_CHECKING:
    from grammar_rae.codecs import Codec


@dataclass(frozen=True)
class Coverage:
    """How well a codec covers the texts of a source.

    Attributes
    ----------
    read, accepted, rejected
        Numbers of rows; the first is the sum of the others.
    reasons
        Reason -> number of rejected rows.
    unsupported
        Character or bracket atom at which texts left the codec's language -> number of rejected rows.
    examples
        The same symbols -> the first row rejected for it.
    lengths
        The lengths in tokens of the accepted rows: min, mean, median, 99%, 99.9%, max. Empty without accepted rows.
    changed, changed_lines
        What RDKit changed in accepted rows besides their spelling -> number of rows, and the first line of them.
    """

    read: int
    accepted: int
    rejected: int
    reasons: Counter[str]
    unsupported: Counter[str]
    examples: dict[str, Rejected]
    lengths: dict[str, float]
    changed: Counter[str]
    changed_lines: dict[str, int]

    @property
    def share(self) -> float:
        """The share of accepted rows."""
        return self.accepted / self.read


def encode(
    source: Source,
    codec: "Codec",
    folder: str | os.PathLike[str] | None = None,
    column: str | None = None,
    jobs: int = 1,
    progress: bool = False,
    *,
    fields: Fields = "first",
    prepared: bool = False,
    duplicates: Duplicates = "keep",
    chunk: int = CHUNK,
) -> TokenDataset:
    """Encode every text of a source, or list it as rejected with its line number and reason.

    Parameters
    ----------
    source, column, fields
        As in ``read_texts``.
    codec
        The codec that turns the texts into tokens.
    folder
        Where to write the data set; by default it stays in memory. It replaces an encoded data set in that folder, but
        only when it is complete: an error or Ctrl-C changes nothing.
    jobs
        Number of worker processes, -1 for one per core. It does not change the result. More than one needs a codec that
        ``codecs.codec_from_dict`` can rebuild.
    progress
        Whether to show a progress bar.
    prepared
        Whether the texts are already in the codec's form, so that RDKit need not read them.
    duplicates
        ``"keep"`` a row that is the same molecule as an earlier one, or the same text where texts are no molecules; or
        ``"drop"`` it, which lists it as rejected. Prepared texts are compared as they are.
    chunk
        Number of texts encoded at a time.

    Raises
    ------
    DataError
        As in ``read_texts``; also when no row is accepted, or the folder holds something else or cannot be written.
    InputError
        If ``jobs`` is 0, ``chunk`` below 1, or ``duplicates`` neither of the two.
    """
    check_duplicates(duplicates)
    target = None if folder is None else check_path(folder).resolve()
    if target is not None:
        check_replaceable(target)
    about = {"column": column, "fields": fields}
    seen = SeenKeys() if duplicates == "drop" else None
    rows = read_rows(source, column, fields=fields, blocks=True)
    chunks = encode_chunks(rows, codec, jobs, prepared, chunk, texts=seen is not None)
    with closing(_show_progress(chunks, source, progress)) as shown:
        found = save_chunks(
            shown,
            codec,
            target,
            lambda: describe_source(source) | about,
            seen,
            where=str(source) if isinstance(source, str | os.PathLike) else None,
        )
    if target is not None:
        return TokenDataset.open(target)
    assert found is not None, "a data set without a folder is in memory"
    return found


def save_chunks(
    chunks: Iterable[Chunk],
    codec: "Codec",
    target: Path | None,
    describe: Callable[[], dict[str, Any]],
    seen: SeenKeys | None,
    *,
    where: str | None,
    least: int = 1,
) -> TokenDataset | None:
    """Write encoded rows into ``target`` or, where that is None, into a data set in memory.

    ``describe`` says what the source was, and ``seen`` has the keys of rows that came before and are refused. At least
    ``least`` rows have to be accepted.
    """
    tally = _Tally()
    with ExitStack() as stack:
        building = None if target is None else stack.enter_context(building_folder(target))
        writer = stack.enter_context(closing(Writer(building)))
        for encoded in chunks:
            if seen is not None:
                encoded = drop_repeated(encoded, seen)
            tally.add(encoded)
            writer.add(encoded.tokens, encoded.lengths, encoded.lines, [one.row for one in encoded.refused])
        tally.check_accepted(where, least)
        meta = {
            "kind": KIND,
            "format": FORMAT,
            "read": tally.read,
            "accepted": tally.accepted,
            "rejected": tally.rejected,
            "tokens": writer.total,
            "rules": codec.rules.size,
            "codec": codec.to_dict(),
            "fingerprint": fingerprint(codec.to_dict()),
            "atoms": _capacities(codec, tally.atoms),
            "reasons": dict(tally.reasons.most_common(20)),
            "changed": dict(tally.changed.most_common()),
            "source": describe(),
            "versions": versions(),
        }
        if target is None:
            return writer.in_memory(meta)
        writer.finish(meta)
    return None


def coverage(
    source: Source,
    codec: "Codec",
    column: str | None = None,
    jobs: int = 1,
    progress: bool = False,
    *,
    fields: Fields = "first",
    prepared: bool = False,
    chunk: int = CHUNK,
) -> Coverage:
    """Measure how many texts of a source a codec accepts, and why not others; arguments and errors as in ``encode``."""
    chunks = encode_chunks(read_rows(source, column, fields=fields, blocks=True), codec, jobs, prepared, chunk)
    tally = _Tally()
    lengths: list[npt.NDArray[np.int64]] = []
    with closing(_show_progress(chunks, source, progress)) as shown:
        for encoded in shown:
            tally.add(encoded)
            lengths.append(encoded.lengths)
    return Coverage(
        *(tally.read, tally.accepted, tally.rejected),
        tally.reasons,
        tally.unsupported,
        tally.symbol_examples,
        _summary(np.concatenate(lengths)),
        tally.changed,
        tally.changed_lines,
    )


def _summary(lengths: npt.NDArray[np.int64]) -> dict[str, float]:
    if not len(lengths):
        return {}
    median, high, higher = np.quantile(lengths, [0.5, 0.99, 0.999], method="inverted_cdf")
    return {
        "min": int(lengths.min()),
        "mean": float(lengths.mean()),
        "median": int(median),
        "99%": int(high),
        "99.9%": int(higher),
        "max": int(lengths.max()),
    }


def _capacities(codec: "Codec", bracket_atoms: Iterable[str]) -> dict[str, int]:
    """The capacities of the atoms of the texts, {} where the form does not follow valences.

    Atoms without a capacity are left out: RDKit read every row of this form, so they can only come from invalid rows
    that were passed as prepared.
    """
    from grammar_rae.codecs import FORMS

    if not FORMS[codec.form].valences:
        return {}
    from grammar_rae import chem

    return chem.capacities([*chem.ORGANIC, *bracket_atoms])


def _show_progress(chunks: Iterator[Chunk], source: Source, progress: bool) -> Generator[Chunk, None, None]:
    if not progress:
        yield from chunks
        return
    from grammar_rae.bars import bar_type

    tqdm = bar_type()

    total = len(source) if isinstance(source, Sized) and not isinstance(source, str) else None
    with tqdm(desc="encoding", total=total, unit=" texts", unit_scale=True) as bar:
        for chunk in chunks:
            yield chunk
            bar.update(chunk.read)


class _Tally:
    """Counts over the chunks, and the bracket atoms of their accepted rows."""

    def __init__(self) -> None:
        self.read = self.accepted = self.rejected = 0
        self.reasons: Counter[str] = Counter()
        self.reason_examples: dict[str, Rejected] = {}
        self.unsupported: Counter[str] = Counter()
        self.symbol_examples: dict[str, Rejected] = {}
        self.atoms: set[str] = set()
        self.changed: Counter[str] = Counter()
        self.changed_lines: dict[str, int] = {}

    def add(self, chunk: Chunk) -> None:
        self.accepted += len(chunk.lengths)
        self.rejected += len(chunk.refused)
        self.read += chunk.read
        self.atoms |= chunk.atoms
        for line, what in chunk.changed.items():
            self.changed[what] += 1
            self.changed_lines.setdefault(what, line)
        for row, kind, symbol in chunk.refused:
            self.reasons[kind] += 1
            self.reason_examples.setdefault(kind, row)
            if symbol is not None:
                self.unsupported[symbol] += 1
                self.symbol_examples.setdefault(symbol, row)

    def check_accepted(self, where: str | None, least: int) -> None:
        if self.accepted < least:
            reasons = count_reasons(self.reasons, self.reason_examples)
            raise DataError(f"none of the {self.read} rows can be encoded: {reasons}", where=where)


def count_reasons(reasons: Counter[str], examples: Mapping[str, Rejected], most: int = 3) -> str:
    """Reasons with the numbers of their rows and an example each, the most frequent first, on one line."""
    shown = []
    for reason, count in reasons.most_common(most):
        example = examples[reason]
        like = f"{shorten(example.text, 30)!r} in line {example.line}"
        shown.append(f"{shorten(reason, 70)} ({count} rows, e.g. {like})")
    others = sum(reasons.values()) - sum(count for _, count in reasons.most_common(most))
    return ", ".join(shown) + (f", and {others} rows for {len(reasons) - most} other reasons" if others else "")
