"""Writing an encoded data set: all of it or nothing."""

import csv
import io
import json
import os
import platform
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import file_digest
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from grammar_rae.datasets.encoded import (
    LINES,
    META,
    OFFSET_TYPE,
    OFFSETS,
    REJECTED,
    REJECTED_COLUMNS,
    TOKEN_TYPE,
    TOKENS,
    Rejected,
    TokenDataset,
    protect,
    read_meta,
)
from grammar_rae.errors import DataError
from grammar_rae.files import explain_write_errors, is_special, keep_owner

_LONGEST_REJECTED_TEXT = 10_000


class Writer:
    """Appends encoded rows to the files of a folder, or to the same files in memory."""

    def __init__(self, folder: Path | None) -> None:
        self.total = 0
        self._folder = folder
        self._files: dict[str, IO[bytes]] = {}
        for name in (TOKENS, OFFSETS, LINES, REJECTED):
            self._files[name] = io.BytesIO() if folder is None else (folder / name).open("wb")
        # A text from a list may hold half a surrogate pair, which is no UTF-8.
        self._rejected = io.TextIOWrapper(self._files[REJECTED], "utf-8", errors="backslashreplace", newline="")
        self._table = csv.writer(self._rejected)
        self._table.writerow(REJECTED_COLUMNS)
        self._files[OFFSETS].write(np.zeros(1, OFFSET_TYPE).tobytes())

    def add(
        self,
        tokens: npt.NDArray[np.uint16],
        lengths: npt.NDArray[np.int64],
        lines: npt.NDArray[np.int64],
        rejected: Iterable[Rejected],
    ) -> None:
        """Append K rows: tokens one after another (sum of T,), lengths T (K,), lines (K,); and the rows not encoded."""
        ends = self.total + np.cumsum(lengths)
        self.total += len(tokens)
        self._files[TOKENS].write(tokens.astype(TOKEN_TYPE).tobytes())
        self._files[OFFSETS].write(ends.astype(OFFSET_TYPE).tobytes())
        self._files[LINES].write(lines.astype(OFFSET_TYPE).tobytes())
        for row in rejected:
            self._table.writerow(row._replace(text=protect(row.text[:_LONGEST_REJECTED_TEXT])))

    def finish(self, meta: dict[str, Any]) -> None:
        """Write the description into the folder, last of all."""
        assert self._folder is not None, "there is no folder to write into"
        (self._folder / META).write_text(json.dumps(meta), encoding="utf-8")

    def in_memory(self, meta: dict[str, Any]) -> TokenDataset:
        """The data set that was written into memory."""
        self._rejected.flush()
        contents = {name: file.getvalue() for name, file in self._files.items() if isinstance(file, io.BytesIO)}
        return TokenDataset(
            np.frombuffer(contents[TOKENS], TOKEN_TYPE),
            np.frombuffer(contents[OFFSETS], OFFSET_TYPE),
            np.frombuffer(contents[LINES], OFFSET_TYPE),
            meta,
            rejected=contents[REJECTED].decode("utf-8"),
        )

    def close(self) -> None:
        """Close the files."""
        self._rejected.close()
        for file in self._files.values():
            file.close()


def check_replaceable(target: Path) -> None:
    """Refuse, before any work, to write over anything but an encoded data set or an empty folder (DataError)."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        read_meta(target)
    except DataError as error:
        raise DataError(
            "something else is where the encoded data set should go",
            where=str(target),
            expected="a new folder, an empty one, or an encoded data set to replace",
        ) from error


@contextmanager
def building_folder(target: Path) -> Iterator[Path]:
    """A new folder beside the target, which takes its place at the end and vanishes on any error or Ctrl-C.

    Raises DataError for what the file system refuses, a full disk for instance.
    """
    target = Path(os.path.realpath(target))  # a link stays, and what it points to is replaced
    building = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    remedy = "Look at the free space and the permissions there."
    try:
        with explain_write_errors("the encoded data set", where=str(target), remedy=remedy):
            building.mkdir(parents=True)
            yield building
            _put_in_place(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _put_in_place(building: Path, target: Path) -> None:
    if not target.exists():
        building.rename(target)
        return
    keep_owner(building, target.stat())
    old = building.with_suffix(".old")
    target.rename(old)
    try:
        building.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def describe_source(source: object) -> dict[str, Any]:
    """Name, size and sha256 of a file; the type's name of anything else."""
    if not isinstance(source, str | os.PathLike):
        return {"name": type(source).__name__}
    path = Path(source)
    if is_special(path):
        return {"name": path.name}  # what a FIFO held is gone
    with path.open("rb") as stream:
        return {"name": path.name, "bytes": path.stat().st_size, "sha256": file_digest(stream, "sha256").hexdigest()}


def comes_from(data: TokenDataset, source: str | os.PathLike[str]) -> bool:
    """Whether this file, as it is now, is what a data set was encoded from."""
    path = Path(source)
    return path.is_file() and describe_source(path)["sha256"] == data.meta["source"].get("sha256")


def versions() -> dict[str, str]:
    """Versions that may change what a text is encoded to. Imports none of these packages."""
    found = {"python": platform.python_version()}
    for package in ("grammar_rae", "numpy", "rdkit"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
