"""Images and recipes to train small models on in a moment."""

from typing import Any

import numpy as np

from grammar_rae.datasets import image_set
from grammar_rae.model import ImageModel

LATENT = 4
SHAPE = (1, 8, 8)
TRAIN = image_set("digits").train.images[:300]
OTHERS = image_set("digits").test.images[:40]
# Nets and a density that take no time.
FEW: dict[str, Any] = {
    "encoder_options": {"width": 4},
    "decoder_options": {"width": 4},
    "latent": LATENT,
    "density_options": {"n_components": 2},
    "batch_size": 50,
}
WELL: dict[str, Any] = {"learning_rate": 1e-2, "batch_size": 25}


def quick(recipe: str = "image-rae-l2", epochs: int = 1, seed: int = 0, **overrides: Any) -> ImageModel:
    return ImageModel(recipe, epochs=epochs, seed=seed, overrides={**FEW, **overrides})


def floats(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return images.astype(np.float32) / 255
