"""From texts to latent codes, and what becomes of texts that have none."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast, overload

import numpy as np
import torch

from grammar_rae.checks import check_count, check_flag
from grammar_rae.codecs import treat_fragments
from grammar_rae.datasets import extend_frame, is_frame, pad_tokens, read_rows
from grammar_rae.errors import InputError, TextError
from grammar_rae.model.fitted import Codes
from grammar_rae.model.known import check_unknown, mind_unknown
from grammar_rae.model.quantizing import refuse_int8
from grammar_rae.model.results import EncodedTexts, check_errors
from grammar_rae.model.sources import as_texts
from grammar_rae.nets.int8 import has_int8


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
        fragments: str | None = ...,
        polish: int | None = ...,
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
        fragments: str | None = ...,
        polish: int | None = ...,
    ) -> EncodedTexts: ...

    def encode(
        self: Any,
        texts: Sequence[str],
        *,
        errors: str = "raise",
        noise: bool = False,
        seed: int | None = None,
        unknown: str = "warn",
        fragments: str | None = None,
        polish: int | None = None,
    ) -> Any:
        """Latent codes of texts, float32 (N, D).

        Parameters
        ----------
        texts
            N texts, SMILES or blocks of molecules as SDF has them; or a data frame of pandas or polars with a column
            of them, named as in files, which gives a frame of the same kind: its columns, ``changed``, and the codes
            as ``z0``, ``z1`` and so on. A column that has one of these names gets the suffix ``_in``.
        errors
            What to do about texts that the codec rejects. ``"raise"`` raises the error of the first one; ``"nan"``
            fills its row with NaN, so that there are N rows; ``"skip"`` leaves it out and returns an
            :class:`EncodedTexts`, which says which rows were accepted and why the others were not (of a frame, the
            rows that were accepted).
        noise, seed
            Draw each code as training does, by the seed: from a variational model's posterior, in place of its mean.
            A deterministic encoder has nothing to draw.
        unknown
            What to do about texts with atoms, marks or tokens that the model was not trained on (:attr:`known_`), whose
            codes stand for other texts: ``"warn"``, ``"refuse"`` them as the codec would, or ``"ignore"`` it.
        fragments
            What to do about molecules of several parts, such as salts: ``"refuse"`` them, or take the ``"largest"``
            part; None as the model was trained.
        polish
            How many steps at most move the code of a text that the decoder does not give back, towards one from which
            it does: see :mod:`grammar_rae.model.polishing`. 0 gives what the encoder says, in less time; None does as
            the recipe says, and nothing where ``noise`` is drawn.

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
        check_errors(errors)
        check_flag("noise", noise)
        check_unknown(unknown)
        if is_frame(texts):
            return self._encode_frame(texts, errors, noise, seed, unknown, fragments, polish)
        texts = as_texts(texts)
        found = self._encode_texts(texts, noise, seed, unknown, fragments, polish, 4)
        if errors == "raise":
            raise_first(found.errors, len(texts))
            return found.codes
        return found if errors == "skip" else found.fill()

    def _encode_texts(
        self: Any,
        texts: list[str],
        noise: bool,
        seed: int | None,
        unknown: str,
        fragments: str | None,
        polish: int | None,
        stacklevel: int,
    ) -> EncodedTexts:
        steps = self._polish_steps(polish, noise)
        codec = treat_fragments(self.codec, fragments)
        batch = mind_unknown(self.known_, codec, texts, codec.encode_batch(texts), unknown, stacklevel=stacklevel)
        codes = self._encode_rows(
            np.diff(batch.offsets),
            lambda part: torch.from_numpy(pad_tokens(batch.tokens, batch.offsets, part)),
            self._generator(seed) if noise else None,
            steps,
        )
        refused = dict(batch.rejected)
        rows = np.array([index for index in range(len(texts)) if index not in refused], np.int64)
        return EncodedTexts(
            codes, rows, refused, {index: what for index, what in batch.changed if index not in refused}
        )

    def _polish_steps(self: Any, polish: int | None, noise: bool = False) -> int:
        """How many steps polish a code: as many as are asked for; of the recipe's, where they can be made."""
        if polish is None:
            return 0 if noise or has_int8(self.autoencoder_) else self.recipe_.polish
        check_count("polish", polish, least=0)
        if polish and noise:
            raise InputError("a code that was drawn is not polished", remedy="Pass noise or polish alone.")
        if polish:
            refuse_int8(self.autoencoder_, "asked to polish codes")
        return polish

    def _encode_frame(
        self: Any,
        frame: Any,
        errors: str,
        noise: bool,
        seed: int | None,
        unknown: str,
        fragments: str | None,
        polish: int | None,
    ) -> Any:
        """The frame with what was changed in its texts, and their codes; NaN, or no row, where there is none."""
        rows = list(read_rows(frame)) if len(frame) else []
        usable = [index for index, row in enumerate(rows) if row.problem is None]
        if errors == "raise" and len(usable) < len(rows):
            first = next(row for row in rows if row.problem is not None)
            raise InputError(
                f"row {first.line} of the frame holds no text", received=first.problem, remedy="Pass errors='nan'."
            )
        found = self._encode_texts([rows[index].text for index in usable], noise, seed, unknown, fragments, polish, 5)
        if errors == "raise":
            raise_first(found.errors, len(rows))
        places = [usable[row] for row in found.rows]
        codes = np.full((len(rows), self.recipe_.latent), np.nan, np.float32)
        codes[places] = found.codes
        changed: list[str | None] = [None] * len(rows)
        for index, what in found.changed.items():
            changed[usable[index]] = what
        kept = places if errors == "skip" else list(range(len(rows)))
        columns = {f"z{place}": column for place, column in enumerate(codes[kept].T)}
        return extend_frame(frame, kept, {"changed": [changed[row] for row in kept]} | columns)

    def _transform(self: Any, X: Sequence[str]) -> Codes:
        check_errors(self.errors)
        texts = as_texts(X)
        if self.errors == "skip":
            return cast(Codes, self.encode(texts, errors="skip").codes)
        return cast(Codes, self.encode(texts, errors="nan" if self.errors == "nan" else "raise"))


def raise_first(errors: Mapping[int, TextError], n: int) -> None:
    """Raise the error of the first of n texts that has one; it says which text that is."""
    for index, error in sorted(errors.items()):
        error.where = f"text {index + 1} of {n}" + (f", {error.where}" if error.where else "")
        raise error
