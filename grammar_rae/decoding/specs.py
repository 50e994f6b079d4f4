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
from itertools import combinations
from typing import Any, ClassVar, Protocol, Self

from grammar_rae.codecs import Codec
from grammar_rae.decoding.chemistry import Limits, MoleculeConstraint, Point
from grammar_rae.decoding.chemistry.points import check_elements, check_ring_sizes, split_elements
from grammar_rae.decoding.chemistry.templates import TemplateLimit
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
        check_elements(self.symbols)

    @classmethod
    def parse(cls, value: str) -> Self:
        """Return the spec of a text such as ``elements=CNOSF``; blanks and commas may stand in between."""
        return cls(re.sub(r"[\s,]+", "", value))

    def limits(self, codec: Codec) -> Limits:
        """Return the limit on elements."""
        return Limits(elements=split_elements(self.symbols))

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
        object.__setattr__(self, "sizes", check_ring_sizes(sizes))

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


MOST_OPTIONAL = 6
"""The most optional points of a template: each set of them that may stay empty is a spelling of its own."""


@dataclass(frozen=True, init=False)
class Template(_OnMolecules):
    """Molecules that contain a template and grow at its points alone: ``template=c1cc([*:1])ccc1C(=O)N[*:2]``.

    What may grow at a point stands behind it, as in ``template=c1cc([*:1])ccc1N[*:2] | 1: max-heavy-atoms=6
    elements=CNO | 2: optional``. For grammars that spell from left to right, such as ``smiles``.

    Parameters
    ----------
    smiles
        A SMILES with points ``[*:1]``, ``[*:2]`` and so on, each at the end of a single bond.
    points
        What may grow at points, by their numbers; anything at those that are not named.

    Raises
    ------
    InputError
        For a text that is no template, or limits of points that it does not have.
    """

    smiles: str
    points: tuple[tuple[int, Point], ...]
    name = "template"
    example = "template=C[*:1] | 1: max-heavy-atoms=30"

    def __init__(self, smiles: str, points: Mapping[int, Point] | None = None) -> None:
        if not isinstance(smiles, str):
            raise InputError("a template must be a SMILES text with points", received=repr(smiles))
        named = dict(points or {})
        try:
            labels = _chem().read_points(smiles)
        except TextError as error:
            raise InputError(
                f"the template cannot be used: {error.message}", received=repr(smiles), remedy=error.remedy
            ) from error
        if strange := [label for label in named if label not in labels]:
            raise InputError(
                "the template has no such point",
                received=f"point {strange[0]!r} of {smiles}",
                expected=f"some of {', '.join(map(str, labels))}",
            )
        if wrong := [point for point in named.values() if not isinstance(point, Point)]:
            raise InputError("what may grow is told by a Point", received=repr(wrong[0]), expected=repr(Point()))
        if sum(point.optional for point in named.values()) > MOST_OPTIONAL:
            raise InputError("too many points are optional", expected=f"at most {MOST_OPTIONAL}")
        object.__setattr__(self, "smiles", smiles.strip())
        object.__setattr__(self, "points", tuple(sorted((n, one) for n, one in named.items() if one != Point())))

    @classmethod
    def parse(cls, value: str) -> Self:
        """Return the spec of a text such as ``template=CN[*:1] | 1: elements=CNO``."""
        smiles, *parts = value.split("|")
        points: dict[int, Point] = {}
        for part in parts:
            label, colon, limits = part.partition(":")
            if not colon or not label.strip().isdecimal() or int(label) in points:
                raise InputError(
                    "the limits of a point cannot be read",
                    received=part.strip(),
                    expected="each point once, for example '1: max-heavy-atoms=6 elements=CNO'",
                )
            points[int(label)] = Point.parse(limits)
        return cls(smiles.strip(), points)

    def limits(self, codec: Codec) -> Limits:
        """Return the template's spellings in Kekulé form as a limit."""
        chem = _chem()
        points = dict(self.points)
        closed = [label for label, point in points.items() if point.closed]
        optional = [label for label, point in points.items() if point.optional]
        labels = [label for label in chem.read_points(self.smiles) if label not in closed]
        spellings = [
            spelling
            for n in range(len(optional) + 1)
            for empty in combinations(optional, n)
            for spelling in chem.spell_template(self.smiles, (*closed, *empty))
        ]
        open_points = tuple((label, points.get(label, Point())) for label in labels)
        return Limits(template=TemplateLimit(self.smiles, tuple(dict.fromkeys(spellings)), open_points))

    def __str__(self) -> str:
        return " | ".join([f"{self.name}={self.smiles}", *(f"{label}: {point}" for label, point in self.points)])


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
    return str(_chem().kekule_as_written(smiles))


def _chem() -> Any:
    from grammar_rae import chem  # nothing else here needs RDKit

    return chem


def _numbers(name: str, value: str, example: str, most: int | None = None) -> list[int]:
    parts = re.split(r"[\s,]+", value)
    if not all(part.isdecimal() for part in parts) or len(parts) > (most or len(parts)):
        raise InputError(
            f"{name} takes {'one whole number' if most else 'whole numbers'}",
            received=f"{name}={value}",
            expected=f"for example {name}={example}",
        )
    return [int(part) for part in parts]
