"""The batch files of CIFAR-10."""

import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import RNG, Harm, some_images

from grammar_rae.datasets import image_set
from grammar_rae.errors import DataError


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
            with pytest.raises(DataError, match=r"data_batch_3: .*not a batch of CIFAR-10: it holds the (name|instr)"):
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
        with pytest.raises(DataError, match=r"data_batch_4\.bin.*damaged.*records of 3073"):
            image_set("cifar10", tmp_path)
        path.write_bytes(b"\x0a" + bytes(3072))
        with pytest.raises(DataError, match=r"do not fit their labels"):
            image_set("cifar10", tmp_path)
        path.unlink()
        with pytest.raises(DataError, match=r"data_batch_4\.bin: the batch cannot be read \(No such file"):
            image_set("cifar10", tmp_path)
