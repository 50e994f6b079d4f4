"""How files of each format are read and written: one row for each kind of :data:`grammar_rae.formats.FORMATS`."""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from grammar_rae.compression import COMPRESSIONS, split_compression
from grammar_rae.datasets import arrow, lines, sdf, tables
from grammar_rae.datasets.records import SMILES_COLUMNS, Reader, Write, plain_name
from grammar_rae.formats import FORMATS

if TYPE_CHECKING:
    import pandas as pd


class Kind(NamedTuple):
    """How files of one kind are read and written.

    ``read(path, wanted)`` gives their records, ``write(stream)`` what writes tables with the same columns into it, one
    after the other; ``columns(path)`` names their columns, None for files without. ``chooses`` says whether the texts
    are in one of these columns; ``magic`` is how files of this kind begin, where that tells them.
    """

    read: Reader
    write: Callable[[IO[bytes]], AbstractContextManager[Write]]
    columns: Callable[[Path], list[str]] | None = None
    chooses: bool = True
    magic: bytes = b""


KINDS: dict[str, Kind] = {
    "lines": Kind(lines.read_lines, lines.write_lines, chooses=False),
    "csv": Kind(tables.read_csv, tables.write_csv, tables.csv_columns),
    "tsv": Kind(tables.read_tsv, tables.write_tsv, tables.tsv_columns),
    "sdf": Kind(sdf.read_sdf, sdf.write_sdf, sdf.sdf_columns, chooses=False),
    "parquet": Kind(arrow.read_parquet, arrow.write_parquet, arrow.parquet_columns, magic=b"PAR1"),
    "feather": Kind(arrow.read_arrow, arrow.write_feather, arrow.arrow_columns, magic=b"ARROW1"),
    "stream": Kind(arrow.read_arrow, arrow.write_stream, arrow.arrow_columns, magic=b"\xff\xff\xff\xff"),
}
"""Kind -> how it is read and written."""


@contextmanager
def writing_tables(stream: IO[bytes], suffix: str) -> Iterator[Write]:
    """What writes tables with the same columns, one after the other, as one file of a suffix: in constant memory.

    It is compressed where the suffix says so; files of lines hold the column ``smiles`` alone. Tables of Arrow lie in a
    file beside the stream's until the last one has come, since only then all types are known.
    """
    plain, packed = split_compression(suffix)
    with ExitStack() as stack:
        inside = stack.enter_context(COMPRESSIONS[packed].pack(stream, f"molecules{plain}")) if packed else stream
        yield stack.enter_context(KINDS[FORMATS[plain].kind].write(inside))


def file_bytes(frame: "pd.DataFrame", suffix: str) -> bytes:
    """A table as the bytes of a file, as :func:`writing_tables` writes it."""
    buffer = io.BytesIO()
    with writing_tables(buffer, suffix) as write:
        write(frame)
    return buffer.getvalue()


def guess_suffix(start: bytes) -> str:
    """The suffix for the first bytes of a file without a name: by its magic, an SDF's lines, or a header's columns."""
    for suffix, row in FORMATS.items():
        magic = KINDS[row.kind].magic
        if magic and start.startswith(magic):
            return suffix
    if b"V2000" in start or b"V3000" in start:
        return ".sdf"
    first = start.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("latin-1")
    for suffix, separators in ((".tsv", "\t"), (".csv", ",;")):
        for separator in separators:
            names = next(csv.reader([first], delimiter=separator), [])
            if len(names) > 1 and any(plain_name(name) in SMILES_COLUMNS for name in names):
                return suffix
    return ".smi"
