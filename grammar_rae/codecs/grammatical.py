"""Text as a leftmost derivation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grammar_rae.codecs.base import EncodedBatch, TextCodec, as_tokens, strip_padding
from grammar_rae.codecs.forms import FORMS
from grammar_rae.errors import InputError
from grammar_rae.grammar import Grammar, MacroTable, Rules, extend_macros, learn_macros, parser_for, read_grammar, spell


@dataclass(frozen=True)
class GrammarCodec(TextCodec):
    """Text as the leftmost derivation by a grammar, written in productions and macros.

    Attributes
    ----------
    table
        The grammar and its macros; a bare :class:`Grammar` means no macros.
    """

    table: MacroTable | Grammar = None  # type: ignore[assignment]

    kind: ClassVar[str] = "grammar"

    def __post_init__(self) -> None:
        if isinstance(self.table, Grammar):
            object.__setattr__(self, "table", MacroTable(self.table))
        if not isinstance(self.table, MacroTable):
            raise InputError(
                "a grammar codec needs a grammar", received=type(self.table).__name__, expected="Grammar or MacroTable"
            )
        self._check_names()
        if self._refuses_fragments and "." in self.grammar.terminals:
            # The codec should not write what it refuses to read.
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
        """Learn the macros from texts; texts that are refused are ignored.

        ``grammar`` is a grammar, or an argument of :func:`read_grammar`.
        """
        grammar = grammar if isinstance(grammar, Grammar) else read_grammar(grammar)
        bare = cls(form=form, fragments=fragments, table=MacroTable(grammar))
        batch = bare.encode_batch(list(texts))
        table = learn_macros(bare.grammar, batch.tokens.astype(np.int32), batch.offsets, n_macros)
        return replace(bare, table=table, max_length=max_length)

    def extend(
        self, texts: Iterable[str], n_macros: int, max_length: int | None = None, min_count: int = 2
    ) -> "GrammarCodec":
        """Learn further macros from texts; the tokens known so far keep their numbers and meanings.

        Parameters
        ----------
        texts
            What to learn from; texts that are refused teach nothing.
        n_macros
            How many macros to add at most.
        max_length
            The new limit; None keeps this codec's.
        min_count
            How often a macro must occur.
        """
        bare = replace(self, table=MacroTable(self.grammar), max_length=None)
        batch = bare.encode_batch(list(texts))
        table = extend_macros(self.macros, batch.tokens.astype(np.int32), batch.offsets, n_macros, min_count)
        return replace(self, table=table, max_length=self.max_length if max_length is None else max_length)

    def extends(self, other: "GrammarCodec") -> bool:
        """Whether the tokens of another codec have the same numbers and meanings in this one."""
        alike = (self.form, self.fragments, self.grammar.productions) == (
            other.form,
            other.fragments,
            other.grammar.productions,
        )
        return alike and self.macros.macros[: len(other.macros.macros)] == other.macros.macros

    @property
    def grammar(self) -> Grammar:
        """The grammar whose productions are the first tokens."""
        return self.table.grammar if isinstance(self.table, MacroTable) else self.table

    @property
    def macros(self) -> MacroTable:
        """The table of productions and macros."""
        assert isinstance(self.table, MacroTable)
        return self.table

    @property
    def rules(self) -> Rules:
        """The table of the tokens."""
        return self.macros.rules

    def show(self, token: int) -> str:
        """What a token spells."""
        return self.macros.show(token)

    @property
    def _refuses_fragments(self) -> bool:
        return self.fragments != "keep" and FORMS[self.form].molecules

    def _tokenize(self, texts: Sequence[str]) -> EncodedBatch:
        derivations = parser_for(self.grammar).parse_batch(texts)
        tokens, offsets = self.macros.encode(derivations.productions, derivations.offsets)
        for _, error in derivations.rejected:
            if self._refuses_fragments and error.position is not None and error.text[error.position :][:1] == ".":
                error.remedy = _FRAGMENTS_REMEDY
        return EncodedBatch(tokens, offsets, derivations.rejected)

    def decode(self, tokens: NDArray[np.integer] | Sequence[int]) -> str:
        """The text of tokens (T,).

        Raises
        ------
        InputError
            When they are not a complete derivation.
        """
        return spell(self.grammar, self.macros.expand(as_tokens(tokens, 1).astype(np.int64)))

    def decode_batch(self, tokens: NDArray[np.integer]) -> list[str]:
        """The texts of tokens (B, T); a row ends at its first -1.

        Raises
        ------
        InputError
            When a row is not a complete derivation.
        """
        tokens = as_tokens(tokens, 2)
        texts = self.spell_batch(tokens)
        # For an incomplete row, decode raises an error that says why.
        return [self.decode(strip_padding(tokens[row])) if text is None else text for row, text in enumerate(texts)]

    def spell_batch(self, tokens: NDArray[np.integer]) -> list[str | None]:
        """The texts of tokens (B, T) as in :meth:`decode_batch`, but None for an incomplete derivation."""
        return self.macros.spell(as_tokens(tokens, 2))

    def to_dict(self) -> dict[str, Any]:
        """The codec as a JSON-compatible dictionary."""
        settings = {"form": self.form, "fragments": self.fragments, "max_length": self.max_length}
        return {"kind": self.kind, **settings, **self.macros.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "GrammarCodec":
        """Rebuild a codec from :meth:`to_dict`."""
        settings = {name: data[name] for name in ("form", "fragments", "max_length")}
        return cls(table=MacroTable.from_dict(data), **settings)


_FRAGMENTS_REMEDY = "To read molecules of several parts, use fragments='keep' and a grammar with '.'."


def _without_fragments(table: MacroTable) -> MacroTable:
    if table.macros:
        raise InputError(
            "these macros were learned with '.' in the grammar",
            received="fragments other than 'keep'",
            remedy="Use fragments='keep', or learn the macros again.",
        )
    return MacroTable(table.grammar.without("."))
