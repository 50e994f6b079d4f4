"""Reading and writing of the commands' files: whole files or none, tables as CSV, codes as .npy without pickle."""

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from errno import EACCES, EISDIR, ENOENT, ENOTDIR
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grammar_rae.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from grammar_rae.datasets import Row

STDOUT = Path("-")


def note(text: str) -> None:
    """A line for the person, on stderr: the standard output is for results."""
    typer.echo(text, err=True)


def check_writable(*paths: Path | None) -> None:
    """Raise OSError now rather than after minutes of work when a file of this name could not be written."""
    for path in paths:
        if path is None or path == STDOUT:
            continue
        if path.is_dir():
            raise IsADirectoryError(EISDIR, "this is a folder, not a file to write", str(path))
        if not path.parent.is_dir():
            raise FileNotFoundError(ENOENT, "the folder to write in does not exist", str(path.parent))


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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``: it takes its place when the block ends well, and vanishes when it does not."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None or str(error.filename) == str(temporary):
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """A text in a file, or on the standard output when the path is ``-``."""
    if path == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_frame(path: Path, frame: "pd.DataFrame") -> None:
    """A table as CSV in a file, or on the standard output when the path is ``-``."""
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def write_rejected(output: Path, rejected: Sequence["Row"]) -> None:
    """The rows that could not be used beside the output, as ``NAME.rejected.csv``, and a line that says so."""
    beside = output.with_suffix(".rejected.csv")
    if not rejected:
        if output != STDOUT:
            beside.unlink(missing_ok=True)  # of an earlier run: it would contradict this one
        return
    if output == STDOUT:
        first = rejected[0]
        note(f"left out {len(rejected)} rows, the first in line {first.line}: {first.problem}")
        return
    with (
        replacing(beside) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows([("line", "text", "reason"), *rejected])
    note(f"left out {len(rejected)} rows, listed with their reasons in {beside}")


def write_codes(path: Path, codes: "npt.NDArray[Any]", rows: Sequence["Row"]) -> None:
    """Latent codes (N, D) as a .npy array, or as CSV with the line and text of each row."""
    import numpy as np
    import pandas as pd

    if path.suffix == ".npy":
        with replacing(path) as temporary:
            np.save(temporary, codes, allow_pickle=False)
        return
    frame = pd.DataFrame(codes, columns=[f"z{index}" for index in range(codes.shape[1])])
    frame.insert(0, "line", [row.line for row in rows])
    frame.insert(1, "text", [row.text for row in rows])
    write_frame(path, frame)


def read_codes(path: Path) -> "npt.NDArray[Any]":
    """Latent codes (N, D) as ``write_codes`` leaves them; other columns of a CSV file are not looked at.

    Raises
    ------
    DataError
        When the file is missing or holds something else.
    """
    import numpy as np

    if not path.is_file():
        raise DataError("there is no such file", where=str(path))
    try:
        codes = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _csv_codes(path)
    except (ValueError, EOFError) as error:
        raise DataError(f"the file holds no latent codes ({error})", where=str(path), expected=_CODES) from error
    if not isinstance(codes, np.ndarray) or codes.ndim != 2 or not np.issubdtype(codes.dtype, np.number):
        received = f"shape {codes.shape} of {codes.dtype}" if isinstance(codes, np.ndarray) else "several arrays"
        raise DataError("the file holds no latent codes", where=str(path), received=received, expected=_CODES)
    return codes.astype(np.float32)


_CODES = "an array (N, D) of numbers in a .npy file, or a CSV file with the columns z0, z1 and so on"


def _csv_codes(path: Path) -> "npt.NDArray[Any]":
    import pandas as pd

    frame = pd.read_csv(path)
    columns = [name for name in map(str, frame.columns) if name.startswith("z") and name[1:].isdigit()]
    if not columns:
        raise ValueError(f"its columns are {', '.join(map(str, frame.columns[:8]))}")
    columns.sort(key=lambda name: int(name[1:]))
    return frame[columns].to_numpy(dtype="float32")
