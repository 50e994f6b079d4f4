"""What an evaluation finds, typed; to JSON and back by :meth:`EvaluationFigures.to_dict` and ``from_dict``."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from types import NoneType
from typing import Any, Self, get_args, get_origin, get_type_hints

import numpy as np

from grammar_rae.errors import DataError
from grammar_rae.evaluation.provenance import Provenance
from grammar_rae.metrics import GuacaMol
from grammar_rae.model import SampleResult


@dataclass(frozen=True)
class DrawFigures:
    """What the texts of some draws tell.

    Attributes
    ----------
    attempts, valid, validity
        How many texts were drawn, how many of them are valid, and their share.
    unique
        The share of different molecules among the valid draws; None where none is valid.
    novelty, training_copies
        The share of the different molecules that the training set does not have, and the share of the valid draws that
        it has; None without a training set or a valid draw.
    """

    attempts: int
    valid: int
    validity: float
    unique: float | None = None
    novelty: float | None = None
    training_copies: float | None = None


@dataclass(frozen=True)
class ReferenceFigures:
    """MOSES's comparison of a set of molecules with a reference.

    ``fcd_floor`` is the distance of ``fcd_floor_molecules`` molecules of the reference from the rest of it; the last
    four are Wasserstein distances between the distributions of a property.
    """

    molecules: int
    fcd: float
    fcd_floor: float
    fcd_floor_molecules: int
    snn: float
    frag: float
    scaf: float
    logp: float
    sa: float
    qed: float
    weight: float


@dataclass(frozen=True)
class SetFigures:
    """MOSES's figures of a set of molecules; None and {} where there are too few molecules for one."""

    draws: DrawFigures
    unique_at_1000: float | None = None
    unique_at_10000: float | None = None
    filters: float | None = None
    int_div: float | None = None
    int_div2: float | None = None
    references: dict[str, ReferenceFigures] = field(default_factory=dict)


@dataclass(frozen=True)
class Reconstruction:
    """How many molecules come back from their latent codes as the same canonical text.

    Attributes
    ----------
    reference
        The name of the reference that the molecules are from.
    molecules, refused
        How many were asked for, and how many of them the codec refuses.
    greedy
        The share of all of them that comes back with the likeliest token at each step.
    unpolished
        The same of codes as the encoder gives them; None for a model that polishes none (:class:`TextRecipe`).
    sampled
        The share of ``sampled_molecules`` that comes back, each encoded ``encodings`` times with the encoder's noise
        and decoded ``decodings`` times at temperature 1; None where the codec takes none.
    """

    molecules: int
    refused: int
    greedy: float
    unpolished: float | None = None
    sampled: float | None = None
    sampled_molecules: int | None = None
    encodings: int | None = None
    decodings: int | None = None
    reference: str = ""


@dataclass(frozen=True)
class Distribution:
    """A property's density, by histograms: the middles of the bins, and for each side its height in each bin."""

    x: list[float]
    sides: dict[str, list[float]]


@dataclass(frozen=True)
class EvaluationFigures:
    """All figures of an evaluation.

    Attributes
    ----------
    recipe, density, training_molecules
        The model, and how many molecules it was trained on, where that is known.
    reference
        ``"moses"`` or the name of a file.
    constraint, temperature, top_p, smoothing, echo, seed, n
        How the texts were drawn, and how many.
    constraints
        Draws under each constraint that the model can serve.
    moses, baseline
        MOSES's figures of the draws, and of as many training molecules where they were asked for.
    guacamol, reconstruction
        None where they were not measured.
    distributions
        By property.
    remarks
        What a reader should bear in mind, a sentence each.
    provenance
        Machine, versions, date and command.
    """

    recipe: str
    density: str
    training_molecules: int | None
    reference: str
    constraint: str
    temperature: float
    top_p: float
    smoothing: float
    echo: tuple[str, ...]
    seed: int
    n: int
    constraints: dict[str, DrawFigures]
    moses: SetFigures
    baseline: SetFigures | None
    guacamol: GuacaMol | None
    reconstruction: Reconstruction | None
    distributions: dict[str, Distribution]
    remarks: list[str]
    provenance: Provenance

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON can hold them: None in place of NaN and infinities."""
        found: dict[str, Any] = _finite(asdict(self))
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The figures that :meth:`to_dict` wrote.

        Raises
        ------
        DataError
            When ``data`` is something else.
        """
        try:
            found: Self = _read(cls, data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"these are not the figures of an evaluation ({error!r})", expected="what evaluate wrote"
            ) from error
        return found


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of a model, and the draws that they describe."""

    figures: EvaluationFigures
    draws: SampleResult


def _read(kind: Any, value: Any) -> Any:
    """A value of a type, from what JSON holds of it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if NoneType in arguments:
        return None if value is None else _read(next(one for one in arguments if one is not NoneType), value)
    if origin is dict:
        return {name: _read(arguments[1], part) for name, part in value.items()}
    if origin in (list, tuple):
        return origin(_read(arguments[0], part) for part in value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{one.name: _read(hints[one.name], value[one.name]) for one in fields(kind)})  # type: ignore[operator]
    if kind is float:
        return math.nan if value is None else float(value)
    return value


def _finite(value: Any) -> Any:
    """The same without NaN and infinities, which JSON does not have: None in their place."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
