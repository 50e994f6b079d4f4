"""Latent codes as features: a scikit-learn transformer around a trained model, whose ``fit`` trains nothing."""

from os import PathLike
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from grammar_rae.datasets import read_rows
from grammar_rae.model.fitted import Codes
from grammar_rae.model.known import check_unknown


class MoleculeVectorizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Molecules as their latent codes under a trained model, for scikit-learn's pipelines.

    ``fit`` only loads the model. A text that cannot be encoded gets a row of NaN: follow the vectorizer by an imputer,
    or by an estimator that accepts NaN.

    Parameters
    ----------
    model
        The name of a bundled model, the folder of a trained one, or a trained :class:`TextModel`, which clones share.
    unknown, fragments
        As for :meth:`TextModel.encode`.

    Attributes
    ----------
    model_
        The model that is used.
    n_codes_
        D, the size of a code.

    Examples
    --------
    >>> from grammar_rae import MoleculeVectorizer
    >>> vectorizer = MoleculeVectorizer("molecules").fit()
    >>> vectorizer.transform(["CCO", "no molecule"]).shape[0]
    2
    """

    def __init__(
        self,
        model: "str | PathLike[str] | Any" = "molecules",
        unknown: str = "warn",
        fragments: str | None = None,
    ) -> None:
        self.model = model
        self.unknown = unknown
        self.fragments = fragments

    def __sklearn_clone__(self) -> "MoleculeVectorizer":
        # A clone of a trained model would not be trained.
        return MoleculeVectorizer(self.model, self.unknown, self.fragments)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = True
        return tags

    def fit(self, X: Any = None, y: Any = None) -> "MoleculeVectorizer":
        """Load the model; the texts and the target are not looked at.

        Raises
        ------
        InputError, CheckpointError
            For a model that does not exist or cannot be read, or one of images.
        """
        from grammar_rae.model.current import find_model

        check_unknown(self.unknown)
        self.model_ = find_model(self.model)
        self.n_codes_ = int(self.model_.recipe_.latent)
        return self

    def transform(self, X: Any) -> Codes:
        """The codes of N texts, float32 (N, D); NaN in the rows of those without.

        Parameters
        ----------
        X
            Texts: a list, array or Series, or a frame of pandas or polars with a column of them, named as in files.
        """
        check_is_fitted(self, "model_")
        rows = list(read_rows([X] if isinstance(X, str) else X)) if not hasattr(X, "__len__") or len(X) else []
        usable = [index for index, row in enumerate(rows) if row.problem is None]
        codes = np.full((len(rows), self.n_codes_), np.nan, np.float32)
        if usable:
            texts = [rows[index].text for index in usable]
            codes[usable] = self.model_.encode(texts, errors="nan", unknown=self.unknown, fragments=self.fragments)
        return codes

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """The names ``z0``, ``z1`` and so on, (D,)."""
        check_is_fitted(self, "n_codes_")
        return np.array([f"z{place}" for place in range(self.n_codes_)], dtype=object)
