"""NumPy's files: read as numpy.load reads them, and nothing allocated for what a header only promises."""

import io
import random
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from grammar_rae.arrays import read_array, read_arrays
from grammar_rae.cli.formats import read_codes
from grammar_rae.errors import DataError

ARRAYS = npst.arrays(
    npst.integer_dtypes() | npst.floating_dtypes() | npst.boolean_dtypes(),
    npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(ARRAYS, st.booleans())
def test_arrays_come_back(tmp_path: Path, array: np.ndarray, fortran: bool) -> None:
    array = np.asfortranarray(array) if fortran else array
    np.save(tmp_path / "one.npy", array)
    np.savez_compressed(tmp_path / "many.npz", a=array, b=array)
    mapped = read_array(tmp_path / "one.npy", mapped=True)
    for found in (read_array(tmp_path / "one.npy"), mapped, *read_arrays(tmp_path / "many.npz").values()):
        assert found.dtype == array.dtype and found.shape == array.shape
        np.testing.assert_array_equal(found, array)


def header(text: str) -> bytes:
    padded = text.encode("latin-1") + b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


def saved(array: np.ndarray, pickled: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=pickled)
    return buffer.getvalue()


def zipped(name: str = "codes.npy", blob: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, blob)
    return buffer.getvalue()


GOOD = saved(np.zeros((3, 8), np.float32))
SHAPE = "{{'descr': '<f4', 'fortran_order': False, 'shape': {}, }}"
BAD = {
    "empty": b"",
    "text": b"hello",
    "half a header": GOOD[:40],
    "a header cut in its middle": header("{'descr': '<f4', 'fortran_order': Fal"),
    "a header that never ends": header("{'descr': '''"),
    "brackets without end": header("(" * 5000),
    "a huge shape": header(SHAPE.format("(1000000000000, 8)")),
    "an endless shape": header(SHAPE.format(f"({10**60}, 8)")),
    "a negative shape": header(SHAPE.format("(-1, 8)")),
    "no shape": header(SHAPE.format("'x'")),
    "code": header("__import__('os').abort()"),
    "another type": header("{'descr': 'O', 'fortran_order': False, 'shape': (1,), }"),
    "no size": header("{'descr': 'V0', 'fortran_order': False, 'shape': (1000000000000,), }"),
    "too short": GOOD[:-1],
    "too long": GOOD + b"x",
    "a pickle": b"\x80\x04K\x01.",
    "objects": saved(np.array([{"a": 1}], dtype=object), pickled=True),
    "a zip": zipped("a", b"b"),
    "another version": GOOD[:6] + b"\x09\x00" + GOOD[8:],
}


def peak(attempt: object) -> int:
    tracemalloc.start()
    try:
        attempt()  # type: ignore[operator]
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_array(name: str, tmp_path: Path) -> None:
    (tmp_path / "z.npy").write_bytes(BAD[name])
    (tmp_path / "z.npz").write_bytes(zipped(blob=BAD[name]))

    def attempts() -> None:
        for read in (read_array, lambda path: read_array(path, mapped=True)):
            with pytest.raises(DataError, match=r"z\.npy"):
                read(tmp_path / "z.npy")
        with pytest.raises(DataError, match=r"z\.npz"):
            read_arrays(tmp_path / "z.npz")
        for suffix in ("npy", "npz"):
            with pytest.raises(DataError, match="holds no latent codes"):
                read_codes(tmp_path / f"z.{suffix}")

    assert peak(attempts) < 20_000_000


def test_archives_that_are_none(tmp_path: Path) -> None:
    whole = zipped(blob=GOOD)
    bad = {
        "empty": b"",
        "text": b"hello",
        "cut": whole[:-30],
        "an array": GOOD,
        "damaged": whole.replace(b"NUMPY", b"NUMBY"),
    }
    for name, blob in bad.items():
        (tmp_path / f"{name}.npz").write_bytes(blob)
        with pytest.raises(DataError):
            read_arrays(tmp_path / f"{name}.npz")
    with pytest.raises(DataError):
        read_arrays(tmp_path / "absent.npz")
    with pytest.raises(DataError):
        read_array(tmp_path)


def test_flipped_bytes_give_numbers_or_a_sentence(tmp_path: Path) -> None:
    chance = random.Random(0)
    path = tmp_path / "z.npy"
    for _ in range(400):
        blob = bytearray(GOOD)
        for _ in range(chance.randint(1, 3)):
            blob[chance.randrange(128)] = chance.randrange(256)
        path.write_bytes(blob)
        try:
            assert read_codes(path).ndim == 2
        except DataError as error:
            assert "holds no latent codes" in str(error)


@pytest.mark.parametrize("array", [np.zeros((2, 3), complex), np.zeros((2, 3), bool), np.zeros(3), np.array([["a"]])])
def test_other_numbers_are_no_codes(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "z.npy", array)
    with pytest.raises(DataError, match="holds no latent codes"):
        read_codes(tmp_path / "z.npy")
