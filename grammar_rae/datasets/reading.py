"""Texts from files, data frames, arrays and lists: one row at a time, and no row is lost silently."""

import csv
import gzip
import math
import random
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, TypeAlias

from grammar_rae.checks import check_count, check_path
from grammar_rae.errors import DataError, InputError, MissingExtraError
from grammar_rae.seeds import check_seed

Source: TypeAlias = str | PathLike[str] | Iterable[Any]
Fields: TypeAlias = Literal["first", "line"]

SMILES_COLUMNS = (
    "smiles",
    "canonical_smiles",
    "isomeric_smiles",
    "smiles_string",
    "canonicalsmiles",
    "isomericsmiles",
    "smi",
)
"""The names of columns of SMILES, the preferred one first; case, blanks and hyphens do not matter."""

HEADER = "header"
BLANK = "blank line"
EXTENSION = "the extension of a CXSMILES cannot be read. Remove what stands between the bars, and the blank before it."
_EXTENDED = re.compile(r"\S+\s+\|[^|]*\|")  # ChemAxon's, behind a SMILES: "CCC |^1:1|"
_BLOCK = 2**18  # bytes that are read at a time
_SHOWN = 200  # characters of a row that is too long to be kept
_LINE_FILES = (".smi", ".smiles", ".txt")
_TABLE_FILES = (".csv", ".tsv")
_PARQUET_FILES = (".parquet",)
KNOWN_SUFFIXES = (
    *_LINE_FILES,
    *_TABLE_FILES,
    *(suffix + ".gz" for suffix in _LINE_FILES + _TABLE_FILES),
    *_PARQUET_FILES,
)


class Row(NamedTuple):
    """One row of a source: its line (from 1), its text, and why it is unusable (None if it is usable)."""

    line: int
    text: str
    problem: str | None = None


def read_texts(source: Source, column: str | None = None, *, fields: Fields = "first") -> Iterator[tuple[int, str]]:
    """Read the texts of a source with their line numbers, one at a time.

    Parameters
    ----------
    source
        The path of a .smi, .smiles, .txt, .csv, .tsv (each also gzip-compressed) or .parquet file; or a list, array,
        pandas Series or other iterable of texts; or a pandas DataFrame.
    column
        The column of a table. By default, a column with a usual name such as ``smiles``, else the only column.
    fields
        How to read a line of a .smi, .smiles or .txt file: ``"first"``, the text up to the first blank (the rest is a
        name), or ``"line"``, the whole line.

    Returns
    -------
    Pairs of line number and text. Line numbers count the lines of the file from 1, header included; in a Parquet file
    or an iterable they count the rows. Header, blank lines and missing values are left out; ``read_rows`` includes
    them.

    Raises
    ------
    DataError
        For a missing or empty file, a folder, an unknown suffix or column, text that is not UTF-8, or a damaged gzip or
        Parquet file. Errors inside the file are raised when reading reaches them.
    MissingExtraError
        For a Parquet file without pyarrow.

    Examples
    --------
    >>> list(read_texts(["CCO", "", "c1ccccc1"]))
    [(1, 'CCO'), (3, 'c1ccccc1')]
    """
    return ((row.line, row.text) for row in read_rows(source, column, fields=fields) if row.problem is None)


def read_rows(source: Source, column: str | None = None, *, fields: Fields = "first") -> Iterator[Row]:
    """Read every row of a source, unusable ones included (see ``Row``); otherwise as ``read_texts``.

    A header line of a .smi file is a row with the problem "header". The header of a table is not a row, except where
    its only column has an unusual name: that may be a first text in a table without a header.
    """
    if not isinstance(fields, str) or fields not in ("first", "line"):
        raise InputError("unknown value of fields", received=repr(fields), expected="'first' or 'line'")
    if isinstance(source, str | PathLike):
        path = check_path(source)
        return _require_rows(_file_rows(path, column, fields), where=str(path))
    return _require_rows(_iterable_rows(source, column), where=None)


def find_column(source: str | PathLike[str], column: str | None = None) -> tuple[str, list[str]] | None:
    """The column of a table that is read, and all that it has; None for other files. Errors as in ``read_texts``."""
    path = check_path(source)
    _check_is_file(path)
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    names: list[str] = []
    if suffix in _PARQUET_FILES:
        with _open_parquet(path) as file:
            names = list(file.schema_arrow.names)
    elif suffix in _TABLE_FILES:
        lines = _decode_lines(path)
        header = next(lines, "")
        with suppress(csv.Error):  # reading says what is wrong
            names = next(csv.reader(chain([header], lines), delimiter=_delimiter(header, suffix)), [])
    return (_choose_column(names, column, str(path)), names) if names else None


def sample_texts(
    source: Source, n: int, seed: int, column: str | None = None, *, fields: Fields = "first"
) -> list[str]:
    """Draw ``n`` texts without replacement in one pass, in the order of the source; all if it has fewer.

    Each text is equally likely (reservoir sampling: Vitter, "Random Sampling with a Reservoir", 1985, algorithm R). The
    same source, n and seed give the same texts. Raises InputError for n < 1, and otherwise as ``read_texts``.
    """
    n = check_count("n", n)
    generator = random.Random(check_seed(seed))
    reservoir: list[tuple[int, str]] = []
    for seen, numbered in enumerate(read_texts(source, column, fields=fields)):
        if seen < n:
            reservoir.append(numbered)
        elif (slot := generator.randrange(seen + 1)) < n:
            reservoir[slot] = numbered
    return [text for _, text in sorted(reservoir)]


def _require_rows(rows: Iterator[Row], where: str | None) -> Iterator[Row]:
    first = next(rows, None)
    if first is None:
        raise DataError("the source holds no row", where=where, expected="at least one text")
    return chain([first], rows)


# --- files -----------------------------------------------------------------------------------------------------------


def _file_rows(path: Path, column: str | None, fields: Fields) -> Iterator[Row]:
    _check_is_file(path)
    suffix = _suffix(path)
    if suffix in _PARQUET_FILES:
        return _parquet_rows(path, column)
    if suffix in _TABLE_FILES:
        return _table_rows(path, column, suffix)
    if column is not None:
        raise InputError(
            f"a {suffix} file has no named columns",
            where=str(path),
            received=f"column {column!r}",
            remedy="Leave the column out, or use a .csv, .tsv or .parquet file.",
        )
    return _line_rows(path, fields)


def _suffix(path: Path) -> str:
    """The suffix that says how to read the file, without ``.gz``."""
    name = path.name.lower()
    for known in KNOWN_SUFFIXES:
        if name.endswith(known):
            return known.removesuffix(".gz")
    raise DataError(
        "unsupported file suffix",
        where=str(path),
        received=repr("".join(path.suffixes[-2:])),
        expected="one of " + ", ".join(KNOWN_SUFFIXES),
    )


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        encoded = (path / "meta.json").is_file()
        raise DataError(
            "this is a folder, not a file of texts",
            where=str(path),
            remedy="Open an encoded data set with TokenDataset.open." if encoded else "Pass the path of one file.",
        )
    if path.exists():
        return
    if not path.parent.is_dir():
        raise DataError("the file's folder does not exist", where=str(path), received=f"folder {str(path.parent)!r}")
    close = get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=3)
    raise DataError(
        "there is no such file",
        where=str(path),
        remedy=f"Similar names in that folder: {', '.join(close)}." if close else "Pass texts themselves as a list.",
    )


def _line_rows(path: Path, fields: Fields) -> Iterator[Row]:
    first_field = fields == "first"
    for number, line in enumerate(_decode_lines(path), start=1):
        text = line.strip()
        if not text:
            yield Row(number, "", BLANK)
        elif number == 1 and _plain_name(text.split(None, 1)[0]) in SMILES_COLUMNS:
            yield Row(number, text, HEADER)
        elif first_field and _EXTENDED.match(text):
            yield Row(number, text, EXTENSION)
        else:
            yield Row(number, text.split(None, 1)[0] if first_field else text)


def _delimiter(header: str, suffix: str) -> str:
    """What separates the cells: the most frequent candidate in the header, the suffix's own where it has none."""
    return max(",\t;" if suffix == ".csv" else "\t,;", key=header.count)


def _table_rows(path: Path, column: str | None, suffix: str) -> Iterator[Row]:
    lines = _decode_lines(path)
    first = next(lines, None)
    if first is None:
        return
    delimiter = _delimiter(first, suffix)
    # strict: an opening quote that is never closed would otherwise swallow the rest of the file in one cell.
    latest = first

    def remembered() -> Iterator[str]:
        nonlocal latest
        for line in chain([first], lines):
            latest = line
            yield line

    reader = csv.reader(remembered(), delimiter=delimiter, strict=True)
    where: int | None = None
    while True:
        number = reader.line_num + 1  # a quoted cell may hold line breaks: the record begins here
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # If a record ends with its line, only that record is lost.
            one_line = reader.line_num == number and latest.count('"') % 2 == 0
            if "field limit" in str(error) and one_line and where is not None:
                yield Row(number, latest[:_SHOWN], f"a cell is longer than {csv.field_size_limit():,} characters")
                continue
            raise DataError(
                f"the table cannot be read ({error})",
                where=f"{path}, record from line {number}",
                remedy="Look for a quotation mark that is never closed.",
            ) from error
        if not record:
            yield Row(number, "", BLANK)
        elif where is None:
            name = _choose_column(record, column, str(path))
            where = record.index(name)
            if column is None and _plain_name(name) not in SMILES_COLUMNS:
                yield Row(number, name.strip(), HEADER)
        elif where >= len(record):
            yield Row(number, delimiter.join(record), "too few cells in the line")
        else:
            yield _cell(number, record[where])


@contextmanager
def _open_parquet(path: Path) -> Iterator[Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", "reading a .parquet file") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"the Parquet file cannot be read ({error})", where=str(path)) from error


def _parquet_rows(path: Path, column: str | None) -> Iterator[Row]:
    with _open_parquet(path) as file:
        name = _choose_column(file.schema_arrow.names, column, str(path))
        number = 0
        for batch in file.iter_batches(batch_size=8192, columns=[name]):
            for value in batch.column(0).to_pylist():
                number += 1
                yield _cell(number, value)


def _choose_column(names: Sequence[Any], column: str | None, where: str | None) -> Any:
    if column is not None:
        if column in names:
            return column
        close = get_close_matches(column, [str(name) for name in names], n=1)
        raise DataError(
            "the table has no such column",
            where=where,
            received=repr(column),
            expected="one of " + _join_names(names),
            remedy=f"Did you mean {close[0]!r}?" if close else None,
        )
    for known in SMILES_COLUMNS:
        for name in names:
            if _plain_name(str(name)) == known:
                return name
    if len(names) == 1:
        return names[0]
    raise DataError(
        "cannot tell which column holds the texts",
        where=where,
        received=f"the columns {_join_names(names)}",
        remedy="Choose one with column (--column).",
    )


def _join_names(names: Sequence[Any], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more


def _plain_name(name: str) -> str:
    return name.strip().lstrip("#").strip().lower().replace(" ", "_").replace("-", "_")


# --- lines -----------------------------------------------------------------------------------------------------------


def _decode_lines(path: Path) -> Iterator[str]:
    """The lines of a plain or gzip-compressed UTF-8 file, each with its end; a byte order mark is dropped."""
    number = 0
    with _translate_errors(path), path.open("rb") as raw, _unzip(raw) as stream:
        for lines in _split_lines(stream):
            for line in lines:
                number += 1
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise DataError(
                        "the file is not UTF-8 text",
                        where=f"{path}, line {number}",
                        received=f"byte 0x{error.object[error.start]:02x} at position {error.start}",
                        remedy="Save it as UTF-8.",
                    ) from error


def _split_lines(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """The lines of a stream, many at a time; lines end in a line feed, a carriage return (old Macintosh) or both."""
    begun: list[bytes] = []  # the parts of a line whose end was not read yet
    while block := stream.read(_BLOCK):
        if begun and begun[-1].endswith(b"\r"):
            block = begun.pop() + block  # the other half of a line's end may follow
        lines = block.splitlines(keepends=True)
        last = lines.pop() if not lines[-1].endswith(b"\n") else b""
        if lines:
            lines[0] = b"".join([*begun, lines[0]])
            begun = []
            yield lines
        if last:
            begun.append(last)
    if begun:
        yield b"".join(begun).splitlines(keepends=True)


def _unzip(raw: IO[bytes]) -> IO[bytes]:
    # The content decides, not the name: browsers unzip a download and keep its name.
    compressed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    return gzip.GzipFile(fileobj=raw) if compressed else raw  # type: ignore[return-value]


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    """Turn errors of the file system and of gzip into a DataError."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"the gzip file ends too early or is damaged ({error})", where=str(path), remedy="Download it again."
        ) from error
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror or error})", where=str(path)) from error


# --- iterables -------------------------------------------------------------------------------------------------------


def _iterable_rows(source: Iterable[Any], column: str | None) -> Iterator[Row]:
    if hasattr(source, "columns") and hasattr(source, "iloc"):  # a DataFrame, recognised without importing pandas
        names = list(source.columns)
        source = source.iloc[:, names.index(_choose_column(names, column, None))]
    elif column is not None:
        raise InputError("column applies only to tables", received=f"column {column!r} with a {type(source).__name__}")
    if isinstance(source, bytes | bytearray | Mapping) or not isinstance(source, Iterable):
        raise InputError(
            "unsupported source of texts",
            received=type(source).__name__,
            expected="a path, or a list, array, Series or other iterable of texts",
        )
    if getattr(source, "ndim", 1) != 1:
        raise InputError(
            "an array of texts must have one dimension", received=f"shape {getattr(source, 'shape', None)}"
        )
    return (_cell(number, value) for number, value in enumerate(source, start=1))


def _cell(number: int, value: Any) -> Row:
    if isinstance(value, str):
        text = value.strip()
        return Row(number, text) if text else Row(number, "", BLANK)
    if value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value)):
        return Row(number, "", "missing value")
    return Row(number, str(value), f"not a string but {type(value).__name__}")
