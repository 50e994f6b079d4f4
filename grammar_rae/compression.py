"""Compressed files: one table of what is unpacked and packed, in a stream, by the content and not by the name.

Nothing that a compressed file says of its sizes is believed: bytes are counted as they come out.
"""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from grammar_rae.errors import DataError, MissingExtraError

LARGEST_RATIO = 250
"""How many times its own size a file may unpack to: tables of molecules reach 20."""

FREE_BYTES = 2**26
"""The bytes that a file may unpack to in any case."""

_MEMORY = 2**28  # bytes that unpacking may take
_PIECE = 1024  # bytes that are unpacked at once: they may become thousands of times as many
_WINDOW = 2**27  # bytes that a Zstandard frame may look back


class Compression(NamedTuple):
    """How files of one kind are told, unpacked and packed.

    ``magic`` is how they begin; ``unpack(stream)`` is a stream of what is inside; what ``pack(stream, name)`` is given
    is written into the stream, the same for the same bytes: ``name`` is what a member is called.
    """

    magic: bytes
    unpack: Callable[[IO[bytes]], IO[bytes]]
    pack: Callable[[IO[bytes], str], AbstractContextManager[Any]]


def split_compression(name: str) -> tuple[str, str]:
    """A file's name in lower case without the suffix of its compression, and that suffix or "".

    >>> split_compression("Molecules.SDF.gz")
    ('molecules.sdf', '.gz')
    """
    name = name.lower()
    found = next((suffix for suffix in COMPRESSIONS if name.endswith(suffix)), "")
    return name.removesuffix(found), found


@contextmanager
def unpacking(path: Path, raw: io.BufferedReader) -> Iterator[IO[bytes]]:
    """What is in a file, unpacked if it is compressed; the content decides, not the name.

    Browsers unzip a download and keep its name.

    Raises
    ------
    DataError
        While it is read: for a damaged file, or one that unpacks to far more than it holds.
    MissingExtraError
        For Zstandard without its package.
    """
    start = raw.peek(6)
    kind = next((kind for kind in COMPRESSIONS.values() if start.startswith(kind.magic)), None)
    try:
        if kind is None:
            yield raw
            return
        status = os.fstat(raw.fileno())
        most = max(FREE_BYTES, LARGEST_RATIO * status.st_size) if stat.S_ISREG(status.st_mode) else 2**63
        with kind.unpack(raw) as inside:
            yield io.BufferedReader(_Counted(inside, most), 2**16)
    except DataError as error:
        error.where = error.where or str(path)
        raise
    except _DAMAGED as error:
        name = "gzip" if kind is COMPRESSIONS[".gz"] else "compressed"
        raise DataError(
            f"the {name} file ends too early or is damaged ({error})", where=str(path), remedy="Download it again."
        ) from error
    except OSError as error:
        damaged = kind is not None and error.errno is None  # bz2 says so of bad data
        raise DataError(
            f"the compressed file ends too early or is damaged ({error})"
            if damaged
            else f"the file cannot be read ({error.strerror or error})",
            where=str(path),
        ) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("zstandard", "backend_c"):
            raise DataError(f"the compressed file ends too early or is damaged ({error})", where=str(path)) from error
        raise


_DAMAGED = (
    *(EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile),
    *(NotImplementedError, struct.error),
)


class _Counted(io.RawIOBase):
    """A stream that refuses to give more than ``most`` bytes."""

    def __init__(self, inside: IO[bytes], most: int) -> None:
        self._inside, self._left, self._most = inside, most, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._inside.read(len(buffer))
        self._left -= len(block)
        if self._left < 0:
            raise DataError(
                "the compressed file unpacks to far more than it holds",
                received=f"more than {self._most:,} bytes",
                expected=f"at most {LARGEST_RATIO} times its size",
                remedy="Unpack it yourself if you trust it.",
            )
        buffer[: len(block)] = block
        return len(block)


class _Frames(io.RawIOBase):
    """What is in one compressed stream or several, end to end, read in small pieces; an early end is an EOFError."""

    def __init__(self, raw: IO[bytes], unpacker: Callable[[], Any]) -> None:
        self._raw, self._new = raw, unpacker
        self._unpacker, self._waiting, self._ready = unpacker(), b"", b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._ready:
            if self._unpacker.eof:
                # Streams may be padded with zeros.
                self._waiting = (self._unpacker.unused_data or self._raw.read(_PIECE)).lstrip(b"\0")
                if not self._waiting:
                    return b""
                self._unpacker = self._new()
            elif not self._waiting:
                self._waiting = self._raw.read(_PIECE)
                if not self._waiting:
                    raise EOFError("the end of the stream is missing")
            self._ready, self._waiting = self._unpacker.decompress(self._waiting), b""
        size = len(self._ready) if size < 0 else size
        block, self._ready = self._ready[:size], self._ready[size:]
        return block


def _unpack_xz(raw: IO[bytes]) -> Any:
    return _Frames(raw, lambda: lzma.LZMADecompressor(memlimit=_MEMORY))


def _pack_xz(raw: IO[bytes], name: str) -> Any:
    return lzma.LZMAFile(raw, "wb")


def _unpack_zstandard(raw: IO[bytes]) -> Any:
    whole = _zstandard("reading").ZstdDecompressor(max_window_size=_WINDOW)
    return _Frames(raw, whole.decompressobj)


def _pack_zstandard(raw: IO[bytes], name: str) -> Any:
    return _zstandard("writing").ZstdCompressor().stream_writer(raw, closefd=False)


def _zstandard(purpose: str) -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtraError("zstandard", "zstd", f"{purpose} a .zst file") from error
    return zstandard


def _unpack_zip(raw: IO[bytes]) -> IO[bytes]:
    """The one member of a .zip file: its name is never used, so it can lead nowhere."""
    archive = zipfile.ZipFile(raw)
    members = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        raise DataError(
            "a .zip file must hold one file",
            received=f"{len(members)}: {', '.join(one.filename for one in members[:5])}".rstrip(": "),
            remedy="Unpack it, and pass one of the files.",
        )
    if members[0].flag_bits & 1:
        raise DataError("the .zip file is encrypted", remedy="Unpack it yourself.")
    return archive.open(members[0])


@contextmanager
def _pack_zip(raw: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    member = zipfile.ZipInfo(name)  # its date is always the same
    member.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(raw, "w") as archive, archive.open(member, "w", force_zip64=True) as inside:
        yield inside


COMPRESSIONS: dict[str, Compression] = {
    ".gz": Compression(
        b"\x1f\x8b",
        lambda raw: gzip.GzipFile(fileobj=raw),  # type: ignore[arg-type,return-value]
        lambda raw, name: gzip.GzipFile("", "wb", fileobj=raw, mtime=0),
    ),
    ".bz2": Compression(b"BZh", bz2.BZ2File, lambda raw, name: bz2.BZ2File(raw, "wb")),
    ".xz": Compression(b"\xfd7zXZ\0", _unpack_xz, _pack_xz),
    ".zst": Compression(b"\x28\xb5\x2f\xfd", _unpack_zstandard, _pack_zstandard),
    ".zip": Compression(b"PK\x03\x04", _unpack_zip, _pack_zip),
}
"""Suffix -> how files of it are unpacked and packed."""
