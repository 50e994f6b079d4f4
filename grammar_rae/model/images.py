"""Models of images: an autoencoder and a density behind one face."""

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.datasets import IMAGE_SETS, ImageDataset, image_set, read_images
from grammar_rae.errors import InputError
from grammar_rae.model.drawing import check_count, latent_codes
from grammar_rae.model.fitted import Codes, FittedImages
from grammar_rae.model.latent import LatentModel
from grammar_rae.precision import in_single_precision
from grammar_rae.recipes import ImageRecipe, Recipe, build_image, training_settings
from grammar_rae.training import first_process_first, is_main_process, one_training

Images = NDArray[np.float32]


class ImageModel(LatentModel[Images]):
    """A model of images of one size; a scikit-learn transformer between images and codes z.

    Images that go in are what :func:`grammar_rae.datasets.read_images` takes; those that come out are float32
    (N, C, H, W) in [0, 1].

    Parameters
    ----------
    recipe
        The name of a recipe of images, or an :class:`ImageRecipe`.
    epochs, time_limit, seed, overrides
        As for :class:`LatentModel`.

    Attributes
    ----------
    shape
        (C, H, W) of its images.
    """

    kind = "image model"
    makes = "images"
    recipe_type = ImageRecipe
    batch_rows = 128  # the widest feature maps of the paper's decoder for faces take 2 MB an image, three times

    def __init__(
        self,
        recipe: str | Recipe = "image-rae-l2",
        epochs: int | None = None,
        time_limit: float | None = None,
        seed: int | None = 0,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(recipe, epochs, time_limit, seed, overrides)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    @one_training
    @in_single_precision
    def fit(
        self,
        X: Any,
        y: None = None,
        *,
        folder: str | PathLike[str] | None = None,
        resume: bool = False,
        progress: bool = False,
    ) -> "ImageModel":
        """Train on images.

        Parameters
        ----------
        X
            An :class:`ImageDataset`, or what :func:`read_images` takes: a file or an array. Or the name of a public set
            (``"mnist"``, ``"digits"``; see ``IMAGE_SETS``), unless a file has that name: its training images.
        y, folder, resume, progress
            As for :meth:`TextModel.fit`.

        Raises
        ------
        DataError, InputError, TrainingError, CheckpointError
            For images, settings or a state that cannot be used.
        """
        home = self._check_home(folder, resume)
        recipe = self._resolve_recipe(home if resume else None)
        progress = progress and is_main_process()
        with first_process_first(training_settings(recipe)):
            data = _read_source(X, progress)
        if len(data) < 4:
            raise InputError("there are too few images to train on", received=len(data), expected="4 or more")
        sets = data.split(recipe.validation_fraction, training_settings(recipe).seed, recipe.validation_maximum)
        parts = build_image(recipe, data.shape)
        self._learn(FittedImages(recipe=recipe, **parts._asdict(), shape=data.shape), sets, home, resume, progress)
        return self

    def _encode_set(self, data: ImageDataset, rows: NDArray[np.int64]) -> Codes:
        return self._encode_rows(np.zeros(len(rows), np.int64), lambda part: data.batch(rows[part]))

    def _about(self) -> dict[str, Any]:
        return {"shape": self.shape}

    @classmethod
    def _from_about(cls, recipe: ImageRecipe, meta: Mapping[str, Any]) -> FittedImages:
        channels, height, width = map(int, meta["shape"])
        shape = (channels, height, width)
        return FittedImages(recipe=recipe, **build_image(recipe, shape)._asdict(), shape=shape)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the model's images."""
        shape: tuple[int, int, int] = self._check_trained().shape
        return shape

    def encode(self, images: Any) -> Codes:
        """Latent codes of images, float32 (N, D).

        Raises
        ------
        DataError, InputError
            If ``images`` cannot be read as images, or they are of another size than the model's.
        """
        shape = self.shape
        data = images if isinstance(images, ImageDataset) else read_images(images)
        if data.shape != shape:
            raise InputError(
                "these images are not of the model's size",
                received=" x ".join(map(str, data.shape)),
                expected=" x ".join(map(str, shape)) + " (channels, rows, columns)",
                remedy="Pad or resize them as the training images were.",
            )
        return self._encode_set(data, np.arange(len(data)))

    def decode(self, z: NDArray[Any] | Tensor, *, smoothing: float = 0.0, seed: int | None = None) -> Images:
        """Images of latent codes (N, D); a single code (D,) becomes (1, D).

        Parameters
        ----------
        z
            Codes.
        smoothing, seed
            As for :meth:`TextModel.decode`.

        Raises
        ------
        InputError
            For codes of another size or not finite, or a smoothing or a seed that cannot be used.
        """
        return self._images(z, smoothing, self._generator(seed, "smoothing"))

    @in_single_precision
    def _images(self, z: NDArray[Any] | Tensor, smoothing: float, generator: torch.Generator) -> Images:
        shape = self.shape
        codes = latent_codes(z, self.recipe_.latent)
        images = np.empty((len(codes), *shape), dtype=np.float32)
        with torch.inference_mode(), self._autocast():
            for start in range(0, len(codes), self.batch_rows):
                z = codes[start : start + self.batch_rows].to(self.device)
                part = self.autoencoder_.decode(z, smoothing, generator)
                images[start : start + self.batch_rows] = part.float().cpu().numpy()
        return images

    def _encode_pair(self, a: Any, b: Any, **options: Any) -> tuple[Codes, Codes]:
        images = (one[None] if hasattr(one, "ndim") else np.asarray(one)[None] for one in (a, b))
        first, last = (self.encode(image, **options) for image in images)
        return first, last

    @in_single_precision
    def sample(self, n: int, *, seed: int | None = None, smoothing: float | None = None) -> Images:
        """Draw n images: codes from the density, decoded.

        Parameters
        ----------
        n
            How many, 1 or more.
        seed
            The same seed gives the same images; None draws afresh.
        smoothing
            As for :meth:`decode`; None for the recipe's.

        Raises
        ------
        InputError
            For an n, a seed or a smoothing that cannot be used.
        """
        self._check_trained()
        check_count("n", n, "images")
        generator = self._generator(seed)
        return self._images(
            self.density_.sample(int(n), generator),
            self.recipe_.smoothing if smoothing is None else smoothing,
            generator,
        )


def _read_source(source: Any, progress: bool) -> ImageDataset:
    if isinstance(source, ImageDataset):
        return source
    if isinstance(source, str | PathLike) and fspath(source) in IMAGE_SETS and not Path(source).exists():
        return image_set(fspath(source), progress=progress).train
    return read_images(source)
