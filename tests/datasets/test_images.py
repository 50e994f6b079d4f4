"""The data set of images: batches, views, parts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pictures import small_images, some_images

from grammar_rae.datasets import ImageDataset, read_images
from grammar_rae.errors import DataError, InputError


class TestImageDataset:
    @given(images=small_images, data=st.data())
    def test_a_batch_is_the_bytes_divided_by_255(self, images, data):
        rows = data.draw(st.lists(st.integers(-len(images), len(images) - 1)))
        batch = ImageDataset(images).batch(rows)
        assert batch.dtype == torch.float32 and batch.is_contiguous()
        assert torch.equal(batch, torch.from_numpy(images[np.array(rows, int)]).float() / 255)

    @given(images=small_images)
    def test_a_batch_gives_its_images_back(self, images):
        data = ImageDataset(images)
        back = read_images(data.batch(np.arange(len(data))))
        assert np.array_equal(back.images, images) and back.fingerprint == data.fingerprint

    def test_a_batch_is_float32_whatever_the_default_type_and_the_order_of_the_bytes(self):
        images = some_images(channels=3)
        data = ImageDataset(np.moveaxis(np.ascontiguousarray(np.moveaxis(images, 1, -1)), -1, 1))
        torch.set_default_dtype(torch.float64)
        try:
            batch = data.batch([4, 1])
        finally:
            torch.set_default_dtype(torch.float32)
        assert batch.dtype == torch.float32 and batch.is_contiguous()
        assert torch.equal(batch, ImageDataset(images).batch([4, 1]))
        assert data.fingerprint == ImageDataset(images).fingerprint

    @given(
        n=st.integers(2, 40), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 9), maximum=st.none() | st.integers(1)
    )
    def test_a_split_is_the_whole_in_two_parts(self, n, fraction, seed, maximum):
        images = np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1).repeat(2, axis=3)
        train, validation = ImageDataset(images, np.arange(n)).split(fraction, seed, maximum)
        assert sorted([*train.labels, *validation.labels]) == list(range(n))
        assert 1 <= len(validation) <= (maximum or n) and len(train) >= 1
        for part in (train, validation):
            assert np.array_equal(part.images[:, 0, 0, 0], part.labels)
        again = ImageDataset(images).split(fraction, seed, maximum)[1]
        assert again.fingerprint == validation.fingerprint

    def test_views_of_views(self):
        images, labels = some_images(8), np.arange(8)
        view = ImageDataset(images, labels).subset([7, 5, 3, 1]).subset([-1, 0])
        assert len(view) == 2 and list(view.labels) == [1, 7]
        assert np.array_equal(view.images, images[[1, 7]])
        assert torch.equal(view.batch([0]), ImageDataset(images).batch([1]))
        mask = np.array([True, False])
        assert np.array_equal(view.subset(mask).images, images[[1]])
        assert view.fingerprint == ImageDataset(images[[1, 7]]).fingerprint
        with pytest.raises(IndexError):
            view.batch([2])

    def test_the_fingerprint_is_that_of_the_content(self):
        images = some_images(channels=1, height=4, width=6)
        prints = {
            ImageDataset(images).fingerprint,
            ImageDataset(images[::-1]).fingerprint,
            ImageDataset(images.reshape(6, 1, 6, 4)).fingerprint,
            ImageDataset(images[:5]).fingerprint,
            ImageDataset(images ^ (np.arange(images.size).reshape(images.shape) == 143).astype(np.uint8)).fingerprint,
        }
        assert len(prints) == 5
        assert ImageDataset(images, np.arange(6)).fingerprint == ImageDataset(images.copy()).fingerprint

    def test_the_fingerprint_does_not_depend_on_the_blocks(self, monkeypatch):
        images = some_images(7)
        whole = ImageDataset(images).fingerprint
        monkeypatch.setattr("grammar_rae.datasets.images._BLOCK", 41)
        assert ImageDataset(images).fingerprint == whole

    def test_attributes_are_labels_too(self):
        data = ImageDataset(some_images(3), np.array([[True, False], [False, False], [True, True]]))
        assert data.labels.dtype == np.int64 and data.subset([2]).labels.tolist() == [[1, 1]]
        assert ImageDataset(some_images(3)).subset([1]).labels is None

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (some_images().astype(np.float32), "uint8 array"),
            (some_images()[0], "uint8 array"),
            ([[1]], "received list"),
            (some_images(channels=2), "1 or 3 channels"),
            (some_images(channels=4), "1 or 3 channels"),
            (some_images(n=0), "no image"),
            (some_images(height=0), "no pixel"),
        ],
    )
    def test_what_is_no_image(self, images, message):
        with pytest.raises(InputError, match=message):
            ImageDataset(images)

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([0, 1], "2 labels; expected 3"),
            ([0.0, 1.0, 2.0], "labels have the wrong type"),
            (["a", "b", "c"], "labels have the wrong type"),
            ([[0], [2], [1]], "attributes must be 0 or 1"),
            (np.zeros((3, 1, 1), int), "labels have the wrong type"),
            (1, "labels have the wrong type"),
        ],
    )
    def test_what_is_no_label(self, labels, message):
        with pytest.raises(InputError, match=message):
            ImageDataset(some_images(3), labels)

    def test_what_cannot_be_split(self):
        data = ImageDataset(some_images(3))
        for wrong in ({"fraction": 0}, {"fraction": 1}, {"fraction": 0.5, "maximum": 0}):
            with pytest.raises(InputError):
                data.split(**wrong, seed=0)
        with pytest.raises(DataError, match="too few"):
            data.subset([0]).split(0.5, 0)
        with pytest.raises(InputError, match="invalid row indices"):
            data.batch([0.5])
