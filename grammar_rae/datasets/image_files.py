"""Images from idx, .npy and .npz files, and from arrays of several layouts."""

import gzip
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from grammar_rae.arrays import read_array, read_arrays
from grammar_rae.datasets.images import CHANNELS, ImageDataset
from grammar_rae.errors import DataError, InputError
from grammar_rae.files import replacing

ImageSource: TypeAlias = str | PathLike[str] | npt.ArrayLike
Bytes: TypeAlias = npt.NDArray[np.uint8]

TRAIN, TEST = "train", "t10k"
"""The prefixes of the names of MNIST's files, and of those that ``fetch`` writes."""

_GZIP, _NPY, _ZIP = b"\x1f\x8b", b"\x93NUMPY", b"PK\x03\x04"
_UBYTE = 0x08
_BLOCK = 1 << 24  # numbers that are rounded at a time


def read_images(source: ImageSource, labels: ImageSource | None = None) -> ImageDataset:
    """Read the images of a file or an array.

    Parameters
    ----------
    source
        The path of an idx file (also gzip-compressed), of a .npy file, or of a .npz file with the array ``images`` and
        optionally the array ``labels``, recognised by its content; or an array of NumPy or PyTorch. Its shape is (N, H,
        W), (N, H, W, C) or (N, C, H, W), with C = 1 or 3: uint8, or floats in [0, 1], which are rounded to 255ths.
    labels
        Integers (N,), or attributes of 0 and 1 (N, A): an array, or the path of an idx or .npy file of them.

    Returns
    -------
    The data set. Arrays of uint8 are shared, not copied; files of them that are not compressed are mapped into memory
    and must stay where they are while the data set is in use.

    Raises
    ------
    InputError
        For an array of another shape or type, pixel values outside [0, 1], no image, or a different number of labels.
    DataError
        For the same in a file, and for a file that is missing, damaged or of another kind. Python objects are never
        unpickled.

    Examples
    --------
    >>> read_images(np.full((5, 28, 28, 3), 0.5))
    <ImageDataset: 5 images of 3 x 28 x 28>
    """
    path = Path(source) if isinstance(source, str | PathLike) else None
    with _name_file_in_errors(path):
        array, inside = (_to_array(source), None) if path is None else _load_arrays(path)
        images = _as_images(array)
    if labels is None:
        with _name_file_in_errors(path):
            return ImageDataset(images, inside)
    labels_path = Path(labels) if isinstance(labels, str | PathLike) else None
    with _name_file_in_errors(labels_path):
        return ImageDataset(images, _to_array(labels) if labels_path is None else _load_arrays(labels_path)[0])


@contextmanager
def _name_file_in_errors(path: Path | None) -> Iterator[None]:
    """Turn an error about an array from a file into a DataError that names the file."""
    try:
        yield
    except InputError as error:
        if path is None:
            raise
        parts = {"received": error.received, "expected": error.expected, "remedy": error.remedy}
        raise DataError(error.message, where=str(path), **parts) from error


# --- arrays ----------------------------------------------------------------------------------------------------------


def _to_array(source: Any) -> npt.NDArray[Any]:
    if hasattr(source, "detach"):  # a tensor, recognised without importing torch
        source = source.detach().cpu()
        if source.is_floating_point():
            source = source.float()  # NumPy has no bfloat16
    try:
        return np.asarray(source)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"cannot convert the images to an array ({error})",
            received=type(source).__name__,
            expected="images of one size, as one array",
        ) from error


def _as_images(array: npt.NDArray[Any]) -> Bytes:
    """Convert any layout and type that ``read_images`` takes to uint8 (N, C, H, W); a view where possible."""
    return _as_bytes(_channels_first(array))


def _channels_first(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    given = f"{array.dtype} of shape {array.shape}"
    layouts = "(N, H, W), (N, H, W, C) or (N, C, H, W), C = 1 or 3"
    if array.ndim not in (3, 4):
        raise InputError(
            "images must have two dimensions, or three with channels",
            received=given,
            expected=layouts,
            remedy="Reshape the array; for a single image, N = 1.",
        )
    if 0 in array.shape:
        raise InputError("the array holds no image or no pixel", received=given, expected="no dimension of size 0")
    last = array.shape[-1] in CHANNELS
    if array.ndim == 3:
        if last:
            raise InputError(
                "the layout is ambiguous: narrow images, or one image with channels",
                received=given,
                expected=layouts,
                remedy="Pass it to ImageDataset as (N, C, H, W).",
            )
        return array[:, None]
    first = array.shape[1] in CHANNELS
    if first and last:
        raise InputError(
            "the layout is ambiguous: two axes could be the channels",
            received=given,
            remedy="Pass it to ImageDataset as (N, C, H, W).",
        )
    if not first and not last:
        raise InputError(
            "images must have 1 or 3 channels",
            received=given,
            expected=layouts,
            remedy="Drop the alpha channel, or choose the channels to keep.",
        )
    return array if first else np.moveaxis(array, -1, 1)


def _as_bytes(images: npt.NDArray[Any]) -> Bytes:
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(
            "images must be uint8 or floating-point numbers",
            received=str(images.dtype),
            expected="uint8 from 0 to 255, or floats in [0, 1]",
            remedy="Convert integers from 0 to 255 with astype('uint8').",
        )
    rounded = np.empty(images.shape, dtype=np.uint8)
    size = max(_BLOCK // math.prod(images.shape[1:]), 1)
    for start in range(0, len(images), size):  # a few at a time: they may be mapped from a file
        block = images[start : start + size]
        lowest, highest = block.min(), block.max()
        if not (lowest >= 0 and highest <= 1):  # also true of NaN
            raise InputError(
                "pixel values must lie in [0, 1]",
                received="NaN" if math.isnan(lowest) else f"numbers from {lowest:.6g} to {highest:.6g}",
                expected="floats in [0, 1]",
                remedy="Scale them to [0, 1], or pass uint8 from 0 to 255.",
            )
        np.rint(block * block.dtype.type(255), out=rounded[start : start + size], casting="unsafe")
    return rounded


# --- files -----------------------------------------------------------------------------------------------------------


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    """Turn errors of the file system and of damaged archives into a DataError."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise DataError(
            f"the file ends too early or is damaged ({error})", where=str(path), remedy="Download it again."
        ) from error
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror or error})", where=str(path)) from error


def _load_arrays(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """The array of a file, and the labels beside it in a .npz file."""
    if path.is_dir():
        raise DataError(
            "this is a folder, not a file of images",
            where=str(path),
            remedy="Pass the path of one file, or use image_set for a folder of a known set.",
        )
    with _translate_errors(path), path.open("rb") as stream:
        start = stream.read(len(_NPY))
    if start == _NPY:
        return _read_numpy(path), None
    if start.startswith(_ZIP):
        return _read_archive(path)
    return read_idx(path), None


def _read_numpy(path: Path) -> npt.NDArray[Any]:
    try:
        return read_array(path, mapped=True)
    except DataError as error:  # an invalid header, objects, fewer bytes than the header says
        raise DataError(
            f"the .npy file cannot be used ({error.message})",
            where=str(path),
            received=error.received,
            expected=error.expected,
            remedy="Save a uint8 array with numpy.save.",
        ) from error


def _read_archive(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    try:
        archive = read_arrays(path)
    except DataError as error:
        raise DataError(f"the .npz file cannot be used ({error.message})", where=error.where) from error
    if "images" not in archive:
        raise DataError(
            "the .npz file has no array of images",
            where=str(path),
            received="the arrays " + ", ".join(list(archive)[:10]) if archive else "no array",
            expected="an array named images, and optionally one named labels",
            remedy="Load the array that holds the images and pass it to read_images.",
        )
    return archive["images"], archive.get("labels")


def read_idx(path: Path) -> Bytes:
    """Read the array of bytes in an idx file, of any number of dimensions; mapped unless the file is compressed.

    The format is that of the MNIST files: two bytes of 0, the type (8: bytes), the number of dimensions, the sizes as
    big-endian 32-bit integers, the data. Raises DataError for another file, or one that is longer or shorter than it
    says.
    """
    with _translate_errors(path), path.open("rb") as raw:
        compressed = raw.read(2) == _GZIP
        raw.seek(0)
        if not compressed:
            shape = _idx_shape(raw, path)
            offset = raw.tell()
            _check_size(path.stat().st_size - offset, shape, path)
            # An empty file cannot be mapped.
            return np.memmap(path, np.uint8, "r", offset, shape) if 0 not in shape else np.empty(shape, np.uint8)
        with gzip.GzipFile(fileobj=raw) as stream:
            shape = _idx_shape(stream, path)
            data = stream.read(math.prod(shape) + 1)
            _check_size(len(data), shape, path)
            return np.frombuffer(data, np.uint8).reshape(shape)


def _idx_shape(stream: IO[bytes] | gzip.GzipFile, path: Path) -> tuple[int, ...]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != _UBYTE or magic[3] == 0:
        raise DataError(
            "unsupported format of image file",
            where=str(path),
            received=f"a file that begins with the bytes {magic.hex(' ')}" if magic else "an empty file",
            expected="an idx file of bytes (00 00 08), compressed by gzip or not, or a .npy or .npz file",
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError("the idx file ends inside its header", where=str(path), remedy="Download it again.")
    return tuple(int(size) for size in np.frombuffer(sizes, ">u4"))


def _check_size(size: int, shape: tuple[int, ...], path: Path) -> None:
    expected = math.prod(shape)
    if size != expected:
        raise DataError(
            "the idx file is cut off" if size < expected else "the idx file continues after its data",
            where=str(path),
            received=f"{size} bytes of data" if size < expected else "more bytes than that",
            expected=f"{expected} bytes, as its header says",
            remedy="Download it again.",
        )


def write_idx(path: Path, array: Bytes) -> None:
    """Write bytes as an uncompressed idx file, under another name first, so that it is complete or absent."""
    with replacing(path) as draft, draft.open("wb") as stream:
        stream.write(bytes((0, 0, _UBYTE, array.ndim)) + np.asarray(array.shape, ">u4").tobytes())
        stream.write(np.ascontiguousarray(array).data)


def find_idx(folder: Path, part: str, content: str) -> Path | None:
    """Find the idx file of a part (TRAIN, TEST) and content ("images", "labels") under one of the usual names."""
    for dimensions in (1,) if content == "labels" else (3, 4):
        for separator in "-.":
            for suffix in ("", ".gz"):
                path = folder / f"{part}-{content}{separator}idx{dimensions}-ubyte{suffix}"
                if path.is_file():
                    return path
    return None
