"""Reading and writing of the commands' files: whole files or none, in the format of their suffix."""

import csv
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from errno import EACCES, EBADF, ENOTDIR
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from grammar_rae.cli import formats
from grammar_rae.cli.formats import STDOUT, output_format, read_codes
from grammar_rae.cli.terminal import note, wants_json
from grammar_rae.compression import split_compression
from grammar_rae.errors import shorten
from grammar_rae.files import check_target, is_special, replacing, write_bytes

if TYPE_CHECKING:
    import pandas as pd

    from grammar_rae.datasets import Rejected
    from grammar_rae.datasets.records import Write

__all__ = [
    "STDOUT",
    "check_writable",
    "listing_rejected",
    "note",
    "read_codes",
    "tell_changed",
    "tell_column",
    "writable_folder",
    "write_columns",
    "write_frame",
    "write_lines",
    "write_rejected",
    "write_result",
    "write_table",
    "write_text",
    "writing_codes",
    "writing_result",
    "writing_tables",
]


def check_writable(*paths: Path | None, formats: Sequence[str]) -> None:
    """Raise now, rather than after minutes of work, when a file of this name could not be written, or not so.

    Raises
    ------
    DataError
        For a suffix that names none of the formats.
    OSError
        For what the file system would refuse.
    """
    for path in paths:
        if path is not None and path != STDOUT:
            check_target(path)
            output_format(path, formats)


@contextmanager
def writable_folder(folder: Path) -> Iterator[None]:
    """A folder to write in, made now: OSError comes before minutes of work. After an error no empty one is left."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(ENOTDIR, "this is a file, not a folder to write in", str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(EACCES, "this folder cannot be written in", str(folder))
        yield
    except BaseException:
        for path in made:
            with suppress(OSError):  # something is in it
                path.rmdir()
        raise


def tell_changed(changed: Mapping[str, int]) -> None:
    """Say what RDKit changed in molecules besides their spelling, by the numbers of rows."""
    if changed:
        what = ", ".join(f"{what} ({count})" for what, count in changed.items())
        note(f"changed: {sum(changed.values())} rows are read as other molecules than they spell: {what}")


def tell_column(source: Path, column: str | None) -> None:
    """Say which column and text is read where a table has several columns and nobody chose one."""
    from grammar_rae.datasets import find_column, read_texts

    found = find_column(source) if column is None and source.is_file() else None
    if found is None or len(found[1]) < 2:
        return
    name, names = found
    first = next(read_texts(source), None)
    example = "" if first is None else f", {shorten(first[1], 60)!r} in line {first[0]} to begin with"
    others = shorten(", ".join(repr(other) for other in names if other != name), 100)
    note(f"reading column {name!r}{example}; --column chooses another one ({others})")


def write_text(path: Path, text: str) -> None:
    """A text in a file, or on the standard output when the path is ``-``."""
    if path == STDOUT:
        stdout = _stdout()
        stdout.write(text)
        stdout.flush()
        return
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def _stdout() -> Any:
    if sys.stdout is None:
        raise OSError(EBADF, "it is closed", "standard output")
    return sys.stdout


@contextmanager
def _output(path: Path) -> Iterator[IO[bytes]]:
    """A draft to write; it takes the file's place, or goes to the standard output, when the block ends well."""
    if path != STDOUT:
        with replacing(path) as draft, draft.open("w+b") as stream:
            yield stream
        return
    stdout = _stdout()
    with tempfile.TemporaryFile() as stream:
        yield stream
        stream.seek(0)
        with io.TextIOWrapper(stream, "utf-8", newline="") as text:
            shutil.copyfileobj(text, stdout)
    stdout.flush()


@contextmanager
def writing_tables(path: Path) -> Iterator["Write"]:
    """What writes tables with the same columns, one after the other, in the format of the path's suffix.

    The file is whole, or not there when the block ends in an error. ``-`` is the standard output, which gets CSV.
    """
    from grammar_rae.datasets import writing_tables

    kind = formats.TABLES[0] if path == STDOUT else output_format(path, (*formats.TABLES, *formats.TEXTS))
    with _output(path) as stream, writing_tables(stream, kind) as write:
        yield write


@contextmanager
def writing_codes(path: Path) -> Iterator[Callable[[Any], None]]:
    """What writes codes (K, D), one part after the other, as one array in the format of the path's suffix."""
    with _output(path) as stream, formats.writing_codes(stream, output_format(path, formats.ARRAYS)) as write:
        yield write


def write_frame(path: Path, frame: "pd.DataFrame") -> None:
    """A table in the format of the path's suffix, or as CSV on the standard output when the path is ``-``."""
    with writing_tables(path) as write:
        write(frame)
    if path == STDOUT:
        return
    kind = output_format(path, (*formats.TABLES, *formats.TEXTS))
    if left_out := formats.left_out_columns(frame, kind):
        note(f"a {kind} file holds texts alone: left out {', '.join(left_out)}")


def write_columns(path: Path, columns: "Mapping[str, Any]") -> None:
    """Columns of one length as :func:`write_frame` writes them; plain tables without the time that pandas takes."""
    kind = formats.TABLES[0] if path == STDOUT else output_format(path, (*formats.TABLES, *formats.TEXTS))
    if kind not in formats.PLAIN:
        import pandas as pd

        write_frame(path, pd.DataFrame(dict(columns)))
        return
    text = formats.column_text(columns, kind)
    if path == STDOUT:
        write_text(path, text)
    else:
        write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_table(path: Path, frame: "pd.DataFrame") -> dict[str, Any]:
    """:func:`write_result` of a frame."""
    if path == STDOUT and wants_json():
        return {"rows": [dict(zip(map(str, frame), row, strict=True)) for row in frame.itertuples(index=False)]}
    write_frame(path, frame)
    return {"output": path}


@contextmanager
def writing_result(path: Path) -> Iterator[tuple["Write", dict[str, Any]]]:
    """As :func:`writing_tables`, with what JSON says of it at the end: where the rows are, or they."""
    if path == STDOUT and wants_json():
        rows: list[dict[str, Any]] = []
        yield lambda frame: rows.extend(write_table(path, frame)["rows"]), {"rows": rows}
        return
    with writing_tables(path) as write:
        yield write, {"output": path}


def write_result(path: Path, columns: "Mapping[str, Any]") -> dict[str, Any]:
    """Write columns as :func:`write_columns` does; what JSON says of it: where they are, or they."""
    if path == STDOUT and wants_json():
        return {"rows": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}
    write_columns(path, columns)
    return {"output": path}


def write_lines(path: Path, texts: Sequence[str]) -> None:
    """Texts, one a line, in a file, or on the standard output when the path is ``-``."""
    if path == STDOUT:
        write_text(path, "".join(f"{text}\n" for text in texts))
        return
    import pandas as pd

    from grammar_rae.datasets import file_bytes

    write_bytes(path, file_bytes(pd.DataFrame({"smiles": texts}), output_format(path, formats.TEXTS)))


@contextmanager
def listing_rejected(output: Path) -> Iterator[Callable[[Sequence["Rejected"]], None]]:
    """What lists rows that could not be used beside the output, as ``NAME.rejected.csv``; at the end a line says so."""
    beside, first, count = _beside(output), None, 0
    with ExitStack() as stack:
        table: Any = None

        def add(rows: Sequence["Rejected"]) -> None:
            nonlocal first, count, table
            if not rows:
                return
            first, count = first or rows[0], count + len(rows)
            if beside is None:
                return
            from grammar_rae.datasets.encoded import REJECTED_COLUMNS, protect

            if table is None:
                draft = stack.enter_context(replacing(beside))
                stream = draft.open("w", encoding="utf-8", errors="backslashreplace", newline="")
                table = csv.writer(stack.enter_context(stream), lineterminator="\n")
                table.writerow(REJECTED_COLUMNS)
            table.writerows(row._replace(text=protect(row.text)) for row in rows)

        yield add
    if beside is not None and first is None:
        beside.unlink(missing_ok=True)  # of an earlier run: it would contradict this one
    elif beside is not None:
        note(f"left out {count} rows, listed with their reasons in {beside}")
    elif first is not None:
        note(f"left out {count} rows, the first in line {first.line}: {first.reason}")


def write_rejected(output: Path, rejected: Sequence["Rejected"]) -> None:
    """:func:`listing_rejected` of all rows at once."""
    with listing_rejected(output) as reject:
        reject(rejected)


def _beside(output: Path) -> Path | None:
    """Where the rejected rows of an output go; None beside the standard output, a FIFO or a device."""
    if output == STDOUT or is_special(output):
        return None
    name, packed = split_compression(output.name)
    stem = output.name[: len(name)] if packed else output.name
    return output.with_name(f"{Path(stem).stem}.rejected.csv")
