import gzip
import http.client
import os
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from grammar_rae.datasets import IMAGE_SETS, SOURCES, ImageDataset, celeba, fetch, image_set, image_sets, read_images
from grammar_rae.datasets.fetching import _content_checksum
from grammar_rae.datasets.image_files import read_idx, write_idx
from grammar_rae.errors import DataError, InputError, UnknownNameError

RNG = np.random.default_rng(0)


def some_images(n=6, channels=1, height=5, width=4):
    return RNG.integers(0, 256, (n, channels, height, width), dtype=np.uint8)


def idx_bytes(array):
    """An idx file as the format's description has it, with no help from the package."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


small_images = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 6), st.sampled_from([1, 3]), st.integers(4, 7), st.integers(4, 7))
)


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
            (some_images(channels=2), "1 channel or 3"),
            (some_images(channels=4), "1 channel or 3"),
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
            ([0.0, 1.0, 2.0], "no labels"),
            (["a", "b", "c"], "no labels"),
            ([[0], [2], [1]], "attributes are 0 or 1"),
            (np.zeros((3, 1, 1), int), "no labels"),
            (1, "no labels"),
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
        with pytest.raises(InputError, match="no indices"):
            data.batch([0.5])


class TestArrays:
    @given(images=small_images, kind=st.sampled_from(["float16", "float32", "float64", ">f4"]))
    def test_floats_are_rounded_to_255ths(self, images, kind):
        assert np.array_equal(read_images((images / 255).astype(kind)).images, images)

    def test_in_blocks(self, monkeypatch):
        monkeypatch.setattr("grammar_rae.datasets.image_files._BLOCK", 50)
        images = some_images(7)
        assert np.array_equal(read_images(images / 255).images, images)
        with pytest.raises(InputError, match="outside"):
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
            (np.zeros((5, 6, 6, 4), np.uint8), "1 channel or 3.*transparency"),
            (np.zeros((5, 2, 6, 6), np.uint8), "1 channel or 3"),
            (np.zeros((5, 3, 6, 3), np.uint8), r"two axes may be the channels.*\(N, C, H, W\) to ImageDataset"),
            (np.zeros((6, 6, 3), np.uint8), "one image with channels"),
            (np.full((2, 6, 6), 1.01), "from 1.01 to 1.01; .*Scale"),
            (np.full((2, 6, 6), -0.1), r"outside \[0, 1\]"),
            (np.full((2, 6, 6), 200.0), r"outside \[0, 1\]"),
            (np.where(np.arange(36).reshape(1, 6, 6) == 7, np.nan, 0.5), "NaN"),
            (np.full((2, 6, 6), np.inf), "inf"),
            (np.zeros((2, 6, 6), np.int64), "int64.*astype"),
            (np.zeros((2, 6, 6), bool), "bool"),
            (np.zeros((2, 6, 6), complex), "complex"),
            (np.full((2, 6, 6), None), "object"),
            (np.full((2, 6, 6), "a"), "<U1"),
            ([np.zeros((6, 6)), np.zeros((5, 6))], "cannot be made an array"),
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
            (good + b"x", "goes on after its data"),
            (good[:9], "ends within its header"),
            (b"", "empty file"),
            (b"\0\0\x08", "begins with the bytes 00 00 08"),
            (b"\0\0\x0d" + good[3:], "begins with the bytes 00 00 0d 03"),
            (b"\x89PNG\r\n", "89 50 4e 47.*expected an idx file"),
            (b"%PDF-1.4", "no file of images"),
            (struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "cut off"),
            (gzip.compress(good, mtime=0)[:-9], "damaged"),
            (gzip.compress(good[:-1], mtime=0), "cut off"),
            (gzip.compress(good + b"x" * 50, mtime=0), "goes on after its data"),
            (gzip.compress(good, mtime=0)[:20] + b"\xff" * 20, "damaged"),
            (gzip.compress(b"%PDF-1.4", mtime=0), "no file of images"),
            (b"\x93NUMPY\x01\x00", "npy file cannot be used"),
            (b"\x93NUMPY\x01\x00\x06\x00{oops}", "npy file cannot be used"),
            (b"PK\x03\x04 and nothing of an archive", "damaged"),
            (idx_bytes(np.zeros((3, 2, 4, 5), np.uint8)), "1 channel or 3"),
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
        with pytest.raises(DataError, match=r"labels\.npy.*no labels"):
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


class Harm:
    """What makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def write_mnist(folder, sizes=(7, 3), separator="-", packed=True, side=28):
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for part, n in zip(("train", "t10k"), sizes, strict=True):
        images, labels = some_images(n, 1, side, side)[:, 0], np.arange(n, dtype=np.uint8) % 10
        for content, array in (("images", images), ("labels", labels)):
            name = f"{part}-{content}{separator}idx{array.ndim}-ubyte"
            data = idx_bytes(array)
            (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(data) if packed else data)
        made.append((images, labels))
    return made


class TestMnist:
    @pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
    @pytest.mark.parametrize("separator", ["-", "."])
    @pytest.mark.parametrize("packed", [False, True])
    def test_a_folder_of_idx_files(self, tmp_path, name, separator, packed):
        made = write_mnist(tmp_path, separator=separator, packed=packed)
        for data, (images, labels) in zip(image_set(name, tmp_path), made, strict=True):
            assert data.shape == (1, 32, 32) and np.array_equal(data.labels, labels)
            assert np.array_equal(data.images[:, 0, 2:-2, 2:-2], images)
            assert data.images.sum(dtype=int) == images.sum(dtype=int)

    def test_what_is_missing_or_something_else(self, tmp_path):
        with pytest.raises(DataError, match=r"no such folder"):
            image_set("mnist", tmp_path / "none")
        write_mnist(tmp_path)
        (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
        with pytest.raises(DataError, match=r"expected t10k-labels-idx1-ubyte.*Leave the folder out"):
            image_set("mnist", tmp_path)
        (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(4, np.uint8)))
        with pytest.raises(DataError, match=r"images of shape \(3, 1, 28, 28\), labels of shape \(4,\)"):
            image_set("mnist", tmp_path)
        write_mnist(tmp_path / "small", side=8)
        with pytest.raises(DataError, match="not those of mnist"):
            image_set("mnist", tmp_path / "small")

    def test_debians_package_is_found(self, tmp_path, monkeypatch):
        made = write_mnist(tmp_path / "debian")
        row = IMAGE_SETS["fashion-mnist"]
        opened = image_sets._open_mnist("fashion-mnist", tmp_path / "debian", None, False)
        assert np.array_equal(opened.train.images[:, 0, 2:-2, 2:-2], made[0][0])
        other = write_mnist(tmp_path / "mine")
        assert np.array_equal(row.open(tmp_path / "mine", False).test.images[:, 0, 2:-2, 2:-2], other[1][0])


class TestOpenML:
    """What is fetched, with scikit-learn's part of it taken over by the test."""

    @pytest.fixture
    def openml(self, tmp_path, monkeypatch):
        """Puts a small set into SOURCES and has ``fetch_openml`` answer with it; the calls are listed."""
        monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
        monkeypatch.setattr(image_sets, "_DEBIAN_FASHION", None)
        calls = []

        def serve(name, data=None, target=None, parts=(5, 3)):
            n, shape = sum(parts), SOURCES[name].shape
            images, labels = some_images(n, *shape).reshape(n, -1), np.arange(n, dtype=np.uint8)
            checksum = None if SOURCES[name].checksum is None else _content_checksum(images, labels)
            row = replace(SOURCES[name], parts=dict(zip(("train", "t10k"), parts, strict=True)), checksum=checksum)
            monkeypatch.setitem(SOURCES, name, row)

            def answer(**options):
                calls.append(options)
                (Path(options["data_home"]) / "openml").mkdir()
                found = images.astype(np.float32) if data is None else data
                return SimpleNamespace(
                    data=found, target=labels.astype(str).astype(object) if target is None else target
                )

            monkeypatch.setattr("sklearn.datasets.fetch_openml", answer)
            return images.reshape(n, *shape), labels, calls

        return serve

    @pytest.mark.parametrize("name", ["mnist", "cifar10"])
    def test_comes_once_into_the_cache(self, openml, tmp_path, name):
        images, labels, calls = openml(name)
        padding = 2 if name == "mnist" else 0
        for _ in range(2):
            train, test = image_set(name)
            inner = slice(padding, -padding or None)
            assert np.array_equal(np.concatenate([train.images, test.images])[:, :, inner, inner], images)
            assert np.array_equal(np.concatenate([train.labels, test.labels]), labels) and len(train) == 5
        (options,) = calls
        assert options["name"] == SOURCES[name].name and options["version"] == 1 and options["as_frame"] is False
        folder = tmp_path / "cache" / "grammar_rae" / name
        assert fetch(name).parent == folder and read_idx(fetch(name)).shape[0] == 5
        assert sorted(os.listdir(folder)) == sorted(
            f"{part}-{content}-ubyte"
            for part in ("train", "t10k")
            for content in ("labels-idx1", "images-idx3" if name == "mnist" else "images-idx4")
        )
        assert image_set(name, folder).train.fingerprint == train.fingerprint

    def test_quoted_labels(self, openml, tmp_path):
        openml("fashion-mnist", target=np.array([f"'{label}'" for label in range(8)], dtype=object))
        fetch("fashion-mnist", tmp_path)
        assert read_idx(tmp_path / "t10k-labels-idx1-ubyte").tolist() == [5, 6, 7]

    def test_files_that_are_there_will_do_and_damaged_ones_are_replaced(self, openml, tmp_path):
        images, _, calls = openml("mnist")
        write_mnist(tmp_path, (5, 3))
        assert fetch("mnist", tmp_path) == tmp_path / "train-images-idx3-ubyte.gz" and not calls
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b and nothing else")
        path = fetch("mnist", tmp_path)
        assert calls and np.array_equal(read_idx(path), images[:5, 0])
        assert np.array_equal(image_set("mnist", tmp_path).test.images[:, :, 2:-2, 2:-2], images[5:])

    def test_the_order_does_not_matter_to_the_checksum_and_all_else_does(self):
        images, labels = some_images(6).reshape(6, -1), np.arange(6, dtype=np.uint8)
        known, order = _content_checksum(images, labels), RNG.permutation(6)
        assert _content_checksum(images[order], labels[order]) == known
        changed = images.copy()
        changed[3, 2] ^= 1
        assert known not in (
            _content_checksum(changed, labels),
            _content_checksum(images, labels[::-1]),
            _content_checksum(images[:5], labels[:5]),
            _content_checksum(images[[0, 0, 2, 3, 4, 5]], labels[[0, 0, 2, 3, 4, 5]]),
        )

    @pytest.mark.parametrize(
        ("data", "target", "message"),
        [
            (np.zeros((8, 784)), None, "checksum is wrong"),
            (np.zeros((7, 784)), None, "not what was expected"),
            (np.zeros((8, 783)), None, "not what was expected"),
            (np.zeros((8, 784)), np.zeros(7, int), "not what was expected"),
            (np.full((8, 784), 0.5), None, "not what was expected"),
            (np.full((8, 784), 256.0), None, "not what was expected"),
            (None, np.full(8, "cat", dtype=object), "could not be fetched"),
            (None, np.full(8, 300), "could not be fetched|not what was expected"),
        ],
    )
    def test_something_else_is_not_kept(self, openml, tmp_path, data, target, message):
        openml("mnist", data, target)
        with pytest.raises(DataError, match=message):
            fetch("mnist", tmp_path / "data")
        assert os.listdir(tmp_path / "data") == []

    @pytest.mark.parametrize(
        "error", [URLError("no network"), http.client.IncompleteRead(b""), ValueError("md5 checksum"), TimeoutError()]
    )
    def test_no_network(self, tmp_path, monkeypatch, error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr("sklearn.datasets.fetch_openml", fail)
        monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
        with pytest.raises(DataError, match=r"could not be fetched.*put the original files into a folder and name it"):
            image_set("cifar10")
        assert os.listdir(tmp_path / "grammar_rae" / "cifar10") == []

    def test_there_is_no_mirror(self, tmp_path):
        with pytest.raises(InputError, match="no mirror"):
            fetch("mnist", tmp_path, base_url="http://127.0.0.1:1")


def python2_batch(images, labels):
    """The bytes that Python 2 wrote: protocol 2, texts of bytes, the array by its type, shape and bytes."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def small(value):
        return b"M" + struct.pack("<H", value)

    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07"
    array += (
        b"(K\x01" + small(len(images)) + small(3072) + b"\x86cnumpy\ndtype\nq\x08" + text(b"u1") + b"K\x00K\x01\x87R"
    )
    array += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<I", images.size)
    array += images.tobytes() + b"tb"
    numbers = b"]q\x03(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    names = b"]q\x09(" + text(b"a.png") + b"e"
    pairs = text(b"batch_label") + text(b"training batch 1 of 5") + text(b"labels") + numbers
    pairs += text(b"data") + array + text(b"filenames") + names
    return b"\x80\x02}q\x01(" + pairs + b"u."


def python3_batch(protocol, keys=str):
    def write(images, labels):
        batch = {keys("data"): images, keys("labels"): labels, keys("batch_label"): keys("one")}
        return pickle.dumps(batch, protocol=protocol)

    return write


def binary_batch(images, labels):
    return np.column_stack([np.array(labels, np.uint8), images]).tobytes()


WRITERS = {
    "python 2": ("", python2_batch),
    **{f"protocol {number}": ("", python3_batch(number)) for number in (2, 3, 4, 5)},
    "keys of bytes": ("", python3_batch(4, str.encode)),
    "binary": (".bin", binary_batch),
}


def write_cifar(folder, suffix, write, n=4):
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": [], "test": []}
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        images, labels = some_images(n, 1, 1, 3072).reshape(n, 3072), RNG.integers(0, 10, n).tolist()
        (folder / (name + suffix)).write_bytes(write(images, labels))
        parts["test" if name == "test_batch" else "train"].append((images, labels))
    return parts


class TestCifar:
    @pytest.mark.parametrize("writer", WRITERS)
    @pytest.mark.parametrize("place", ["", "cifar-10-batches-py", "cifar-10-batches-bin"])
    def test_batches(self, tmp_path, writer, place):
        parts = write_cifar(tmp_path / place, *WRITERS[writer])
        found = image_set("cifar10", tmp_path)
        for data, batches in zip(found, parts.values(), strict=True):
            assert data.shape == (3, 32, 32)
            assert np.array_equal(data.images.reshape(-1, 3072), np.concatenate([images for images, _ in batches]))
            assert data.labels.tolist() == [label for _, labels in batches for label in labels]
        # Planes of red, green and blue, in rows.
        assert found.train.images[0, 1, 2, 3] == parts["train"][0][0][0, 1024 + 2 * 32 + 3]

    def test_the_batch_of_python_2_is_what_python_reads(self):
        images, labels = some_images(3, 1, 1, 3072).reshape(3, 3072), [1, 9, 0]
        batch = pickle.loads(python2_batch(images, labels), encoding="bytes")
        assert np.array_equal(batch[b"data"], images) and batch[b"labels"] == labels

    def test_no_name_is_ever_called(self, tmp_path):
        write_cifar(tmp_path, "", python2_batch)
        calls = [
            pickle.dumps({"data": Harm(tmp_path / "harm"), "labels": [1]}, protocol=2),
            pickle.dumps({"data": Harm(tmp_path / "harm"), "labels": [1]}, protocol=4),
            f"cposix\nmkdir\n(V{tmp_path / 'harm'}\ntR.".encode(),
            f"(V{tmp_path / 'harm'}\niposix\nmkdir\n.".encode(),
            f"cposix\nmkdir\n(V{tmp_path / 'harm'}\no.".encode(),
            pickle.dumps({"data": np.array([Harm(tmp_path / "harm")]), "labels": [1]}, protocol=2),
            b"cnumpy\nload\n.",
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n\x81.",
            b"\x82\x01.",
            b"Pname\n.",
        ]
        for content in calls:
            (tmp_path / "data_batch_3").write_bytes(content)
            with pytest.raises(DataError, match=r"data_batch_3: .*no batch of CIFAR-10: it holds the (name|instr)"):
                image_set("cifar10", tmp_path)
        assert not (tmp_path / "harm").exists()

    @pytest.mark.parametrize(
        "batch",
        [
            {},
            [],
            {"data": None, "labels": [1]},
            {"data": np.zeros((1, 3072), np.uint8)},
            {"data": np.zeros((1, 3071), np.uint8), "labels": [1]},
            {"data": np.zeros((1, 3072), np.int8), "labels": [1]},
            {"data": np.zeros((1, 3072), np.float32), "labels": [1]},
            {"data": np.zeros((3072, 1), np.uint8).T, "labels": [1]},
            {"data": np.zeros((2, 3072), np.uint8, order="F"), "labels": [1, 1]},
            {"data": np.zeros((1, 3072), np.uint8), "labels": [1, 2]},
            {"data": np.zeros((1, 3072), np.uint8), "labels": [10]},
            {"data": np.zeros((1, 3072), np.uint8), "labels": [-1]},
            {"data": np.zeros((1, 3072), np.uint8), "labels": ["1"]},
            {"data": np.zeros((1, 3072), np.uint8), "labels": [True]},
            {"data": np.zeros((0, 3072), np.uint8), "labels": []},
        ],
    )
    def test_other_tables_are_refused(self, tmp_path, batch):
        write_cifar(tmp_path, "", python2_batch)
        (tmp_path / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
        if isinstance(batch, dict) and getattr(batch.get("data"), "strides", None) == (1, 1):
            assert len(image_set("cifar10", tmp_path).test) == 1  # one row in either order
            return
        with pytest.raises(DataError, match=r"test_batch: .*CIFAR-10"):
            image_set("cifar10", tmp_path)

    def test_nests_too_deep_to_hash_or_print_are_refused(self, tmp_path):
        write_cifar(tmp_path, "", python2_batch)
        deep = b")" + b"\x85" * 2_000
        for content in (
            b"\x80\x02}" + deep + b"Ns.",
            b"\x80\x04" + deep + b"\x8c\x01a\x93.",
            b"\x80\x02" + deep + b".",
        ):
            (tmp_path / "test_batch").write_bytes(content)
            with pytest.raises(DataError, match="damaged"):
                image_set("cifar10", tmp_path)

    @settings(max_examples=150)
    @given(data=st.data())
    def test_a_damaged_batch_is_a_batch_or_a_typed_error(self, tmp_path_factory, data):
        folder = tmp_path_factory.getbasetemp() / "cifar"
        if not folder.exists():
            write_cifar(folder, "", python2_batch, n=1)
        content = bytearray(python2_batch(np.zeros((1, 3072), np.uint8), [1]))
        head = [*range(230), *range(len(content) - 40, len(content))]  # the rest is pixels
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.sampled_from(head))] = data.draw(st.integers(0, 255))
        end = data.draw(st.just(len(content)) | st.integers(0, len(content)))
        (folder / "test_batch").write_bytes(content[:end])
        try:
            assert image_set("cifar10", folder).test.shape == (3, 32, 32)
        except DataError as error:
            assert "test_batch" in str(error)

    def test_missing_and_damaged_files(self, tmp_path):
        with pytest.raises(DataError, match=r"lacks the batches.*data_batch_1 to data_batch_5"):
            image_set("cifar10", tmp_path)
        with pytest.raises(DataError, match="no such folder"):
            image_set("cifar10", tmp_path / "none")
        write_cifar(tmp_path, *WRITERS["binary"])
        path = tmp_path / "data_batch_4.bin"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(DataError, match=r"data_batch_4\.bin.*damaged.*no records of 3073"):
            image_set("cifar10", tmp_path)
        path.write_bytes(b"\x0a" + bytes(3072))
        with pytest.raises(DataError, match=r"do not fit their labels"):
            image_set("cifar10", tmp_path)
        path.unlink()
        with pytest.raises(DataError, match=r"data_batch_4\.bin: the batch cannot be read \(No such file"):
            image_set("cifar10", tmp_path)


def write_celeba(folder, parts=(0, 0, 2, 1, 0, 2), csv=False, place="img_align_celeba"):
    """Pictures without loss (their format, not their name, is PNG): a ramp inside the square of 140, 255 outside."""
    (folder / place).mkdir(parents=True, exist_ok=True)
    names = [f"{number:06}.jpg" for number in range(1, len(parts) + 1)]
    for number, name in enumerate(names):
        pixels = np.full((218, 178, 3), 255, np.uint8)
        pixels[39:179, 19:159, 0] = np.arange(140)
        pixels[39:179, 19:159, 1] = np.arange(140)[:, None]
        pixels[39:179, 19:159, 2] = number % 256
        Image.fromarray(pixels).save(folder / place / name, format="PNG")
    attributes = RNG.integers(0, 2, (len(parts), 40))
    separator, suffix = (",", ".csv") if csv else (" ", ".txt")
    lines = [f"{name}{separator}{part}" for name, part in zip(names, parts, strict=True)]
    (folder / f"list_eval_partition{suffix}").write_text("\n".join(["image_id,partition"] * csv + lines) + "\n")
    header = (
        ["image_id," + ",".join(f"A{i}" for i in range(40))] if csv else [str(len(parts)), "5_o_Clock_Shadow " * 40]
    )
    rows = [separator.join([name, *map(str, row)]) for name, row in zip(names, 2 * attributes - 1, strict=True)]
    (folder / f"list_attr_celeba{suffix}").write_text("\n".join(header + rows) + "\n")
    return attributes


class TestCeleba:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path, monkeypatch):
        monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
        monkeypatch.setattr(celeba, "_CHUNK", 2)
        return tmp_path / "cache" / "grammar_rae" / "celeba" / "prepared_64x64"

    @pytest.mark.parametrize(
        ("csv", "place"), [(False, "img_align_celeba"), (True, "img_align_celeba/img_align_celeba")]
    )
    def test_the_square_is_cropped_and_made_small(self, tmp_path, csv, place):
        attributes = write_celeba(tmp_path / "data", csv=csv, place=place)
        train, test = image_set("celeba", tmp_path / "data")
        assert train.shape == test.shape == (3, 64, 64)
        assert train.images[:, 2, 0, 0].tolist() == [0, 1, 3, 4] and test.images[:, 2, 5, 5].tolist() == [2, 5]
        assert np.array_equal(train.labels, attributes[[0, 1, 3, 4]])
        assert np.array_equal(test.labels, attributes[[2, 5]])
        # A ramp stays a ramp: its value at the middle of what a small pixel covers.
        ramp = (np.arange(64) + 0.5) * 140 / 64 - 0.5
        inner = slice(1, -1)  # at the border the filter is cut off
        for axis, channel in ((0, 0), (1, 1)):
            small = train.images[0, channel].astype(float) if axis == 0 else train.images[0, channel].T.astype(float)
            assert np.abs(small - ramp)[:, inner].max() <= 1
            assert small.max() < 140  # nothing of the 255 around the square
        assert isinstance(train.images, np.memmap)

    def test_jpegs(self, tmp_path):
        write_celeba(tmp_path)
        before = image_set("celeba", tmp_path).train
        for path in (tmp_path / "img_align_celeba").iterdir():
            Image.open(path).convert("RGB").save(path, format="JPEG", quality=95)
        for path in (tmp_path / "prepared_64x64").iterdir():
            path.unlink()
        after = image_set("celeba", tmp_path).train
        difference = np.abs(before.images.astype(int) - after.images)
        assert before.fingerprint != after.fingerprint and difference[..., 3:-3, 3:-3].mean() < 4

    def test_is_prepared_once_and_anew_when_the_list_changes(self, tmp_path, cache):
        write_celeba(tmp_path)
        first = image_set("celeba", tmp_path)
        made = sorted(os.listdir(tmp_path / "prepared_64x64"))
        assert [name[:5] for name in made] == ["test-", "train"] and not cache.exists()
        for number in (2, 5):
            (tmp_path / "img_align_celeba" / f"{number:06}.jpg").write_bytes(b"no picture")
        assert image_set("celeba", tmp_path).train.fingerprint == first.train.fingerprint
        list_path = tmp_path / "list_eval_partition.txt"
        list_path.write_text(list_path.read_text().replace("000001.jpg 0", "000001.jpg 2"))
        with pytest.raises(DataError, match=r"00000[25]\.jpg: a picture cannot be read"):
            image_set("celeba", tmp_path)
        assert sorted(os.listdir(tmp_path / "prepared_64x64")) == made

    def test_a_damaged_file_of_prepared_images_is_made_again(self, tmp_path):
        write_celeba(tmp_path)
        before = image_set("celeba", tmp_path).test.fingerprint
        for path in (tmp_path / "prepared_64x64").iterdir():
            path.write_bytes(path.read_bytes()[:-1])
        assert image_set("celeba", tmp_path).test.fingerprint == before

    def test_where_nothing_can_be_written_the_cache_serves(self, tmp_path, cache):
        write_celeba(tmp_path / "data")
        (tmp_path / "data" / "prepared_64x64").write_text("in the way")
        image_set("celeba", tmp_path / "data")
        assert len(os.listdir(cache)) == 2
        for path in cache.iterdir():
            path.unlink()
        cache.rmdir()
        cache.write_text("in the way too")
        with pytest.raises(DataError, match=r"cannot be stored.*permissions"):
            image_set("celeba", tmp_path / "data")

    def test_without_attributes_there_are_no_labels(self, tmp_path):
        write_celeba(tmp_path)
        (tmp_path / "list_attr_celeba.txt").unlink()
        assert image_set("celeba", tmp_path).train.labels is None

    def test_shows_its_progress_when_asked(self, tmp_path, capsys):
        write_celeba(tmp_path)
        image_set("celeba", tmp_path)
        assert capsys.readouterr() == ("", "")
        for path in (tmp_path / "prepared_64x64").iterdir():
            path.unlink()
        image_set("celeba", tmp_path, progress=True)
        shown = capsys.readouterr()
        assert "preparing train: 100%" in shown.err and not shown.out

    def test_missing_parts(self, tmp_path):
        with pytest.raises(InputError, match=r"terms forbid.*mmlab\.ie\.cuhk"):
            image_set("celeba")
        with pytest.raises(DataError, match=r"lacks a list.*list_eval_partition"):
            image_set("celeba", tmp_path)
        write_celeba(tmp_path)
        (tmp_path / "img_align_celeba" / "000004.jpg").unlink()
        with pytest.raises(DataError, match=r"000004\.jpg: a picture of the list is missing"):
            image_set("celeba", tmp_path)
        assert os.listdir(tmp_path / "prepared_64x64") == []
        (tmp_path / "img_align_celeba" / "000001.jpg").unlink()
        with pytest.raises(DataError, match="lacks the pictures"):
            image_set("celeba", tmp_path)

    def test_pictures_of_another_size_or_cut_off(self, tmp_path):
        write_celeba(tmp_path)
        path = tmp_path / "img_align_celeba" / "000005.jpg"
        content = path.read_bytes()
        Image.new("RGB", (200, 218)).save(path, format="JPEG")
        with pytest.raises(DataError, match=r"000005\.jpg.*200 x 218 pixels; expected 178 x 218"):
            image_set("celeba", tmp_path)
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match=r"000005\.jpg: a picture cannot be read"):
            image_set("celeba", tmp_path)

    @pytest.mark.parametrize(
        ("name", "old", "new", "message"),
        [
            ("list_eval_partition.txt", "000002.jpg", "../000002.jpg", "line 2: .*wrong line"),
            ("list_eval_partition.txt", "000002.jpg", "/etc/x.jpg", "line 2: .*wrong line"),
            ("list_eval_partition.txt", "000002.jpg 0", "000002.jpg 3", "line 2: .*0, 1 or 2"),
            ("list_eval_partition.txt", "000002.jpg 0", "000002.jpg", "line 2: .*wrong line"),
            ("list_eval_partition.txt", " 2", " 1", "lacks training or test"),
            ("list_attr_celeba.txt", "000002.jpg", "000009.jpg", "not in the list of attributes"),
            ("list_attr_celeba.txt", "000002.jpg", "000002.jpg 7", "line 4: .*wrong line"),
            ("list_attr_celeba.txt", "000002.jpg", "000002.jpg 1", "line 4: .*40 times"),
        ],
    )
    def test_lists_with_errors(self, tmp_path, name, old, new, message):
        write_celeba(tmp_path)
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new))
        with pytest.raises(DataError, match=message):
            image_set("celeba", tmp_path)

    def test_a_list_that_is_no_text(self, tmp_path):
        write_celeba(tmp_path)
        (tmp_path / "list_eval_partition.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match="list cannot be read"):
            image_set("celeba", tmp_path)


class TestDigits:
    def test_are_scikit_learns(self):
        from sklearn.datasets import load_digits

        digits = load_digits()
        train, test = image_set("digits")
        assert (len(train), len(test), train.shape) == (1437, 360, (1, 8, 8))
        mine = [np.column_stack([part.images.reshape(-1, 64), part.labels]) for part in (train, test)]
        known = np.column_stack([np.floor(digits.data * 255 / 16 + 0.5), digits.target])
        assert sorted(np.concatenate(mine).tolist()) == sorted(known.tolist())
        # Stratified: each class has its share of the test, up to one image.
        share = np.bincount(digits.target) * 360 / 1797
        assert np.abs(np.bincount(test.labels) - share).max() < 1

    def test_are_split_the_same_way_always(self):
        assert image_set("digits").test.fingerprint == image_set("digits").test.fingerprint

    def test_need_no_folder(self, tmp_path):
        with pytest.raises(InputError, match="Leave the folder out"):
            image_set("digits", tmp_path)


def test_the_table_of_sets():
    assert set(IMAGE_SETS) == {"mnist", "fashion-mnist", "cifar10", "celeba", "digits"}
    assert all(row.description and row.licence for row in IMAGE_SETS.values())


def test_an_unknown_set_lists_what_there_is():
    with pytest.raises(UnknownNameError, match="Did you mean 'cifar10'"):
        image_set("cifar-10")
