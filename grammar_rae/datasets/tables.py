"""Tables of text: cells between commas, tabulators or semicolons."""

import csv
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from grammar_rae.datasets.lines import decode_lines, write_utf8
from grammar_rae.datasets.records import (
    BLANK,
    HEADER,
    SMILES_COLUMNS,
    Record,
    Records,
    Row,
    Wanted,
    Write,
    cell,
    choose_column,
    distinct_names,
    plain_name,
)
from grammar_rae.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 200  # characters of a row that is too long to be kept
_SEPARATORS = {",": ",\t;", "\t": "\t,;"}


def read_csv(path: Path, wanted: Wanted) -> Records:
    """The records of a .csv file."""
    return _read_table(path, wanted, ",")


def read_tsv(path: Path, wanted: Wanted) -> Records:
    """The records of a .tsv file."""
    return _read_table(path, wanted, "\t")


def csv_columns(path: Path) -> list[str]:
    """The names of the columns of a .csv file."""
    return _columns(path, ",")


def tsv_columns(path: Path) -> list[str]:
    """The names of the columns of a .tsv file."""
    return _columns(path, "\t")


def _columns(path: Path, usual: str) -> list[str]:
    lines = decode_lines(path)
    header = next(lines, "")
    try:
        return next(csv.reader(chain([header], lines), delimiter=_separator(header, usual)), [])
    except csv.Error:  # reading says what is wrong
        return []


def _separator(header: str, usual: str) -> str:
    """What separates the cells: the most frequent candidate in the header, the usual one where it has none."""
    return max(_SEPARATORS[usual], key=header.count)


def _read_table(path: Path, wanted: Wanted, usual: str) -> Records:
    names: tuple[str, ...] = ()
    if wanted.beside and (columns := _columns(path, usual)):
        where = columns.index(choose_column(columns, wanted.column, str(path)))
        names = distinct_names(columns[:where] + columns[where + 1 :])
    return Records(names, _records(path, wanted, usual, len(names)))


def _records(path: Path, wanted: Wanted, usual: str, beside: int) -> Iterator[Record]:
    lines = decode_lines(path)
    first = next(lines, None)
    if first is None:
        return
    latest, empty = first, (None,) * beside

    def remembered() -> Iterator[str]:
        nonlocal latest
        for line in chain([first], lines):
            latest = line
            yield line

    separator = _separator(first, usual)
    # strict: an opening quote that is never closed would otherwise swallow the rest of the file in one cell.
    reader = csv.reader(remembered(), delimiter=separator, strict=True)
    where: int | None = None
    while True:
        number = reader.line_num + 1  # a quoted cell may hold line breaks: the record begins here
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # If a record ends with its line, only that record is lost.
            one_line = reader.line_num == number and latest.count('"') % 2 == 0
            if "field limit" in str(error) and one_line and where is not None:
                problem = f"a cell is longer than {csv.field_size_limit():,} characters"
                yield Record(Row(number, latest[:_SHOWN], problem), empty)
                continue
            raise DataError(
                f"the table cannot be read ({error})",
                where=f"{path}, record from line {number}",
                remedy="Look for a quotation mark that is never closed.",
            ) from error
        if not cells:
            yield Record(Row(number, "", BLANK), empty)
        elif where is None:
            name = choose_column(cells, wanted.column, str(path))
            where = cells.index(name)
            if wanted.column is None and plain_name(name) not in SMILES_COLUMNS:
                yield Record(Row(number, name.strip(), HEADER), empty)
        elif where >= len(cells):
            yield Record(Row(number, separator.join(cells), "too few cells in the line"), empty)
        else:
            yield _record(number, cells, where, beside)


def _record(number: int, cells: list[str], where: int, beside: int) -> Record:
    row = cell(number, cells[where])
    if not beside:
        return Record(row)
    if len(cells) > beside + 1 and row.problem is None:
        return Record(Row(number, row.text, "more cells in the line than columns"), (None,) * beside)
    others: list[Any] = cells[:where] + cells[where + 1 :]
    return Record(row, tuple(others + [None] * (beside - len(others))))


def write_csv(stream: IO[bytes]) -> AbstractContextManager[Write]:
    """What writes tables as CSV."""
    return _writing(stream, ",")


def write_tsv(stream: IO[bytes]) -> AbstractContextManager[Write]:
    """What writes tables with tabulators between their cells."""
    return _writing(stream, "\t")


@contextmanager
def _writing(stream: IO[bytes], separator: str) -> Iterator[Write]:
    begun = False

    def write(frame: "pd.DataFrame") -> None:
        nonlocal begun
        write_utf8(stream, frame.to_csv(index=False, header=not begun, lineterminator="\n", sep=separator))
        begun = True

    yield write
