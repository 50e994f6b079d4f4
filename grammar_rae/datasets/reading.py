"""Texts from files, data frames, arrays and lists: one row at a time, and no row is lost silently."""

import random
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from grammar_rae.checks import check_count, check_path
from grammar_rae.datasets.formats import KINDS
from grammar_rae.datasets.frames import frame_column, frame_names, is_frame
from grammar_rae.datasets.records import (
    Fields,
    Record,
    Records,
    Row,
    Wanted,
    cell,
    choose_column,
    distinct_names,
)
from grammar_rae.errors import DataError, InputError, TextError
from grammar_rae.formats import FORMATS, suffix_of
from grammar_rae.seeds import check_seed

__all__ = [
    "Fields",
    "Row",
    "Source",
    "find_column",
    "read_records",
    "read_rows",
    "read_table",
    "read_texts",
    "sample_texts",
]

Source: TypeAlias = str | PathLike[str] | Iterable[Any]


def read_texts(
    source: Source, column: str | None = None, *, fields: Fields = "first", blocks: bool = False
) -> Iterator[tuple[int, str]]:
    """Read the texts of a source with their line numbers, one at a time.

    Parameters
    ----------
    source
        The path of a .smi, .smiles, .txt, .csv, .tsv or .sdf file (each also compressed: .gz, .bz2, .xz, .zst, .zip),
        or a .parquet, .feather, .arrow or .arrows file; or a list, array, Series or other iterable of texts; or a data
        frame of pandas or polars.
    column
        The column of a table. By default, a column with a usual name such as ``smiles``, else the only column. Of an
        SDF, the molecules themselves.
    fields
        How to read a line of a .smi, .smiles or .txt file: ``"first"``, the text up to the first blank (the rest is a
        name), or ``"line"``, the whole line.
    blocks
        Whether the molecules of an SDF stay blocks of atoms and bonds, which models and codecs read as they read
        SMILES, but once only; otherwise their canonical SMILES are given.

    Returns
    -------
    Pairs of line number and text. Line numbers count the lines of the file from 1, header included; in a Parquet or
    Arrow file, a frame or an iterable they count the rows, in an SDF the records. Header, blank lines and missing
    values are left out; ``read_rows`` includes them.

    Raises
    ------
    DataError
        For a missing or empty file, a folder, an unknown suffix or column, a file that is not text, a damaged or
        compressed file that unpacks to far more than it holds, or an SDF without molecules. Errors inside the file are
        raised when reading reaches them.
    MissingExtraError
        For a Parquet or Arrow file without pyarrow, or a .zst file without zstandard.

    Warns
    -----
    UserWarning
        Where a file is not UTF-8 and is read as Latin-1.

    Examples
    --------
    >>> list(read_texts(["CCO", "", "c1ccccc1"]))
    [(1, 'CCO'), (3, 'c1ccccc1')]
    """
    rows = read_rows(source, column, fields=fields, blocks=blocks)
    return ((row.line, row.text) for row in rows if row.problem is None)


def read_rows(
    source: Source, column: str | None = None, *, fields: Fields = "first", blocks: bool = False
) -> Iterator[Row]:
    """Read every row of a source, unusable ones included (see ``Row``); otherwise as ``read_texts``.

    A header line of a .smi file is a row with the problem "header". The header of a table is not a row, except where
    its only column has an unusual name: that may be a first text in a table without a header.
    """
    rows = (record.row for record in _read(source, column, fields, False).records)
    return rows if blocks else map(_spell, rows)


def read_records(
    source: Source, column: str | None = None, *, fields: Fields = "first", blocks: bool = True
) -> Records:
    """Read every row of a source as ``read_rows`` does, with what stands beside its text."""
    found = _read(source, column, fields, True)
    if blocks:
        return found
    return found._replace(records=(record._replace(row=_spell(record.row)) for record in found.records))


def _read(source: Source, column: str | None, fields: Fields, beside: bool) -> Records:
    if not isinstance(fields, str) or fields not in ("first", "line"):
        raise InputError("unknown value of fields", received=repr(fields), expected="'first' or 'line'")
    if isinstance(source, str | PathLike):
        path = check_path(source)
        check_is_file(path)
        found = KINDS[FORMATS[suffix_of(path)].kind].read(path, Wanted(column, fields, beside))
        return found._replace(records=_require_records(found.records, str(path)))
    found = _iterable_records(source, column, beside)
    return found._replace(records=_require_records(found.records, None))


def _spell(row: Row) -> Row:
    """A row with the SMILES of a molecule's block in its place."""
    if row.problem is not None or "\n" not in row.text:
        return row
    from grammar_rae import chem

    if not chem.is_block(row.text):
        return row
    try:
        return Row(row.line, chem.canonical(row.text))
    except TextError as error:
        return Row(row.line, error.text, error.message)


def find_column(source: str | PathLike[str], column: str | None = None) -> tuple[str, list[str]] | None:
    """The column of a table that is read, and all that it has; None for other files. Errors as in ``read_texts``."""
    path = check_path(source)
    check_is_file(path)
    try:
        kind = KINDS[FORMATS[suffix_of(path)].kind]
    except DataError:  # reading says so, where it is no encoded data set
        return None
    names = kind.columns(path) if kind.columns and (kind.chooses or column is not None) else []
    return (choose_column(names, column, str(path)), names) if names else None


def read_table(source: str | PathLike[str]) -> tuple[list[str], list[list[Any]]]:
    """The names of a table's columns, and the values of each; a first column of numbers may come as texts.

    Raises
    ------
    DataError
        As ``read_texts``, for a file without columns, or a line with too few or too many cells.
    """
    path = check_path(source)
    check_is_file(path)
    kind = KINDS[FORMATS[suffix_of(path)].kind]
    names = kind.columns(path) if kind.columns else []
    if not names:
        raise DataError("the file has no columns", where=str(path))
    found = kind.read(path, Wanted(names[0], "first", True))
    values: list[list[Any]] = [[] for _ in (names[0], *found.names)]
    for row, cells in found.records:
        if row.problem is not None and "cells in the line" in row.problem:
            raise DataError(row.problem, where=f"{path}, line {row.line}")
        for column, value in zip(values, (row.text, *cells), strict=True):
            column.append(value)
    return [names[0], *found.names], values


def sample_texts(
    source: Source,
    n: int,
    seed: int,
    column: str | None = None,
    *,
    fields: Fields = "first",
    blocks: bool = False,
) -> list[str]:
    """Draw ``n`` texts without replacement in one pass, in the order of the source; all if it has fewer.

    Each text is equally likely (reservoir sampling: Vitter, "Random Sampling with a Reservoir", 1985, algorithm R). The
    same source, n and seed give the same texts. Raises InputError for n < 1, and otherwise as ``read_texts``.
    """
    n = check_count("n", n)
    generator = random.Random(check_seed(seed))
    reservoir: list[tuple[int, str]] = []
    for seen, numbered in enumerate(read_texts(source, column, fields=fields, blocks=blocks)):
        if seen < n:
            reservoir.append(numbered)
        elif (slot := generator.randrange(seen + 1)) < n:
            reservoir[slot] = numbered
    return [text for _, text in sorted(reservoir)]


def _require_records(records: Iterator[Record], where: str | None) -> Iterator[Record]:
    first = next(records, None)
    if first is None:
        raise DataError("the source holds no row", where=where, expected="at least one text")
    return chain([first], records)


def check_is_file(path: Path) -> None:
    """Raise DataError for what is no file, or a folder."""
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
        remedy=f"Similar names in that folder: {', '.join(close)}."
        if close
        else "Check the path, or pass texts themselves as a list.",
    )


def _iterable_records(source: Iterable[Any], column: str | None, beside: bool) -> Records:
    if is_frame(source):
        names = frame_names(source)
        chosen = names.index(choose_column(names, column, None))
        others = [place for place in range(len(names)) if place != chosen] if beside else []
        columns = [frame_column(source, place) for place in (chosen, *others)]
        rows = enumerate(zip(*columns, strict=True), start=1)
        records = (Record(cell(number, value), tuple(rest)) for number, (value, *rest) in rows)
        return Records(distinct_names([names[place] for place in others]), records)
    if column is not None:
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
    return Records((), (Record(cell(number, value)) for number, value in enumerate(source, start=1)))
