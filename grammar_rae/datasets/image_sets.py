"""The public sets of images by name: what they are, and how to read their files."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np

from grammar_rae.datasets import cifar
from grammar_rae.datasets.celeba import open_celeba
from grammar_rae.datasets.fetching import SOURCES, fetch
from grammar_rae.datasets.image_files import TEST, TRAIN, Bytes, find_idx, read_idx
from grammar_rae.datasets.images import ImageDataset, ImageSet
from grammar_rae.errors import DataError, InputError, UnknownNameError

_DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist
_PADDING = 2  # MNIST's 28 x 28 pixels become 32 x 32, which strided layers halve without a remainder
_DIGITS_TEST, _DIGITS_SEED = 360, 0


@dataclass(frozen=True)
class NamedImages:
    """A public set of images; ``open(folder, progress)`` reads it from a folder, or from its usual place."""

    description: str
    licence: str
    open: Callable[[Path | None, bool], ImageSet]


def image_set(name: str, folder: str | PathLike[str] | None = None, progress: bool = False) -> ImageSet:
    """Open a public set of images, in its usual two parts.

    Parameters
    ----------
    name
        One of ``IMAGE_SETS``.

        - ``mnist``, ``fashion-mnist``: 60,000 and 10,000 grey images, (1, 32, 32): 28 x 28 with a border of 2 pixels
          of 0. The folder holds the four idx files, compressed or not.
        - ``cifar10``: 50,000 and 10,000 images, (3, 32, 32). The folder holds the batch files of the version for Python
          or of the binary one.
        - ``celeba``: 182,637 and 19,962 faces, (3, 64, 64), with 40 attributes; see ``celeba.open_celeba``.
        - ``digits``: 1,437 and 360 grey digits of scikit-learn, (1, 8, 8), with a fixed split.
    folder
        Where the files are. By default, MNIST, Fashion-MNIST and CIFAR-10 are read from the user's cache, and
        downloaded into it if needed; Fashion-MNIST is read from Debian's package if that is installed.
    progress
        Whether to show the progress of long steps.

    Raises
    ------
    UnknownNameError
        If ``IMAGE_SETS`` lacks the name.
    InputError
        For a folder where none is needed, or none where one is.
    DataError
        For missing, damaged or other files, and without a network.

    Examples
    --------
    >>> image_set("digits").test
    <ImageDataset: 360 images of 1 x 8 x 8>
    """
    if name not in IMAGE_SETS:
        raise UnknownNameError("image set", name, IMAGE_SETS)
    return IMAGE_SETS[name].open(None if folder is None else Path(folder), progress)


def _open_mnist(name: str, usual: Path | None, folder: Path | None, progress: bool) -> ImageSet:
    if folder is None:
        folder = usual if usual is not None and usual.is_dir() else fetch(name, progress=progress).parent
    border = ((0, 0), (0, 0), (_PADDING, _PADDING), (_PADDING, _PADDING))
    parts = (_idx_part(folder, part, name, (1, 28, 28)) for part in (TRAIN, TEST))
    return ImageSet(*(ImageDataset(np.pad(images, border), labels) for images, labels in parts))


def _idx_part(folder: Path, part: str, name: str, shape: tuple[int, int, int]) -> tuple[Bytes, Bytes]:
    """The images (N, C, H, W) and labels (N,) in the two idx files of a part."""
    arrays = []
    for content in ("images", "labels"):
        path = find_idx(folder, part, content)
        if path is None:
            raise DataError(
                f"the folder lacks a file of {name}" if folder.is_dir() else "there is no such folder",
                where=str(folder),
                expected=f"{part}-{content}-idx{3 if content == 'images' else 1}-ubyte, also with .gz",
                remedy=f"Leave the folder out to download {name}.",
            )
        arrays.append(read_idx(path))
    images, labels = arrays
    images = images[:, None] if images.ndim == 3 else images
    if images.shape[1:] != shape or labels.shape != images.shape[:1] or not len(images):
        raise DataError(
            f"the files do not hold {name}",
            where=str(folder),
            received=f"{part}: images of shape {images.shape}, labels of shape {labels.shape}",
            expected=f"images of shape {shape} and as many labels",
            remedy="read_images reads any idx file.",
        )
    return images, labels


def _open_cifar10(folder: Path | None, progress: bool) -> ImageSet:
    if folder is None:
        folder = fetch("cifar10", progress=progress).parent
    if find_idx(folder, TRAIN, "images") is not None:  # what fetch writes
        return ImageSet(*(ImageDataset(*_idx_part(folder, part, "cifar10", cifar.SHAPE)) for part in (TRAIN, TEST)))
    for place in (folder, folder / "cifar-10-batches-bin", folder / "cifar-10-batches-py"):
        found = cifar.read_batches(place)
        if found is not None:
            return found
    raise DataError(
        "the folder lacks the batches of CIFAR-10" if folder.is_dir() else "there is no such folder",
        where=str(folder),
        expected="data_batch_1 to data_batch_5 and test_batch, or the same with .bin",
        remedy="Unpack the data set there, or leave the folder out to download it.",
    )


def _open_digits(folder: Path | None, progress: bool) -> ImageSet:
    if folder is not None:
        raise InputError(
            "the digits come with scikit-learn", received=f"folder {str(folder)!r}", remedy="Leave the folder out."
        )
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)  # (N, 64), from 0 to 16
    images = np.rint(images * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    train, test = train_test_split(
        np.arange(len(images)), test_size=_DIGITS_TEST, stratify=labels, random_state=_DIGITS_SEED
    )
    return ImageSet(ImageDataset(images[train], labels[train]), ImageDataset(images[test], labels[test]))


IMAGE_SETS: dict[str, NamedImages] = {
    "mnist": NamedImages(SOURCES["mnist"].description, SOURCES["mnist"].licence, partial(_open_mnist, "mnist", None)),
    "fashion-mnist": NamedImages(
        SOURCES["fashion-mnist"].description,
        SOURCES["fashion-mnist"].licence,
        partial(_open_mnist, "fashion-mnist", _DEBIAN_FASHION),
    ),
    "cifar10": NamedImages(SOURCES["cifar10"].description, SOURCES["cifar10"].licence, _open_cifar10),
    "celeba": NamedImages(
        "CelebA: 202,599 faces of celebrities, here 64 x 64 pixels in colour, with 40 attributes (not downloaded)",
        "non-commercial research only; the pictures must not be passed on",
        open_celeba,
    ),
    "digits": NamedImages(
        "Digits: 1,797 handwritten digits of 8 x 8 grey pixels, which come with scikit-learn",
        "CC BY 4.0",
        _open_digits,
    ),
}
"""The sets of ``image_set``; a new one is a new row."""
