"""Limits on molecules besides chemistry, and the tables in which the kernels read them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from grammar_rae.decoding.chemistry.dialects import ATOM, DIALECTS, Atom, compile_tables, find_dialect
from grammar_rae.decoding.chemistry.holes import Hole
from grammar_rae.decoding.chemistry.layout import Tables
from grammar_rae.decoding.chemistry.points import Point
from grammar_rae.decoding.chemistry.templates import NumberHole, Path, Program, TemplateLimit, find_path
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
    template
        A molecule that each text contains, grown at its points alone.
    """

    heavy_atoms: int | None = None
    elements: frozenset[str] | None = None
    ring_sizes: frozenset[int] | None = None
    scaffold: str | None = None
    template: TemplateLimit | None = None

    def combine(self, other: "Limits") -> "Limits":
        """Return limits that ask for what both ask for.

        Raises
        ------
        InputError
            For two scaffolds, two templates, or a scaffold and a template.
        """

        def both(combine: Callable[[Any, Any], Any], one: Any, two: Any) -> Any:
            return two if one is None else one if two is None else combine(one, two)

        def same(one: Any, two: Any) -> Any:
            if one != two:
                raise InputError("a text can begin with one scaffold or template only", received=f"{one} and {two}")
            return one

        both(same, self.scaffold or self.template, other.scaffold or other.template)
        return Limits(
            both(min, self.heavy_atoms, other.heavy_atoms),
            both(frozenset.intersection, self.elements, other.elements),
            both(frozenset.intersection, self.ring_sizes, other.ring_sizes),
            both(same, self.scaffold, other.scaffold),
            both(same, self.template, other.template),
        )

    def hole(self, point: Point | None = None) -> Hole:
        """Return what may be written in the hole of a point, or with None outside of holes."""
        if point is None:
            heavy = UNLIMITED if self.heavy_atoms is None else min(self.heavy_atoms, UNLIMITED)
            return Hole(self.elements, self.ring_sizes, heavy)
        sizes = None if point.ring_sizes is None else frozenset(point.ring_sizes)
        if sizes is None or self.ring_sizes is None:
            sizes = self.ring_sizes if sizes is None else sizes
        else:
            sizes &= self.ring_sizes
        heavy = UNLIMITED if point.max_heavy_atoms is None else min(point.max_heavy_atoms, UNLIMITED)
        return Hole(point.element_set, sizes, heavy)


def build_tables(
    macros: MacroTable, atoms: Mapping[str, int], limits: Limits, unusable: frozenset[Path] = frozenset()
) -> tuple[Tables, Program, tuple[Hole, ...]]:
    """Return the tables of a grammar, the atoms that may be written, and limits, int32 (W,); the program; its holes.

    Parameters
    ----------
    macros, atoms, limits
        As of the constraint.
    unusable
        Paths of the template that turned out not to be legal.

    Raises
    ------
    InputError
        For elements or a template's atoms that the data do not have, a scaffold that cannot be a beginning, no path
        that is left, or as :func:`compile_tables`.
    """
    known = {_element(text) for text in atoms}
    points = () if limits.template is None else limits.template.points
    wanted = [limits.elements, *(point.element_set for _, point in points)]
    if unknown := sorted(frozenset().union(*(one or () for one in wanted)) - known):
        raise InputError(
            "the data have no atoms of these elements",
            received=", ".join(unknown),
            expected=f"some of {', '.join(sorted(known))}",
        )
    permitted = [
        Atom(text, capacity, _element(text))
        for text, capacity in atoms.items()
        if limits.elements is None or _element(text) in limits.elements
    ]
    holes = [limits.hole()]
    asked = {label: limits.hole(point)._replace(label=label) for label, point in points}

    def number_hole(label: int, piece: tuple[int, ...], awaited: int) -> int:
        hole = asked[label]._replace(piece=piece, awaited=awaited)
        if hole not in holes:
            holes.append(hole)
        return holes.index(hole)

    program = _build_program(macros.grammar, atoms, limits, number_hole, unusable)
    return compile_tables(macros, permitted, "C", MOST_OPEN_RINGS, holes, program), program, tuple(holes)


def _element(atom: str) -> str:
    """Return the element of an atom's text: ``N`` for ``[NH3+]``."""
    found = _ELEMENT.match(atom)
    return found[1] if found else ""


def _build_program(
    grammar: Grammar, atoms: Mapping[str, int], limits: Limits, number_hole: NumberHole, unusable: frozenset[Path]
) -> Program:
    """Return the stages of the scaffold or the template; none where nothing is asked."""
    program = Program()
    if limits.scaffold is not None:
        program.add(_prefix(grammar, limits.scaffold), freely=True)
    template = limits.template
    if template is None:
        return program
    _require_left_to_right(grammar, "a template")
    if limits.ring_sizes is not None and any(spelling.awaited for spelling in template.spellings):
        raise InputError(
            "sizes of rings cannot be asked of the whole molecule where a ring is closed through the template",
            received=f"{template} with ring sizes {', '.join(map(str, sorted(limits.ring_sizes)))}",
            remedy="Ask them of what grows at a point, as in 'template=... | 1: ring-sizes=5,6'.",
        )
    reasons: list[InputError] = []
    for spelling in template.spellings:
        strange = sorted({atom for atom in spelling.atoms if atom not in atoms})
        if strange:
            reasons.append(
                InputError(
                    "the data that the model was trained on never had these atoms of the template",
                    received=f"{', '.join(strange)} in {template}",
                    expected=f"some of {', '.join(sorted(atoms))}",
                    remedy="Write the template without them, or train on data that have them.",
                )
            )
            continue
        try:
            path = find_path(grammar, spelling, number_hole, grammar.nonterminals.index(ATOM))
        except TextError as error:
            reasons.append(InputError(f"the template is not in the grammar: {error}", received=str(template)))
            continue
        if path is not None and path not in unusable:
            program.add(path)
    if not program.paths:
        raise reasons[0] if reasons else contradiction(grammar, atoms, limits)
    return program


def _require_left_to_right(grammar: Grammar, what: str) -> None:
    if find_dialect(grammar) is not DIALECTS["from left to right"]:
        raise InputError(
            f"{what} needs a grammar that spells from left to right",
            received=f"grammar {grammar.name!r}",
            expected="for example 'smiles'",
            remedy="Use a model with the grammar 'smiles', as the recipes have it.",
        )


def _prefix(grammar: Grammar, scaffold: str) -> Path:
    """Return the productions with which every derivation of a text beginning with the scaffold begins.

    Raises
    ------
    InputError
        When the grammar does not know the scaffold, or does not spell from left to right.
    """
    _require_left_to_right(grammar, "a scaffold prefix")
    try:
        found = [*map(int, parser_for(grammar).parse(scaffold))]
    except TextError as error:
        raise InputError(f"the scaffold is not in the grammar: {error}", received=scaffold) from error
    while not grammar.productions[found[-1]].rhs:
        del found[-1]  # that nothing follows
    return tuple(found)


def contradiction(grammar: Grammar, atoms: Mapping[str, int], limits: Limits) -> InputError:
    """Return the error for limits that contradict each other, with all that were asked for."""

    def text(value: Any) -> str:
        return (", ".join(map(str, sorted(value))) or "none") if isinstance(value, frozenset) else str(value)

    values = {field.name: getattr(limits, field.name) for field in fields(limits)}
    received = [f"{name} {text(value)}" for name, value in values.items() if value is not None]
    return InputError(
        "no molecule meets all of these limits together",
        received="; ".join(received) or f"grammar {grammar.name!r}, atoms {', '.join(atoms)}",
        remedy="Allow more: more atoms than the scaffold or template has, its elements, the sizes of its rings, the "
        "bonds of its atoms.",
    )
