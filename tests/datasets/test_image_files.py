"""Images out of arrays and files."""

import gzip
import os
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pictures import Harm, idx_bytes, small_images, some_images

from grammar_rae.datasets import image_set, read_images
from grammar_rae.datasets.image_files import read_idx, write_idx
from grammar_rae.errors import DataError, InputError


class TestArrays:
    @given(images=small_images, kind=st.sampled_from(["float16", "float32", "float64", ">f4"]))
    def test_floats_are_rounded_to_255ths(self, images, kind):
        assert np.array_equal(read_images((images / 255).astype(kind)).images, images)

    def test_in_blocks(self, monkeypatch):
        monkeypatch.setattr("grammar_rae.datasets.image_files._BLOCK", 50)
        images = some_images(7)
        assert np.array_equal(read_images(images / 255).images, images)
        with pytest.raises(InputError, match="must lie in"):
            read_images(np.concatenate([images / 255, np.full((1, 1, 5, 4), 1.5)]))

    @pytest.mark.parametrize("channels", [1, 3])
    def test_layouts(self, channels):
        images = some_images(channels=channels)
        for given_as in (images, np.moveaxis(images, 1, -1), images[:, 0]):
            read = read_images(given_as)
            assert np.array_equal(read.images, images if given_as.ndim == 4 else images[:, :1])
            assert np.shares_memory(read.images, images)

    @pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.float64, torch.bfloat16])
    def test_tensors(self, kind):
        images = np.array([0, 255, 51, 204], np.uint8).reshape(1, 2, 2)
        tensor = torch.from_numpy(images)
        tensor = tensor if kind == torch.uint8 else (tensor / 255).to(kind).requires_grad_()
        assert np.array_equal(read_images(tensor, torch.tensor([3])).images[:, 0], images)

    def test_the_generators_of_the_caller_are_left_alone(self):
        before = np.random.get_state()[1].copy(), torch.get_rng_state()
        read_images(some_images()).split(0.5, seed=1)[0].batch([0])
        image_set("digits")
        assert np.array_equal(before[0], np.random.get_state()[1]) and torch.equal(before[1], torch.get_rng_state())

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.zeros((5, 64), np.uint8), "Reshape"),
            (np.zeros((1, 5, 1, 6, 6), np.uint8), "two dimensions, or three"),
            (np.uint8(3), "two dimensions"),
            (np.zeros((0, 6, 6), np.uint8), "no image"),
            (np.zeros((5, 6, 0), np.uint8), "no pixel"),
            (np.zeros((5, 6, 6, 4), np.uint8), "1 or 3 channels.*alpha channel"),
            (np.zeros((5, 2, 6, 6), np.uint8), "1 or 3 channels"),
            (np.zeros((5, 3, 6, 3), np.uint8), r"two axes could be the channels.*ImageDataset as \(N, C, H, W\)"),
            (np.zeros((6, 6, 3), np.uint8), "one image with channels"),
            (np.full((2, 6, 6), 1.01), "from 1.01 to 1.01; .*Scale"),
            (np.full((2, 6, 6), -0.1), r"must lie in \[0, 1\]"),
            (np.full((2, 6, 6), 200.0), r"must lie in \[0, 1\]"),
            (np.where(np.arange(36).reshape(1, 6, 6) == 7, np.nan, 0.5), "NaN"),
            (np.full((2, 6, 6), np.inf), "inf"),
            (np.zeros((2, 6, 6), np.int64), "int64.*astype"),
            (np.zeros((2, 6, 6), bool), "bool"),
            (np.zeros((2, 6, 6), complex), "complex"),
            (np.full((2, 6, 6), None), "object"),
            (np.full((2, 6, 6), "a"), "<U1"),
            ([np.zeros((6, 6)), np.zeros((5, 6))], "cannot convert the images to an array"),
            (None, "two dimensions"),
        ],
    )
    def test_what_cannot_be_images(self, array, message):
        with pytest.raises(InputError, match=message):
            read_images(array)


class TestFiles:
    @pytest.mark.parametrize("packed", [False, True])
    @given(array=arrays.arrays(np.uint8, arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)))
    def test_an_idx_file_gives_its_array_back(self, tmp_path_factory, packed, array):
        path = tmp_path_factory.mktemp("idx") / "array"
        path.write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
        assert np.array_equal(read_idx(path), array) and read_idx(path).shape == array.shape
        write_idx(path, array)
        assert path.read_bytes() == idx_bytes(array) and os.listdir(path.parent) == ["array"]

    def test_every_kind_of_file(self, tmp_path):
        images, labels = some_images(6, 3), np.arange(6)
        (tmp_path / "images-idx4-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (tmp_path / "images.idx").write_bytes(idx_bytes(images))
        (tmp_path / "labels.idx").write_bytes(idx_bytes(labels.astype(np.uint8)))
        np.save(tmp_path / "first.npy", images)
        np.save(tmp_path / "last.npy", np.moveaxis(images, 1, -1))
        np.save(tmp_path / "floats.npy", images / 255)
        np.save(tmp_path / "labels.npy", labels)
        np.savez(tmp_path / "plain.npz", images=images, labels=labels)
        np.savez_compressed(tmp_path / "packed.npz", images=images)
        for name in ("images-idx4-ubyte.gz", "images.idx", "first.npy", "last.npy", "floats.npy", "packed.npz"):
            data = read_images(tmp_path / name)
            assert np.array_equal(data.images, images) and data.labels is None
            for given_labels in (labels, tmp_path / "labels.npy", str(tmp_path / "labels.idx")):
                assert np.array_equal(read_images(str(tmp_path / name), given_labels).labels, labels)
        assert np.array_equal(read_images(tmp_path / "plain.npz").labels, labels)
        assert np.array_equal(read_images(tmp_path / "plain.npz", labels[::-1]).labels, labels[::-1])

    def test_bytes_that_are_not_compressed_are_mapped(self, tmp_path):
        np.save(tmp_path / "images.npy", some_images())
        (tmp_path / "images.idx").write_bytes(idx_bytes(some_images()))
        for name in ("images.npy", "images.idx"):
            data = read_images(tmp_path / name)
            assert isinstance(data.images, np.memmap)
            assert torch.equal(data.batch([3]), torch.from_numpy(data.images[[3]] / np.float32(255)))

    def test_the_content_decides_and_not_the_name(self, tmp_path):
        np.save(tmp_path / "a.npy", some_images())
        os.rename(tmp_path / "a.npy", tmp_path / "a.gz")
        assert len(read_images(tmp_path / "a.gz")) == 6

    good = idx_bytes(np.zeros((3, 4, 5), np.uint8))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (good[:-1], "cut off.*59 bytes.*60 bytes"),
            (good + b"x", "continues after its data"),
            (good[:9], "ends inside its header"),
            (b"", "empty file"),
            (b"\0\0\x08", "begins with the bytes 00 00 08"),
            (b"\0\0\x0d" + good[3:], "begins with the bytes 00 00 0d 03"),
            (b"\x89PNG\r\n", "89 50 4e 47.*expected an idx file"),
            (b"%PDF-1.4", "unsupported format of image file"),
            (struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "cut off"),
            (gzip.compress(good, mtime=0)[:-9], "damaged"),
            (gzip.compress(good[:-1], mtime=0), "cut off"),
            (gzip.compress(good + b"x" * 50, mtime=0), "continues after its data"),
            (gzip.compress(good, mtime=0)[:20] + b"\xff" * 20, "damaged"),
            (gzip.compress(b"%PDF-1.4", mtime=0), "unsupported format of image file"),
            (b"\x93NUMPY\x01\x00", "npy file cannot be used"),
            (b"\x93NUMPY\x01\x00\x06\x00{oops}", "npy file cannot be used"),
            (b"PK\x03\x04 and nothing of an archive", "damaged"),
            (idx_bytes(np.zeros((3, 2, 4, 5), np.uint8)), "1 or 3 channels"),
            (idx_bytes(np.zeros((0, 4, 5), np.uint8)), "no image"),
            (idx_bytes(np.zeros(5, np.uint8)), "two dimensions"),
        ],
    )
    def test_what_cannot_be_read(self, tmp_path, content, message):
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"^{path}: .*{message}"):
            read_images(path)

    def test_what_else_cannot_be_read(self, tmp_path):
        with pytest.raises(DataError, match="No such file"):
            read_images(tmp_path / "none")
        with pytest.raises(DataError, match=r"folder, not a file.*image_set"):
            read_images(tmp_path)
        np.save(tmp_path / "a.npy", some_images())
        content = (tmp_path / "a.npy").read_bytes()
        (tmp_path / "a.npy").write_bytes(content[:-1])
        with pytest.raises(DataError, match="npy file cannot be used"):
            read_images(tmp_path / "a.npy")
        np.savez(tmp_path / "a.npz", train_images=some_images())
        with pytest.raises(DataError, match="received the arrays train_images"):
            read_images(tmp_path / "a.npz")
        np.savez(tmp_path / "b.npz", images=some_images(3), labels=np.arange(4))
        with pytest.raises(DataError, match=r"b\.npz.*4 labels"):
            read_images(tmp_path / "b.npz")
        np.save(tmp_path / "labels.npy", np.arange(5.0))
        with pytest.raises(DataError, match=r"labels\.npy.*labels have the wrong type"):
            read_images(some_images(5), tmp_path / "labels.npy")
        content = bytearray((tmp_path / "b.npz").read_bytes())
        content[150] ^= 255
        (tmp_path / "b.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"b\.npz.*(damaged|cannot be used)"):
            read_images(tmp_path / "b.npz")

    def test_objects_are_never_unpickled(self, tmp_path):
        array = np.full(2, None)
        array[0] = Harm(tmp_path / "harm")
        np.save(tmp_path / "a.npy", array, allow_pickle=True)
        np.savez(tmp_path / "a.npz", images=array)
        for name in ("a.npy", "a.npz"):
            with pytest.raises(DataError, match=r"cannot be used \(.*(bject|allow_pickle)"):
                read_images(tmp_path / name)
        assert not (tmp_path / "harm").exists()

    @settings(max_examples=200)
    @given(content=st.binary(max_size=60), start=st.sampled_from([b"", b"\0\0\x08\x03", b"\x93NUMPY\x01\0", b"PK\3\4"]))
    def test_any_bytes_are_images_or_a_typed_error(self, tmp_path_factory, content, start):
        path = tmp_path_factory.getbasetemp() / "any"
        path.write_bytes(start + content)
        try:
            assert len(read_images(path)) > 0
        except DataError as error:
            assert str(path) in str(error)
