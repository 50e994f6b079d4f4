"""The public sets of images, by name."""

import http.client
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from pictures import RNG, idx_bytes, some_images, write_mnist

from grammar_rae.datasets import IMAGE_SETS, SOURCES, fetch, image_set, image_sets
from grammar_rae.datasets.fetching import _content_checksum
from grammar_rae.datasets.image_files import read_idx
from grammar_rae.errors import DataError, InputError, UnknownNameError


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
        with pytest.raises(DataError, match="do not hold mnist"):
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
            (np.zeros((8, 784)), None, "checksum differs"),
            (np.zeros((7, 784)), None, "unexpected data"),
            (np.zeros((8, 783)), None, "unexpected data"),
            (np.zeros((8, 784)), np.zeros(7, int), "unexpected data"),
            (np.full((8, 784), 0.5), None, "unexpected data"),
            (np.full((8, 784), 256.0), None, "unexpected data"),
            (None, np.full(8, "cat", dtype=object), "could not be fetched"),
            (None, np.full(8, 300), "could not be fetched|unexpected data"),
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
        with pytest.raises(DataError, match=r"could not be fetched.*put the original files into a folder and pass it"):
            image_set("cifar10")
        assert os.listdir(tmp_path / "grammar_rae" / "cifar10") == []

    def test_there_is_no_mirror(self, tmp_path):
        with pytest.raises(InputError, match="no mirror"):
            fetch("mnist", tmp_path, base_url="http://127.0.0.1:1")


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
