"""Images as tests of the data sets write them, with no help from the package."""

import gzip
import os
import struct

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

RNG = np.random.default_rng(0)


def some_images(n=6, channels=1, height=5, width=4):
    return RNG.integers(0, 256, (n, channels, height, width), dtype=np.uint8)


def idx_bytes(array):
    """An idx file as the format's description has it, with no help from the package."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


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


small_images = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 6), st.sampled_from([1, 3]), st.integers(4, 7), st.integers(4, 7))
)
