"""Tables of Arrow: Parquet, Feather and streams, a batch of rows at a time."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from grammar_rae.datasets.records import Record, Records, Wanted, Write, cell, choose_column, distinct_names
from grammar_rae.errors import DataError, MissingExtraError
from grammar_rae.files import scratch_beside

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 8192  # rows of Parquet that are read at a time
_GROUP = 2**16  # rows that are written at a time
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
    # A damaged length asks for more memory than there is.
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
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


def write_parquet(stream: IO[bytes]) -> AbstractContextManager[Write]:
    """What writes tables as Parquet."""
    parquet = arrow("writing a .parquet file").parquet
    return _gathering(stream, lambda schema: parquet.ParquetWriter(stream, schema))


def write_feather(stream: IO[bytes]) -> AbstractContextManager[Write]:
    """What writes tables as a Feather file, version 2."""
    ipc = arrow("writing a file of Arrow").ipc
    return _gathering(stream, lambda schema: ipc.new_file(stream, schema))


def write_stream(stream: IO[bytes]) -> AbstractContextManager[Write]:
    """What writes tables as a stream of Arrow."""
    ipc = arrow("writing a file of Arrow").ipc
    return _gathering(stream, lambda schema: ipc.new_stream(stream, schema))


@contextmanager
def _gathering(stream: IO[bytes], opening: Callable[[Any], Any]) -> Iterator[Write]:
    """What takes tables; at the end they go into the writer that ``opening`` makes of their common schema.

    A column without a value has no type, and one may come in a later table. So tables wait in a file, not in memory.
    """
    import pyarrow

    starts: list[int] = []
    schema = pyarrow.schema([])
    with scratch_beside(stream) as waiting:

        def write(frame: "pd.DataFrame") -> None:
            nonlocal schema
            table = pyarrow.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
            schema = (
                pyarrow.unify_schemas([schema, table.schema], promote_options="permissive") if starts else table.schema
            )
            starts.append(waiting.tell())
            with pyarrow.ipc.new_stream(waiting, table.schema) as writer:
                writer.write_table(table)

        yield write
        with opening(schema) as writer:
            for table in _joined(waiting, starts, schema):
                writer.write_table(table)


def _joined(waiting: IO[bytes], starts: list[int], schema: Any) -> Iterator[Any]:
    """The tables of a file by their starts, with one schema, a few joined to one of so many rows or more."""
    import pyarrow

    some: list[Any] = []
    for start in starts:
        waiting.seek(start)
        with pyarrow.ipc.open_stream(waiting) as reader:
            some.append(reader.read_all().cast(schema))
        if sum(map(len, some)) >= _GROUP:
            yield pyarrow.concat_tables(some)
            some = []
    if some:
        yield pyarrow.concat_tables(some)
