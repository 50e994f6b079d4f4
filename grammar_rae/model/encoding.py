"""From texts to latent codes, and what becomes of texts that have none."""

from collections.abc import Sequence
from typing import Any, Literal, cast, overload

import numpy as np
import torch

from grammar_rae.checks import check_flag
from grammar_rae.datasets import pad_tokens
from grammar_rae.model.fitted import Codes
from grammar_rae.model.known import mind_unknown
from grammar_rae.model.results import EncodedTexts, check_errors
from grammar_rae.model.sources import as_texts


class EncodingMixin:
    """How a model of texts encodes."""

    @overload
    def encode(
        self: Any,
        texts: Sequence[str],
        *,
        errors: Literal["raise", "nan"] = ...,
        noise: bool = ...,
        seed: int | None = ...,
        unknown: str = ...,
    ) -> Codes: ...

    @overload
    def encode(
        self: Any,
        texts: Sequence[str],
        *,
        errors: Literal["skip"],
        noise: bool = ...,
        seed: int | None = ...,
        unknown: str = ...,
    ) -> EncodedTexts: ...

    def encode(
        self: Any,
        texts: Sequence[str],
        *,
        errors: str = "raise",
        noise: bool = False,
        seed: int | None = None,
        unknown: str = "warn",
    ) -> Codes | EncodedTexts:
        """Latent codes of texts, float32 (N, D).

        Parameters
        ----------
        texts
            N texts.
        errors
            What to do about texts that the codec rejects. ``"raise"`` raises the error of the first one; ``"nan"``
            fills its row with NaN, so that there are N rows; ``"skip"`` leaves it out and returns an
            :class:`EncodedTexts`, which says which rows were accepted and why the others were not.
        noise, seed
            Draw each code as training does, by the seed: from a variational model's posterior, in place of its mean.
            A deterministic encoder has nothing to draw.
        unknown
            What to do about texts with atoms, marks or tokens that the model was not trained on (:attr:`known_`), whose
            codes stand for other texts: ``"warn"``, ``"refuse"`` them as the codec would, or ``"ignore"`` it.

        Warns
        -----
        UnfamiliarWarning
            Once for all such texts, with numbers and an example.

        Raises
        ------
        InputError
            If ``texts`` is not a list, array or Series of texts, or ``errors`` is none of the three.
        TextError
            With ``errors="raise"``, for the first text that the codec rejects; its ``where`` says which.
        """
        codec = self.codec
        check_errors(errors)
        check_flag("noise", noise)
        texts = as_texts(texts)
        batch = mind_unknown(self.known_, codec, texts, codec.encode_batch(texts), unknown, stacklevel=3)
        if batch.rejected and errors == "raise":
            index, error = batch.rejected[0]
            error.where = f"text {index + 1} of {len(texts)}" + (f", {error.where}" if error.where else "")
            raise error
        codes = self._encode_rows(
            np.diff(batch.offsets),
            lambda part: torch.from_numpy(pad_tokens(batch.tokens, batch.offsets, part)),
            self._generator(seed) if noise else None,
        )
        if errors == "raise":
            return cast(Codes, codes)
        refused = dict(batch.rejected)
        rows = np.array([index for index in range(len(texts)) if index not in refused], np.int64)
        encoded = EncodedTexts(
            codes, rows, refused, {index: what for index, what in batch.changed if index not in refused}
        )
        return encoded if errors == "skip" else encoded.fill()

    def _transform(self: Any, X: Sequence[str]) -> Codes:
        check_errors(self.errors)
        if self.errors == "skip":
            return cast(Codes, self.encode(X, errors="skip").codes)
        return cast(Codes, self.encode(X, errors="nan" if self.errors == "nan" else "raise"))
