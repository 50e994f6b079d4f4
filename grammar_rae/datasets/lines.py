"""Files of lines: how they are encoded, where lines end, and one text a line."""

import codecs
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from grammar_rae.compression import unpacking
from grammar_rae.datasets.records import BLANK, HEADER, SMILES_COLUMNS, Record, Records, Row, Wanted, Write, plain_name
from grammar_rae.errors import DataError, InputError

LONGEST_LINE = 2**24
"""Bytes of a line, at most."""

_EXTENDED = re.compile(r"\S+\s+\|[^|]*\|")  # ChemAxon's, behind a SMILES: "CCC |^1:1|"
_BLOCK = 2**18  # bytes that are read at a time
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def read_lines(path: Path, wanted: Wanted) -> Records:
    """The texts of a file with one a line; what stands behind the first field is a column ``name``."""
    if wanted.column is not None:
        raise InputError(
            "a file of lines has no named columns",
            where=str(path),
            received=f"column {wanted.column!r}",
            remedy="Leave the column out, or use a .csv, .tsv, .sdf or .parquet file.",
        )
    beside = wanted.beside and wanted.fields == "first"
    named = beside and any(record.cells[0] for record in _records(path, True, True))
    return Records(("name",) if named else (), _records(path, wanted.fields == "first", named))


def _records(path: Path, first_field: bool, named: bool) -> Iterator[Record]:
    for number, line in enumerate(decode_lines(path), start=1):
        text = line.strip()
        if not text:
            row, rest = Row(number, "", BLANK), ""
        elif number == 1 and plain_name(text.split(None, 1)[0]) in SMILES_COLUMNS:
            row, rest = Row(number, text, HEADER), ""
        elif first_field:
            # RDKit's side takes the extension off and says so.
            extended = _EXTENDED.match(text)
            first = extended[0] if extended else text.split(None, 1)[0]
            row, rest = Row(number, first), text[len(first) :].strip()
        else:
            row, rest = Row(number, text), ""
        yield Record(row, (rest or None,) if named else ())


def decode_lines(path: Path) -> Iterator[str]:
    """The lines of a file, plain or compressed, each with its end; a byte order mark is dropped.

    Text is UTF-8, or UTF-16 where a byte order mark says so. A file that is not UTF-8, and has nothing but ASCII up to
    there, is read as Latin-1.

    Warns
    -----
    UserWarning
        Where a file is read as Latin-1.

    Raises
    ------
    DataError
        For a damaged file, or one that is not text.
    """
    encoding, number = "utf-8", 0
    plain = True  # nothing but ASCII so far
    with opening(path) as stream:
        for lines in split_lines(recoded(stream, path), path):
            for line in lines:
                number += 1
                if number == 1:
                    _check_first(line, path)
                    plain = not line.startswith(codecs.BOM_UTF8)
                    line = line.removeprefix(codecs.BOM_UTF8)
                try:
                    yield line.decode(encoding)
                    plain = plain and line.isascii()
                except UnicodeDecodeError as error:
                    place = f"byte 0x{error.object[error.start]:02x} at position {error.start}"
                    if not plain:
                        raise DataError(
                            "the file is neither UTF-8 nor Latin-1",
                            where=f"{path}, line {number}",
                            received=f"{place}, after other lines in UTF-8",
                            remedy="Save it as UTF-8.",
                        ) from error
                    warnings.warn(f"{path} is not UTF-8 ({place} of line {number}): read as Latin-1", stacklevel=2)
                    encoding = "latin-1"
                    yield line.decode(encoding)


def _check_first(line: bytes, path: Path) -> None:
    if 4 * line.count(b"\0") > len(line):
        raise DataError(
            "the file is not text: many of its bytes are 0",
            where=str(path),
            expected="UTF-8, Latin-1, or UTF-16 with a byte order mark",
        )


@contextmanager
def opening(path: Path) -> Iterator[IO[bytes]]:
    """What is in a file, unpacked; errors of the file system and of unpacking become a DataError."""
    try:
        raw = path.open("rb")
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror or error})", where=str(path)) from error
    with raw, unpacking(path, raw) as stream:
        yield stream


def recoded(stream: IO[bytes], path: Path) -> Iterator[bytes]:
    """The blocks of a stream, those of UTF-16 as UTF-8."""
    start = stream.read(2)
    name = _UTF16.get(start)
    if name is None:
        block = start + stream.read(max(0, _BLOCK - len(start)))
        while block:
            yield block
            block = stream.read(_BLOCK)
        return
    decoder = codecs.getincrementaldecoder(name)()
    try:
        while block := stream.read(_BLOCK):
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise DataError("the file begins as UTF-16, but is not", where=str(path), remedy="Save it as UTF-8.") from error


def split_lines(blocks: Iterator[bytes], path: Path) -> Iterator[list[bytes]]:
    """The lines of blocks, many at a time; lines end in a line feed, a carriage return (old Macintosh) or both."""
    begun: list[bytes] = []  # the parts of a line whose end was not read yet
    length = 0
    for block in blocks:
        if begun and begun[-1].endswith(b"\r"):
            block = begun.pop() + block  # the other half of a line's end may follow
        lines = block.splitlines(keepends=True)
        last = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        if lines:
            lines[0] = b"".join([*begun, lines[0]])
            begun, length = [], 0
            yield lines
        if last:
            begun.append(last)
            length += len(last)
            if length > LONGEST_LINE:
                raise DataError(
                    "a line is too long", where=str(path), received=f"over {LONGEST_LINE:,} bytes without an end"
                )
    if begun:
        yield b"".join(begun).splitlines(keepends=True)


@contextmanager
def write_lines(stream: IO[bytes]) -> Iterator[Write]:
    """What writes the column ``smiles`` of tables, one text a line."""
    yield lambda frame: write_utf8(stream, "".join(f"{text}\n" for text in frame["smiles"]))


def write_utf8(stream: IO[bytes], text: str) -> None:
    """Write a text into a stream, with backslash escapes for lone surrogates."""
    stream.write(text.encode("utf-8", "backslashreplace"))
