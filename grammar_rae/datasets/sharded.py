"""Data sets of many shards: each a folder as :func:`encode` writes it, and a list of them all.

Nothing here takes memory for each row but the rows that validate, so a training may read more of them than fit.
"""

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from grammar_rae.checks import check_path
from grammar_rae.datasets.duplicates import rank_keys
from grammar_rae.datasets.encoded import (
    META,
    OFFSETS,
    PADDING,
    REJECTED,
    TOKENS,
    Rejected,
    TokenDataset,
    fingerprint,
    map_rows,
    pad_tokens,
    read_meta,
    read_rejected,
)
from grammar_rae.datasets.rows import Indices, Rows, check_rows
from grammar_rae.errors import DataError, InputError
from grammar_rae.files import write_text

if TYPE_CHECKING:
    import torch

    from grammar_rae.codecs import Codec

SHARDS = "shards.json"
KIND, FORMAT = "grammar_rae data set of shards", 1
KEYS = "keys.bin"
_KEY_TYPE = np.dtype("<u8")
_DIGESTED = (META, TOKENS, OFFSETS, KEYS)
_PARTS = 16  # places of the data that a few rows come from
_OPEN = 72  # shards mapped at a time, three open files each; the order of an epoch mixes 64 blocks of rows
_REMEDY = "Restore the shard, or encode the sources again."


@dataclass(frozen=True)
class EncodedShard:
    """One shard: its place, the source of its rows by its place, counts, and the sum of its files."""

    number: int
    source: int
    read: int
    accepted: int
    rejected: int
    tokens: int
    sha256: str

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"shard-{self.number:06d}"


@dataclass
class Manifest:
    """What ``shards.json`` holds: how the rows were encoded, their sources and the finished shards.

    Attributes
    ----------
    codec
        The codec, as a dictionary.
    settings
        The rows of a shard and how texts were read.
    sources
        Name, size, sum, and whether all of its rows are encoded.
    shards
        The finished ones.
    """

    codec: dict[str, Any]
    settings: dict[str, Any]
    sources: list[dict[str, Any]] = field(default_factory=list)
    shards: list[EncodedShard] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a folder; DataError where there is none or it cannot be used."""
        path = folder / SHARDS
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["kind"] != KIND or not 1 <= int(found["format"]) <= FORMAT:
                raise ValueError("it is of another kind, or of a newer version")
            manifest = cls(
                dict(found["codec"]),
                dict(found["settings"]),
                [dict(source) for source in found["sources"]],
                [EncodedShard(**shard) for shard in found["shards"]],
            )
            if type(manifest.settings["rows"]) is not int or manifest.settings["rows"] < 1:
                raise ValueError("it does not say how many rows make a shard")
            if not all({"name", "sha256", "finished"} <= source.keys() for source in manifest.sources):
                raise ValueError("a source lacks its name or sum")
            if not all(map(manifest._is_sound, range(len(manifest.shards)))):
                raise ValueError("the counts of its shards do not add up")
        except OSError as error:
            raise DataError(f"the folder holds no data set of shards ({error.strerror})", where=str(path)) from error
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise DataError(f"the list of shards cannot be read ({error})", where=str(path)) from error
        return manifest

    def _is_sound(self, place: int) -> bool:
        shard = self.shards[place]
        counts = (shard.number, shard.source, shard.read, shard.accepted, shard.rejected, shard.tokens)
        whole = all(type(count) is int and count >= 0 for count in counts) and isinstance(shard.sha256, str)
        adds_up = shard.number == place and shard.read == shard.accepted + shard.rejected
        return whole and adds_up and shard.source < len(self.sources)

    def total(self, count: str) -> int:
        """The sum of a count over the shards."""
        return sum(getattr(shard, count) for shard in self.shards)

    def write(self, folder: Path) -> None:
        """Put it into a folder, all of it or nothing."""
        content = {
            "kind": KIND,
            "format": FORMAT,
            "settings": self.settings,
            "sources": self.sources,
            **{count: self.total(count) for count in ("read", "accepted", "rejected", "tokens")},
            "shards": [asdict(shard) for shard in self.shards],
            "codec": self.codec,
        }
        write_text(folder / SHARDS, json.dumps(content, indent=1) + "\n")


class ShardLengths:
    """The lengths of the rows of a data set of shards, which nobody holds."""

    def __init__(self, data: "ShardedDataset") -> None:
        self._data = data

    def of(self, rows: Indices) -> npt.NDArray[np.int64]:
        """The lengths (K,) of some rows."""
        wanted = self._data._to_rows(rows)
        found = np.empty(len(wanted), np.int64)
        for data, chosen, within in self._data._by_shard(wanted):
            found[chosen] = data._offsets[within + 1] - data._offsets[within]
        return found

    __getitem__ = of


class ShardedDataset:
    """N encoded texts in many shards, as a training takes them; :func:`encode_shards` writes it.

    Parameters
    ----------
    folder
        Where it lies.
    manifest
        What is in it.
    A shard is opened when one of its rows is asked for, and compared with its sum in the manifest the first time.
    """

    facts = None
    """Nothing is known of the rows besides their tokens."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self._left_out: Rows = np.zeros(0, np.int64)  # ascending numbers of rows that are not part of this view
        self._starts = np.cumsum([0, *(shard.accepted for shard in manifest.shards)])
        self._open: dict[int, TokenDataset] = {}
        self._checked: set[int] = set()

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> "ShardedDataset":
        """The data set in a folder; DataError where there is none, it holds no row, or a shard is missing."""
        folder = check_path(folder)
        manifest = Manifest.read(folder)
        if not manifest.total("accepted"):
            raise DataError("the data set of shards holds no row", where=str(folder), remedy="Encode its sources.")
        for shard in manifest.shards:
            if not (folder / shard.name).is_dir():
                raise DataError("a shard is missing", where=str(folder / shard.name), remedy=_REMEDY)
        return cls(folder, manifest)

    def __len__(self) -> int:
        return int(self._starts[-1]) - len(self._left_out)

    def __repr__(self) -> str:
        return f"<ShardedDataset: {len(self)} rows in {len(self.manifest.shards)} shards, folder {str(self.folder)!r}>"

    @property
    def lengths(self) -> ShardLengths:
        """The numbers of tokens T of rows: ``lengths.of(rows)``."""
        return ShardLengths(self)

    @property
    def codec_dict(self) -> dict[str, Any]:
        """The codec that made the tokens, as ``codecs.codec_from_dict`` takes it."""
        return self.manifest.codec

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What the ``meta.json`` of one data set says, of all shards together."""
        counts = {count: self.manifest.total(count) for count in ("read", "accepted", "rejected", "tokens")}
        codec = self.manifest.codec
        return {**counts, "codec": codec, "fingerprint": fingerprint(codec), "atoms": self.atoms, "source": {}}

    @cached_property
    def atoms(self) -> dict[str, int]:
        """As of :attr:`TokenDataset.atoms`."""
        found: dict[str, int] = {}
        for shard in self.manifest.shards:
            found |= read_meta(self.folder / shard.name, least=0).get("atoms", {})
        return found

    @property
    def n_read(self) -> int:
        """Rows of the sources, ``n_accepted + n_rejected``."""
        return self.manifest.total("read")

    @property
    def n_accepted(self) -> int:
        """Rows that were encoded."""
        return self.manifest.total("accepted")

    @property
    def n_rejected(self) -> int:
        """Rows that were refused."""
        return self.manifest.total("rejected")

    def rejected(self) -> Iterator[tuple[str, Rejected]]:
        """The rows that were not encoded, each with the name of its source."""
        for shard in self.manifest.shards:
            for row in read_rejected(self.folder / shard.name / REJECTED):
                yield str(self.manifest.sources[shard.source]["name"]), row

    def matches(self, codec: "Codec") -> bool:
        """Whether this codec made the tokens."""
        return bool(self.meta["fingerprint"] == fingerprint(codec.to_dict()))

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of the sums of the shards and of what is left out: the same for two sets that train alike."""
        digest = hashlib.sha256("".join(shard.sha256 for shard in self.manifest.shards).encode())
        digest.update(self._left_out.tobytes())
        return digest.hexdigest()

    def tokens(self, index: int) -> npt.NDArray[np.int64]:
        """The tokens of one row: (T,). Raises IndexError outside -N..N-1."""
        ((data, _, within),) = self._by_shard(self._to_rows([index]))
        return data.tokens(int(within[0]))

    def batch(self, indices: Indices) -> "torch.Tensor":
        """The tokens of B rows: int64 (B, T), padded at the end with -1, T the longest length among them."""
        import torch

        rows = self._to_rows(indices)
        found = [(chosen, pad_tokens(data._tokens, data._offsets, at)) for data, chosen, at in self._by_shard(rows)]
        table = np.full((len(rows), max((part.shape[1] for _, part in found), default=0)), PADDING, np.int64)
        for chosen, part in found:
            table[chosen, : part.shape[1]] = part
        return torch.from_numpy(table)

    def described(self) -> Any:
        """Raise DataError: nothing but their tokens is known of the rows."""
        raise DataError(
            "nothing but their tokens is known of these rows",
            where=str(self.folder),
            expected="a data set with properties",
            remedy="Encode them into one folder.",
        )

    def in_memory(self, indices: Indices) -> TokenDataset:
        """Some rows, in the order given, as a data set of their own."""
        rows = self._to_rows(indices)
        lengths, lines = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        parts = []
        for data, chosen, within in self._by_shard(rows):
            starts = data._offsets[within]
            lengths[chosen] = data._offsets[within + 1] - starts
            lines[chosen] = data._lines[within]
            parts.append((chosen, data._tokens[_places(starts, lengths[chosen])]))
            self._open.clear()  # the pages of a shard that was read through need not stay
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        tokens = np.empty(offsets[-1], np.uint16)
        for chosen, part in parts:
            tokens[_places(offsets[chosen], lengths[chosen])] = part
        meta = self.meta | {"read": len(rows), "accepted": len(rows), "rejected": 0, "tokens": len(tokens)}
        return TokenDataset(tokens, offsets, lines, meta)

    def few(self, n: int) -> TokenDataset:
        """At most n rows from places all over the data, without opening every shard."""
        if n >= len(self):
            return self.in_memory(np.arange(len(self)))
        size = max(1, n // _PARTS)
        starts = np.linspace(0, len(self) - size, max(1, n // size)).astype(np.int64)
        return self.in_memory(np.unique(starts[:, None] + np.arange(size)))

    def split(self, fraction: float, seed: int, maximum: int | None = None) -> "tuple[ShardedDataset, TokenDataset]":
        """Disjoint sets for training and, in memory, for validation; together they are the whole.

        About ``fraction`` of the rows, and about ``maximum`` at most, validate. Which ones depends on each row's tokens
        and the seed alone, so all rows of one molecule go together, wherever they are. Raises DataError where all are
        the same.
        """
        share = fraction if maximum is None else min(fraction, maximum / len(self))
        bound = np.uint64(int(share * 2**64))
        chosen = self._rows_below(bound, seed)
        if not len(chosen):  # of a few rows: those that come first
            chosen = self._rows_below(min(int(ranks.min()) for _, ranks in self._ranks(seed)) + 1, seed)
        if len(chosen) == len(self):
            raise DataError(
                "all rows are the same: there is nothing to validate on",
                received=f"{len(self)} rows of one molecule or text",
                expected="two different ones or more",
            )
        return self._without(chosen), self.in_memory(chosen)

    def _without(self, rows: Rows) -> "ShardedDataset":
        """A view without some rows, which shares what was opened and compared."""
        found = copy.copy(self)
        found._left_out = rows
        vars(found).pop("fingerprint", None)
        return found

    def contains(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which of the keys of other rows are those of a row here: bool (K,)."""
        found = np.zeros(len(keys), dtype=bool)
        for shard in self.manifest.shards:
            found |= np.isin(keys, read_keys(self.folder, shard))
        return found

    def _rows_below(self, bound: "np.uint64 | int", seed: int) -> Rows:
        if len(self._left_out):
            raise InputError("a part of a data set of shards is not split again")
        return np.concatenate([first + np.flatnonzero(ranks < np.uint64(bound)) for first, ranks in self._ranks(seed)])

    def _ranks(self, seed: int) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
        """Of each shard its first row, and a number for each row that the seed and its tokens decide."""
        for first, shard in zip(self._starts[:-1].tolist(), self.manifest.shards, strict=True):
            if shard.accepted:
                yield first, rank_keys(read_keys(self.folder, shard), seed)

    def _to_rows(self, indices: Indices) -> Rows:
        """Numbers among all rows, those included that are left out."""
        rows = check_rows(indices, len(self))
        if not len(self._left_out):
            return rows
        # So many rows that stay lie before each that is left out.
        before = self._left_out - np.arange(len(self._left_out))
        return rows + np.searchsorted(before, rows, side="right")

    def _by_shard(self, rows: Rows) -> Iterator[tuple[TokenDataset, Rows, Rows]]:
        """For each shard that has some of the rows: its data, which of the rows, and their numbers in it."""
        owners = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(owners).tolist():
            chosen = np.flatnonzero(owners == number)
            yield self._shard(number), chosen, rows[chosen] - self._starts[number]

    def _shard(self, number: int) -> TokenDataset:
        """The rows of a shard, which is compared with its sum the first time; the one used least lately is let go."""
        shard = self.manifest.shards[number]
        if number not in self._checked:
            self._check(shard)
            self._checked.add(number)
        found = self._open.pop(number, None)
        if found is None:
            arrays = map_rows(self.folder / shard.name, shard.accepted, shard.tokens)
            found = TokenDataset(*arrays, self.meta)
        self._open[number] = found
        if len(self._open) > _OPEN:
            del self._open[next(iter(self._open))]
        return found

    def _check(self, shard: EncodedShard) -> None:
        folder = self.folder / shard.name
        if digest_shard(folder) != shard.sha256:
            raise DataError(
                "a shard was changed after it was encoded (its sha256 differs)", where=str(folder), remedy=_REMEDY
            )
        if TokenDataset.open(folder).meta["fingerprint"] != self.meta["fingerprint"]:
            raise DataError("a shard was encoded by another codec", where=str(folder), remedy=_REMEDY)


def _places(starts: Rows, lengths: Rows) -> Rows:
    """The places of the tokens of rows that start here and there, one row after the other."""
    return np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())


def open_data(folder: str | PathLike[str]) -> TokenDataset | ShardedDataset:
    """The encoded data set in a folder, of one part or of many; errors as of both."""
    path = check_path(folder)
    return ShardedDataset.open(path) if (path / SHARDS).is_file() else TokenDataset.open(path)


def read_keys(folder: Path, shard: EncodedShard) -> npt.NDArray[np.uint64]:
    """The key of each row of a shard."""
    path = folder / shard.name / KEYS
    try:
        keys = np.fromfile(path, _KEY_TYPE)
    except OSError as error:
        raise DataError(f"the keys of a shard cannot be read ({error.strerror})", where=str(path)) from error
    if len(keys) != shard.accepted:
        raise DataError("the keys of a shard do not fit its rows", where=str(path), remedy=_REMEDY)
    return keys.astype(np.uint64, copy=False)


def write_keys(folder: Path, keys: npt.NDArray[np.uint64]) -> None:
    """Put the keys of a shard's rows beside them."""
    keys.astype(_KEY_TYPE).tofile(folder / KEYS)


def digest_shard(folder: Path) -> str:
    """The sha256 of the files of a shard that training reads."""
    digest = hashlib.sha256()
    for name in _DIGESTED:
        try:
            with (folder / name).open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise DataError(f"a file of a shard cannot be read ({error.strerror})", where=str(folder / name)) from error
    return digest.hexdigest()
