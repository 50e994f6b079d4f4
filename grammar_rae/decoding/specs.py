"""Specifications of constraints: the constraints by name, and how they combine.

A *spec* says what is wanted, in a few words that a recipe can hold: ``"grammar"``, ``"chemistry"``, or ``"chemistry;
max-heavy-atoms=38; ring-sizes=5,6"``, which is ``AllOf(Chemistry(), MaxHeavyAtoms(38), RingSizes(5, 6))``. Bound to a
codec it gives a :class:`~grammar_rae.decoding.constraints.Constraint`. Limits on molecules imply chemistry and its
guarantee: every combination decodes without a dead end, or is refused when it is bound.
"""

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from grammar_rae.decoding.molecule_specs import (
    Atoms,
    Chemistry,
    Elements,
    MaxHeavyAtoms,
    Named,
    OnMolecules,
    RingSizes,
    ScaffoldPrefix,
    Template,
    bind_limits,
)
from grammar_rae.errors import InputError, UnknownNameError

if TYPE_CHECKING:  # a specification is read without PyTorch; it is bound with it
    from grammar_rae.codecs import Codec
    from grammar_rae.decoding.constraints import Constraint


class ConstraintSpec(Protocol):
    """A constraint, not yet bound to a codec."""

    def bind(self, codec: "Codec", atoms: Atoms) -> "Constraint[Any]":
        """Return the constraint for a codec; ``atoms`` as an encoded data set's."""
        ...

    def __str__(self) -> str: ...


@dataclass(frozen=True)
class _RulesOnly(Named):
    """A constraint that needs only the codec's table."""

    constraint: ClassVar[str]

    def bind(self, codec: "Codec", atoms: Atoms) -> "Constraint[Any]":
        """Return the constraint for a codec."""
        from grammar_rae.decoding import constraints

        constraint: Constraint[Any] = getattr(constraints, self.constraint)(codec.rules)
        return constraint


@dataclass(frozen=True)
class Unconstrained(_RulesOnly):
    """No constraint: any token may come at any time, and rows that are not derivations become empty texts."""

    name = example = "none"
    constraint = "Free"


@dataclass(frozen=True)
class Masked(_RulesOnly):
    """The grammar's masks alone, as the grammar VAE decodes; rows that the limit cuts off become empty texts."""

    name = example = "masks"
    constraint = "Masks"


@dataclass(frozen=True)
class Grammatical(_RulesOnly):
    """Derivations of the grammar, each complete within the limit."""

    name = example = "grammar"
    constraint = "GrammarConstraint"


class AllOf:
    """Everything that several specs ask for.

    Parameters
    ----------
    specs
        Specs of constraints on molecules. ``grammar`` and ``chemistry`` may be among them and add nothing.

    Raises
    ------
    InputError
        For a spec that does not combine with others: ``none``, ``masks``, or one that is not of this module.
    """

    def __init__(self, *specs: ConstraintSpec) -> None:
        if not specs:
            raise InputError("there is nothing to combine", received="AllOf()", expected="one constraint or more")
        flat: list[ConstraintSpec] = []
        for spec in specs:
            flat += spec.specs if isinstance(spec, AllOf) else [spec]
        for spec in flat if len(flat) > 1 else []:
            if not isinstance(spec, OnMolecules | Grammatical):
                raise InputError(
                    "this constraint does not combine with others",
                    received=str(spec),
                    expected="constraints on molecules: " + ", ".join(_COMBINING),
                )
        self.specs: tuple[ConstraintSpec, ...] = tuple(dict.fromkeys(flat))

    def bind(self, codec: "Codec", atoms: Atoms) -> "Constraint[Any]":
        """Return the constraint for a codec.

        Raises
        ------
        InputError
            As :class:`MoleculeConstraint`; also for two scaffolds.
        """
        limits = [spec.limits(codec) for spec in self.specs if isinstance(spec, OnMolecules)]
        if not limits:
            return self.specs[0].bind(codec, atoms)
        return bind_limits(codec, atoms, reduce(lambda one, two: one.combine(two), limits))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AllOf) and self.specs == other.specs

    def __hash__(self) -> int:
        return hash(self.specs)

    def __repr__(self) -> str:
        return f"AllOf({', '.join(map(repr, self.specs))})"

    def __str__(self) -> str:
        return "; ".join(map(str, self.specs))


CONSTRAINTS: dict[str, Any] = {
    spec.name: spec
    for spec in (
        Unconstrained,
        Masked,
        Grammatical,
        Chemistry,
        MaxHeavyAtoms,
        Elements,
        RingSizes,
        ScaffoldPrefix,
        Template,
    )
}
"""Constraints by name: ``parse(value)`` reads what stands behind "=" in a text such as ``example``."""

_COMBINING = [name for name, spec in CONSTRAINTS.items() if issubclass(spec, OnMolecules)]


def parse_spec(spec: "str | ConstraintSpec") -> ConstraintSpec:
    """Return the spec that a text means, or the spec itself.

    >>> parse_spec("max-heavy-atoms=20; elements=C,N,O")
    AllOf(MaxHeavyAtoms(most=20), Elements(symbols='CNO'))

    Raises
    ------
    UnknownNameError
        For a name that is not in ``CONSTRAINTS``.
    InputError
        For a value that its constraint does not take.
    """
    if not isinstance(spec, str):
        if not hasattr(spec, "bind"):
            raise InputError(
                "a constraint must be a text or a spec", received=repr(spec), expected=f"for example {Chemistry()!r}"
            )
        return spec
    specs: list[ConstraintSpec] = []
    for part in spec.split(";"):
        name, _, value = part.partition("=")
        if name.strip() not in CONSTRAINTS:
            raise UnknownNameError("constraint", name.strip(), CONSTRAINTS, "`grammar-rae list constraints`")
        specs.append(CONSTRAINTS[name.strip()].parse(value.strip()))
    return specs[0] if len(specs) == 1 else AllOf(*specs)
