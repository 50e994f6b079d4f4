"""A score that a model of scikit-learn predicts from fingerprints, read from a file that cannot run code.

A file of skops (``.skops``) may hold nothing but types that skops trusts; one of ONNX (``.onnx``) is a graph of
numbers. Pickles are refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import DataError, InputError, MissingExtraError, TextError, UnknownNameError
from grammar_rae.scores.evaluation import Batched

Predict = Callable[[NDArray[np.float32]], NDArray[Any]]


@dataclass(frozen=True)
class Predictor(Batched):
    """A regressor's prediction, or a classifier's probability of its last class.

    Parameters
    ----------
    file
        The file of the model.
    fingerprint, size, counts
        What it was trained on: a name in :data:`grammar_rae.chem.COUNT_FINGERPRINTS`, folded to ``size`` numbers, as
        bits or as counts.
    domain
        SMILES of the molecules it was trained on; with none, it is believed everywhere.
    least_similarity
        The Tanimoto similarity (of counts) to the nearest of these below which a molecule is outside the model's domain
        and has no value.

    Raises
    ------
    InputError
        For a fingerprint that does not exist, a molecule of the domain that cannot be read, or a file of another kind.
    DataError
        For a file that is not there, is damaged, or holds types that are not trusted.
    MissingExtraError
        Without skops or onnxruntime.
    """

    file: str
    fingerprint: str = "ECFP4"
    size: int = 2048
    counts: bool = False
    domain: Sequence[str] = ()
    least_similarity: float = 0.3
    at_once: int = 1000

    def __post_init__(self) -> None:
        from grammar_rae.chem import COUNT_FINGERPRINTS

        if self.fingerprint not in COUNT_FINGERPRINTS:
            raise UnknownNameError("fingerprint", self.fingerprint, COUNT_FINGERPRINTS)
        if not isinstance(self.counts, bool):
            raise InputError("counts is true or false", received=repr(self.counts))
        if not 0 <= self.least_similarity <= 1:
            raise InputError("least_similarity lies between 0 and 1", received=self.least_similarity)
        object.__setattr__(self, "domain", tuple(self.domain))
        load_predictor(self.file)
        if self.domain:
            self._nearest(self.domain[0])  # so that one that RDKit refuses is told now

    def many(self, texts: Sequence[str]) -> list[float | str]:
        """The value of each text, or the reason why it has none."""
        from grammar_rae.chem import folded_counts

        found: list[float | str] = []
        rows, features = [], []
        for row, text in enumerate(texts):
            try:
                near = self._nearest(text) if self.domain else 1.0
                described = folded_counts(text, self.fingerprint, self.size)
            except TextError as error:
                found.append(error.message)
                continue
            if near < self.least_similarity:
                found.append(f"outside the predictor's domain: the nearest molecule of it is {near:.2f} similar")
            else:
                rows.append(row)
                features.append(described)
                found.append(np.nan)
        if rows:
            x = np.array(features, np.float32)
            for row, value in zip(rows, self._predict(x if self.counts else (x > 0).astype(np.float32)), strict=True):
                found[row] = float(value) if np.isfinite(value) else "the predictor gave no finite number"
        return found

    def _nearest(self, text: str) -> float:
        from grammar_rae.chem import similarities

        return float(similarities(text, self.fingerprint, tuple(self.domain)).max())

    def _predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        try:
            values = np.asarray(load_predictor(self.file)(x), np.float64)
        except (DataError, MissingExtraError):
            raise
        except Exception as error:  # the libraries raise many kinds
            raise DataError(
                f"the predictor cannot be asked ({type(error).__name__}: {error})",
                where=self.file,
                remedy="Check that fingerprint, size and counts are those that it was trained on.",
            ) from error
        values = values[:, -1] if values.ndim == 2 else values
        if values.shape != (len(x),):
            raise DataError("the predictor gave no number a molecule", received=values.shape, where=self.file)
        return values


def load_predictor(file: str) -> Predict:
    """The function (N, size) -> (N,) or (N, classes) of a file, which is read once as long as it stays as it is.

    Raises
    ------
    InputError, DataError, MissingExtraError
        As :class:`Predictor`.
    """
    path = Path(file)
    if path.suffix not in READERS:
        raise InputError(
            "a predictor of this kind cannot be read",
            received=repr(file),
            expected=" or ".join(READERS),
            remedy="Save it by skops.io.dump(model, 'model.skops'), or as ONNX: a pickle could run any code.",
        )
    try:
        status = path.stat()
    except OSError as error:
        raise DataError("there is no such file", where=file) from error
    return _load(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _load(path: Path, changed: int, size: int) -> Predict:
    try:
        return READERS[path.suffix](path)
    except (DataError, MissingExtraError):
        raise
    except Exception as error:  # the libraries raise many kinds
        raise DataError(f"the predictor cannot be read ({type(error).__name__}: {error})", where=str(path)) from error


def _read_skops(path: Path) -> Predict:
    try:
        from skops import io
    except ImportError as error:
        raise MissingExtraError("skops", "predictors", "a predictor in a .skops file") from error
    if unknown := io.get_untrusted_types(file=path):
        raise DataError(
            "the predictor holds types that could run code",
            received=", ".join(sorted(unknown)),
            expected="estimators of scikit-learn",
            where=str(path),
        )
    model = io.load(path, trusted=[])
    method = getattr(model, "predict_proba", None) or getattr(model, "predict", None)
    if method is None:
        raise DataError("the file holds no predictor", received=type(model).__name__, where=str(path))
    return method  # type: ignore[no-any-return]


def _read_onnx(path: Path) -> Predict:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "predictors", "a predictor in an .onnx file") from error
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()

    def predict(x: NDArray[np.float32]) -> NDArray[Any]:
        last = session.run(None, {given.name: x})[-1]  # a classifier's labels come before its probabilities
        if isinstance(last, list):  # and these may be dictionaries
            last = [list(row.values()) for row in last]
        found = np.asarray(last)
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found

    return predict


READERS: dict[str, Callable[[Path], Predict]] = {".skops": _read_skops, ".onnx": _read_onnx}
"""By the end of a file's name, what reads a predictor from it."""
