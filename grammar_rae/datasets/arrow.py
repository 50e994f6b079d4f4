"""Tables of Arrow: Parquet, Feather and streams, a batch of rows at a time."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grammar_rae.datasets.records import Record, Records, Wanted, cell, choose_column, distinct_names
from grammar_rae.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 8192  # rows of Parquet that are read at a time
_FILE = b"ARROW1"  # how a Feather file begins; a stream does not


def read_parquet(path: Path, wanted: Wanted) -> Records:
    """The records of a .parquet file."""
    return _read(path, wanted, _open_parquet)


def read_arrow(path: Path, wanted: Wanted) -> Records:
    """The records of a Feather file (.feather, .arrow) or of a stream (.arrows)."""
    return _read(path, wanted, _open_arrow)


def parquet_columns(path: Path) -> list[str]:
    """The names of the columns of a .parquet file."""
    with _open_parquet(path) as (schema, _):
        return list(schema.names)


def arrow_columns(path: Path) -> list[str]:
    """The names of the columns of a Feather file or a stream."""
    with _open_arrow(path) as (schema, _):
        return list(schema.names)


def arrow(purpose: str) -> Any:
    """The package pyarrow.

    Raises
    ------
    MissingExtraError
        Without it.
    """
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", purpose) from error
    return pyarrow


def _read(path: Path, wanted: Wanted, opening: Any) -> Records:
    with opening(path) as (schema, _):
        names = list(schema.names)
        chosen = names.index(choose_column(names, wanted.column, str(path)))
        places = [place for place in range(len(names)) if place != chosen] if wanted.beside else []
        beside = distinct_names([names[place] for place in places])
    return Records(beside, _records(path, opening, chosen, places))


def _records(path: Path, opening: Any, chosen: int, places: list[int]) -> Iterator[Record]:
    number = 0
    with opening(path) as (_, batches):
        for batch in batches([chosen, *places]):
            texts, *others = (column.to_pylist() for column in batch.columns)
            for index, value in enumerate(texts):
                number += 1
                yield Record(cell(number, value), tuple(column[index] for column in others))


@contextmanager
def _translating(path: Path, kind: str) -> Iterator[Any]:
    pyarrow = arrow(f"reading a {path.suffix} file")
    try:
        yield pyarrow
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"the {kind} file cannot be read ({error})", where=str(path)) from error


@contextmanager
def _open_parquet(path: Path) -> Iterator[tuple[Any, Any]]:
    """The schema of a file, and a function from the places of columns to batches of them in that order."""
    with _translating(path, "Parquet") as pyarrow, pyarrow.parquet.ParquetFile(path) as file:
        schema = file.schema_arrow

        def batches(places: list[int]) -> Iterator[Any]:
            names = [schema.names[place] for place in places]
            for batch in file.iter_batches(batch_size=_ROWS, columns=names):
                yield batch.select(names) if len(set(names)) == len(names) else batch

        yield schema, batches


@contextmanager
def _open_arrow(path: Path) -> Iterator[tuple[Any, Any]]:
    with _translating(path, "Arrow") as pyarrow, path.open("rb") as raw:
        is_file = raw.read(len(_FILE)) == _FILE
        raw.seek(0)
        opened = (pyarrow.ipc.open_file if is_file else pyarrow.ipc.open_stream)(pyarrow.PythonFile(raw, "r"))
        with opened as reader:

            def batches(places: list[int]) -> Iterator[Any]:
                whole = map(reader.get_batch, range(reader.num_record_batches)) if is_file else iter(reader)
                for batch in whole:
                    chosen = batch.select(places)
                    chosen.validate(full=True)  # its offsets may point anywhere
                    yield chosen

            yield reader.schema, batches


def write_parquet(frame: "pd.DataFrame") -> bytes:
    """A table as Parquet."""
    arrow("writing a .parquet file")
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def write_feather(frame: "pd.DataFrame") -> bytes:
    """A table as a Feather file, version 2."""
    return _write(frame, "new_file")


def write_stream(frame: "pd.DataFrame") -> bytes:
    """A table as a stream of Arrow."""
    return _write(frame, "new_stream")


def _write(frame: "pd.DataFrame", opening: str) -> bytes:
    pyarrow = arrow("writing a file of Arrow")
    table, buffer = pyarrow.Table.from_pandas(frame, preserve_index=False), io.BytesIO()
    with getattr(pyarrow.ipc, opening)(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()
