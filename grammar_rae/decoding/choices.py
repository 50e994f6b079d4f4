"""What decoding may be told to obey: the constraints by name, and how they combine.

A *choice* says what is wanted, in a few words that a recipe can hold: ``"grammar"``, ``"chemistry"``, or ``"chemistry;
max-heavy-atoms=38; ring-sizes=5,6"``, which is ``AllOf(Chemistry(), MaxHeavyAtoms(38), RingSizes(5, 6))``. Bound to a
codec it is a :class:`~grammar_rae.decoding.constraints.Constraint`. What limits molecules implies chemistry, and keeps
its promise: whatever combines decodes without a dead end, or is refused when it is bound.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from grammar_rae.codecs import Codec
from grammar_rae.decoding.chemistry import MoleculeConstraint
from grammar_rae.decoding.constraints import Constraint, Free, GrammarConstraint, Masks
from grammar_rae.decoding.limits import Limits
from grammar_rae.errors import InputError, TextError, UnknownNameError

Atoms = Mapping[str, int]


class Choice(Protocol):
    """A constraint, not yet bound to a codec."""

    def bind(self, codec: Codec, atoms: Atoms) -> Constraint[Any]:
        """The constraint for a codec; ``atoms`` as an encoded data set's."""
        ...

    def __str__(self) -> str: ...


class _Named:
    """A constraint that its name says all of."""

    name: ClassVar[str]

    @classmethod
    def parse(cls, value: str) -> Self:
        """The choice of a text that is the name."""
        if value:
            raise InputError(f"{cls.name} takes no value", received=f"{cls.name}={value}", expected=cls.name)
        return cls()

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class _OfRules(_Named):
    """A constraint that needs no more than the codec's table."""

    constraint: ClassVar[type[Free | GrammarConstraint]]

    def bind(self, codec: Codec, atoms: Atoms) -> Constraint[Any]:
        """The constraint for a codec."""
        return self.constraint(codec.rules)


@dataclass(frozen=True)
class Unconstrained(_OfRules):
    """Nothing: any token may come at any time, and what is no derivation is an empty text."""

    name: ClassVar[str] = "none"
    example: ClassVar[str] = "none"
    constraint = Free


@dataclass(frozen=True)
class Masked(_OfRules):
    """The grammar's masks alone, as the grammar VAE decodes; what the limit cuts off is an empty text."""

    name: ClassVar[str] = "masks"
    example: ClassVar[str] = "masks"
    constraint = Masks


@dataclass(frozen=True)
class Grammatical(_OfRules):
    """Derivations of the grammar, each complete within the limit."""

    name: ClassVar[str] = "grammar"
    example: ClassVar[str] = "grammar"
    constraint = GrammarConstraint


@dataclass(frozen=True)
class _OnMolecules:
    """What the constraints on molecules share: each is some limits."""

    name: ClassVar[str]
    example: ClassVar[str]

    def limits(self, codec: Codec) -> Limits:
        """What this adds to chemistry."""
        raise NotImplementedError

    def bind(self, codec: Codec, atoms: Atoms) -> Constraint[Any]:
        """The constraint for a codec of molecules in Kekulé form; ``atoms`` as an encoded data set's.

        Raises
        ------
        InputError
            As :class:`MoleculeConstraint`.
        """
        return MoleculeConstraint(codec, atoms, self.limits(codec))


@dataclass(frozen=True)
class Chemistry(_Named, _OnMolecules):
    """Molecules that RDKit sanitises, each complete within the limit."""

    name: ClassVar[str] = "chemistry"
    example: ClassVar[str] = "chemistry"

    def limits(self, codec: Codec) -> Limits:
        """No limit besides chemistry."""
        return Limits()


@dataclass(frozen=True)
class MaxHeavyAtoms(_OnMolecules):
    """Molecules of at most so many atoms other than hydrogen: max-heavy-atoms=38."""

    most: int
    name: ClassVar[str] = "max-heavy-atoms"
    example: ClassVar[str] = "max-heavy-atoms=12"

    def __post_init__(self) -> None:
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise InputError("a molecule needs an atom", received=f"{self.name} {self.most!r}", expected="1 or more")

    @classmethod
    def parse(cls, value: str) -> Self:
        """The choice of a text such as ``max-heavy-atoms=38``."""
        return cls(*_numbers(cls.name, value, "38", most=1))

    def limits(self, codec: Codec) -> Limits:
        """The most heavy atoms."""
        return Limits(heavy_atoms=self.most)

    def __str__(self) -> str:
        return f"{self.name}={self.most}"


@dataclass(frozen=True)
class Elements(_OnMolecules):
    """Molecules of these elements, and hydrogen: elements=CNOSF.

    ``symbols`` in one text; an upper-case letter begins each.
    """

    symbols: str
    name: ClassVar[str] = "elements"
    example: ClassVar[str] = "elements=CNOS"

    def __post_init__(self) -> None:
        if not isinstance(self.symbols, str) or not re.fullmatch(r"([A-Z][a-z]?)+", self.symbols):
            raise InputError("these are no elements", received=repr(self.symbols), expected="for example 'CNOSFClBr'")

    @classmethod
    def parse(cls, value: str) -> Self:
        """The choice of a text such as ``elements=CNOSF``; blanks and commas may stand in between."""
        return cls(re.sub(r"[\s,]+", "", value))

    def limits(self, codec: Codec) -> Limits:
        """The elements."""
        return Limits(elements=frozenset(re.findall(r"[A-Z][a-z]?", self.symbols)))

    def __str__(self) -> str:
        return f"{self.name}={self.symbols}"


@dataclass(frozen=True, init=False)
class RingSizes(_OnMolecules):
    """Molecules whose smallest rings have these sizes, in atoms: ring-sizes=5,6; without a size, no rings.

    What counts are the rings of the whole molecule (a minimum cycle basis, RDKit's SSSR): in ``C1=CC2=CC=CC=C12`` the
    first number closes a ring of nine atoms, which the second splits into rings of five and six.
    """

    sizes: tuple[int, ...]
    name: ClassVar[str] = "ring-sizes"
    example: ClassVar[str] = "ring-sizes=5,6"

    def __init__(self, *sizes: int) -> None:
        for size in sizes:
            if isinstance(size, bool) or not isinstance(size, int) or not 3 <= size <= 100:
                raise InputError("no ring has this size", received=repr(size), expected="3 to 100 atoms")
        object.__setattr__(self, "sizes", tuple(sorted(set(sizes))))

    @classmethod
    def parse(cls, value: str) -> Self:
        """The choice of a text such as ``ring-sizes=5,6``."""
        return cls(*_numbers(cls.name, value, "5,6") if value.strip() else ())

    def limits(self, codec: Codec) -> Limits:
        """The sizes."""
        return Limits(ring_sizes=frozenset(self.sizes))

    def __str__(self) -> str:
        return f"{self.name}={','.join(map(str, self.sizes))}"


@dataclass(frozen=True)
class ScaffoldPrefix(_OnMolecules):
    """Molecules whose text begins with this one: scaffold-prefix=c1ccccc1C(=O)N, to be grown from its last atom.

    For grammars that spell from left to right, such as ``smiles``. Aromatic atoms are rewritten as RDKit's Kekulé
    structure of the scaffold has them.
    """

    smiles: str
    name: ClassVar[str] = "scaffold-prefix"
    example: ClassVar[str] = "scaffold-prefix=CC"

    def __post_init__(self) -> None:
        if not isinstance(self.smiles, str):
            raise InputError("a scaffold is a SMILES", received=repr(self.smiles))
        try:
            _kekule(self.smiles)
        except TextError as error:
            raise InputError(f"the scaffold cannot be used: {error.message}", received=repr(self.smiles)) from error

    @classmethod
    def parse(cls, value: str) -> Self:
        """The choice of a text such as ``scaffold-prefix=c1ccccc1C(=O)N``."""
        return cls(value.strip())

    def limits(self, codec: Codec) -> Limits:
        """The scaffold in Kekulé form."""
        return Limits(scaffold=_kekule(self.smiles))

    def __str__(self) -> str:
        return f"{self.name}={self.smiles}"


class AllOf:
    """Everything that several choices ask for.

    Parameters
    ----------
    choices
        Choices of molecules. ``grammar`` and ``chemistry`` may stand among them and add nothing.

    Raises
    ------
    InputError
        For a choice that has no part in a common promise: ``none``, or one that is not of this module.
    """

    def __init__(self, *choices: Choice) -> None:
        if not choices:
            raise InputError("nothing is asked for", received="AllOf()", expected="a constraint or more")
        flat: list[Choice] = []
        for choice in choices:
            flat += choice.choices if isinstance(choice, AllOf) else [choice]
        for choice in flat if len(flat) > 1 else []:
            if not isinstance(choice, _OnMolecules | Grammatical):
                raise InputError(
                    "this constraint does not combine with others",
                    received=str(choice),
                    expected="constraints on molecules: " + ", ".join(_COMBINING),
                )
        self.choices: tuple[Choice, ...] = tuple(dict.fromkeys(flat))

    def bind(self, codec: Codec, atoms: Atoms) -> Constraint[Any]:
        """The constraint for a codec.

        Raises
        ------
        InputError
            As :class:`MoleculeConstraint`; also for two scaffolds.
        """
        limits = [choice.limits(codec) for choice in self.choices if isinstance(choice, _OnMolecules)]
        if not limits:
            return self.choices[0].bind(codec, atoms)
        together = limits[0]
        for other in limits[1:]:
            together = together.and_also(other)
        return MoleculeConstraint(codec, atoms, together)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AllOf) and self.choices == other.choices

    def __hash__(self) -> int:
        return hash(self.choices)

    def __repr__(self) -> str:
        return f"AllOf({', '.join(map(repr, self.choices))})"

    def __str__(self) -> str:
        return "; ".join(map(str, self.choices))


CONSTRAINTS: dict[str, Any] = {
    choice.name: choice
    for choice in (Unconstrained, Masked, Grammatical, Chemistry, MaxHeavyAtoms, Elements, RingSizes, ScaffoldPrefix)
}
"""Constraints by name: ``parse(value)`` makes one of what stands behind "=" in its text, such as ``example``."""

_COMBINING = [name for name, choice in CONSTRAINTS.items() if issubclass(choice, _OnMolecules)]


def choice_of(given: "str | Choice") -> Choice:
    """The choice that a text means, or the choice itself.

    >>> choice_of("max-heavy-atoms=20; elements=C,N,O")
    AllOf(MaxHeavyAtoms(most=20), Elements(symbols='CNO'))

    Raises
    ------
    UnknownNameError
        For a name that is not in ``CONSTRAINTS``.
    InputError
        For a value that its constraint does not take.
    """
    if not isinstance(given, str):
        if not hasattr(given, "bind"):
            raise InputError("this is no constraint", received=repr(given), expected="a text, or one of this package's")
        return given
    choices: list[Choice] = []
    for part in given.split(";"):
        name, _, value = part.partition("=")
        if name.strip() not in CONSTRAINTS:
            raise UnknownNameError("constraint", name.strip(), CONSTRAINTS)
        choices.append(CONSTRAINTS[name.strip()].parse(value.strip()))
    return choices[0] if len(choices) == 1 else AllOf(*choices)


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
