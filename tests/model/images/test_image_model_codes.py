"""Between images and latent codes: encode, decode, interpolate and sample."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from model.images.image_models import LATENT, OTHERS, SHAPE, floats
from models import unusable_codes

from grammar_rae.errors import DataError, InputError
from grammar_rae.model import ImageModel


def test_encode(model: ImageModel) -> None:
    z = model.encode(OTHERS)
    assert (z.shape, z.dtype) == ((40, LATENT), np.float32)
    assert np.isfinite(z).all() and len(np.unique(z, axis=0)) == 40
    for row, image in zip(z[:5], OTHERS[:5], strict=True):
        assert np.allclose(model.encode(image[None])[0], row, atol=1e-5)


def test_decode(model: ImageModel) -> None:
    z = model.encode(OTHERS)
    images = model.decode(z)
    assert (images.shape, images.dtype) == ((40, *SHAPE), np.float32)
    assert (images >= 0).all() and (images <= 1).all()
    assert np.array_equal(model.decode(z[0]), model.decode(z[:1]))
    for same in (torch.from_numpy(z), z.astype(np.float64), z.tolist(), torch.from_numpy(z).requires_grad_()):
        assert np.array_equal(model.decode(same), images)  # type: ignore[arg-type]
    assert model.decode(np.zeros((0, LATENT))).shape == (0, *SHAPE)
    assert np.array_equal(model.reconstruct(OTHERS), images)


def test_large_inputs_go_in_parts(model: ImageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    z, images = model.encode(OTHERS), model.reconstruct(OTHERS)
    monkeypatch.setattr(ImageModel, "batch_rows", 7)
    assert np.allclose(model.encode(OTHERS), z, atol=1e-5)
    assert np.allclose(model.decode(z), images, atol=1e-5)


def test_what_is_decoded_can_be_encoded(model: ImageModel) -> None:
    images = model.sample(10, seed=0)
    assert np.allclose(model.encode(images), model.encode(np.rint(255 * images).astype(np.uint8)))


@pytest.mark.parametrize("z", unusable_codes(LATENT))
def test_decode_refuses_what_is_no_code(model: ImageModel, z: Any) -> None:
    with pytest.raises(InputError, match="latent codes"):
        model.decode(z)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 1, 16, 16), np.uint8),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((2, 8, 9), np.uint8),
        OTHERS[0, 0],
        OTHERS[0, 0, 0],
        np.full((2, 8, 8), math.nan),
        np.full((2, 8, 8), 2.0),
        np.full((2, 8, 8), 7),
        "no such file.npy",
        None,
        [OTHERS[0], OTHERS[0, :, :4]],
    ],
)
def test_encode_refuses_what_are_no_images_of_its_own(model: ImageModel, images: Any) -> None:
    for ask in (model.encode, model.reconstruct, model.transform):
        with pytest.raises((InputError, DataError)):
            ask(images)


def test_interpolate(model: ImageModel) -> None:
    a, b = OTHERS[:2]
    path = model.interpolate(a, b)
    assert (path.shape, path.dtype) == ((9, *SHAPE), np.float32)
    assert np.allclose(path[[0, -1]], model.reconstruct(OTHERS[:2]), atol=1e-6)
    ends = model.encode(OTHERS[:2])
    line = [ends[0] + share * (ends[1] - ends[0]) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert np.allclose(model.interpolate(a, b, steps=5), model.decode(np.stack(line)), atol=1e-5)
    for same in ((a[0], b[0]), (floats(a), floats(b)), (torch.from_numpy(a), torch.from_numpy(b))):
        assert np.allclose(model.interpolate(*same), path, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 0, -3, 2.5, True, "3"])
def test_unusable_steps(model: ImageModel, steps: Any) -> None:
    with pytest.raises(InputError, match="two ends"):
        model.interpolate(*OTHERS[:2], steps)


@pytest.mark.parametrize(
    "b", [OTHERS[:2], OTHERS[0, :, :4], OTHERS[0].astype(float), None, "a.npy", np.zeros((3, 8, 8), np.uint8)]
)
def test_ends_that_are_no_images(model: ImageModel, b: Any) -> None:
    with pytest.raises((InputError, DataError)):
        model.interpolate(OTHERS[0], b)


# --- sampling --------------------------------------------------------------------------------------------------------


def test_sample(model: ImageModel) -> None:
    images = model.sample(30, seed=3)
    assert (images.shape, images.dtype) == ((30, *SHAPE), np.float32)
    assert (images >= 0).all() and (images <= 1).all()
    assert len(np.unique(images.reshape(30, -1), axis=0)) == 30
    one, again, other = (model.sample(10, seed=seed) for seed in (1, np.int64(1), 2))  # type: ignore[arg-type]
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(model.sample(10), model.sample(10))
    z = model.density_.sample(30, torch.Generator().manual_seed(3))
    assert np.array_equal(model.decode(z), images)


@pytest.mark.parametrize("n", [0, -1, True, 2.0, "3", None, math.nan])
def test_unusable_n(model: ImageModel, n: Any) -> None:
    with pytest.raises(InputError, match="n must be a number of images"):
        model.sample(n)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", True])
def test_unusable_seed(model: ImageModel, seed: Any) -> None:
    with pytest.raises(InputError, match="seed"):
        model.sample(1, seed=seed)
