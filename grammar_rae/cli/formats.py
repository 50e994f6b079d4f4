"""The formats of the commands' files: the suffix says which one, in writing as in reading."""

import csv
import importlib.util
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from grammar_rae.compression import split_compression
from grammar_rae.errors import DataError, MissingExtraError
from grammar_rae.files import is_special, scratch_beside
from grammar_rae.formats import FORMATS, TABLES, TEXTS

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

__all__ = ["ARRAYS", "PAGES", "STDOUT", "TABLES", "TEXTS", "output_format", "read_codes", "writing_codes"]

STDOUT = Path("-")

ARRAYS = (".npy", ".npz")
"""Numbers alone."""
PAGES = (".html", ".htm")

_TEXT_COLUMN = "smiles"
_CODES = "codes"  # the name of the array in a .npz file


def output_format(path: Path, known: Sequence[str]) -> str:
    """The format that a path's suffix names; the standard output, a FIFO and a device get the first of those known.

    Raises
    ------
    DataError
        For any other suffix, or none.
    MissingExtraError
        For Parquet or Arrow without pyarrow, or .zst without zstandard.
    """
    found = _format_of(path, known)
    if found is None and (path == STDOUT or is_special(path)):
        return known[0]
    if found is None:
        raise DataError(
            "the suffix of the output names no format that is written here",
            where=str(path),
            received=repr("".join(path.suffixes[-2:])),
            expected="one of " + ", ".join(known),
        )
    _check_extras(found, "writing")
    return found


PLAIN = (".csv", ".tsv")
"""Tables that are written as they are drawn, without pandas."""


def column_text(columns: Mapping[str, Any], kind: str) -> str:
    """A table of lists or arrays in a format of :data:`PLAIN`, as pandas writes it."""
    text = io.StringIO()
    table = csv.writer(text, delimiter="," if kind == ".csv" else "\t", lineterminator="\n")
    table.writerow(columns)
    cells = [column if isinstance(column, list) else column.tolist() for column in columns.values()]
    missing = [[None if isinstance(cell, float) and cell != cell else cell for cell in column] for column in cells]
    table.writerows(zip(*missing, strict=True))
    return text.getvalue()


def left_out_columns(frame: "pd.DataFrame", kind: str) -> list[str]:
    """The columns that a format has no place for."""
    return [str(name) for name in frame.columns if name != _TEXT_COLUMN] if kind in TEXTS else []


@contextmanager
def writing_codes(stream: IO[bytes], kind: str) -> Iterator[Callable[["npt.NDArray[Any]"], None]]:
    """What writes codes, float32 (K, D), one part or more, as an array (N, D) in a format of :data:`ARRAYS`.

    Parts of an ``.npz`` file wait in a file beside it, since an archive names the shape before the numbers.
    """
    import numpy as np

    with ExitStack() as stack:
        plain = stream if kind == ".npy" else stack.enter_context(scratch_beside(stream))
        rows = width = 0

        def head() -> int:
            # NumPy leaves room for the largest number of rows: the header stays as long as it is.
            described = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
            plain.seek(0)
            np.lib.format.write_array_header_1_0(plain, described)
            return plain.tell()

        def write(codes: "npt.NDArray[Any]") -> None:
            nonlocal rows, width
            if not rows:
                width = codes.shape[1]
                head()
            rows += len(codes)
            plain.write(np.ascontiguousarray(codes, "<f4").tobytes())

        yield write
        start = head()
        if kind == ".npz":
            plain.flush()
            arrays: Any = {_CODES: np.memmap(plain, "<f4", "r", start, (rows, width))}
            np.savez_compressed(stream, **arrays)


def read_codes(path: Path) -> "npt.NDArray[Any]":
    """Latent codes (N, D) as ``encode`` writes them; columns of a table other than z0, z1 and so on are not read.

    Raises
    ------
    DataError
        When the file is missing or holds something else.
    """
    import zlib

    import numpy as np

    if not path.is_file():
        raise DataError("there is no such file", where=str(path))
    try:
        codes = _numbers(path)
        if codes.ndim != 2 or codes.dtype.kind not in "fiu":
            raise _NoCodesError(f"it holds shape {codes.shape} of {codes.dtype}")
        with np.errstate(over="ignore"):
            return codes.astype(np.float32)
    except DataError as error:
        reason = error.message
    except (ValueError, TypeError, OverflowError, EOFError, OSError, MemoryError, zlib.error) as error:
        reason = str(error)[:200] or type(error).__name__
    raise DataError(
        f"the file holds no latent codes ({reason.rstrip('.')})",
        where=str(path),
        expected="numbers (N, D) in a .npy or .npz file, or a table with the columns z0, z1 and so on",
    )


class _NoCodesError(ValueError):
    pass


def _numbers(path: Path) -> "npt.NDArray[Any]":
    from grammar_rae.arrays import read_array, read_arrays

    kind = _format_of(path, (*ARRAYS, *TABLES))
    if kind is None:
        raise _NoCodesError(f"its suffix is none of {', '.join((*ARRAYS, *TABLES))}")
    if kind == ".npy":
        return read_array(path)
    if kind == ".npz":
        arrays = read_arrays(path)
        if _CODES not in arrays and len(arrays) != 1:
            raise _NoCodesError(f"none of its {len(arrays)} arrays is named {_CODES}")
        return arrays[_CODES] if _CODES in arrays else next(iter(arrays.values()))
    return _table_codes(path)


def _table_codes(path: Path) -> "npt.NDArray[Any]":
    import numpy as np

    from grammar_rae.datasets import read_table

    names, columns = read_table(path)
    found = {
        name: column for name, column in zip(names, columns, strict=True) if name[:1] == "z" and name[1:].isdecimal()
    }
    if not found:
        raise _NoCodesError(f"its columns are {', '.join(names[:8])}")
    ordered = sorted(found, key=lambda name: int(name[1:]))
    return np.array([found[name] for name in ordered], dtype="float32").T


def _format_of(path: Path, known: Sequence[str]) -> str | None:
    name = path.name.lower()
    return next((kind for kind in sorted(known, key=len, reverse=True) if name.endswith(kind)), None)


def _check_extras(kind: str, purpose: str) -> None:
    plain, packed = split_compression(kind)
    row = FORMATS.get(plain)
    for package, extra, needed in (
        ("pyarrow", "parquet", row is not None and not row.compresses),
        ("zstandard", "zstd", packed == ".zst"),
    ):
        if needed and importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, extra, f"{purpose} a {kind} file")
