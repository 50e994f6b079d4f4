"""The forms in which a codec reads texts: of molecules, of expressions, and texts as they are."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from grammar_rae.errors import TextError


class Prepared(NamedTuple):
    """A text in the form that is parsed, and what was left out of it on the way, in words."""

    text: str
    changes: tuple[str, ...] = ()


def _as_it_is(text: str, fragments: str) -> Prepared:
    return Prepared(text)


def _kekule(text: str, fragments: str) -> Prepared:
    from grammar_rae import chem

    return Prepared(*chem.write_kekule(text, fragments))


def _aromatic(text: str, fragments: str) -> Prepared:
    from grammar_rae import chem

    return Prepared(*chem.write_aromatic(text, fragments))


def _rewriting(text: str, written: str, fragments: str) -> str | None:
    from grammar_rae import chem

    if chem.is_block(text):
        return None
    # The largest of several parts was asked for: compare with what RDKit writes for all of them.
    text = chem.strip_extension(text.strip())
    return chem.rewriting(text, chem.canonical(text) if "." in text and fragments == "largest" else written)


def _canonical(text: str) -> str | None:
    from grammar_rae import chem

    return chem.canonical_or_none(text)


def _expression(text: str) -> str | None:
    from grammar_rae.expressions import evaluate

    try:
        evaluate(text, 0.0)
    except TextError:
        return None
    return text


class Form(NamedTuple):
    """How a codec prepares a text and reads a decoded one.

    ``prepare(text, fragments)`` is the text that is parsed, and what was left out of it; ``canonical(text)`` is the
    canonical spelling of a decoded text, or None if that is invalid; ``changed(text, prepared, fragments)`` is what
    else differs between a text and what was prepared of it besides the spelling, or None; ``fields`` says whether a
    text is a line of a file or its first field, ``molecules`` whether "." joins separate molecules, and ``valences``
    whether a text is valid when its atoms keep to
    their valences and its rings are closed (aromatic atoms also need a ring system that has a Kekulé structure).
    """

    prepare: Callable[[str, str], Prepared]
    canonical: Callable[[str], str | None]
    fields: Literal["first", "line"] = "first"
    molecules: bool = True
    valences: bool = False
    changed: Callable[[str, str, str], str | None] = lambda text, prepared, fragments: None


FORMS: dict[str, Form] = {
    "kekule": Form(_kekule, _canonical, valences=True, changed=_rewriting),
    "aromatic": Form(_aromatic, _canonical, changed=_rewriting),
    "expression": Form(_as_it_is, _expression, "line", False),
    "text": Form(_as_it_is, lambda text: text, "line", False),
}
"""What is parsed: RDKit's Kekulé SMILES or its canonical SMILES of a molecule, or the text as it is; a decoded
expression is valid when it can be evaluated."""

FRAGMENTS = ("refuse", "largest", "keep")
"""What to do with a molecule of several parts ("." in SMILES)."""
