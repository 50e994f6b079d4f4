"""SDF: molecules as blocks of atoms and bonds, each with a title and named values, one record at a time."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from grammar_rae.datasets.lines import opening, recoded, write_utf8
from grammar_rae.datasets.records import Record, Records, Row, Wanted, Write, cell, choose_column, distinct_names
from grammar_rae.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

LONGEST_RECORD = 2**24
"""Bytes of a record, at most."""

END_OF_MOLECULE = "M  END"
NO_MOLECULE = f"the record holds no molecule: the line {END_OF_MOLECULE!r} is missing"

_END = b"\n$$$$"
_TITLE = "name"
# A value ends at an empty line; one of blanks ends it, too, where another name or nothing follows.
_VALUES = re.compile(r"^>[^\n]*?<([^\n>]+)>[^\n]*\n((?:(?![ \t]+\n(?:>|\s*\Z))[^\n]+(?:\n|\Z))*)", re.MULTILINE)


def read_sdf(path: Path, wanted: Wanted) -> Records:
    """The records of an .sdf file, numbered from 1: the text is the molecule's block, or the value of a column."""
    columns = sdf_columns(path) if wanted.beside or wanted.column is not None else []
    chosen = None if wanted.column is None else choose_column(columns, wanted.column, str(path))
    others = [name for name in columns if name != chosen] if wanted.beside else []
    return Records(distinct_names(others), _records(path, chosen, others))


def sdf_columns(path: Path) -> list[str]:
    """The names of the values of all records, in the order in which they come; ``name`` is the title."""
    found: dict[str, None] = {}
    for text in _texts(path):
        block, values = _split(text)
        if block.partition("\n")[0].strip():
            found[_TITLE] = None
        for match in _VALUES.finditer(values):
            found[match[1]] = None
    return list(found)


def _records(path: Path, chosen: str | None, others: list[str]) -> Iterator[Record]:
    molecules = 0
    for number, text in enumerate(_texts(path), start=1):
        block, rest = _split(text)
        values = _values(block, rest) if others or chosen is not None else {}
        molecules += bool(rest)
        if chosen is not None:
            row = cell(number, values.get(chosen))
        else:
            row = Row(number, block) if rest else Row(number, block.strip()[:200], NO_MOLECULE)
        yield Record(row, tuple(values.get(name) for name in others))
    if not molecules:
        raise DataError(
            "the SDF holds no molecule", where=str(path), expected=f"records with a line {END_OF_MOLECULE!r}"
        )


def _split(text: str) -> tuple[str, str]:
    """The block of a record's molecule and what follows it; where there is no molecule, nothing follows."""
    block, end, rest = text.partition(f"\n{END_OF_MOLECULE}")
    return (f"{block}{end}\n", rest or "\n") if end else (text, "")


def _values(block: str, rest: str) -> dict[str, str]:
    title = block.partition("\n")[0].strip()
    found = {_TITLE: title} if title else {}
    for match in _VALUES.finditer(rest):
        name, value = match[1], match[2].rstrip("\n")
        if name not in found:
            found[name] = value
        elif found[name] != value:  # a name that comes twice, or that of the title
            found[name] = f"{found[name]}\n{value}"
    return found


def _texts(path: Path) -> Iterator[str]:
    """The records as they are, without the line that ends each."""
    encoding = "utf-8"
    for record in _blobs(path):
        try:
            text = record.decode(encoding)
        except UnicodeDecodeError:
            warnings.warn(f"{path} is not UTF-8: read as Latin-1", stacklevel=2)
            encoding = "latin-1"
            text = record.decode(encoding)
        yield text.replace("\r\n", "\n") if "\r" in text else text


def _blobs(path: Path) -> Iterator[bytes]:
    begun, first = b"", True
    with opening(path) as stream:
        for block in recoded(stream, path):
            *whole, begun = (begun + block).split(_END)
            for blob in whole:
                yield blob if first else blob.partition(b"\n")[2]
                first = False
            if len(begun) > LONGEST_RECORD:
                raise DataError(
                    "a record is too long", where=str(path), received=f"over {LONGEST_RECORD:,} bytes without $$$$"
                )
    last = begun if first else begun.partition(b"\n")[2]
    if last.strip():
        yield last


@contextmanager
def write_sdf(stream: IO[bytes]) -> Iterator[Write]:
    """What writes the molecules of the column ``smiles``, else ``text``, laid out, and the other columns as values."""
    yield lambda frame: write_utf8(stream, "".join(_written(frame)))


def _written(frame: "pd.DataFrame") -> Iterator[str]:
    """The record of each row of a table."""
    from grammar_rae import chem

    names = [str(name) for name in frame.columns]
    place = names.index("smiles" if "smiles" in names else "text")
    for values in frame.itertuples(index=False, name=None):
        named = {
            name: None if _is_missing(value) else value
            for name, value in zip(names, values, strict=True)
            if name != names[place]
        }
        yield chem.write_record(values[place], named)


def _is_missing(value: object) -> bool:
    return value is None or value != value or type(value).__name__ == "NAType"
