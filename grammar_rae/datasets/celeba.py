"""CelebA: pictures are cropped and resized once, and kept in files that are mapped into memory."""

import hashlib
import secrets
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from grammar_rae.arrays import read_array
from grammar_rae.datasets.images import ImageDataset, ImageSet
from grammar_rae.errors import DataError, InputError
from grammar_rae.files import explain_write_errors, replacing

PAGE = "mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
SIZE = 64
_CROP = 140
_ORIGINAL_SIZE = (178, 218)  # width and height of the aligned pictures
_PREPARED = f"centre crop {_CROP}, {SIZE}x{SIZE}, bilinear"
_CACHE = f"prepared_{SIZE}x{SIZE}"
_PICTURES = ("img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba")
_LISTS = ("", "Eval", "Anno")
_CHUNK = 256  # pictures that a thread takes at a time

_Bytes = npt.NDArray[np.uint8]


def open_celeba(folder: Path | None, progress: bool) -> ImageSet:
    """Open CelebA at 64 x 64 from a folder with the aligned pictures and the list of the parts.

    The folder holds ``img_align_celeba`` with the pictures and ``list_eval_partition.txt`` (or .csv), and perhaps
    ``list_attr_celeba.txt`` (or .csv), whose 40 attributes become labels of 0 and 1. The training set is the list's
    parts 0 and 1, since recipes hold out their own validation images; the test set is part 2.

    A centre crop of 140 x 140 is resized to 64 x 64 by Pillow's bilinear filter, which averages over what falls into a
    pixel. This happens once, with all processors; the result takes 2.5 GB in a folder ``prepared_64x64`` beside the
    pictures, or in the user's cache where that folder cannot be written. It is repeated when the list changes.

    Raises InputError without a folder, and DataError for lists or pictures that are missing, damaged or of another
    size.
    """
    if folder is None:
        raise InputError(
            "CelebA cannot be downloaded automatically: its terms forbid it",
            expected="a folder with img_align_celeba and list_eval_partition.txt",
            remedy=f"Download both from {PAGE} and pass their folder.",
        )
    parts = _read_parts(_require_list(folder, "list_eval_partition"))
    pictures = _find_pictures(folder, parts[0][0])
    attributes = _attributes(folder)
    sets = []
    for images, names in zip(_open_prepared(folder, pictures, parts, progress), parts, strict=True):
        sets.append(ImageDataset(images, None if attributes is None else _labels(attributes, names, folder)))
    return ImageSet(*sets)


# --- lists -----------------------------------------------------------------------------------------------------------


def _require_list(folder: Path, name: str) -> Path:
    found = _find_list(folder, name)
    if found is None:
        raise DataError(
            "the folder lacks a list file of CelebA",
            where=str(folder),
            expected=f"{name}.txt or {name}.csv",
            remedy=f"Download it from {PAGE}.",
        )
    return found


def _find_list(folder: Path, name: str) -> Path | None:
    paths = (folder / place / (name + suffix) for place in _LISTS for suffix in (".txt", ".csv"))
    return next((path for path in paths if path.is_file()), None)


def _find_pictures(folder: Path, first: str) -> Path:
    for place in _PICTURES:
        if (folder / place / first).is_file():
            return folder / place
    raise DataError(
        "the folder lacks the pictures of CelebA",
        where=str(folder),
        expected=f"img_align_celeba/{first}",
        remedy=f"Unpack img_align_celeba.zip there; download it from {PAGE}.",
    )


def _fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines of a list with their numbers from 1: separated by blanks, or by commas in a .csv file."""
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                fields = line.replace(",", " ").split()
                if fields:
                    yield number, fields
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list cannot be read ({error})", where=str(path)) from error


def _wrong_line(path: Path, number: int, fields: list[str], expected: str) -> DataError:
    received = repr(" ".join(fields[:3]))
    return DataError(
        "the list contains an invalid line", where=f"{path}, line {number}", received=received, expected=expected
    )


def _read_parts(path: Path) -> tuple[list[str], list[str]]:
    """The names of the training pictures and those of the test pictures."""
    train: list[str] = []
    test: list[str] = []
    for number, fields in _fields(path):
        if number == 1 and fields[-1] == "partition":
            continue
        # The name goes into a path, so only a plain name is accepted.
        if len(fields) != 2 or fields[1] not in ("0", "1", "2") or Path(fields[0]).name != fields[0]:
            raise _wrong_line(path, number, fields, "the name of a picture and 0, 1 or 2")
        (test if fields[1] == "2" else train).append(fields[0])
    if not train or not test:
        raise DataError(
            "the list lacks training or test pictures",
            where=str(path),
            received=f"{len(train)} for training, {len(test)} for the test",
        )
    return train, test


def _attributes(folder: Path) -> dict[str, _Bytes] | None:
    """Each picture's attributes as 0 and 1 (A,), or None without a list of them."""
    path = _find_list(folder, "list_attr_celeba")
    if path is None:
        return None
    values = {"-1": 0, "0": 0, "1": 1}
    table: dict[str, _Bytes] = {}
    count: int | None = None
    for number, fields in _fields(path):
        if number <= 2 and (len(fields) < 2 or fields[-1] not in values):
            continue  # the number of rows, the names of the attributes
        count = count or len(fields)
        try:
            row = np.array([values[field] for field in fields[1:]], dtype=np.uint8)
        except KeyError:
            row = np.empty(0, np.uint8)
        if len(row) != count - 1 or not len(row):
            raise _wrong_line(path, number, fields, f"the name of a picture and {count - 1} times -1 or 1")
        table[fields[0]] = row
    return table


def _labels(attributes: dict[str, _Bytes], names: Sequence[str], folder: Path) -> _Bytes:
    try:
        return np.stack([attributes[name] for name in names])
    except KeyError as error:
        raise DataError("the list of attributes lacks a picture", where=str(folder), received=error) from error


# --- pictures --------------------------------------------------------------------------------------------------------


def _open_prepared(folder: Path, pictures: Path, parts: Iterable[Sequence[str]], progress: bool) -> list[_Bytes]:
    """The images (N, 3, 64, 64) of each part, mapped from files, which are prepared if they do not exist."""
    mapped = []
    for part, names in zip(("train", "test"), parts, strict=True):
        # A changed list or another way to prepare gives another file.
        digest = hashlib.sha256("\n".join((_PREPARED, *names)).encode()).hexdigest()
        file = f"{part}-{digest[:16]}.npy"
        shape = (len(names), 3, SIZE, SIZE)
        images = _map_file(folder / _CACHE / file, shape)
        if images is None:
            images = _map_file(_user_cache() / file, shape)
        if images is None:
            path = _writable_folder(folder) / file
            _write(path, shape, _show_progress(_prepare_all(pictures, names), len(names), progress, part))
            images = _map_file(path, shape)
            assert images is not None, "the file that was written cannot be read"
        mapped.append(images)
    return mapped


def _user_cache() -> Path:
    import pooch

    return Path(pooch.os_cache("grammar_rae")) / "celeba" / _CACHE


def _map_file(path: Path, shape: tuple[int, ...]) -> _Bytes | None:
    try:
        images: _Bytes = read_array(path, mapped=True)
    except DataError:
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None


def _writable_folder(folder: Path) -> Path:
    """The folder for the prepared images: beside the pictures if that is writable, else in the user's cache."""
    for cache in (folder / _CACHE, _user_cache()):
        probe = cache / f".{secrets.token_hex(4)}.part"
        try:
            cache.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            problem = error
            continue
        return cache
    raise DataError(
        f"the prepared images cannot be stored ({problem.strerror or problem})",
        where=str(cache),
        remedy="Check the permissions there and in the folder of the pictures.",
    )


def _write(path: Path, shape: tuple[int, ...], blocks: Iterable[_Bytes]) -> None:
    """Write a .npy file of bytes block by block, under another name until it is complete."""
    explained = explain_write_errors("the prepared images", where=str(path), remedy="Check the free disk space.")
    with explained, replacing(path) as part, part.open("wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(cast(BinaryIO, stream), header)
        for block in blocks:
            stream.write(block.data)


def _show_progress(blocks: Iterable[_Bytes], total: int, progress: bool, part: str) -> Iterator[_Bytes]:
    from grammar_rae.bars import bar_type

    tqdm = bar_type()

    with tqdm(desc=f"preparing {part}", total=total, unit=" images", disable=not progress) as bar:
        for block in blocks:
            yield block
            bar.update(len(block))


def _prepare_all(pictures: Path, names: Iterable[str]) -> Iterator[_Bytes]:
    """Blocks of images (B, 3, 64, 64) in the order of the names, prepared by threads: Pillow works outside the GIL."""
    from joblib import Parallel, delayed

    rest = iter(names)
    chunks = iter(lambda: list(islice(rest, _CHUNK)), [])
    parallel = Parallel(n_jobs=-1, prefer="threads", return_as="generator", batch_size=1, pre_dispatch="3 * n_jobs")
    tasks = (delayed(_prepare_chunk)(pictures, chunk) for chunk in chunks)
    with closing(cast(Generator[_Bytes, None, None], parallel(tasks))) as results:
        yield from results


def _prepare_chunk(pictures: Path, names: Sequence[str]) -> _Bytes:
    return np.stack([_prepare_picture(pictures / name) for name in names])


def _prepare_picture(path: Path) -> _Bytes:
    from PIL import Image

    try:
        with Image.open(path, formats=("JPEG", "PNG")) as picture:
            if picture.size != _ORIGINAL_SIZE:
                raise DataError(
                    "this picture is not one of the aligned pictures of CelebA",
                    where=str(path),
                    received=f"{picture.size[0]} x {picture.size[1]} pixels",
                    expected=f"{_ORIGINAL_SIZE[0]} x {_ORIGINAL_SIZE[1]}, as in img_align_celeba",
                )
            left, top = ((size - _CROP) // 2 for size in _ORIGINAL_SIZE)
            square = picture.convert("RGB").crop((left, top, left + _CROP, top + _CROP))
            small = square.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    except FileNotFoundError as error:
        raise DataError("a picture named in the list is missing", where=str(path)) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"a picture cannot be read ({error})", where=str(path), remedy="Unpack the pictures again."
        ) from error
    return np.ascontiguousarray(np.moveaxis(np.asarray(small), -1, 0))
