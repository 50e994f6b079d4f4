"""The data set of images: bytes in memory or mapped from a file, converted to [0, 1] one batch at a time."""

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from grammar_rae.datasets.rows import Indices, Rows, check_rows, split_rows
from grammar_rae.errors import InputError

if TYPE_CHECKING:  # torch takes seconds to import
    import torch

CHANNELS = (1, 3)
_BLOCK = 1 << 24  # bytes of images that are hashed at a time


class ImageDataset:
    """N images of one size, or a view of some of them. Made by ``read_images`` and ``image_set``.

    The images stay as they were given, in memory or on disk; views share them.

    Parameters
    ----------
    images
        uint8 (N, C, H, W) from 0 to 255, with C = 1 (grey) or 3 (red, green, blue). It may be memory-mapped.
    labels
        Integers (N,), or attributes of 0 and 1 (N, A), or None. Models ignore them.
    rows
        The images of a view (integers, or booleans); all by default.

    Raises
    ------
    InputError
        For an array of another kind, no image, or a different number of labels.

    Examples
    --------
    >>> data = ImageDataset(np.zeros((10, 1, 32, 32), dtype=np.uint8))
    >>> train, validation = data.split(0.2, seed=0)
    >>> len(train), validation.shape
    (8, (1, 32, 32))
    """

    def __init__(
        self, images: npt.NDArray[np.uint8], labels: npt.ArrayLike | None = None, rows: Indices | None = None
    ) -> None:
        self._images = _check_images(images)
        self._labels = None if labels is None else _check_labels(labels, len(images))
        self._rows: Rows | None = None if rows is None else check_rows(rows, len(images))

    def __len__(self) -> int:
        return len(self._images if self._rows is None else self._rows)

    def __repr__(self) -> str:
        return f"<ImageDataset: {len(self)} images of {' x '.join(map(str, self.shape))}>"

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one image, (C, H, W)."""
        _, channels, height, width = self._images.shape
        return channels, height, width

    @property
    def images(self) -> npt.NDArray[np.uint8]:
        """All images: uint8 (N, C, H, W). A view copies them at every access; read a large one in batches."""
        return self._images if self._rows is None else self._images[self._rows]

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """The labels: int64 (N,), or (N, A) of 0 and 1, or None."""
        return self._labels if self._labels is None or self._rows is None else self._labels[self._rows]

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of shape and pixels, equal for sets that train alike; labels are ignored."""
        digest = hashlib.sha256(repr((len(self), *self.shape)).encode())
        size = max(_BLOCK // int(np.prod(self.shape)), 1)
        for start in range(0, len(self), size):
            digest.update(np.ascontiguousarray(self._pixels(slice(start, start + size))).data)
        return digest.hexdigest()

    def batch(self, indices: Indices) -> "torch.Tensor":
        """B images: float32 (B, C, H, W) in [0, 1], the bytes divided by 255.

        ``indices`` are integers, or N booleans. Raises IndexError outside -N..N-1.
        """
        import torch

        pixels = torch.from_numpy(self._pixels(check_rows(indices, len(self))))
        # One pass, into contiguous memory, whatever the order of the bytes and torch's default type.
        return torch.div(pixels, 255, out=torch.empty(pixels.shape, dtype=torch.float32))

    def subset(self, indices: Indices) -> "ImageDataset":
        """A view of some images, in the order given; ``indices`` as for ``batch``."""
        rows = check_rows(indices, len(self))
        return ImageDataset(self._images, self._labels, rows if self._rows is None else self._rows[rows])

    def split(self, fraction: float, seed: int, maximum: int | None = None) -> "tuple[ImageDataset, ImageDataset]":
        """Disjoint views for training and validation; together they are the whole.

        ``fraction`` of the images, at least one and at most ``maximum``, go into the second. Which ones depends only
        on N and the seed. Raises InputError for a fraction outside (0, 1), DataError for fewer than two images.
        """
        training, validation = split_rows(len(self), fraction, seed, maximum)
        return self.subset(training), self.subset(validation)

    def _pixels(self, rows: "Rows | slice") -> npt.NDArray[np.uint8]:
        return self._images[rows if self._rows is None else self._rows[rows]]


class ImageSet(NamedTuple):
    """A public set of images in its usual two parts."""

    train: ImageDataset
    test: ImageDataset


def _check_images(images: Any) -> npt.NDArray[np.uint8]:
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4:
        shape = f"{images.dtype} of shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise InputError(
            "images have the wrong type or shape",
            received=shape,
            expected="a uint8 array (N, C, H, W)",
            remedy="Convert other arrays and files with read_images.",
        )
    if images.shape[1] not in CHANNELS and 0 not in images.shape:
        raise InputError(
            "images must have 1 or 3 channels",
            received=f"shape {images.shape}",
            expected="(N, 1, H, W) or (N, 3, H, W)",
        )
    if 0 in images.shape:
        raise InputError(
            "the array holds no image or no pixel", received=f"shape {images.shape}", expected="no dimension of size 0"
        )
    return images


def _check_labels(labels: npt.ArrayLike, n: int) -> npt.NDArray[np.int64]:
    given = np.asarray(labels)
    if not (np.issubdtype(given.dtype, np.integer) or given.dtype == np.bool_) or given.ndim not in (1, 2):
        raise InputError(
            "labels have the wrong type or shape",
            received=f"{given.dtype} of shape {given.shape}",
            expected="integers (N,), or attributes of 0 and 1 (N, A)",
        )
    if len(given) != n:
        raise InputError("every image needs one label", received=f"{len(given)} labels", expected=f"{n} labels")
    if given.ndim == 2 and not ((given == 0) | (given == 1)).all():
        raise InputError("attributes must be 0 or 1", received=f"values from {given.min()} to {given.max()}")
    return given.astype(np.int64, copy=False)
