"""Encode many sources as a data set of many shards, append to it, and go on after a kill."""

import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grammar_rae.checks import check_count, check_path
from grammar_rae.datasets.chunks import CHUNK, Chunk, encode_chunks
from grammar_rae.datasets.duplicates import Duplicates, SeenKeys, check_duplicates
from grammar_rae.datasets.encoded import TokenDataset, fingerprint, read_meta
from grammar_rae.datasets.encoding import save_chunks
from grammar_rae.datasets.reading import Fields, read_rows
from grammar_rae.datasets.sharded import (
    SHARDS,
    EncodedShard,
    Manifest,
    ShardedDataset,
    digest_shard,
    read_keys,
    write_keys,
)
from grammar_rae.datasets.writing import describe_source
from grammar_rae.errors import DataError, InputError
from grammar_rae.files import explain_write_errors
from grammar_rae.formats import FORMATS, TABLES, TEXTS
from grammar_rae.locks import FolderLock

if TYPE_CHECKING:
    from grammar_rae.codecs import Codec

ROWS = 1_000_000
"""Rows of a shard: some 80 MB, and two and a half minutes of one core."""

Sources = str | PathLike[str] | Iterable[str | PathLike[str]]


def find_sources(sources: Sources) -> list[Path]:
    """The files that sources name, in order: files, folders (all files of texts in them, at any depth) and globs.

    Raises
    ------
    DataError
        For a glob or folder without a file, or a file that is not there.
    InputError
        When a file is named twice.
    """
    named = [sources] if isinstance(sources, str | PathLike) else list(sources)
    found = [path for one in named for path in _expand(check_path(one))]
    real = [os.path.realpath(path) for path in found]
    if twice := [path for place, path in enumerate(real) if path in real[:place]]:
        raise InputError("a source is named twice", received=twice[0])
    return found


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        every = sorted(one for one in path.rglob("*") if one.is_file() and not one.name.startswith((".", "_")))
        found = [one for one in every if one.name.lower().endswith((*TABLES, *TEXTS))]
    elif path.exists() or not glob.has_magic(str(path)):
        found = [path]
    else:
        found = sorted(Path(one) for one in glob.glob(str(path), recursive=True))
    if not found:
        raise DataError("no file of texts is there", where=str(path), expected="one of " + ", ".join(FORMATS))
    return found


@dataclass(frozen=True)
class _Reading:
    """How all sources are read and encoded."""

    codec: "Codec"
    folder: Path
    rows: int
    column: str | None
    fields: Fields
    prepared: bool
    jobs: int
    chunk: int
    seen: SeenKeys | None


def encode_shards(
    sources: Sources,
    codec: "Codec",
    folder: str | PathLike[str],
    *,
    rows: int | None = None,
    column: str | None = None,
    fields: Fields = "first",
    prepared: bool = False,
    duplicates: Duplicates = "keep",
    jobs: int = 1,
    progress: bool = False,
    chunk: int = CHUNK,
) -> ShardedDataset:
    """Encode files as a data set of many shards; what a former call has encoded there is kept.

    So the same call goes on after a kill, which loses the shard at hand, and a call with more sources appends: a source
    whose bytes were encoded already is passed over. Memory is constant in the number of rows.

    Parameters
    ----------
    sources
        A file, a folder, a glob such as ``"tranches/*.smi.gz"``, or several of these: see :func:`find_sources`.
    codec, column, fields, prepared, jobs, chunk
        As for :func:`encode`.
    folder
        A new folder, an empty one, or one that this function wrote.
    rows
        Rows of a source that make a shard; None for those of the folder, or a million.
    duplicates
        As for :func:`encode`, over all shards; ``"drop"`` takes 8 bytes for each different row.
    progress
        Whether to show a progress bar.

    Raises
    ------
    DataError
        For sources that cannot be read, or of which no row is accepted; a folder that holds something else, or shards
        of another codec or settings; one that was begun with a source that is not named now; or a full disk. Shards
        that are finished stay.
    InputError
        For settings that cannot be used.
    """
    from grammar_rae.bars import bar_type

    tqdm = bar_type()

    check_duplicates(duplicates)
    paths = find_sources(sources)
    target = check_path(folder)
    with explain_write_errors("the encoded data set", where=str(target), remedy="Look at the free space there."):
        target.mkdir(parents=True, exist_ok=True)
        with FolderLock(target, "an encoding"):
            manifest = _open_manifest(target, codec, rows, column, fields, prepared, duplicates)
            described = [describe_source(path) for path in paths]
            _check_sources(manifest, described, target)
            manifest.write(target)  # so that whoever goes on knows the settings
            size, seen = int(manifest.settings["rows"]), _seen_keys(manifest, target)
            how = _Reading(codec, target, size, column, fields, prepared, jobs, chunk, seen)
            read = manifest.total("read")
            with tqdm(desc="encoding", initial=read, unit=" texts", unit_scale=True, disable=not progress) as bar:
                for path, source in zip(paths, described, strict=True):
                    for shard in _encode_source(path, source, manifest, how):
                        bar.update(shard.read)
    if not manifest.total("accepted"):
        raise DataError(f"none of the {manifest.total('read')} rows can be encoded", where=str(target))
    return ShardedDataset.open(target)


def _open_manifest(
    target: Path,
    codec: "Codec",
    rows: int | None,
    column: str | None,
    fields: Fields,
    prepared: bool,
    duplicates: Duplicates,
) -> Manifest:
    begun = (target / SHARDS).exists()
    if not begun and any(not entry.name.startswith(".") for entry in target.iterdir()):
        raise DataError(
            "something else is where the encoded data set should go",
            where=str(target),
            expected="a new folder, an empty one, or a data set of shards to go on with",
        )
    found = Manifest.read(target) if begun else None
    if rows is None:
        rows = ROWS if found is None else int(found.settings["rows"])
    settings: dict[str, Any] = {"rows": check_count("rows", rows), "column": column, "fields": fields}
    settings |= {"prepared": prepared, "duplicates": duplicates}
    if found is None:
        return Manifest(codec.to_dict(), settings)
    if fingerprint(found.codec) != fingerprint(codec.to_dict()):
        raise DataError("the shards there were encoded by another codec", where=str(target), remedy="Use that codec.")
    for name, value in settings.items():
        if found.settings.get(name) != value:
            raise DataError(
                f"the shards there were encoded with another choice of {name}",
                where=str(target),
                received=repr(value),
                expected=repr(found.settings.get(name)),
            )
    return found


def _check_sources(manifest: Manifest, described: list[dict[str, Any]], target: Path) -> None:
    sums = [source.get("sha256") for source in described]
    for source, digest in zip(described, sums, strict=True):
        if digest is None:
            raise InputError("a source of shards is a file, which can be read again", received=source["name"])
        if sums.count(digest) > 1:
            raise InputError("two sources have the same content", received=source["name"])
    for source in manifest.sources:
        if not source["finished"] and source["sha256"] not in sums:
            raise DataError(
                "the encoding of a source was begun, and that source is not named now, or it has changed",
                where=str(target),
                received=str(source["name"]),
                remedy="Name it again as it was, or encode into another folder.",
            )


def _seen_keys(manifest: Manifest, target: Path) -> SeenKeys | None:
    if manifest.settings["duplicates"] != "drop":
        return None
    seen = SeenKeys()
    for shard in manifest.shards:
        if shard.accepted:
            seen.add(read_keys(target, shard))
    return seen


def _encode_source(path: Path, source: dict[str, Any], manifest: Manifest, how: _Reading) -> Iterator[EncodedShard]:
    """The shards of a source that are still missing."""
    sums = [known["sha256"] for known in manifest.sources]
    if source["sha256"] not in sums:
        manifest.sources.append(source | {"finished": False})
    place = sums.index(source["sha256"]) if source["sha256"] in sums else len(sums)
    if manifest.sources[place]["finished"]:
        return
    rows = read_rows(path, how.column, fields=how.fields, blocks=True)
    done = sum(shard.read for shard in manifest.shards if shard.source == place)
    next(islice(rows, done, done), None)  # read, but not encoded again
    # One stream for all shards: workers need not wait for the end of one.
    with closing(
        encode_chunks(rows, how.codec, how.jobs, how.prepared, how.chunk, how.seen is not None, how.rows)
    ) as chunks:
        for first in chunks:
            yield _save_shard(_take(first, chunks, how.rows), path, place, manifest, how)
    manifest.sources[place]["finished"] = True
    manifest.write(how.folder)


def _take(first: Chunk, others: Iterator[Chunk], rows: int) -> Iterator[Chunk]:
    """Chunks with so many rows together, or what is left."""
    chunk: Chunk | None = first
    while chunk is not None:
        yield chunk
        rows -= chunk.read
        chunk = next(others, None) if rows else None


def _save_shard(chunks: Iterator[Chunk], path: Path, place: int, manifest: Manifest, how: _Reading) -> EncodedShard:
    number = len(manifest.shards)
    draft = EncodedShard(number, place, 0, 0, 0, 0, "")
    folder = how.folder / draft.name
    source = {name: value for name, value in manifest.sources[place].items() if name != "finished"}
    about = {"column": how.column, "fields": how.fields}
    save_chunks(chunks, how.codec, folder, lambda: source | about, how.seen, where=str(path), least=0)
    meta = read_meta(folder, least=0)
    write_keys(folder, TokenDataset.open(folder).keys if meta["accepted"] else np.zeros(0, np.uint64))
    counts = {name: int(meta[name]) for name in ("read", "accepted", "rejected", "tokens")}
    shard = EncodedShard(number, place, **counts, sha256=digest_shard(folder))
    manifest.shards.append(shard)
    manifest.write(how.folder)
    return shard
