"""Text as characters, without a grammar."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grammar_rae.codecs.base import EncodedBatch, TextCodec, as_tokens, strip_padding
from grammar_rae.errors import InputError, TextError
from grammar_rae.grammar import MAX_TOKENS, Rules


@dataclass(frozen=True)
class CharacterCodec(TextCodec):
    """Text as characters; the last token ends it.

    Attributes
    ----------
    characters
        The characters that have a token, in the order of their tokens.
    """

    characters: tuple[str, ...] = ()

    kind: ClassVar[str] = "characters"

    def __post_init__(self) -> None:
        wrong = [c for c in self.characters if not isinstance(c, str) or len(c) != 1]
        if wrong or len(set(self.characters)) < len(self.characters):
            raise InputError(
                "invalid characters for a codec",
                received=wrong or "duplicate characters",
                expected="single characters, each once",
            )
        if len(self.characters) >= MAX_TOKENS:
            raise InputError("too many characters", received=len(self.characters), expected=f"fewer than {MAX_TOKENS}")
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
        """Learn the characters of texts; texts that the form refuses are ignored."""
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
        """The table of the tokens: text -> character text, and text -> nothing."""
        n = len(self.characters)
        return Rules.build([0] * (n + 1), [[0]] * n + [[]], 1, 0, np.eye(n + 1, n, dtype=np.int64))

    @property
    def end(self) -> int:
        """The token that ends a text."""
        return len(self.characters)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {character: token for token, character in enumerate(self.characters)}

    def show(self, token: int) -> str:
        """What a token spells."""
        return "" if token == self.end else self.characters[token]

    def _tokenize(self, texts: Sequence[str]) -> EncodedBatch:
        tokens: list[int] = []
        offsets = [0]
        rejected = []
        for index, text in enumerate(texts):
            unknown = next((i for i, character in enumerate(text) if character not in self._number), None)
            if unknown is not None:
                error = TextError(
                    f"{text[unknown]!r} is not a character of this codec",
                    text=text,
                    position=unknown,
                    where=f"character {unknown + 1}",
                    expected="one of " + "".join(self.characters),
                )
                rejected.append((index, error))
                continue
            tokens.extend(self._number[character] for character in text)
            tokens.append(self.end)
            offsets.append(len(tokens))
        return EncodedBatch(np.array(tokens, dtype=np.uint16), np.array(offsets, dtype=np.int64), rejected)

    def decode(self, tokens: NDArray[np.integer] | Sequence[int]) -> str:
        """The text of tokens (T,).

        Raises
        ------
        InputError
            When the end token is missing, repeated or not last, or a token is unknown.
        """
        listed = as_tokens(tokens, 1).tolist()
        text = self._spell(listed)
        if text is None:
            raise InputError(
                "these tokens do not spell a text", received=listed, expected=f"characters, then {self.end}"
            )
        return text

    def _spell(self, tokens: list[int]) -> str | None:
        if tokens.count(self.end) != 1 or tokens[-1] != self.end or not all(0 <= token <= self.end for token in tokens):
            return None
        return "".join(self.characters[token] for token in tokens[:-1])

    def decode_batch(self, tokens: NDArray[np.integer]) -> list[str]:
        """The texts of tokens (B, T); a row ends at its first -1.

        Raises
        ------
        InputError
            When a row does not spell a text.
        """
        return [self.decode(strip_padding(row)) for row in as_tokens(tokens, 2)]

    def spell_batch(self, tokens: NDArray[np.integer]) -> list[str | None]:
        """The texts of tokens (B, T) as in :meth:`decode_batch`, but None for a row that does not spell a text."""
        return [self._spell(strip_padding(row).tolist()) for row in as_tokens(tokens, 2)]

    def to_dict(self) -> dict[str, Any]:
        """The codec as a JSON-compatible dictionary."""
        settings = {"form": self.form, "fragments": self.fragments, "max_length": self.max_length}
        return {"kind": self.kind, **settings, "characters": list(self.characters)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CharacterCodec":
        """Rebuild a codec from :meth:`to_dict`."""
        settings = {name: data[name] for name in ("form", "fragments", "max_length")}
        return cls(characters=tuple(data["characters"]), **settings)
