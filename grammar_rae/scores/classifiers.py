"""The trained classifiers of three of PMO's tasks: the probability that a molecule is active against a protein.

Their arrays lie in ``benchmarks/data/`` of a checkout, with their notice; the installed package does not have them.
"""

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import DataError
from grammar_rae.resources import bundled_file

_BITS = 2048
# Asking whether all trees have reached a leaf takes as long as descending two levels.
_LEVELS = 8
_CLIPPED = 1e-7
_TOLERANCE, _ROUNDS = 0.0025, 100

# The most that the arrays of one file may take in memory, in bytes.
_LARGEST = 1 << 26

_Arrays = Mapping[str, NDArray[Any]]
# An array's lengths; those of one name are equal.
_Shapes = Mapping[str, tuple[int | str, ...]]
_Model = TypeVar("_Model")

_FOREST: _Shapes = {
    "offsets": ("trees",),
    "left": ("nodes",),
    "right": ("nodes",),
    "feature": ("nodes",),
    "positive": ("nodes",),
}
_MACHINE: _Shapes = {
    "support_vectors": ("vectors", _BITS),
    "dual_coef": ("vectors",),
    "intercept": (1,),
    "gamma": (),
    "probA": (1,),
    "probB": (1,),
}


@dataclass(frozen=True)
class Classifier:
    """A function of one SMILES: the probability of a trained classifier, a name in :data:`CLASSIFIERS`."""

    name: str

    def path(self) -> Path:
        """Where its arrays are.

        Raises
        ------
        DataError
            When this installation lacks them.
        """
        try:
            return bundled_file(f"benchmarks/data/{self.name}.npz")
        except DataError as error:
            raise DataError(
                f"the classifier {self.name!r} is not part of the installed package",
                where=error.where,
                expected=f"the file benchmarks/data/{self.name}.npz beside the package, as in a checkout",
                remedy="Clone the repository and install it there with: python -m pip install -e .",
            ) from error

    def __call__(self, text: str) -> float:
        """The probability that a molecule (SMILES) is active."""
        return CLASSIFIERS[self.name](self.path(), text)


# ---- their files


def _load(path: Path, shapes: _Shapes, build: Callable[[_Arrays], _Model]) -> _Model:
    """Build a model from the arrays of a file, once their names, sizes and types are known to be right.

    Raises
    ------
    DataError
        When the file is not one of these.
    """
    try:
        if not is_zipfile(path):
            raise ValueError("it is not an archive of arrays")
        with np.load(path, allow_pickle=False) as archive:
            if sum(member.file_size for member in archive.zip.infolist()) > _LARGEST:
                raise ValueError(f"its arrays take more than {_LARGEST} bytes")
            arrays = {name: archive[name] for name in shapes}
        _check_shapes(arrays, shapes)
        return build(arrays)
    except (OSError, ValueError, LookupError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(
            f"this is not a classifier's file: {' '.join(str(error).split())}",
            where=str(path),
            remedy="Restore it with: git checkout -- benchmarks/data",
        ) from error


def _check_shapes(arrays: _Arrays, shapes: _Shapes) -> None:
    lengths: dict[str, int] = {}
    for name, shape in shapes.items():
        array = arrays[name]
        if array.dtype.kind not in "if" or not np.isfinite(array).all():
            raise ValueError(f"{name} does not hold finite numbers")
        expected = tuple(
            length if isinstance(length, int) else lengths.setdefault(length, array.shape[axis] if array.ndim else 0)
            for axis, length in enumerate(shape)
        )
        if array.shape != expected or 0 in expected:
            raise ValueError(f"{name} has the shape {array.shape} instead of {expected}")


# ---- random forests


@dataclass(frozen=True)
class Forest:
    """Decision trees on bits, all in one array of nodes; a leaf leads to itself.

    Attributes
    ----------
    roots
        The first node of each tree.
    children
        (2, nodes): where to go when a node's bit is off and when it is on.
    feature
        The bit that each node asks for.
    positive
        The share of actives at each node.
    """

    roots: NDArray[np.int64]
    children: NDArray[np.int64]
    feature: NDArray[np.int64]
    positive: NDArray[np.float64]

    def probability(self, bits: NDArray[np.uint8]) -> float:
        """The mean over the trees of the share of actives at the leaf that the bits (2048,) lead to."""
        nodes = self.roots
        while True:
            before = nodes
            for _ in range(_LEVELS):
                nodes = self.children[bits[self.feature[nodes]], nodes]
            if np.array_equal(before, nodes):
                return float(self.positive[nodes].mean())


def _forest(arrays: _Arrays) -> Forest:
    offsets, sides = arrays["offsets"].astype(np.int64), [arrays["left"], arrays["right"]]
    feature, positive = arrays["feature"].astype(np.int64), arrays["positive"].astype(np.float64)
    sizes = np.diff(offsets)
    if offsets[0] != 0 or offsets[-1] != positive.size or (sizes < 1).any():
        raise ValueError("the trees do not fill the array of nodes")
    own = np.arange(positive.size)
    first, last = np.repeat(offsets[:-1], sizes), np.repeat(offsets[1:], sizes)
    children = np.stack([np.where(side < 0, own, side + first) for side in sides])
    leaf = (children == own).all(axis=0)
    # A child stands after its parent and in its tree, so every way ends.
    if not (leaf | ((children > own) & (children < last)).all(axis=0)).all():
        raise ValueError("a tree's nodes do not lead downwards")
    if not ((feature >= 0) & (feature < _BITS))[~leaf].all() or not ((positive >= 0) & (positive <= 1)).all():
        raise ValueError("a node's bit or share is out of range")
    return Forest(offsets[:-1], children, np.where(leaf, 0, feature), positive)


@cache
def _load_forest(path: Path) -> Forest:
    return _load(path, _FOREST, _forest)


def _forest_probability(path: Path, text: str) -> float:
    from grammar_rae.chem import morgan

    return _load_forest(path).probability(np.unpackbits(morgan(text, _BITS)))


# ---- the support vector machine


@dataclass(frozen=True)
class Machine:
    """A support vector machine with the kernel ``exp(-gamma |x - v|^2)`` and Platt's probabilities.

    Attributes
    ----------
    vectors
        The support vectors v, (counts, vectors): whole numbers, whose products are exact in float32.
    squares
        Their squared lengths (vectors,).
    weights
        The dual coefficients (vectors,).
    intercept, gamma, slope, offset
        Those of the decision function, the kernel and Platt's logistic function.
    """

    vectors: NDArray[np.float32]
    squares: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: float
    gamma: float
    slope: float
    offset: float

    def probability(self, counts: NDArray[np.int64]) -> float:
        """The probability that counts (2048,) are those of an active molecule."""
        return 1.0 - couple(_logistic(self.slope * self.decision(counts) - self.offset))

    def decision(self, counts: NDArray[np.int64]) -> float:
        """The decision function, ``sum(weights * kernel) + intercept``: above 0 for the active side."""
        there = np.flatnonzero(counts)
        products = counts[there].astype(np.float32) @ self.vectors[there]
        distances = self.squares - 2.0 * products.astype(np.float64) + float(counts @ counts)
        return float(self.weights @ np.exp(-self.gamma * distances)) + self.intercept


def _logistic(value: float) -> float:
    return 0.5 * (1.0 + math.tanh(0.5 * value))  # 1 / (1 + exp(-value)), which overflows nowhere


def couple(first: float) -> float:
    """The probability of the first of two classes after pairwise coupling, given the two-class probability.

    For two classes the coupling of Wu, Lin and Weng (J. Mach. Learn. Res. 5, 2004, second method) has the probability
    itself as its solution, but the published scores come from the iteration, stopped at a tolerance of .0025. This is
    that iteration: minimise p'Qp one component at a time, normalising after each.
    """
    first = min(max(first, _CLIPPED), 1 - _CLIPPED)
    pair = np.array([first, 1 - first])
    matrix = np.outer(pair[::-1], pair[::-1]) * np.array([[1.0, -1.0], [-1.0, 1.0]])
    p = np.array([0.5, 0.5])
    for _ in range(_ROUNDS):
        gradient = matrix @ p
        if np.abs(gradient - p @ gradient).max() < _TOLERANCE:
            break
        for i in (0, 1):
            gradient = matrix @ p
            p[i] += (p @ gradient - gradient[i]) / matrix[i, i]
            p /= p.sum()
    return float(p[0])


def _machine(arrays: _Arrays) -> Machine:
    vectors = arrays["support_vectors"].astype(np.int64)
    return Machine(
        np.ascontiguousarray(vectors.T, dtype=np.float32),
        (vectors**2).sum(axis=1).astype(np.float64),
        arrays["dual_coef"].astype(np.float64),
        *(float(arrays[name].ravel()[0]) for name in ("intercept", "gamma", "probA", "probB")),
    )


@cache
def _load_machine(path: Path) -> Machine:
    return _load(path, _MACHINE, _machine)


def _machine_probability(path: Path, text: str) -> float:
    from grammar_rae.chem import folded_counts

    return _load_machine(path).probability(folded_counts(text, "FCFP6", _BITS))


#: name -> function of the path of its arrays and a SMILES.
CLASSIFIERS: dict[str, Callable[[Path, str], float]] = {
    "drd2": _machine_probability,
    "gsk3b": _forest_probability,
    "jnk3": _forest_probability,
}
