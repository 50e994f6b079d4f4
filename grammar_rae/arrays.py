"""NumPy's files, read without pickle and without believing a header that the file's size contradicts."""

import math
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from grammar_rae.errors import DataError

_MAGIC = b"\x93NUMPY"
_DAMAGE = (
    ValueError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    EOFError,
    struct.error,
    RecursionError,
    OverflowError,
    MemoryError,
)


def read_array(path: str | os.PathLike[str], *, mapped: bool = False) -> NDArray[Any]:
    """The array of a .npy file.

    Parameters
    ----------
    path
        The file. Nothing is allocated before its header has been compared with its size.
    mapped
        Leave the array in the file and map it read-only.

    Raises
    ------
    DataError
        When the file is missing, is no .npy file, is longer or shorter than its header says, or holds objects.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if not path.is_file():
                raise DataError("the file holds no array: it is no regular file", where=str(path))
            size = os.fstat(file.fileno()).st_size
            shape, fortran, dtype = _header(file, size, str(path))
            order: Any = "F" if fortran else "C"
            count: int = math.prod(shape)
            if mapped and count:  # an empty file cannot be mapped
                return np.memmap(path, dtype, "r", file.tell(), shape, order)
            return np.fromfile(file, dtype, count).reshape(shape, order=order)
    except ValueError as error:
        raise DataError(f"the file holds no array ({error})", where=str(path)) from error
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror or error})", where=str(path)) from error


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file, by their names.

    Raises
    ------
    DataError
        When the file is missing or damaged, is no archive of .npy files, or one of these cannot be read.
    """
    path = Path(path)
    found: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                where = f"{path}, {member.filename[:100]}"
                with archive.open(member) as file:
                    shape, fortran, dtype = _header(file, member.file_size, where)
                    data = file.read(math.prod(shape) * dtype.itemsize)
                if len(data) != math.prod(shape) * dtype.itemsize:
                    raise DataError("the array ends too early", where=where)
                array = np.frombuffer(data, dtype) if data else np.zeros(0, dtype)
                found[member.filename.removesuffix(".npy")] = array.reshape(shape, order="F" if fortran else "C")
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror or error})", where=str(path)) from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, *_DAMAGE) as error:
        raise DataError(f"the file is no archive of arrays, or is damaged ({error})", where=str(path)) from error
    return found


def _header(file: IO[bytes], size: int, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type as the header has them, if the bytes that follow it are as many; the file stands there."""
    try:
        start = file.read(len(_MAGIC) + 2)
        if start[: len(_MAGIC)] != _MAGIC or len(start) < len(_MAGIC) + 2:
            raise DataError("the file holds no array: it is no .npy file", where=where)
        versions = {b"\x01\x00": npy.read_array_header_1_0, b"\x02\x00": npy.read_array_header_2_0}
        if (read := versions.get(start[len(_MAGIC) :])) is None:
            raise DataError("the file holds no array of numbers", where=where, received="another version of .npy")
        shape, fortran, dtype = read(file)
    except _DAMAGE as error:
        raise DataError("the file holds no array: its header is damaged", where=where) from error
    if dtype.hasobject or not dtype.itemsize:
        raise DataError("the file holds Python objects, not numbers; they are never loaded", where=where)
    expected, left = math.prod(shape) * dtype.itemsize, size - file.tell()
    if any(not 0 <= extent < 2**63 for extent in shape) or expected != left:
        raise DataError(
            "the array is not as long as its header says",
            where=where,
            received=f"{left} bytes of data",
            expected=f"{expected} bytes for shape {shape} of {dtype}"[:200],
        )
    return shape, fortran, dtype
