"""Text to integer codes and back.

Every codec has ``rules``: the table that says, for each code, which nonterminal it expands and what it leaves open. To
a grammar codec these are productions and macros. A character codec is the right-linear case: one nonterminal, each
character expands it and leaves it open again, and the last code ends the text. So decoders, likelihoods, constraints
and length budgets serve both without knowing which one they have.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError, TextError, UnknownNameError
from grammar_rae.grammar import MAX_CODES, Grammar, MacroTable, Rules, learn_macros, parser_for, read_grammar, spell

Ints = NDArray[np.int32]


class EncodedBatch(NamedTuple):
    """The codes of the accepted texts of a batch, end to end.

    ``codes`` uint16 (sum of lengths,); ``offsets`` int64 (accepted + 1,); ``rejected`` the index and the error of each
    other text.
    """

    codes: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    rejected: list[tuple[int, TextError]]


def _kekule(text: str, fragments: str) -> str:
    from grammar_rae import chem

    return chem.kekule(text, fragments=fragments)


def _aromatic(text: str, fragments: str) -> str:
    from grammar_rae import chem

    return chem.aromatic(text, fragments=fragments)


def _canonical(text: str) -> str | None:
    from grammar_rae import chem

    return chem.canonical_or_none(text)


class Form(NamedTuple):
    """How texts go into a codec and come out of it.

    ``prepare(text, fragments)`` is the text that is parsed; ``canonical(text)`` the one spelling that stands for a
    decoded text, None when it means nothing; ``fields`` says whether a text is a line of a file or its first field, and
    ``molecules`` whether "." joins separate molecules.
    """

    prepare: Callable[[str, str], str]
    canonical: Callable[[str], str | None]
    fields: Literal["first", "line"] = "first"
    molecules: bool = True


FORMS: dict[str, Form] = {
    "kekule": Form(_kekule, _canonical),
    "aromatic": Form(_aromatic, _canonical),
    "text": Form(lambda text, fragments: text, lambda text: text, "line", False),
}
"""What is parsed: RDKit's Kekulé SMILES or its canonical SMILES of a molecule, or the text as it is."""

FRAGMENTS = ("refuse", "largest", "keep")
"""What is done with a molecule of several parts ("." in SMILES)."""


class Codec(Protocol):
    """What turns text into codes; see the module's first lines."""

    kind: ClassVar[str]

    @property
    def form(self) -> str: ...

    @property
    def fragments(self) -> str: ...

    @property
    def max_length(self) -> int | None: ...

    @property
    def rules(self) -> Rules: ...

    def show(self, code: int) -> str: ...

    def to_dict(self) -> dict[str, Any]: ...

    def prepare(self, text: str) -> str: ...

    def canonical(self, text: str) -> str | None: ...

    def encode(self, text: str) -> Ints: ...

    def encode_text(self, text: str) -> Ints: ...

    def encode_batch(self, texts: Sequence[str], prepared: bool = False) -> EncodedBatch: ...

    def decode(self, codes: NDArray[np.integer] | Sequence[int]) -> str: ...

    def decode_batch(self, codes: NDArray[np.integer]) -> list[str]: ...

    def one_hot(self, codes: NDArray[np.integer] | Sequence[int]) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class _TextCodec:
    """What the codecs share.

    Attributes
    ----------
    form, fragments
        A row of :data:`FORMS` and one of :data:`FRAGMENTS`.
    max_length
        The most codes that a text may take; None for no limit.
    """

    form: str = "text"
    fragments: str = "refuse"
    max_length: int | None = None

    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        self._check_names()
        if self.max_length is not None and self.max_length < self.rules.shortest:
            raise InputError(
                "the length limit is below the shortest text",
                received=self.max_length,
                expected=f"{self.rules.shortest} codes or more",
            )

    def _check_names(self) -> None:
        if self.form not in FORMS:
            raise UnknownNameError("form", self.form, FORMS)
        if self.fragments not in FRAGMENTS:
            raise UnknownNameError("way with fragments", self.fragments, FRAGMENTS)

    @property
    def rules(self) -> Rules:
        raise NotImplementedError

    def _codes(self, texts: Sequence[str]) -> EncodedBatch:
        """Codes of texts that are in the grammar's form."""
        raise NotImplementedError

    def prepare(self, text: str) -> str:
        """The text in the form that is parsed.

        Raises
        ------
        TextError
            When RDKit refuses the molecule, or it has several parts and that was not asked for.
        """
        return FORMS[self.form].prepare(text, self.fragments)

    def canonical(self, text: str) -> str | None:
        """The one spelling of a decoded text (RDKit's canonical SMILES for a molecule), None when it means nothing."""
        return FORMS[self.form].canonical(text)

    def encode(self, text: str) -> Ints:
        """Codes of a text, int32 (T,).

        Raises
        ------
        TextError
            When RDKit or the grammar refuses the text, or it is too long.
        """
        return self._only(self.encode_batch([text]))

    def encode_text(self, text: str) -> Ints:
        """Codes of a text that is in the grammar's form already, int32 (T,); RDKit is not needed.

        Raises
        ------
        TextError
            When the grammar refuses the text, or it is too long.
        """
        return self._only(self.encode_batch([text], prepared=True))

    def encode_batch(self, texts: Sequence[str], prepared: bool = False) -> EncodedBatch:
        """Codes of many texts; what is refused stands in ``rejected`` instead of raising.

        Parameters
        ----------
        texts
            B texts.
        prepared
            Whether they are in the grammar's form already.

        Raises
        ------
        InputError
            For one text in place of a list.
        """
        if isinstance(texts, str):
            raise InputError("a batch is a list of texts, not one text", received=repr(texts))
        texts = list(texts)
        rejected: list[tuple[int, TextError]] = []
        ready: list[str] = []
        index: list[int] = []
        for i, text in enumerate(texts):
            try:
                if not isinstance(text, str):
                    raise TextError("this is no text", text=str(text), received=f"{text!r}, a {type(text).__name__}")
                ready.append(text if prepared else self.prepare(text))
                index.append(i)
            except TextError as error:
                rejected.append((i, error))
        batch = self._codes(ready)
        refused = {i for i, _ in batch.rejected}
        accepted = [i for i in range(len(ready)) if i not in refused] if refused else range(len(ready))
        rejected += [(index[i], error) for i, error in batch.rejected]
        lengths = np.diff(batch.offsets)
        if self.max_length is not None and (lengths > self.max_length).any():
            kept = lengths <= self.max_length
            for row in np.flatnonzero(~kept):
                i = index[accepted[row]]
                too_long = TextError(
                    "the text is too long",
                    text=texts[i],
                    received=f"{lengths[row]} codes",
                    expected=f"at most {self.max_length}",
                )
                rejected.append((i, too_long))
            codes = batch.codes[np.repeat(kept, lengths)]
            batch = EncodedBatch(codes, np.concatenate(([0], np.cumsum(lengths[kept]))).astype(np.int64), [])
        return EncodedBatch(batch.codes, batch.offsets, sorted(rejected, key=lambda pair: pair[0]))

    def one_hot(self, codes: NDArray[np.integer] | Sequence[int]) -> NDArray[np.float32]:
        """Codes (T,) as rows of zeros with a one, float32 (T, R); nothing in this package needs it.

        Raises
        ------
        InputError
            For a code outside 0 ... R - 1.
        """
        chosen = np.asarray(codes, dtype=np.int64)
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < self.rules.size:
            raise InputError("a code is out of range", received=chosen.tolist(), expected=f"0 to {self.rules.size - 1}")
        rows = np.zeros((len(chosen), self.rules.size), dtype=np.float32)
        rows[np.arange(len(chosen)), chosen] = 1
        return rows

    def _only(self, batch: EncodedBatch) -> Ints:
        if batch.rejected:
            raise batch.rejected[0][1]
        return batch.codes.astype(np.int32)


@dataclass(frozen=True)
class GrammarCodec(_TextCodec):
    """Text as the leftmost derivation by a grammar, written in productions and macros.

    Attributes
    ----------
    table
        The grammar and its macros; a bare :class:`Grammar` stands for one without macros.
    """

    table: MacroTable | Grammar = None  # type: ignore[assignment]

    kind: ClassVar[str] = "grammar"

    def __post_init__(self) -> None:
        if isinstance(self.table, Grammar):
            object.__setattr__(self, "table", MacroTable(self.table))
        if not isinstance(self.table, MacroTable):
            raise InputError("a grammar codec needs a grammar", received=type(self.table).__name__)
        self._check_names()
        if self._refuses_fragments and "." in self.grammar.terminals:
            # What the codec refuses to read it should not be able to write either.
            object.__setattr__(self, "table", _without_fragments(self.table))
        super().__post_init__()

    @classmethod
    def learn(
        cls,
        texts: Iterable[str],
        *,
        grammar: Grammar | str = "smiles",
        n_macros: int = 512,
        form: str = "text",
        fragments: str = "refuse",
        max_length: int | None = None,
    ) -> "GrammarCodec":
        """A codec whose macros are learned from texts; those that are refused teach nothing.

        ``grammar`` is one, or what :func:`read_grammar` takes.
        """
        grammar = grammar if isinstance(grammar, Grammar) else read_grammar(grammar)
        bare = cls(form=form, fragments=fragments, table=MacroTable(grammar))
        batch = bare.encode_batch(list(texts))
        table = learn_macros(bare.grammar, batch.codes.astype(np.int32), batch.offsets, n_macros)
        return replace(bare, table=table, max_length=max_length)

    @property
    def grammar(self) -> Grammar:
        """The grammar whose productions are the first codes."""
        return self.table.grammar if isinstance(self.table, MacroTable) else self.table

    @property
    def macros(self) -> MacroTable:
        """The table of productions and macros."""
        assert isinstance(self.table, MacroTable)
        return self.table

    @property
    def rules(self) -> Rules:
        """The table of the codes."""
        return self.macros.rules

    def show(self, code: int) -> str:
        """What a code spells."""
        return self.macros.show(code)

    @property
    def _refuses_fragments(self) -> bool:
        return self.fragments != "keep" and FORMS[self.form].molecules

    def _codes(self, texts: Sequence[str]) -> EncodedBatch:
        derivations = parser_for(self.grammar).parse_batch(texts)
        codes, offsets = self.macros.encode(derivations.codes, derivations.offsets)
        for _, error in derivations.rejected:
            if self._refuses_fragments and error.position is not None and error.text[error.position :][:1] == ".":
                error.remedy = _FRAGMENTS_REMEDY
        return EncodedBatch(codes, offsets, derivations.rejected)

    def decode(self, codes: NDArray[np.integer] | Sequence[int]) -> str:
        """The text of codes (T,).

        Raises
        ------
        InputError
            When they are not a complete derivation.
        """
        return spell(self.grammar, self.macros.expand(np.asarray(codes, dtype=np.int64)))

    def decode_batch(self, codes: NDArray[np.integer]) -> list[str]:
        """The texts of codes (B, T); a row ends at its first -1.

        Raises
        ------
        InputError
            When a row is not a complete derivation.
        """
        texts = self.macros.spell(codes)
        # Where a row spells nothing, decode raises, and says why.
        return [self.decode(_unpadded(codes[row])) if text is None else text for row, text in enumerate(texts)]

    def to_dict(self) -> dict[str, Any]:
        """The codec as JSON can hold it."""
        settings = {"form": self.form, "fragments": self.fragments, "max_length": self.max_length}
        return {"kind": self.kind, **settings, **self.macros.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "GrammarCodec":
        """The codec that :meth:`to_dict` wrote."""
        settings = {name: data[name] for name in ("form", "fragments", "max_length")}
        return cls(table=MacroTable.from_dict(data), **settings)


_FRAGMENTS_REMEDY = "Molecules of several parts are read with fragments='keep', by a grammar that has '.'."


def _unpadded(row: NDArray[np.integer]) -> NDArray[np.integer]:
    padding = np.flatnonzero(row < 0)
    return row[: padding[0]] if len(padding) else row


def _without_fragments(table: MacroTable) -> MacroTable:
    if table.macros:
        raise InputError(
            "these macros were learned with '.' in the grammar",
            received="fragments other than 'keep'",
            remedy="Use fragments='keep', or learn the macros again.",
        )
    return MacroTable(table.grammar.without("."))


@dataclass(frozen=True)
class CharacterCodec(_TextCodec):
    """Text as characters; the last code ends it.

    Attributes
    ----------
    characters
        The characters that have a code, in the order of their codes.
    """

    characters: tuple[str, ...] = ()

    kind: ClassVar[str] = "characters"

    def __post_init__(self) -> None:
        wrong = [c for c in self.characters if not isinstance(c, str) or len(c) != 1]
        if wrong or len(set(self.characters)) < len(self.characters):
            raise InputError(
                "these cannot be a codec's characters",
                received=wrong or "one of them twice",
                expected="single characters, each once",
            )
        if len(self.characters) >= MAX_CODES:
            raise InputError(
                "there are too many characters", received=len(self.characters), expected=f"fewer than {MAX_CODES}"
            )
        super().__post_init__()

    @classmethod
    def learn(
        cls,
        texts: Iterable[str],
        *,
        form: str = "text",
        fragments: str = "refuse",
        max_length: int | None = None,
    ) -> "CharacterCodec":
        """A codec for the characters that occur in texts; those that the form refuses teach nothing."""
        bare = cls(form=form, fragments=fragments)
        seen: set[str] = set()
        for text in texts:
            try:
                seen.update(bare.prepare(text))
            except TextError:
                continue
        return cls(form=form, fragments=fragments, max_length=max_length, characters=tuple(sorted(seen)))

    @cached_property
    def rules(self) -> Rules:
        """The table of the codes: text -> character text, and text -> nothing."""
        return Rules.build([0] * (len(self.characters) + 1), [[0]] * len(self.characters) + [[]], 1, 0)

    @property
    def end(self) -> int:
        """The code that ends a text."""
        return len(self.characters)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {character: code for code, character in enumerate(self.characters)}

    def show(self, code: int) -> str:
        """What a code spells."""
        return "" if code == self.end else self.characters[code]

    def _codes(self, texts: Sequence[str]) -> EncodedBatch:
        codes: list[int] = []
        offsets = [0]
        rejected = []
        for index, text in enumerate(texts):
            unknown = next((i for i, character in enumerate(text) if character not in self._number), None)
            if unknown is not None:
                error = TextError(
                    f"{text[unknown]!r} is no character of this codec",
                    text=text,
                    position=unknown,
                    where=f"character {unknown + 1}",
                    expected="one of " + "".join(self.characters),
                )
                rejected.append((index, error))
                continue
            codes.extend(self._number[character] for character in text)
            codes.append(self.end)
            offsets.append(len(codes))
        return EncodedBatch(np.array(codes, dtype=np.uint16), np.array(offsets, dtype=np.int64), rejected)

    def decode(self, codes: NDArray[np.integer] | Sequence[int]) -> str:
        """The text of codes (T,).

        Raises
        ------
        InputError
            When they do not end in the end code, hold it earlier, or hold no code.
        """
        listed = np.asarray(codes, dtype=np.int64).tolist()
        if listed.count(self.end) != 1 or listed[-1] != self.end or not all(0 <= c <= self.end for c in listed):
            raise InputError("these codes are no text", received=listed, expected=f"characters, then {self.end}")
        return "".join(self.characters[code] for code in listed[:-1])

    def decode_batch(self, codes: NDArray[np.integer]) -> list[str]:
        """The texts of codes (B, T); a row ends at its first -1.

        Raises
        ------
        InputError
            When a row is no text.
        """
        return [self.decode(_unpadded(row)) for row in codes]

    def to_dict(self) -> dict[str, Any]:
        """The codec as JSON can hold it."""
        settings = {"form": self.form, "fragments": self.fragments, "max_length": self.max_length}
        return {"kind": self.kind, **settings, "characters": list(self.characters)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CharacterCodec":
        """The codec that :meth:`to_dict` wrote."""
        settings = {name: data[name] for name in ("form", "fragments", "max_length")}
        return cls(characters=tuple(data["characters"]), **settings)


CODECS: dict[str, type[GrammarCodec] | type[CharacterCodec]] = {
    codec.kind: codec for codec in (GrammarCodec, CharacterCodec)
}
"""The codecs by the name that their saved form carries."""


def codec_from_dict(data: Mapping[str, Any]) -> Codec:
    """The codec that a ``to_dict`` wrote; needs neither RDKit nor NLTK.

    Raises
    ------
    InputError
        When ``data`` is no codec.
    """
    try:
        kind = data["kind"]
        if kind not in CODECS:
            raise UnknownNameError("kind of codec", kind, CODECS)
        return CODECS[kind].from_dict(data)
    except (KeyError, TypeError) as error:
        raise InputError(f"these are not a codec's data ({error!r})") from error
