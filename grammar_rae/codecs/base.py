"""The interface of codecs, and their common base."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from grammar_rae.checks import check_flag
from grammar_rae.codecs.forms import FORMS, FRAGMENTS
from grammar_rae.errors import InputError, TextError, UnknownNameError
from grammar_rae.grammar import Rules

Ints = NDArray[np.int32]

LONGEST = 2**16
"""The largest ``max_length``: decoding takes memory for so many tokens of every text."""

_BRACKET_ATOM = re.compile(r"\[[^\[\]\n]*\]")


class EncodedBatch(NamedTuple):
    """The tokens of the accepted texts of a batch, end to end.

    ``tokens`` uint16 (sum of lengths,); ``offsets`` int64 (accepted + 1,); ``rejected`` the index and the error of each
    other text; ``atoms`` the bracket atoms ("[NH3+]") of the accepted texts as they were parsed, where their form has
    ``valences``; ``changed`` the index of each accepted text that preparing it changed in more than its spelling, and
    what was changed; ``parsed`` the accepted texts as they were parsed, or nothing where they have to be spelled.
    """

    tokens: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    rejected: list[tuple[int, TextError]]
    atoms: frozenset[str] = frozenset()
    changed: Sequence[tuple[int, str]] = ()
    parsed: Sequence[str] = ()


class Codec(Protocol):
    """The interface of a codec between text and tokens."""

    kind: ClassVar[str]

    @property
    def form(self) -> str:
        """A row of :data:`FORMS`."""
        ...

    @property
    def fragments(self) -> str:
        """A row of :data:`FRAGMENTS`."""
        ...

    @property
    def max_length(self) -> int | None:
        """The greatest number of tokens of a text, or None."""
        ...

    @property
    def rules(self) -> Rules:
        """The table of the tokens."""
        ...

    def show(self, token: int) -> str:
        """What a token spells."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The codec as a JSON-compatible dictionary."""
        ...

    def prepare(self, text: str) -> str:
        """Bring a text into the form that is parsed."""
        ...

    def canonical(self, text: str) -> str | None:
        """The canonical spelling of a text, or None if it is invalid."""
        ...

    def encode(self, text: str) -> Ints:
        """Encode a text as tokens, int32 (T,)."""
        ...

    def encode_text(self, text: str) -> Ints:
        """Encode a text that is already in the codec's form."""
        ...

    def encode_batch(self, texts: Sequence[str], prepared: bool = False) -> EncodedBatch:
        """Encode many texts."""
        ...

    def decode(self, tokens: NDArray[np.integer] | Sequence[int]) -> str:
        """The text of tokens (T,)."""
        ...

    def decode_batch(self, tokens: NDArray[np.integer]) -> list[str]:
        """The texts of tokens (B, T)."""
        ...

    def spell_batch(self, tokens: NDArray[np.integer]) -> list[str | None]:
        """The texts of tokens (B, T), None for incomplete rows."""
        ...

    def one_hot(self, tokens: NDArray[np.integer] | Sequence[int]) -> NDArray[np.float32]:
        """One-hot vectors of tokens (T,), float32 (T, R)."""
        ...


@dataclass(frozen=True)
class TextCodec:
    """The common base of the codecs.

    Attributes
    ----------
    form, fragments
        A row of :data:`FORMS` and one of :data:`FRAGMENTS`.
    max_length
        The greatest number of tokens of a text; None for no limit.
    """

    form: str = "text"
    fragments: str = "refuse"
    max_length: int | None = None

    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        self._check_names()
        if self.max_length is None:
            return
        if self.max_length < self.rules.shortest:
            raise InputError(
                "max_length is below the length of the shortest text",
                received=self.max_length,
                expected=f"{self.rules.shortest} tokens or more",
            )
        if self.max_length > LONGEST:
            raise InputError("the length limit is too large", received=self.max_length, expected=f"at most {LONGEST}")

    def _check_names(self) -> None:
        if self.form not in FORMS:
            raise UnknownNameError("form", self.form, FORMS)
        if self.fragments not in FRAGMENTS:
            raise UnknownNameError("value of fragments", self.fragments, FRAGMENTS)

    @property
    def rules(self) -> Rules:
        """The table of the tokens."""
        raise NotImplementedError

    def _tokenize(self, texts: Sequence[str]) -> EncodedBatch:
        """Encode texts that are in the grammar's form."""
        raise NotImplementedError

    def prepare(self, text: str) -> str:
        """Bring a text into the form that is parsed.

        Raises
        ------
        TextError
            When RDKit refuses the molecule, or the molecule has several parts and the codec refuses those.
        """
        return FORMS[self.form].prepare(text, self.fragments).text

    def canonical(self, text: str) -> str | None:
        """The canonical spelling of a decoded text (of a molecule, RDKit's canonical SMILES), None if it is invalid."""
        return FORMS[self.form].canonical(text)

    def encode(self, text: str) -> Ints:
        """Encode a text as tokens, int32 (T,).

        Raises
        ------
        TextError
            When RDKit or the grammar refuses the text, or it is too long.
        """
        return self._only(self.encode_batch([text]))

    def encode_text(self, text: str) -> Ints:
        """Encode a text that is already in the grammar's form as tokens, int32 (T,), without RDKit.

        Raises
        ------
        TextError
            When the grammar refuses the text, or it is too long.
        """
        return self._only(self.encode_batch([text], prepared=True))

    def encode_batch(self, texts: Sequence[str], prepared: bool = False) -> EncodedBatch:
        """Encode many texts; those that are refused are listed in ``rejected`` instead of raised.

        Parameters
        ----------
        texts
            The texts.
        prepared
            Whether the texts are already in the grammar's form.

        Raises
        ------
        InputError
            For a single text instead of a list.
        """
        check_flag("prepared", prepared)
        if isinstance(texts, str):
            raise InputError("a batch must be a list of strings", received=repr(texts), expected=f"[{texts!r}]")
        if not isinstance(texts, Iterable):
            raise InputError("a batch must be a list of strings", received=repr(texts), expected="['...']")
        try:
            texts = list(texts)
        except TypeError as error:  # an array without dimensions
            raise InputError("a batch must be a list of strings", received=repr(texts), expected="['...']") from error
        rejected: list[tuple[int, TextError]] = []
        ready: list[str] = []
        left_out: list[tuple[str, ...]] = []
        index: list[int] = []
        form = FORMS[self.form]
        for i, text in enumerate(texts):
            try:
                if not isinstance(text, str):
                    raise TextError("expected a string", text=str(text), received=f"{text!r}, a {type(text).__name__}")
                written, changes = (text, ()) if prepared else form.prepare(text, self.fragments)
                ready.append(written)
                left_out.append(changes)
                index.append(i)
            except TextError as error:
                rejected.append((i, error))
        batch = self._tokenize(ready)
        refused = {i for i, _ in batch.rejected}
        accepted = [i for i in range(len(ready)) if i not in refused]
        for i, refusal in batch.rejected:
            refusal.blame_rewriting(texts[index[i]])
            rejected.append((index[i], refusal))
        lengths = np.diff(batch.offsets)
        if self.max_length is not None and (lengths > self.max_length).any():
            kept = lengths <= self.max_length
            for row in np.flatnonzero(~kept):
                i = index[accepted[row]]
                too_long = TextError(
                    "the text is too long",
                    text=texts[i],
                    received=f"{lengths[row]} tokens",
                    expected=f"at most {self.max_length}",
                )
                rejected.append((i, too_long))
            tokens = batch.tokens[np.repeat(kept, lengths)]
            batch = EncodedBatch(tokens, np.concatenate(([0], np.cumsum(lengths[kept]))).astype(np.int64), [])
            accepted = [accepted[row] for row in np.flatnonzero(kept)]
        atoms = _bracket_atoms(ready[i] for i in accepted) if form.valences else frozenset()
        changed = []
        for i in () if prepared else accepted:
            what = form.changed(texts[index[i]], ready[i], self.fragments)
            if what is not None or left_out[i]:
                changed.append((index[i], ", ".join([*left_out[i], *([what] if what else [])])))
        rejected.sort(key=lambda pair: pair[0])
        parsed = [ready[i] for i in accepted]
        return EncodedBatch(batch.tokens, batch.offsets, rejected, atoms, changed, parsed)

    def one_hot(self, tokens: NDArray[np.integer] | Sequence[int]) -> NDArray[np.float32]:
        """One-hot vectors of tokens (T,), float32 (T, R), for other libraries.

        Raises
        ------
        InputError
            For a token outside 0 ... R - 1.
        """
        chosen = as_tokens(tokens, 1).astype(np.int64)
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < self.rules.size:
            raise InputError(
                "a token is out of range", received=chosen.tolist(), expected=f"0 to {self.rules.size - 1}"
            )
        rows = np.zeros((len(chosen), self.rules.size), dtype=np.float32)
        rows[np.arange(len(chosen)), chosen] = 1
        return rows

    def _only(self, batch: EncodedBatch) -> Ints:
        if batch.rejected:
            raise batch.rejected[0][1]
        return batch.tokens.astype(np.int32)


def _bracket_atoms(texts: Iterable[str]) -> frozenset[str]:
    # One search for all texts; the line breaks keep an open bracket of one text out of the next.
    return frozenset(_BRACKET_ATOM.findall("\n".join(text for text in texts if "[" in text)))


def as_tokens(tokens: Any, dimensions: int) -> NDArray[np.integer]:
    """Tokens (T,) or (B, T) as an array of integers that compiled code takes.

    Raises
    ------
    InputError
        For anything else.
    """
    try:
        found = np.asarray(tokens)
    except (ValueError, OverflowError, TypeError) as error:
        raise InputError(f"these are not tokens ({error})", received=repr(tokens)) from error
    if not found.size and found.ndim <= dimensions and found.dtype != object:
        return np.zeros((*found.shape, *[0] * (dimensions - found.ndim)), np.int64)
    if found.ndim != dimensions or not np.issubdtype(found.dtype, np.integer):
        raise InputError(
            "these are not tokens",
            received=f"{found.dtype} of shape {found.shape}",
            expected=f"integers of shape {('(T,)', '(B, T)')[dimensions - 1]}",
        )
    return found.astype(np.int64) if found.dtype == np.uint64 else found


def strip_padding(row: NDArray[np.integer]) -> NDArray[np.integer]:
    """The tokens of a row before its first -1."""
    padding = np.flatnonzero(row < 0)
    return row[: padding[0]] if len(padding) else row
