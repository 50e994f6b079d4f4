"""Specifications of constraints: the constraints by name, and how they combine.

A *spec* says what is wanted, in a few words that a recipe can hold: ``"grammar"``, ``"chemistry"``, or ``"chemistry;
max-heavy-atoms=38; ring-sizes=5,6"``, which is ``AllOf(Chemistry(), MaxHeavyAtoms(38), RingSizes(5, 6))``. Bound to a
codec it gives a :class:`~grammar_rae.decoding.constraints.Constraint`. Limits on molecules imply chemistry and its
guarantee: every combination decodes without a dead end, or is refused when it is bound.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, Protocol, Self

from grammar_rae.codecs import Codec
from grammar_rae.decoding.chemistry import Limits, MoleculeConstraint
from grammar_rae.decoding.constraints import Constraint, Free, GrammarConstraint, Masks
from grammar_rae.errors import InputError, TextError, UnknownNameError

Atoms = Mapping[str, int]


class ConstraintSpec(Protocol):
    """A constraint, not yet bound to a codec."""

    def bind(self, codec: Codec, atoms: Atoms) -> Constraint[Any]:
        """Return the constraint for a codec; ``atoms`` as an encoded data set's."""
        ...

    def __str__(self) -> str: ...


class _Named:
    """A constraint whose name says all of it."""

    name: ClassVar[str]
    example: ClassVar[str]

    @classmethod
    def parse(cls, value: str) -> Self:
        """Return the spec of a text that is the name."""
        if value:
            raise InputError(f"{cls.name} takes no value", received=f"{cls.name}={value}", expected=cls.name)
        return cls()

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class _RulesOnly(_Named):
    """A constraint that needs only the codec's table."""

    constraint: ClassVar[type[Free | GrammarConstraint]]

    def bind(self, codec: Codec, atoms: Atoms) -> Constraint[Any]:
        """Return the constraint for a codec."""
        return self.constraint(codec.rules)


@dataclass(frozen=True)
class Unconstrained(_RulesOnly):
    """No constraint: any token may come at any time, and rows that are not derivations become empty texts."""

    name = example = "none"
    constraint = Free


@dataclass(frozen=True)
class Masked(_RulesOnly):
    """The grammar's masks alone, as the grammar VAE decodes; rows that the limit cuts off become empty texts."""

    name = example = "masks"
    constraint = Masks


@dataclass(frozen=True)
class Grammatical(_RulesOnly):
    """Derivations of the grammar, each complete within the limit."""

    name = example = "grammar"
    constraint = GrammarConstraint


@dataclass(frozen=True)
class _OnMolecules:
    """What the constraints on molecules share: each is a set of limits."""

    name: ClassVar[str]
    example: ClassVar[str]

    def limits(self, codec: Codec) -> Limits:
        """Return what this adds to chemistry."""
        raise NotImplementedError

    def bind(self, codec: Codec, atoms: Atoms) -> Constraint[Any]:
        """Return the constraint for a codec of molecules in Kekulé form; ``atoms`` as an encoded data set's.

        Raises
        ------
        InputError
            As :class:`MoleculeConstraint`.
        """
        return MoleculeConstraint(codec, atoms, self.limits(codec))


@dataclass(frozen=True)
class Chemistry(_Named, _OnMolecules):
    """Molecules that RDKit sanitises, each complete within the limit."""

    name = example = "chemistry"

    def limits(self, codec: Codec) -> Limits:
        """Return no limits besides chemistry."""
        return Limits()


@dataclass(frozen=True)
class MaxHeavyAtoms(_OnMolecules):
    """Molecules of at most so many atoms other than hydrogen, as in ``max-heavy-atoms=38``."""

    most: int
    name = "max-heavy-atoms"
    example = "max-heavy-atoms=12"

    def __post_init__(self) -> None:
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise InputError("a molecule needs an atom", received=f"{self.name} {self.most!r}", expected="1 or more")

    @classmethod
    def parse(cls, value: str) -> Self:
        """Return the spec of a text such as ``max-heavy-atoms=38``."""
        return cls(*_numbers(cls.name, value, "38", most=1))

    def limits(self, codec: Codec) -> Limits:
        """Return the limit on heavy atoms."""
        return Limits(heavy_atoms=self.most)

    def __str__(self) -> str:
        return f"{self.name}={self.most}"


@dataclass(frozen=True)
class Elements(_OnMolecules):
    """Molecules of these elements and hydrogen, as in ``elements=CNOSF``.

    ``symbols`` is one text, in which an upper-case letter begins each element.
    """

    symbols: str
    name = "elements"
    example = "elements=CNOS"

    def __post_init__(self) -> None:
        if not isinstance(self.symbols, str) or not re.fullmatch(r"([A-Z][a-z]?)+", self.symbols):
            raise InputError(
                "expected symbols of elements", received=repr(self.symbols), expected="for example 'CNOSFClBr'"
            )

    @classmethod
    def parse(cls, value: str) -> Self:
        """Return the spec of a text such as ``elements=CNOSF``; blanks and commas may stand in between."""
        return cls(re.sub(r"[\s,]+", "", value))

    def limits(self, codec: Codec) -> Limits:
        """Return the limit on elements."""
        return Limits(elements=frozenset(re.findall(r"[A-Z][a-z]?", self.symbols)))

    def __str__(self) -> str:
        return f"{self.name}={self.symbols}"


@dataclass(frozen=True, init=False)
class RingSizes(_OnMolecules):
    """Molecules whose smallest rings have these sizes, in atoms, as in ``ring-sizes=5,6``; without a size, no rings.

    The rings of the whole molecule count (a minimum cycle basis, RDKit's SSSR): in ``C1=CC2=CC=CC=C12`` the
    first number closes a ring of nine atoms, which the second splits into rings of five and six.
    """

    sizes: tuple[int, ...]
    name = "ring-sizes"
    example = "ring-sizes=5,6"

    def __init__(self, *sizes: int) -> None:
        for size in sizes:
            if isinstance(size, bool) or not isinstance(size, int) or not 3 <= size <= 100:
                raise InputError("a ring cannot have this size", received=repr(size), expected="3 to 100 atoms")
        object.__setattr__(self, "sizes", tuple(sorted(set(sizes))))

    @classmethod
    def parse(cls, value: str) -> Self:
        """Return the spec of a text such as ``ring-sizes=5,6``."""
        return cls(*_numbers(cls.name, value, "5,6") if value.strip() else ())

    def limits(self, codec: Codec) -> Limits:
        """Return the limit on ring sizes."""
        return Limits(ring_sizes=frozenset(self.sizes))

    def __str__(self) -> str:
        return f"{self.name}={','.join(map(str, self.sizes))}"


@dataclass(frozen=True)
class ScaffoldPrefix(_OnMolecules):
    """Molecules whose text begins with a scaffold and grows from its last atom: ``scaffold-prefix=c1ccccc1C(=O)N``.

    For grammars that spell from left to right, such as ``smiles``. Aromatic atoms are rewritten as RDKit's Kekulé
    structure of the scaffold has them.
    """

    smiles: str
    name = "scaffold-prefix"
    example = "scaffold-prefix=CC"

    def __post_init__(self) -> None:
        if not isinstance(self.smiles, str):
            raise InputError("a scaffold must be a SMILES text", received=repr(self.smiles))
        try:
            _kekule(self.smiles)
        except TextError as error:
            raise InputError(f"the scaffold cannot be used: {error.message}", received=repr(self.smiles)) from error

    @classmethod
    def parse(cls, value: str) -> Self:
        """Return the spec of a text such as ``scaffold-prefix=c1ccccc1C(=O)N``."""
        return cls(value.strip())

    def limits(self, codec: Codec) -> Limits:
        """Return the scaffold in Kekulé form as a limit."""
        return Limits(scaffold=_kekule(self.smiles))

    def __str__(self) -> str:
        return f"{self.name}={self.smiles}"


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
            if not isinstance(spec, _OnMolecules | Grammatical):
                raise InputError(
                    "this constraint does not combine with others",
                    received=str(spec),
                    expected="constraints on molecules: " + ", ".join(_COMBINING),
                )
        self.specs: tuple[ConstraintSpec, ...] = tuple(dict.fromkeys(flat))

    def bind(self, codec: Codec, atoms: Atoms) -> Constraint[Any]:
        """Return the constraint for a codec.

        Raises
        ------
        InputError
            As :class:`MoleculeConstraint`; also for two scaffolds.
        """
        limits = [spec.limits(codec) for spec in self.specs if isinstance(spec, _OnMolecules)]
        if not limits:
            return self.specs[0].bind(codec, atoms)
        return MoleculeConstraint(codec, atoms, reduce(Limits.combine, limits))

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
    for spec in (Unconstrained, Masked, Grammatical, Chemistry, MaxHeavyAtoms, Elements, RingSizes, ScaffoldPrefix)
}
"""Constraints by name: ``parse(value)`` reads what stands behind "=" in a text such as ``example``."""

_COMBINING = [name for name, spec in CONSTRAINTS.items() if issubclass(spec, _OnMolecules)]


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


def _kekule(smiles: str) -> str:
    from grammar_rae import chem  # nothing else here needs RDKit

    return chem.kekule_as_written(smiles)


def _numbers(name: str, value: str, example: str, most: int | None = None) -> list[int]:
    parts = re.split(r"[\s,]+", value)
    if not all(part.isdecimal() for part in parts) or len(parts) > (most or len(parts)):
        raise InputError(
            f"{name} takes {'one whole number' if most else 'whole numbers'}",
            received=f"{name}={value}",
            expected=f"for example {name}={example}",
        )
    return [int(part) for part in parts]
