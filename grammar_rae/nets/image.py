"""Nets over images.

Images come as float32 (B, C, H, W) in [0, 1]. Encoders give h (B, H); decoders give images of the same shape and range.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from grammar_rae.errors import InputError

Shape = tuple[int, int, int]
"""C, H, W."""


class PaperEncoder(nn.Sequential):
    """The paper's encoder.

    Four convolutions that halve the image, batch normalisation and ReLU after each, one dense layer.

    Parameters
    ----------
    shape
        (C, H, W); H and W multiples of 16.
    n_outputs
        The size of h.
    channels
        Outputs of the four convolutions.
    kernel
        Their width: 4 for MNIST and CIFAR-10, 5 for CelebA.
    """

    def __init__(
        self, shape: Shape, n_outputs: int, channels: tuple[int, ...] = (128, 256, 512, 1024), kernel: int = 4
    ):
        steps = len(channels)
        height, width = _divide_size(shape, 2**steps)
        layers: list[nn.Module] = []
        for before, after in zip((shape[0], *channels), channels, strict=False):
            layers += [*_halve(before, after, kernel), nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers, nn.Flatten(), nn.Linear(channels[-1] * height * width, n_outputs))


class PaperDecoder(nn.Sequential):
    """The paper's decoder.

    One dense layer to feature maps of an eighth of the size of a CelebA image, or a quarter of others, then transposed
    convolutions that double the size, and one that keeps it and ends in a sigmoid.

    Parameters
    ----------
    shape
        (C, H, W) of the images.
    latent
        D.
    start
        Channels of the first feature maps.
    channels
        Outputs of the transposed convolutions that double the size: (512, 256) for MNIST and CIFAR-10, (512, 256, 128)
        for CelebA.
    kernel
        4 or 5, as in the encoder.
    """

    def __init__(
        self, shape: Shape, latent: int, start: int = 1024, channels: tuple[int, ...] = (512, 256), kernel: int = 4
    ):
        height, width = _divide_size(shape, 2 ** len(channels))
        layers: list[nn.Module] = [nn.Linear(latent, start * height * width), _Maps(1, (start, height, width))]
        for before, after in zip((start, *channels), channels, strict=False):
            layers += [*_double(before, after, kernel), nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers, *_keep_size(channels[-1], shape[0], kernel), nn.Sigmoid())

    def forward(self, z: Tensor, images: Tensor | None = None) -> Tensor:
        """z (B, D) to images (B, C, H, W); the true images are ignored."""
        decoded: Tensor = super().forward(z)  # type: ignore[no-untyped-call]
        return decoded


class SmallEncoder(nn.Sequential):
    """An encoder for CPUs.

    Convolutions of width 4 that halve the image until it is 4 x 4, batch normalisation and ReLU after each, one dense
    layer.

    Parameters
    ----------
    shape
        (C, H, W); H = W, 4 times a power of two, at least 8.
    n_outputs
        The size of h.
    width
        Outputs of the first convolution; each following one has twice as many.
    """

    def __init__(self, shape: Shape, n_outputs: int, width: int = 16):
        sizes = _small_sizes(shape, width)
        layers: list[nn.Module] = []
        for before, after in zip((shape[0], *sizes), sizes, strict=False):
            layers += [*_halve(before, after, 4), nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers, nn.Flatten(), nn.Linear(sizes[-1] * 16, n_outputs))


class SmallDecoder(nn.Sequential):
    """The mirror image of :class:`SmallEncoder`, ending in a sigmoid.

    Parameters
    ----------
    shape, latent
        As for :class:`PaperDecoder`.
    width
        As for :class:`SmallEncoder`.
    """

    def __init__(self, shape: Shape, latent: int, width: int = 16):
        sizes = _small_sizes(shape, width)[::-1]
        layers: list[nn.Module] = [nn.Linear(latent, sizes[0] * 16), _Maps(1, (sizes[0], 4, 4))]
        layers += [nn.BatchNorm2d(sizes[0]), nn.ReLU()]
        for before, after in pairwise(sizes):
            layers += [*_double(before, after, 4), nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers, *_double(sizes[-1], shape[0], 4, bias=True), nn.Sigmoid())

    def forward(self, z: Tensor, images: Tensor | None = None) -> Tensor:
        """z (B, D) to images (B, C, H, W); the true images are ignored."""
        decoded: Tensor = super().forward(z)  # type: ignore[no-untyped-call]
        return decoded


class _Maps(nn.Unflatten):
    """A vector (B, C * H * W) as feature maps (B, C, H, W), in the kernels' memory format: see :func:`lay_out`."""

    memory_format = torch.contiguous_format

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).contiguous(memory_format=self.memory_format)


def lay_out(net: nn.Module, memory_format: torch.memory_format = torch.channels_last) -> None:
    """Store a net's kernels, and so what it computes, in this memory format.

    With the channels last PyTorch's convolutions and batch normalisation need fewer copies: about a tenth of a step's
    time on CPUs. Gradients of gradients are the exception: there it takes a quarter longer.
    """
    net.to(memory_format=memory_format)  # type: ignore[call-overload]
    for module in net.modules():
        if isinstance(module, _Maps):
            module.memory_format = memory_format


def _small_sizes(shape: Shape, width: int) -> list[int]:
    height, steps = shape[1], max(shape[1] // 4, 1).bit_length() - 1
    if shape[1] != shape[2] or steps < 1 or height != 4 * 2**steps:
        raise InputError(
            "the small nets do not support this image size",
            received=f"{shape[1]} x {shape[2]} pixels",
            expected="squares of 8, 16, 32, 64, ... pixels",
            remedy="Pad or resize the images.",
        )
    return [width * 2**step for step in range(steps)]


def _divide_size(shape: Shape, by: int) -> tuple[int, int]:
    if shape[1] % by or shape[2] % by or 0 in shape:
        raise InputError(
            "the net does not support this image size",
            received=f"{shape[1]} x {shape[2]} pixels",
            expected=f"multiples of {by}",
            remedy="Pad or resize the images.",
        )
    return shape[1] // by, shape[2] // by


# Convolutions have no bias where batch normalisation, which has one, follows.


def _halve(before: int, after: int, kernel: int) -> list[nn.Module]:
    """Layers that halve the size; an even kernel is padded equally on both sides, an odd one less in front."""
    whole = kernel - 2
    if whole % 2 == 0:
        return [nn.Conv2d(before, after, kernel, 2, whole // 2, bias=False)]
    front, back = whole // 2, whole - whole // 2
    return [nn.ZeroPad2d((front, back, front, back)), nn.Conv2d(before, after, kernel, 2, bias=False)]


def _double(before: int, after: int, kernel: int, bias: bool = False) -> list[nn.Module]:
    """Layers that double the size: the transpose of :func:`_halve`. An odd kernel adds a row, which is cut off."""
    layers: list[nn.Module] = [nn.ConvTranspose2d(before, after, kernel, 2, (kernel - 2) // 2, bias=bias)]
    return [*layers, nn.ZeroPad2d((0, -1, 0, -1))] if kernel % 2 else layers


def _keep_size(before: int, after: int, kernel: int) -> list[nn.Module]:
    """A transposed convolution of the same size; an even kernel adds a row, which is cut off."""
    padding = (kernel - 1) // 2
    layers: list[nn.Module] = [nn.ConvTranspose2d(before, after, kernel, 1, padding)]
    return layers if kernel % 2 else [*layers, nn.ZeroPad2d((0, -1, 0, -1))]


IMAGE_ENCODERS: dict[str, type[nn.Module]] = {"paper": PaperEncoder, "small": SmallEncoder}
"""Encoders of images: ``Encoder(shape, n_outputs, **options)``."""

IMAGE_DECODERS: dict[str, type[nn.Module]] = {"paper": PaperDecoder, "small": SmallDecoder}
"""Decoders of images: ``Decoder(shape, latent, **options)``."""
