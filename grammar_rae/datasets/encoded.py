"""The encoded data set: flat tokens, offsets and a description, in a memory-mapped folder or in memory."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import numpy as np
import numpy.typing as npt

from grammar_rae.checks import check_path
from grammar_rae.datasets.duplicates import row_keys
from grammar_rae.datasets.rows import Indices, Rows, check_rows, split_rows
from grammar_rae.errors import DataError, InputError
from grammar_rae.facts import Described, Facts

if TYPE_CHECKING:  # torch takes seconds to import, and the worker processes that encode have no use for it
    import torch

    from grammar_rae.codecs import Codec

FORMAT = 1
KIND = "grammar_rae encoded data set"
META, TOKENS, OFFSETS, LINES, REJECTED = "meta.json", "tokens.bin", "offsets.bin", "lines.bin", "rejected.csv"
REJECTED_COLUMNS = ("line", "text", "reason", "position")
TOKEN_TYPE, OFFSET_TYPE = np.dtype("<u2"), np.dtype("<i8")
PADDING = -1
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


class Rejected(NamedTuple):
    """A row that was not encoded: its line (from 1), its text, why, and the offending character's index, if known.

    The index counts from 0. Where RDKit rewrote the text before it was refused, there is none: the reason quotes what
    RDKit wrote.
    """

    line: int
    text: str
    reason: str
    position: int | None = None


def fingerprint(codec_dict: dict[str, Any]) -> str:
    """The sha256 of a codec's description; equal for equal codecs, in whatever order the keys stand."""
    text = json.dumps(codec_dict, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def pad_tokens(
    tokens: npt.NDArray[np.uint16], offsets: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Some rows of tokens that lie end to end: int64 (B, T), padded at the end with -1, T the longest length."""
    starts = offsets[rows]
    lengths = offsets[rows + 1] - starts
    steps = np.arange(lengths.max(initial=0))
    present = steps < lengths[:, None]
    table = np.full(present.shape, PADDING, dtype=np.int64)
    table[present] = tokens[(starts[:, None] + steps)[present]]
    return table


class TokenDataset:
    """N encoded texts of different lengths, or a view of some of them. ``encode`` and ``open`` make it.

    A row's tokens are integers below R, the number of the codec's rules. Opened from a folder, the tokens stay on disk
    and are mapped into memory, so that the set may be larger than the memory; views share them.

    Attributes
    ----------
    folder
        Where the data set lies, or None where it is in memory.
    meta
        What ``meta.json`` holds: codec, counts, source, versions. It describes the whole set, in a view too.
    facts
        What is known of the rows of the whole set besides their tokens, or None.
    """

    def __init__(
        self,
        tokens: npt.NDArray[np.uint16],
        offsets: npt.NDArray[np.int64],
        lines: npt.NDArray[np.int64],
        meta: dict[str, Any],
        rejected: str | None = None,
        folder: Path | None = None,
        rows: npt.NDArray[np.int64] | None = None,
        facts: Facts | None = None,
    ) -> None:
        self._tokens, self._offsets, self._lines = tokens, offsets, lines
        self._rejected, self._rows = rejected, rows
        self.meta, self.folder, self.facts = meta, folder, facts

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> "TokenDataset":
        """The data set that ``encode`` wrote into a folder. Needs neither RDKit nor a grammar.

        Raises DataError if the folder is not an encoded data set, has a newer format, or is damaged.
        """
        folder = check_path(folder)
        meta = read_meta(folder)
        tokens, offsets, lines = map_rows(folder, meta["accepted"], meta["tokens"])
        if not (folder / REJECTED).is_file():
            raise _damaged(folder / REJECTED, "the file is missing")
        if offsets[0] != 0 or offsets[-1] != len(tokens) or (np.diff(offsets) < 0).any():
            raise _damaged(folder / OFFSETS, "the offsets do not fit the tokens")
        if len(tokens) and tokens.max() >= meta["rules"]:
            raise _damaged(
                folder / TOKENS, "a token is too large for the codec", f"{tokens.max()}", f"< {meta['rules']}"
            )
        about = meta.get("facts")
        facts = None if about is None else Facts.read(folder, about, meta["accepted"])
        return cls(tokens, offsets, lines, meta, folder=folder, facts=facts)

    def __len__(self) -> int:
        return len(self.lengths)

    def __repr__(self) -> str:
        place = f"folder {str(self.folder)!r}" if self.folder else "in memory"
        return f"<TokenDataset: {len(self)} rows, {place}>"

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of tokens T of every row: (N,)."""
        every = np.diff(self._offsets)
        return every if self._rows is None else every[self._rows]

    @cached_property
    def lines(self) -> npt.NDArray[np.int64]:
        """The line of the source, from 1, that every row comes from: (N,)."""
        return np.asarray(self._lines if self._rows is None else self._lines[self._rows])

    @property
    def codec_dict(self) -> dict[str, Any]:
        """The codec that made the tokens, as ``codecs.codec_from_dict`` takes it."""
        described: dict[str, Any] = self.meta["codec"]
        return described

    @property
    def atoms(self) -> dict[str, int]:
        """The atoms that its molecules are written with -> the largest sum of bond orders that each takes.

        These are the organic subset and every bracket atom of the accepted rows, as of ``chem.capacities``. {} where
        the codec's form is not the Kekulé form, or the data set was written before they were collected.
        """
        return dict(self.meta.get("atoms", {}))

    @property
    def n_read(self) -> int:
        """Rows of the source, ``n_accepted + n_rejected``."""
        return int(self.meta["read"])

    @property
    def n_accepted(self) -> int:
        """Rows that were encoded."""
        return int(self.meta["accepted"])

    @property
    def n_rejected(self) -> int:
        """Rows that were refused."""
        return int(self.meta["rejected"])

    @property
    def changed(self) -> dict[str, int]:
        """What RDKit changed in accepted rows besides their spelling -> number of rows; {} where it was not counted."""
        return dict(self.meta.get("changed", {}))

    @property
    def rejected(self) -> list[Rejected]:
        """The rows of the source that were not encoded, in their order there. Read anew at every access."""
        if self._rejected is not None:
            return list(_parse_rejected(io.StringIO(self._rejected, newline="")))
        if self.folder is None:
            return []
        return list(read_rejected(self.folder / REJECTED))

    @cached_property
    def keys(self) -> npt.NDArray[np.uint64]:
        """A 64-bit key of every row: (N,). Rows of the same molecule, or text, have the same."""
        every = row_keys(self._tokens, self._offsets)
        return every if self._rows is None else every[self._rows]

    @cached_property
    def n_duplicates(self) -> int:
        """Rows that are the same molecule, or text, as an earlier one."""
        return len(self) - len(np.unique(self.keys))

    def without_duplicates(self) -> "TokenDataset":
        """A view of the first row of every molecule, or text; the set itself where no row repeats another."""
        if not self.n_duplicates:
            return self
        return self.subset(np.sort(np.unique(self.keys, return_index=True)[1]))

    def matches(self, codec: "Codec") -> bool:
        """Whether this codec made the tokens."""
        return bool(self.meta["fingerprint"] == fingerprint(codec.to_dict()))

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of the codec and of every row's tokens: the same for two sets that train alike."""
        digest = hashlib.sha256(self.meta["fingerprint"].encode())
        parts = [self._offsets, self._tokens, np.zeros(0, np.int64) if self._rows is None else self._rows]
        if self.facts is not None:
            parts += [self.facts.properties, self.facts.bits, self.facts.reordered]
        for part in parts:
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def tokens(self, index: int) -> npt.NDArray[np.int64]:
        """The tokens of one row: (T,). Raises IndexError outside -N..N-1."""
        row = range(len(self))[index] if self._rows is None else self._rows[index]
        return self._tokens[self._offsets[row] : self._offsets[row + 1]].astype(np.int64)

    def batch(self, indices: Indices) -> "torch.Tensor":
        """The tokens of B rows: int64 (B, T), padded at the end with -1, T the longest length among them.

        ``indices`` are integers, or N booleans. Raises IndexError outside -N..N-1.
        """
        import torch

        return torch.from_numpy(pad_tokens(self._tokens, self._offsets, self._to_rows(indices)))

    def described(self) -> "DescribedRows":
        """The same rows for a training that also uses what is known of them; DataError where nothing is."""
        return DescribedRows(self)

    def with_facts(self, facts: Facts) -> "TokenDataset":
        """The same rows with what is known of them; InputError where the facts are of another number of rows."""
        if len(facts.properties) != len(self):
            raise InputError(
                "facts need one row for each row of the data", received=len(facts.properties), expected=len(self)
            )
        if self._rows is not None:
            facts = facts.spread(self._rows, self.n_accepted)
        return TokenDataset(
            self._tokens, self._offsets, self._lines, self.meta, self._rejected, self.folder, self._rows, facts
        )

    def subset(self, indices: Indices) -> "TokenDataset":
        """A view of some rows, in the order given; ``indices`` as for ``batch``."""
        return TokenDataset(
            self._tokens,
            self._offsets,
            self._lines,
            self.meta,
            self._rejected,
            self.folder,
            self._to_rows(indices),
            self.facts,
        )

    def split(self, fraction: float, seed: int, maximum: int | None = None) -> "tuple[TokenDataset, TokenDataset]":
        """Disjoint views for training and validation; together they are the whole.

        ``fraction`` of the rows, about, at least one and at most ``maximum``, go into the second. All rows of one
        molecule go together, so that none is in both. Which ones depends only on the rows and the seed. Raises
        InputError for a fraction outside (0, 1), DataError for fewer than two different rows.
        """
        training, validation = split_rows(len(self), fraction, seed, maximum, self.keys)
        return self.subset(training), self.subset(validation)

    def _to_rows(self, indices: Indices) -> Rows:
        rows = check_rows(indices, len(self))
        return rows if self._rows is None else self._rows[rows]


class DescribedRows:
    """A data set whose batches tell what is known of their rows, as a training takes it: see :class:`Described`."""

    def __init__(self, data: TokenDataset) -> None:
        if data.facts is None:
            raise DataError(
                "nothing but their tokens is known of these rows",
                where=None if data.folder is None else str(data.folder),
                expected="a data set with properties",
                remedy="Add them with datasets.add_facts.",
            )
        self.data = data
        self.facts = data.facts
        self.lengths = data.lengths
        self.fingerprint = data.fingerprint

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, indices: Indices) -> Described:
        """The tokens of B rows, as of :meth:`TokenDataset.batch`, and what is known of them."""
        return self.facts.batch(self.data.batch(indices), self.data._to_rows(indices))


def read_meta(folder: Path, least: int = 1) -> dict[str, Any]:
    """The checked ``meta.json`` of an encoded data set; DataError where there is none or it cannot be used.

    A shard of a larger set may have fewer accepted rows than one: ``least``.
    """
    path = folder / META
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(
            "not an encoded data set" if folder.is_dir() else "there is no such folder",
            where=str(folder),
            expected=f"a folder with {META}",
            remedy="Encode the texts first.",
        ) from error
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
    except ValueError as error:
        raise _damaged(path, "the file is not JSON") from error
    if not isinstance(meta, dict) or meta.get("kind") != KIND:
        raise DataError("not an encoded data set", where=str(path), expected=f'"kind": "{KIND}"')
    version = meta.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise DataError(
            "the encoded data set comes from a newer version of this package",
            where=str(path),
            received=f"format {version}",
            expected=f"format {FORMAT} or older",
            remedy="Install a newer grammar_rae, or encode the texts again.",
        )
    counts = [meta.get(name) for name in ("format", "read", "accepted", "rejected", "tokens", "rules")]
    sound = all(type(count) is int and count >= 0 for count in counts) and isinstance(meta.get("codec"), dict)
    sound = sound and _are_capacities(meta.get("atoms", {}))
    if not sound or meta["read"] != meta["accepted"] + meta["rejected"] or meta["accepted"] < least:
        raise _damaged(path, "counts, codec or atoms are missing or do not add up")
    if meta.get("fingerprint") != fingerprint(meta["codec"]):
        raise _damaged(path, "the codec is not the one that was written")
    return meta


def add_facts(folder: Path, facts: Facts) -> None:
    """Put facts beside the tokens of an encoded data set in a folder; its description is replaced last.

    Raises
    ------
    InputError
        When they are not of as many rows as the data set has.
    DataError
        When the folder holds no encoded data set.
    """
    meta = read_meta(folder)
    if len(facts.properties) != meta["accepted"]:
        raise InputError(
            "facts need one row for each row of the data", received=len(facts.properties), expected=meta["accepted"]
        )
    meta["facts"] = facts.write(folder)
    part = folder / f".{META}.part"
    part.write_text(json.dumps(meta), encoding="utf-8")
    part.replace(folder / META)


def _are_capacities(atoms: object) -> bool:
    return isinstance(atoms, dict) and all(type(most) is int and most >= 0 for most in atoms.values())


def map_rows(
    folder: Path, accepted: int, tokens: int
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Tokens, offsets and lines of an encoded data set, mapped into memory; DataError where a size is another."""
    return (
        _mapped(folder / TOKENS, TOKEN_TYPE, tokens),
        _mapped(folder / OFFSETS, OFFSET_TYPE, accepted + 1),
        _mapped(folder / LINES, OFFSET_TYPE, accepted),
    )


def _mapped(path: Path, kind: np.dtype[Any], count: int) -> npt.NDArray[Any]:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _damaged(path, "the file is missing") from error
    if size != count * kind.itemsize:
        raise _damaged(path, "the file has the wrong size", f"{size} bytes", f"{count * kind.itemsize}")
    # An empty file cannot be mapped.
    return np.memmap(path, dtype=kind, mode="r") if count else np.empty(0, dtype=kind)


def _damaged(path: Path, message: str, received: str | None = None, expected: str | None = None) -> DataError:
    return DataError(
        f"the encoded data set is damaged: {message}",
        where=str(path),
        received=received,
        expected=expected,
        remedy="Encode the texts again.",
    )


def protect(text: str) -> str:
    """A rejected text as its list holds it: with a quote before what a spreadsheet would take for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def read_rejected(path: Path) -> Iterator[Rejected]:
    """The rows of a list of those that were not encoded."""
    with path.open(encoding="utf-8", newline="") as stream:
        yield from _parse_rejected(stream)


def _parse_rejected(stream: TextIO) -> Iterator[Rejected]:
    reader = csv.reader(stream)
    next(reader)
    for line, text, reason, position in reader:
        text = text[1:] if text.startswith("'") and _FORMULA.match(text) else text
        yield Rejected(int(line), text, reason, int(position) if position else None)
