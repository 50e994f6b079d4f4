"""A classifier as feature net, trained on the data set itself: for images other than photographs, and offline."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from grammar_rae.errors import InputError, TrainingError
from grammar_rae.metrics.features import Images, features_of
from grammar_rae.precision import in_single_precision
from grammar_rae.seeds import check_seed

_WIDTHS = (32, 64, 128)
_FEATURES = 64


class ClassifierFeatures(nn.Module):
    """A small convolutional classifier; its features are the inputs of its last linear layer.

    Three stages of convolution, batch normalisation and ReLU, then a linear map to 64 features: few enough that 10,000
    images estimate their covariance well, and none is 0 for all images, as can happen behind a ReLU. Each is
    standardised by the training images, to mean 0 and variance 1, so that distances by classifiers of different seeds
    are of one size.

    Build one with :func:`train_classifier`. ``ClassifierFeatures(**config)`` and ``load_state_dict`` restore it.

    Parameters
    ----------
    shape
        (C, H, W) of an image; H and W from 8 on.
    outputs
        The number of classes, or of attributes.
    attributes
        Whether labels are several binary attributes of each image instead of one class.
    """

    name = "classifier"
    distance_name = "FD(classifier)"

    def __init__(self, shape: Iterable[int], outputs: int, attributes: bool = False) -> None:
        super().__init__()
        channels, height, width = (int(size) for size in shape)
        if channels < 1 or min(height, width) < 8 or outputs < 1:
            raise InputError(
                "cannot build a classifier for these images",
                received=f"images ({channels}, {height}, {width}) and {outputs} outputs",
                expected="8 x 8 pixels or more, and at least one output",
            )
        self.config: dict[str, Any] = {
            "shape": [channels, height, width],
            "outputs": int(outputs),
            "attributes": bool(attributes),
        }
        stages: list[nn.Module] = []
        for wider in _WIDTHS:
            stages.append(_convolution(channels, wider))
            if min(height, width) >= 8:
                pool = 4 if min(height, width) >= 64 else 2  # the last stage sees a few positions on each side
                stages.append(nn.MaxPool2d(pool))  # first, so that what follows has a quarter of the work
                height, width = height // pool, width // pool
            stages += [nn.BatchNorm2d(wider), nn.ReLU()]
            channels = wider
        self.stages = nn.Sequential(*stages)
        self.project = nn.Linear(channels * height * width, _FEATURES)
        self.standard = nn.BatchNorm1d(_FEATURES, affine=False)
        self.head = nn.Linear(_FEATURES, outputs)

    def forward(self, images: Tensor) -> NDArray[np.float32]:
        """The features (B, 64) of images (B, C, H, W) in [0, 1].

        Raises
        ------
        InputError
            For images of another shape.
        """
        self._check(tuple(images.shape[1:]))
        was_training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                features: NDArray[np.float32] = self.activations(images.to(self.head.weight.device)).cpu().numpy()
        finally:
            self.train(was_training)
        return features

    def activations(self, images: Tensor) -> Tensor:
        """The features as a tensor (B, 64) with gradients."""
        standardised: Tensor = self.standard(self._project_images(images))
        return standardised

    def _standardise(self, batches: Iterable[Tensor]) -> None:
        """Give the features of these images mean 0 and variance 1, near which training leaves them."""
        self.eval()
        with torch.inference_mode():
            found = torch.cat([self._project_images(images) for images in batches])
        mean, variance = self.standard.running_mean, self.standard.running_var
        assert mean is not None and variance is not None
        mean.copy_(found.mean(dim=0))
        variance.copy_(found.var(dim=0))

    def _project_images(self, images: Tensor) -> Tensor:
        projected: Tensor = self.project(self.stages(images.to(memory_format=torch.channels_last)).flatten(1))
        return projected

    def logits(self, images: Tensor) -> Tensor:
        """The logits (B, K) of the classes or attributes of images (B, C, H, W)."""
        logits: Tensor = self.head(self.activations(images))
        return logits

    def predict(self, images: Images, batch_size: int = 512) -> NDArray[np.int64]:
        """Predict the classes (N,) or the attributes (N, A) of images."""
        weight, bias = (part.detach().cpu().numpy() for part in (self.head.weight, self.head.bias))
        logits = features_of(self, images, batch_size) @ weight.T + bias
        found: NDArray[Any] = logits > 0 if self.config["attributes"] else logits.argmax(axis=1)
        return found.astype(np.int64)

    def accuracy(self, images: Images, labels: NDArray[Any]) -> float:
        """The share of images (N, C, H, W) whose class is predicted, or of attributes (N, A) that are correct."""
        wanted = np.asarray(labels)
        found = self.predict(images)
        if found.shape != wanted.shape:
            raise InputError("labels do not match the images", received=wanted.shape, expected=found.shape)
        return float((found == wanted).mean())

    def _check(self, shape: tuple[int, ...]) -> None:
        if list(shape) != self.config["shape"]:
            raise InputError(
                "images differ in shape from the classifier's",
                received=shape,
                expected=tuple(self.config["shape"]),
            )


def _convolution(channels: int, wider: int) -> nn.Conv2d:
    convolution = nn.Conv2d(channels, wider, 3, padding=1, bias=False)
    convolution.weight.data = convolution.weight.data.to(memory_format=torch.channels_last)  # twice as fast on a CPU
    return convolution


@in_single_precision
def train_classifier(
    images: NDArray[np.uint8],
    labels: NDArray[Any],
    seed: int = 0,
    *,
    epochs: int | None = None,
    batch_size: int = 128,
    learning_rate: float = 3e-3,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> ClassifierFeatures:
    """Train a classifier on labelled images, to measure other images by its features.

    AdamW with a one-cycle schedule; cross-entropy, which is binary for attributes. The same seed gives the same weights
    on the same machine, and the caller's random state is left alone.

    Parameters
    ----------
    images
        uint8 (N, C, H, W); may be memory-mapped.
    labels
        Classes (N,), integers from 0 on; or attributes (N, A), each 0 or 1.
    seed
        The seed of the initial weights and of the order of the images.
    epochs
        Passes over the images; by default 4, or as many as 1000 steps take.
    batch_size, learning_rate
        Images per step, and the highest learning rate of the cycle.
    device
        The device of the training and of the classifier.
    progress
        Whether to show a bar.

    Raises
    ------
    InputError
        For invalid images or labels.
    TrainingError
        When the loss is not a number.
    """
    from grammar_rae.bars import bar_type

    tqdm = bar_type()

    pixels, wanted = _check_training_set(images, labels)
    attributes = wanted.ndim == 2
    outputs = wanted.shape[1] if attributes else int(wanted.max()) + 1
    if (epochs is not None and epochs < 1) or batch_size < 2 or not 0 < learning_rate < float("inf"):
        raise InputError(
            "invalid options for training a classifier",
            received=f"{epochs} epochs, batches of {batch_size}, learning rate {learning_rate}",
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(check_seed(seed))
        net = ClassifierFeatures(pixels.shape[1:], outputs, attributes)
    net.to(device).train()
    cost = _binary_cost if attributes else nn.functional.cross_entropy
    an_epoch = max(len(pixels) // batch_size, 1)
    steps = an_epoch * (epochs or max(4, -(-1000 // an_epoch)))
    optimizer = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)

    def load(rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(pixels[rows]).to(device).float() / 255

    with tqdm(desc="training a classifier", total=steps, unit=" steps", disable=not progress) as bar:
        for rows in islice(_shuffle_batches(len(pixels), batch_size, seed), steps):
            loss = cost(net.logits(load(rows)), torch.from_numpy(wanted[rows]).to(device))
            if not torch.isfinite(loss):
                raise TrainingError("the classifier's loss is not a number", remedy="Lower the learning rate.")
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            bar.update()
    some = np.linspace(0, len(pixels) - 1, min(len(pixels), 10_000)).astype(np.int64)
    net._standardise(map(load, np.array_split(some, -(-len(some) // 256))))
    return net


def _binary_cost(logits: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def _check_training_set(images: NDArray[np.uint8], labels: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) < 2:
        raise InputError(
            "training images have the wrong type, shape or number",
            received=f"{images.dtype}, shape {images.shape}",
            expected="uint8 (N, C, H, W), two or more",
        )
    wanted = np.asarray(labels)
    whole = np.issubdtype(wanted.dtype, np.integer) or wanted.dtype == np.bool_
    if len(wanted) != len(images) or wanted.ndim not in (1, 2) or not whole:
        raise InputError(
            "labels do not match the images",
            received=f"{wanted.dtype}, shape {wanted.shape}",
            expected=f"integers ({len(images)},) or ({len(images)}, A)",
        )
    if wanted.min(initial=0) < 0 or (wanted.ndim == 2 and wanted.max(initial=0) > 1):
        raise InputError(
            "labels must be classes counted from 0, or attributes of 0 and 1",
            received=f"{wanted.min()} to {wanted.max()}, shape {wanted.shape}",
        )
    return images, wanted.astype(np.int64)


def _shuffle_batches(n: int, batch_size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Endless batches of rows, epoch after epoch, all of them full: batch normalisation needs more than one row."""
    chance = np.random.default_rng(check_seed(seed))
    size = min(batch_size, n)
    while True:
        order = chance.permutation(n)
        for start in range(0, n - size + 1, size):
            yield np.sort(order[start : start + size])  # a memory-mapped file is read in its order
