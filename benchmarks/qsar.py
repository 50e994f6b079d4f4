"""What latent codes say of a target's affinities, beside Morgan fingerprints under the same learners."""

from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.rows import Row
from grammar_rae.chem import morgan
from grammar_rae.errors import DataError
from grammar_rae.model import MoleculeVectorizer, TextModel

BITS = 2048
ALPHAS = tuple(10.0**power for power in range(-1, 5))
"""The penalties that ridge regression chooses among, by the training rows alone."""


def _ridge() -> Any:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeCV(ALPHAS))


def _neighbours() -> Any:
    from sklearn.neighbors import KNeighborsRegressor

    return KNeighborsRegressor(5, weights="distance")


def _forest() -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(200, min_samples_leaf=2, max_features="sqrt", random_state=0)


def _kernel() -> Any:
    from sklearn.svm import SVR

    return SVR(C=10.0, epsilon=0.1, gamma="scale")


LEARNERS: dict[str, Callable[[], Any]] = {
    "ridge": _ridge,
    "neighbours": _neighbours,
    "forest": _forest,
    "kernel": _kernel,
}


def run(table: str | PathLike[str], models: dict[str, TextModel]) -> list[Row]:
    """R² on the rows held out, by the table's own split, of every target, learner and kind of features.

    Parameters
    ----------
    table
        With the columns ``smiles``, ``target``, ``p`` and ``split`` (train, test).
    models
        By name; each gives its codes, those with the fingerprint that it reads from them, where it does, and codes
        beside Morgan fingerprints, which stand alone, too. Every kind of features leaves out the molecules that a
        model's codec refuses.

    Raises
    ------
    DataError
        For a table without these columns.
    """
    rows = pd.read_csv(table, sep=None, engine="python")
    if missing := {"smiles", "target", "p", "split"} - set(rows.columns):
        raise DataError("the table lacks columns", received=", ".join(sorted(missing)), where=str(table))
    texts = rows["smiles"].tolist()
    features: dict[str, NDArray[Any]] = {
        name: model.encode(texts, errors="nan", polish=0) for name, model in models.items()
    }
    for name, model in models.items():
        if model.autoencoder_.head.n_bits:
            vectorizer = MoleculeVectorizer(model, "ignore", fingerprint=True)
            features[f"{name}, fingerprint"] = vectorizer.fit_transform(texts)
    features["morgan"] = np.stack([np.unpackbits(morgan(text, BITS)) for text in texts]).astype(np.float32)
    features |= {f"{name} + morgan": np.hstack([features[name], features["morgan"]]) for name in models}
    usable = np.all([np.isfinite(values).all(axis=1) for values in features.values()], axis=0)
    found: list[Row] = []
    for target in sorted(rows["target"].unique()):
        own = usable & (rows["target"] == target).to_numpy()
        train, test = (own & (rows["split"] == part).to_numpy() for part in ("train", "test"))
        affinities = rows["p"].to_numpy()
        for learner, make in LEARNERS.items():
            scores = {
                name: float(make().fit(values[train], affinities[train]).score(values[test], affinities[test]))
                for name, values in features.items()
            }
            row: Row = {"target": target, "learner": learner, "train": int(train.sum()), "test": int(test.sum())}
            found.append(row | scores)
    return found
