"""Latent codes as features: a scikit-learn transformer around a trained model, whose ``fit`` trains nothing."""

from functools import partial
from os import PathLike
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from grammar_rae.checks import check_flag
from grammar_rae.datasets import read_rows
from grammar_rae.errors import InputError
from grammar_rae.model.fitted import Codes
from grammar_rae.model.known import check_unknown

BITS_SCALE = 3.0
"""What the probabilities of bits are multiplied by, so that they weigh about as much as the codes in a distance."""


class MoleculeVectorizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Molecules as their latent codes under a trained model, as its encoder gives them, for scikit-learn's pipelines.

    ``fit`` only loads the model. A text that cannot be encoded gets a row of NaN: follow the vectorizer by an imputer,
    or by an estimator that accepts NaN.

    Parameters
    ----------
    model
        The name of a bundled model, the folder of a trained one, or a trained :class:`TextModel`, which clones share.
    unknown, fragments
        As for :meth:`TextModel.encode`.
    fingerprint
        Whether to put behind each code what the model's head reads from it of a Morgan fingerprint: the probability of
        each of its P bits, times 3, so that both parts weigh about as much in a distance. Most learners gain by it.

    Attributes
    ----------
    model_
        The model that is used.
    n_codes_, n_bits_
        D, the size of a code, and P, 0 without the fingerprint.

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
        fingerprint: bool = False,
    ) -> None:
        self.model = model
        self.unknown = unknown
        self.fragments = fragments
        self.fingerprint = fingerprint

    def __sklearn_clone__(self) -> "MoleculeVectorizer":
        # A clone of a trained model would not be trained.
        return MoleculeVectorizer(self.model, self.unknown, self.fragments, self.fingerprint)

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
            For a model that does not exist or cannot be read, one of images, or one that reads no fingerprint.
        """
        from grammar_rae.model.current import find_model

        check_unknown(self.unknown)
        check_flag("fingerprint", self.fingerprint)
        self.model_ = find_model(self.model)
        self.n_codes_ = int(self.model_.recipe_.latent)
        self.n_bits_ = int(self.model_.autoencoder_.head.n_bits) if self.fingerprint else 0
        if self.fingerprint and not self.n_bits_:
            raise InputError(
                "this model reads no fingerprint from codes",
                received="fingerprint=True",
                remedy="Use the bundled model molecules, or train with the head linear and its option bits.",
            )
        return self

    def transform(self, X: Any) -> Codes:
        """The codes of N texts, float32 (N, D) or (N, D + P); NaN in the rows of those without.

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
            encode = partial(self.model_.encode, errors="nan", polish=0)
            codes[usable] = encode(texts, unknown=self.unknown, fragments=self.fragments)
        return np.hstack([codes, BITS_SCALE * self._read_bits(codes)]) if self.fingerprint else codes

    def _read_bits(self, codes: Codes) -> Codes:
        """Probabilities of the fingerprint's bits, float32 (N, P), as the model's head reads them from codes (N, D)."""
        with torch.inference_mode():
            z = torch.from_numpy(codes).to(self.model_.device)
            bits: Codes = self.model_.autoencoder_.head.predict_bits(z).cpu().numpy()
        return bits

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """The names ``z0``, ``z1`` and so on, and then those of the bits, ``bit0`` and so on: (D + P,)."""
        check_is_fitted(self, "n_codes_")
        names = [("z", self.n_codes_), ("bit", self.n_bits_)]
        return np.array([f"{name}{place}" for name, n in names for place in range(n)], dtype=object)
