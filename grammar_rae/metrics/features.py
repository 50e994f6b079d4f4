"""Feature nets: images to vectors in which metrics of sets of images are measured.

A Fréchet distance depends on its feature net and is named after it: "FID" is the distance by the Inception net of its
definition, any other is "FD(name)". Distances by different nets, or by a net trained twice, cannot be compared.
"""

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.errors import InputError

Images = NDArray[Any] | Tensor


class FeatureNet(Protocol):
    """The interface of a feature net.

    ``name`` is its name for users, ``distance_name`` that of the Fréchet distance of its features.
    """

    name: str
    distance_name: str

    def __call__(self, images: Tensor) -> NDArray[np.float32]:
        """The features (B, F) of images (B, C, H, W), float32 in [0, 1]."""
        ...


def features_of(
    net: FeatureNet, images: Images | Iterable[Images], batch_size: int = 256, progress: bool = False
) -> NDArray[np.float32]:
    """Compute features (N, F) of many images, a batch at a time.

    Parameters
    ----------
    net
        A feature net.
    images
        An array or tensor (N, C, H, W), or batches of them in any sizes. uint8 from 0 to 255, or floats in [0, 1].
    batch_size
        How many images of an array to process at once; batches keep their sizes.
    progress
        Whether to show a bar.

    Raises
    ------
    InputError
        For invalid images, or for none.
    """
    from grammar_rae.bars import bar_type

    tqdm = bar_type()

    if isinstance(images, np.ndarray | Tensor):
        batches: Iterable[Images] = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
    else:
        batches = images
    with tqdm(desc="features", unit=" images", disable=not progress) as bar:
        found = []
        for batch in batches:
            found.append(net(_as_floats(batch)))
            bar.update(len(batch))
    if not found:
        raise InputError("no images to extract features from", expected="one image or more")
    return np.concatenate(found).astype(np.float32, copy=False)


def _as_floats(batch: Images) -> Tensor:
    pixels = batch.detach() if isinstance(batch, Tensor) else torch.from_numpy(np.array(batch))
    if pixels.ndim != 4 or not (pixels.dtype == torch.uint8 or pixels.dtype.is_floating_point):
        raise InputError(
            "images have the wrong type or shape",
            received=f"{pixels.dtype}, shape {tuple(pixels.shape)}",
            expected="uint8 or floats (B, C, H, W)",
        )
    if pixels.dtype == torch.uint8:
        return pixels.float() / 255
    if pixels.numel() and not (pixels.min() >= 0 and pixels.max() <= 1):  # refuses NaN too
        raise InputError(
            "pixel values must lie in [0, 1]", received=f"{pixels.min():.3g} to {pixels.max():.3g}", expected="0 to 1"
        )
    return pixels.float()
