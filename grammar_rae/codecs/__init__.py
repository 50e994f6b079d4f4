"""Text to integer tokens and back.

Every codec has ``rules``: the table that says, for each token, which nonterminal it expands and what it leaves open. To
a grammar codec these are productions and macros. A character codec is the right-linear case: one nonterminal, each
character expands it and leaves it open again, and the last token ends the text. So decoders, likelihoods, constraints
and length budgets serve both alike.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from grammar_rae.codecs.base import Codec, EncodedBatch
from grammar_rae.codecs.characters import CharacterCodec
from grammar_rae.codecs.forms import FORMS, FRAGMENTS, Form
from grammar_rae.codecs.grammatical import GrammarCodec
from grammar_rae.errors import InputError, UnknownNameError

__all__ = [
    "CODECS",
    "FORMS",
    "FRAGMENTS",
    "CharacterCodec",
    "Codec",
    "EncodedBatch",
    "Form",
    "GrammarCodec",
    "codec_from_dict",
    "treat_fragments",
]

CODECS: dict[str, type[GrammarCodec] | type[CharacterCodec]] = {
    codec.kind: codec for codec in (GrammarCodec, CharacterCodec)
}
"""The codecs by the name under which they are saved."""


def treat_fragments(codec: Any, fragments: str | None) -> Any:
    """A codec that treats molecules of several parts in another way; None leaves it as it is.

    Raises
    ------
    UnknownNameError
        For a way that does not exist.
    InputError
        For ``"keep"``, unless the codec was made for it.
    """
    if fragments is None or fragments == codec.fragments:
        return codec
    if fragments == "keep":
        raise InputError(
            "this model writes one molecule at a time and cannot keep several parts",
            expected="fragments='refuse' or 'largest'",
        )
    return replace(codec, fragments=fragments)


def codec_from_dict(data: Mapping[str, Any]) -> Codec:
    """Rebuild a codec from its ``to_dict``; this needs neither RDKit nor NLTK.

    Raises
    ------
    InputError
        When ``data`` does not describe a codec.
    """
    try:
        kind = data["kind"]
        if kind not in CODECS:
            raise UnknownNameError("codec kind", kind, CODECS)
        return CODECS[kind].from_dict(data)
    except (KeyError, TypeError) as error:
        raise InputError(f"cannot rebuild a codec from these data ({error!r})") from error
