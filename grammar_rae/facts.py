"""What is known of the rows of a data set besides what is encoded: properties, a fingerprint, the order of atoms.

An encoded data set has them as arrays beside the codes, mapped into memory. What is not known of a
row is NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from grammar_rae.errors import DataError, InputError

if TYPE_CHECKING:  # it takes seconds to import, and the worker processes that encode have no use for it
    import torch

PROPERTIES_FILE, BITS_FILE, REORDERED_FILE = "properties.bin", "bits.bin", "reordered.bin"
PROPERTY_TYPE, BYTE = np.dtype("<f4"), np.dtype("u1")
PROPERTY_NAMES = (
    "logp",
    "weight",
    "tpsa",
    "qed",
    "sa",
    "donors",
    "acceptors",
    "rotatable_bonds",
    "rings",
    "aromatic_rings",
    "fsp3",
    "stereo_centres",
    "charge",
)
"""The properties of molecules, as of :data:`grammar_rae.chem.properties.PROPERTIES`, which needs RDKit."""

SCALES = ("mean", "deviation", "lowest", "highest")
"""What is kept of each property's values."""

EXTREMES = (0.001, 0.999)
"""The quantiles between which a property's values count as its range."""


class Described(NamedTuple):
    """A batch of rows with what is known of them, as training takes it.

    ``x``: what the encoder reads; ``properties``: float32 (B, K), NaN where not known; ``bits``: float32 (B, P), 0
    and 1; ``reordered``: bool (B,), whether a row is written in another order of atoms than the canonical one.
    """

    x: "torch.Tensor"
    properties: "torch.Tensor"
    bits: "torch.Tensor"
    reordered: "torch.Tensor"

    def to(self, device: Any) -> "Described":
        """The batch on a device."""
        return Described(*(part.to(device) for part in self))


@dataclass(frozen=True)
class Facts:
    """What is known of N rows.

    Attributes
    ----------
    names
        Of the K properties.
    properties
        float32 (N, K), NaN where not known.
    bits
        uint8 (N, P / 8): a fingerprint, packed; P may be 0.
    reordered
        uint8 (N,): 1 where a row is written in another order of atoms than the canonical one.
    scales
        ``mean``, ``deviation``, ``lowest`` and ``highest``, each with K numbers: of the values that are known.
    """

    names: tuple[str, ...]
    properties: npt.NDArray[np.float32]
    bits: npt.NDArray[np.uint8]
    reordered: npt.NDArray[np.uint8]
    scales: dict[str, list[float]]

    @classmethod
    def gather(
        cls,
        names: Sequence[str],
        properties: npt.NDArray[np.floating],
        bits: npt.NDArray[np.uint8] | None = None,
        reordered: npt.NDArray[np.integer] | None = None,
    ) -> "Facts":
        """Facts of arrays; without bits or marks there are none. Raises InputError where they do not fit together."""
        n = len(properties)
        bits = np.zeros((n, 0), BYTE) if bits is None else np.asarray(bits, BYTE)
        marks = np.zeros(n, BYTE) if reordered is None else np.asarray(reordered).astype(BYTE)
        if properties.shape != (n, len(names)) or bits.ndim != 2 or len(bits) != n or marks.shape != (n,):
            raise InputError(
                "facts need one row for each row of the data",
                received=f"properties {properties.shape}, bits {bits.shape}, marks {marks.shape}",
                expected=f"(N, {len(names)}), (N, P / 8), (N,)",
            )
        values = np.asarray(properties, PROPERTY_TYPE)
        return cls(tuple(names), values, bits, marks, scales_of(values, names))

    def spread(self, rows: npt.NDArray[np.int64], n: int) -> "Facts":
        """The same facts as those of some rows of n; of the others nothing is known."""
        properties = np.full((n, len(self.names)), np.nan, PROPERTY_TYPE)
        bits, marks = np.zeros((n, self.bits.shape[1]), BYTE), np.zeros(n, BYTE)
        properties[rows], bits[rows], marks[rows] = self.properties, self.bits, self.reordered
        return Facts(self.names, properties, bits, marks, self.scales)

    @property
    def n_bits(self) -> int:
        """P."""
        return 8 * int(self.bits.shape[1])

    def batch(self, x: "torch.Tensor", rows: npt.NDArray[np.int64]) -> Described:
        """What is known of some rows, beside what the encoder reads of them."""
        import torch

        bits = np.unpackbits(self.bits[rows], axis=1).astype(np.float32)
        marks = self.reordered[rows].astype(np.bool_)
        parts = (np.asarray(self.properties[rows], np.float32), bits, marks)
        return Described(x, *(torch.from_numpy(part) for part in parts))

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the arrays into a folder; what :meth:`read` needs to know of them."""
        for name, array in self._files().items():
            (folder / name).write_bytes(np.ascontiguousarray(array).data)
        return {"names": list(self.names), "bits": self.n_bits, **self.scales}

    def _files(self) -> dict[str, npt.NDArray[Any]]:
        return {PROPERTIES_FILE: self.properties, BITS_FILE: self.bits, REORDERED_FILE: self.reordered}

    @classmethod
    def read(cls, folder: Path, about: dict[str, Any], n: int) -> "Facts":
        """The facts that :meth:`write` wrote. Raises DataError where they are damaged."""
        try:
            names = tuple(map(str, about["names"]))
            scales = {name: [float(value) for value in about[name]] for name in SCALES}
            width = int(about["bits"]) // 8
            fitting = all(len(values) == len(names) for values in scales.values()) and width >= 0
        except (KeyError, TypeError, ValueError):
            fitting = False
        if not fitting:
            raise _damaged(folder, "the properties are not described as they should be")
        properties = _mapped(folder / PROPERTIES_FILE, PROPERTY_TYPE, (n, len(names)))
        bits = _mapped(folder / BITS_FILE, BYTE, (n, width))
        return cls(names, properties, bits, _mapped(folder / REORDERED_FILE, BYTE, (n,)), scales)


def scales_of(values: npt.NDArray[np.floating], names: Sequence[str]) -> dict[str, list[float]]:
    """Mean, deviation (1 where all are the same) and range of each property's known values.

    Raises InputError for a property that is known of no row.
    """
    scales: dict[str, list[float]] = {name: [] for name in SCALES}
    for column, name in enumerate(names):
        known = np.asarray(values[:, column], np.float64)
        known = known[np.isfinite(known)]
        if not len(known):
            raise InputError(f"the property {name} is known of no row")
        lowest, highest = np.quantile(known, EXTREMES)
        for scale, value in zip(SCALES, (known.mean(), known.std() or 1.0, lowest, highest), strict=True):
            scales[scale].append(float(value))
    return scales


def _mapped(path: Path, kind: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    size = int(np.prod(shape)) * kind.itemsize
    if not path.is_file() or path.stat().st_size != size:
        raise _damaged(path, f"the file is missing or has not {size} bytes")
    return np.memmap(path, dtype=kind, mode="r", shape=shape) if size else np.zeros(shape, kind)


def _damaged(path: Path, message: str) -> DataError:
    return DataError(f"the encoded data set is damaged: {message}", where=str(path), remedy="Encode the texts again.")
