"""What models of texts answer about many texts at once: codes, texts with their validity, and reconstructions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from grammar_rae.checks import check_choice
from grammar_rae.codecs import Codec
from grammar_rae.errors import TextError

ERRORS = ("raise", "skip", "nan")
"""What to do about texts that the codec rejects: raise an error, leave them out, or fill their rows with NaN."""


@dataclass(frozen=True, eq=False)
class EncodedTexts:
    """What :meth:`TextModel.encode` returns with ``errors="skip"``.

    Attributes
    ----------
    codes
        float32 (K, D): the latent codes of the K texts that were accepted.
    rows
        int64 (K,): the index of each of them among the N texts, in ascending order.
    errors
        For the index of every other text, the error that says why it has no code.
    changed
        For the index of every text with a code that RDKit changed in more than its spelling, what it changed.
    """

    codes: NDArray[np.float32]
    rows: NDArray[np.int64]
    errors: Mapping[int, TextError]
    changed: Mapping[int, str] = field(default_factory=dict)

    @property
    def rejected(self) -> dict[int, str]:
        """For the index of every text without a code, why: in words."""
        return {index: error.reason for index, error in self.errors.items()}

    def __len__(self) -> int:
        return len(self.codes)

    def fill(self) -> NDArray[np.float32]:
        """float32 (N, D): the codes at the rows of their texts, NaN in the rows of rejected texts."""
        filled = np.full((len(self.codes) + len(self.errors), self.codes.shape[1]), np.nan, np.float32)
        filled[self.rows] = self.codes
        return filled


@dataclass(frozen=True, eq=False)
class DecodedTexts:
    """What :meth:`TextModel.decode_batch` returns.

    Attributes
    ----------
    texts
        N texts: canonical SMILES for valid molecules; a text that is not valid is left as it was decoded.
    valid
        Bool (N,): which texts are valid.
    """

    texts: list[str]
    valid: NDArray[np.bool_]

    @property
    def valid_texts(self) -> list[str]:
        """The valid texts."""
        return select_valid(self.texts, self.valid)

    @property
    def validity(self) -> float:
        """The share of the texts that are valid; NaN for no texts."""
        return float(self.valid.mean()) if len(self.texts) else float("nan")

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What :meth:`TextModel.reconstruction` found: how many of N texts come back from their latent codes.

    A text is reconstructed exactly when what it decodes to has the same canonical spelling (for molecules, the same
    canonical SMILES). The denominator is always all N texts: one that the codec rejects counts as not reconstructed.

    Attributes
    ----------
    texts
        What each of the N texts came back as; "" for a rejected text.
    exact
        Bool (N,): which texts were reconstructed exactly.
    errors
        For the index of every text that the codec rejects, the error.
    changed
        For the index of every other text that RDKit changed in more than its spelling, what it changed. It is compared
        as RDKit reads it.
    """

    texts: list[str]
    exact: NDArray[np.bool_]
    errors: Mapping[int, TextError]
    changed: Mapping[int, str] = field(default_factory=dict)

    @property
    def rejected(self) -> dict[int, str]:
        """For the index of every text that the codec rejects, why: in words."""
        return {index: error.reason for index, error in self.errors.items()}

    @property
    def share(self) -> float:
        """The share of all N texts that were reconstructed exactly; NaN for no texts."""
        return float(self.exact.mean()) if len(self.texts) else float("nan")

    @property
    def refused(self) -> int:
        """How many of the texts the codec rejects."""
        return len(self.errors)

    def __len__(self) -> int:
        return len(self.texts)

    def __str__(self) -> str:
        return describe_share(int(self.exact.sum()), len(self), self.refused)


def describe_share(exact: int, texts: int, refused: int) -> str:
    """A share of texts that came back, with the numbers."""
    rejected = f"; the codec rejects {refused}" if refused else ""
    return f"{exact / texts if texts else float('nan'):.1%} ({exact} of {texts}{rejected})"


def spell_texts(found: Sequence[str | None], codec: Codec) -> DecodedTexts:
    """The texts in their canonical spelling; one that is not valid is left as it is, what is no text becomes ""."""
    spelled = [None if text is None else codec.canonical(text) for text in found]
    texts = [
        one if one is not None else text if text is not None else "" for one, text in zip(spelled, found, strict=True)
    ]
    return DecodedTexts(texts, np.array([one is not None for one in spelled], dtype=bool))


def is_same(text: str, other: str, codec: Codec) -> bool:
    """Whether a text in canonical spelling is the same as another, valid one, in any spelling.

    RDKit's canonical SMILES of a few cages changes when it is read and written again: unequal ones are compared once
    more after that.
    """
    spelled = codec.canonical(other)
    return text == spelled or (spelled is not None and codec.canonical(text) == codec.canonical(spelled))


def select_valid(texts: list[str], valid: NDArray[np.bool_]) -> list[str]:
    """The texts whose flag is set."""
    return [text for text, good in zip(texts, valid, strict=True) if good]


def check_errors(errors: object) -> None:
    """Raise :class:`UnknownNameError` unless the choice is one of :data:`ERRORS`."""
    check_choice("choice of errors", errors, ERRORS)
