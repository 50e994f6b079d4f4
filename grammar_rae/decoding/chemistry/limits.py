"""Limits on molecules besides chemistry, and the tables in which the kernels read them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from grammar_rae.decoding.chemistry.dialects import Atom, compile_tables
from grammar_rae.decoding.chemistry.machine import Tables
from grammar_rae.errors import InputError, TextError
from grammar_rae.grammar import Grammar, MacroTable, parser_for

MOST_OPEN_RINGS = 32
"""The most rings that a molecule may have open at once."""

UNLIMITED = 1 << 14
_ELEMENT = re.compile(r"\[?\d*([A-Z][a-z]?|\*)")


@dataclass(frozen=True)
class Limits:
    """Limits on molecules besides chemistry; None for no limit.

    Attributes
    ----------
    heavy_atoms
        The most atoms other than hydrogen.
    elements
        The elements that may be written; implicit hydrogen is always there.
    ring_sizes
        The sizes that the smallest rings may have.
    scaffold
        A Kekulé SMILES that the text begins with.
    """

    heavy_atoms: int | None = None
    elements: frozenset[str] | None = None
    ring_sizes: frozenset[int] | None = None
    scaffold: str | None = None

    def combine(self, other: "Limits") -> "Limits":
        """Return limits that ask for what both ask for.

        Raises
        ------
        InputError
            For two scaffolds.
        """

        def both(combine: Callable[[Any, Any], Any], one: Any, two: Any) -> Any:
            return two if one is None else one if two is None else combine(one, two)

        def same(one: str, two: str) -> str:
            if one != two:
                raise InputError("a text can begin with one scaffold only", received=f"{one} and {two}")
            return one

        return Limits(
            both(min, self.heavy_atoms, other.heavy_atoms),
            both(frozenset.intersection, self.elements, other.elements),
            both(frozenset.intersection, self.ring_sizes, other.ring_sizes),
            both(same, self.scaffold, other.scaffold),
        )


def build_tables(macros: MacroTable, atoms: Mapping[str, int], limits: Limits) -> Tables:
    """Return the kernels' tables of a grammar, the atoms that may be written, and limits: int32 (W,).

    Raises
    ------
    InputError
        For elements that no atom has, a scaffold that cannot be a beginning, or as :func:`compile_tables`.
    """
    known = {_element(text) for text in atoms}
    if unknown := sorted((limits.elements or frozenset()) - known):
        raise InputError(
            "the data have no atoms of these elements",
            received=", ".join(unknown),
            expected=f"some of {', '.join(sorted(known))}",
        )
    permitted = [
        Atom(text, capacity, _element(text) not in ("H", "*"))
        for text, capacity in atoms.items()
        if limits.elements is None or _element(text) in limits.elements
    ]
    return compile_tables(
        macros,
        permitted,
        "C",
        UNLIMITED if limits.heavy_atoms is None else min(limits.heavy_atoms, UNLIMITED),
        MOST_OPEN_RINGS,
        limits.ring_sizes,
        () if limits.scaffold is None else _prefix(macros.grammar, limits.scaffold),
    )


def _element(atom: str) -> str:
    """Return the element of an atom's text: ``N`` for ``[NH3+]``."""
    found = _ELEMENT.match(atom)
    return found[1] if found else ""


def _prefix(grammar: Grammar, scaffold: str) -> tuple[int, ...]:
    """Return the productions with which every derivation of a text beginning with the scaffold begins.

    Raises
    ------
    InputError
        When the grammar does not know the scaffold, or does not spell from left to right.
    """

    def spell(text: str) -> tuple[int, ...]:
        found = [*parser_for(grammar).parse(text)]
        while not grammar.productions[found[-1]].rhs:
            del found[-1]  # that nothing follows
        return tuple(map(int, found))

    try:
        prefix, longer = spell(scaffold), spell(scaffold + "C")
    except TextError as error:
        raise InputError(f"the scaffold is not in the grammar: {error}", received=scaffold) from error
    if longer[: len(prefix)] != prefix:
        raise InputError(
            "a scaffold prefix needs a grammar that spells from left to right",
            received=f"grammar {grammar.name!r}",
            expected="for example 'smiles'",
        )
    return prefix


def contradiction(grammar: Grammar, atoms: Mapping[str, int], limits: Limits) -> InputError:
    """Return the error for limits that contradict each other, with all that were asked for."""

    def text(value: Any) -> str:
        return (", ".join(map(str, sorted(value))) or "none") if isinstance(value, frozenset) else str(value)

    values = {field.name: getattr(limits, field.name) for field in fields(limits)}
    received = [f"{name} {text(value)}" for name, value in values.items() if value is not None]
    return InputError(
        "no molecule meets all of these limits together",
        received="; ".join(received) or f"grammar {grammar.name!r}, atoms {', '.join(atoms)}",
        remedy="Allow more: more atoms than the scaffold has, its elements, the sizes of its rings.",
    )
