"""The formats of the commands' files: the suffix says which one, in writing as in reading."""

import gzip
import importlib.util
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grammar_rae.errors import DataError, MissingExtraError
from grammar_rae.files import is_special

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

STDOUT = Path("-")

TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
"""Tables with a header."""
TEXTS = (".smi", ".smiles", ".txt", ".smi.gz", ".smiles.gz", ".txt.gz")
"""One text a line and nothing else."""
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
        For Parquet without pyarrow.
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
    if found == ".parquet":
        _check_parquet("writing")
    return found


def frame_bytes(frame: "pd.DataFrame", kind: str) -> bytes:
    """A table in a format of :data:`TABLES`, or the texts of its column ``smiles`` in one of :data:`TEXTS`."""
    if kind == ".parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    if kind in TEXTS:
        return line_bytes(frame[_TEXT_COLUMN], kind)
    return _text_bytes(frame.to_csv(index=False, lineterminator="\n", sep=_separator(kind)), kind)


def line_bytes(texts: Iterable[str], kind: str) -> bytes:
    """Texts in a format of :data:`TEXTS`."""
    return _text_bytes("".join(f"{text}\n" for text in texts), kind)


def _text_bytes(text: str, kind: str) -> bytes:
    blob = text.encode("utf-8", "backslashreplace")
    return gzip.compress(blob, mtime=0) if kind.endswith(".gz") else blob


def left_out_columns(frame: "pd.DataFrame", kind: str) -> list[str]:
    """The columns that a format has no place for."""
    return [str(name) for name in frame.columns if name != _TEXT_COLUMN] if kind in TEXTS else []


def array_bytes(codes: "npt.NDArray[Any]", kind: str) -> bytes:
    """Numbers in a format of :data:`ARRAYS`."""
    import numpy as np

    buffer = io.BytesIO()
    if kind == ".npz":
        arrays: Any = {_CODES: codes}
        np.savez_compressed(buffer, **arrays)
    else:
        np.save(buffer, codes, allow_pickle=False)
    return buffer.getvalue()


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
    return _table_codes(path, kind)


def _table_codes(path: Path, kind: str) -> "npt.NDArray[Any]":
    import pandas as pd

    if kind == ".parquet":
        _check_parquet("reading")
        frame = pd.read_parquet(path)
    else:
        frame = pd.read_csv(path, sep=_separator(kind))
    columns = [name for name in map(str, frame.columns) if name.startswith("z") and name[1:].isdecimal()]
    if not columns:
        raise _NoCodesError(f"its columns are {', '.join(map(str, frame.columns[:8]))}")
    columns.sort(key=lambda name: int(name[1:]))
    return frame[columns].to_numpy(dtype="float32")


def _format_of(path: Path, known: Sequence[str]) -> str | None:
    name = path.name.lower()
    return next((kind for kind in sorted(known, key=len, reverse=True) if name.endswith(kind)), None)


def _separator(kind: str) -> str:
    return "\t" if kind.startswith(".tsv") else ","


def _check_parquet(purpose: str) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("pyarrow", "parquet", f"{purpose} a .parquet file")
