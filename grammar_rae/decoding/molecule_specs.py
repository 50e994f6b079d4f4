"""Specifications of constraints on molecules: each is a set of limits, besides those of chemistry."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar, Self

from grammar_rae.decoding.chemistry.points import Point, check_elements, check_ring_sizes, split_elements
from grammar_rae.errors import InputError, TextError

if TYPE_CHECKING:  # a specification is read without PyTorch; it is bound with it
    from grammar_rae.chem.templates import Joints
    from grammar_rae.codecs import Codec
    from grammar_rae.decoding.chemistry.limits import Limits
    from grammar_rae.decoding.constraints import Constraint

Atoms = Mapping[str, int]

_RINGS = "rings"
"""The word by which a template closes rings."""


class Named:
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
class OnMolecules:
    """What the constraints on molecules share: each is a set of limits."""

    name: ClassVar[str]
    example: ClassVar[str]

    def limits(self, codec: "Codec") -> "Limits":
        """Return what this adds to chemistry."""
        raise NotImplementedError

    def bind(self, codec: "Codec", atoms: Atoms) -> "Constraint[Any]":
        """Return the constraint for a codec of molecules in Kekulé form; ``atoms`` as an encoded data set's.

        Raises
        ------
        InputError
            As :class:`MoleculeConstraint`.
        """
        return bind_limits(codec, atoms, self.limits(codec))


@dataclass(frozen=True)
class Chemistry(Named, OnMolecules):
    """Molecules that RDKit sanitises, each complete within the limit."""

    name = example = "chemistry"

    def limits(self, codec: "Codec") -> "Limits":
        """Return no limits besides chemistry."""
        return _limits()


@dataclass(frozen=True)
class MaxHeavyAtoms(OnMolecules):
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

    def limits(self, codec: "Codec") -> "Limits":
        """Return the limit on heavy atoms."""
        return _limits(heavy_atoms=self.most)

    def __str__(self) -> str:
        return f"{self.name}={self.most}"


@dataclass(frozen=True)
class Elements(OnMolecules):
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

    def limits(self, codec: "Codec") -> "Limits":
        """Return the limit on elements."""
        return _limits(elements=split_elements(self.symbols))

    def __str__(self) -> str:
        return f"{self.name}={self.symbols}"


@dataclass(frozen=True, init=False)
class RingSizes(OnMolecules):
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

    def limits(self, codec: "Codec") -> "Limits":
        """Return the limit on ring sizes."""
        return _limits(ring_sizes=frozenset(self.sizes))

    def __str__(self) -> str:
        return f"{self.name}={','.join(map(str, self.sizes))}"


@dataclass(frozen=True)
class ScaffoldPrefix(OnMolecules):
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

    def limits(self, codec: "Codec") -> "Limits":
        """Return the scaffold in Kekulé form as a limit."""
        return _limits(scaffold=_kekule(self.smiles))

    def __str__(self) -> str:
        return f"{self.name}={self.smiles}"


MOST_OPTIONAL = 6
"""The most optional points of a template: each set of them that may stay empty is a spelling of its own."""


@dataclass(frozen=True, init=False)
class Template(OnMolecules):
    """Molecules that contain a template and grow at its points alone: ``template=c1cc([*:1])ccc1C(=O)N[*:2]``.

    What may grow at a point stands behind it, as in ``template=c1cc([*:1])ccc1N[*:2] | 1: max-heavy-atoms=6
    elements=CNO | 2: optional``. Two pieces with a point of one number, ``C1CC1[*:1].[*:1]N1CCOCC1``, are linked by
    what is written there, and two such points of one piece closed to a ring. For grammars that spell from left to
    right, such as ``smiles``.

    Parameters
    ----------
    smiles
        A SMILES with points ``[*:1]``, ``[*:2]`` and so on, each at the end of a single bond.
    points
        What may grow at points, by their numbers; anything at those that are not named.
    rings
        Whether rings are closed between two points of the same number: ``template=... | rings``.

    Raises
    ------
    InputError
        For a text that is no template, or limits of points that it does not have.
    """

    smiles: str
    points: tuple[tuple[int, Point], ...]
    rings: bool
    name = "template"
    example = "template=C[*:1] | 1: max-heavy-atoms=30"

    def __init__(self, smiles: str, points: Mapping[int, Point] | None = None, rings: bool = False) -> None:
        if not isinstance(smiles, str):
            raise InputError("a template must be a SMILES text with points", received=repr(smiles))
        named = dict(points or {})
        try:
            joints = _chem().read_points(smiles, rings)
        except TextError as error:
            raise InputError(
                f"the template cannot be used: {error.message}", received=repr(smiles), remedy=error.remedy
            ) from error
        labels = joints.labels
        if strange := [label for label in named if label not in labels]:
            raise InputError(
                "the template has no such point",
                received=f"point {strange[0]!r} of {smiles}",
                expected=f"some of {', '.join(map(str, labels))}",
            )
        if wrong := [point for point in named.values() if not isinstance(point, Point)]:
            raise InputError("what may grow is told by a Point", received=repr(wrong[0]), expected=repr(Point()))
        for label, point in named.items():
            if label in (*joints.linked, *joints.closed) and (point.optional or point.closed):
                raise InputError(
                    "a point that is joined with another cannot stay empty",
                    received=f"{label}: {point}",
                    remedy="Leave out optional or closed, or write the bond into the template.",
                )
        if sum(point.optional for point in named.values()) > MOST_OPTIONAL:
            raise InputError("too many points are optional", expected=f"at most {MOST_OPTIONAL}")
        object.__setattr__(self, "smiles", smiles.strip())
        object.__setattr__(self, "rings", bool(rings))
        object.__setattr__(self, "points", tuple(sorted((n, one) for n, one in named.items() if one != Point())))

    @property
    def joints(self) -> "Joints":
        """The numbers of the points, and what is joined at them."""
        joints: Joints = _chem().read_points(self.smiles, self.rings)
        return joints

    @classmethod
    def parse(cls, value: str) -> Self:
        """Return the spec of a text such as ``template=CN[*:1] | 1: elements=CNO``."""
        smiles, *parts = value.split("|")
        points, rings = read_limits(parts)
        return cls(smiles.strip(), points, rings)

    def limits(self, codec: "Codec") -> "Limits":
        """Return the template's spellings in Kekulé form as a limit."""
        chem = _chem()
        points = dict(self.points)
        closed = [label for label, point in points.items() if point.closed]
        optional = [label for label, point in points.items() if point.optional]
        labels = [label for label in self.joints.labels if label not in closed]
        spellings = [
            spelling
            for n in range(len(optional) + 1)
            for empty in combinations(optional, n)
            for spelling in chem.spell_template(self.smiles, (*closed, *empty), self.rings)
        ]
        open_points = tuple((label, points.get(label, Point())) for label in labels)
        from grammar_rae.decoding.chemistry.templates import TemplateLimit

        return _limits(template=TemplateLimit(self.smiles, tuple(dict.fromkeys(spellings)), open_points))

    def __str__(self) -> str:
        limits = [f"{label}: {point}" for label, point in self.points]
        return " | ".join([f"{self.name}={self.smiles}", *(["rings"] if self.rings else []), *limits])


def read_limits(parts: Sequence[str]) -> tuple[dict[int, Point], bool]:
    """What may grow at points, by their numbers, and whether rings are closed, of what stands behind a template.

    Raises
    ------
    InputError
        For limits that cannot be read, or a point that is named twice.
    """
    points: dict[int, Point] = {}
    rings = _RINGS in map(str.strip, parts)
    for part in parts:
        if part.strip() == _RINGS:
            continue
        label, colon, limits = part.partition(":")
        if not colon or not label.strip().isdecimal() or int(label) in points:
            raise InputError(
                "the limits of a point cannot be read",
                received=part.strip(),
                expected="each point once, for example '1: max-heavy-atoms=6 elements=CNO', or 'rings'",
            )
        points[int(label)] = Point.parse(limits)
    return points, rings


def _limits(**limits: Any) -> "Limits":
    from grammar_rae.decoding.chemistry.limits import Limits

    return Limits(**limits)


def bind_limits(codec: "Codec", atoms: Atoms, limits: "Limits") -> "Constraint[Any]":
    """The constraint of limits."""
    from grammar_rae.decoding.chemistry.constraint import MoleculeConstraint

    return MoleculeConstraint(codec, atoms, limits)


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
