"""Goals: scores from 0 to 1 that are means of desirabilities, as the benchmarks of molecular design define them.

A :class:`Term` makes a desirability of one number of a molecule; a :class:`Mean` joins terms and other means; a
:class:`Goal` asks one molecule, which is read once, for all numbers that its tree of means needs. The transforms are
those of GuacaMol (Brown et al., J. Chem. Inf. Model. 59, 2019).
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

# ---- transforms: a number -> its desirability, 0 to 1


def clip(value: float, upper: float) -> float:
    """``value / upper``, at most 1 and at least 0."""
    return min(max(value / upper, 0.0), 1.0)


def gaussian(value: float, mean: float, deviation: float) -> float:
    """``exp(-((value - mean) / deviation)^2 / 2)``."""
    return math.exp(-0.5 * ((value - mean) / deviation) ** 2)


def at_most(value: float, limit: float, deviation: float) -> float:
    """1 up to the limit, :func:`gaussian` about it beyond."""
    return 1.0 if value <= limit else gaussian(value, limit, deviation)


def at_least(value: float, limit: float, deviation: float) -> float:
    """1 from the limit on, :func:`gaussian` about it below."""
    return 1.0 if value >= limit else gaussian(value, limit, deviation)


def invert(value: float) -> float:
    """``1 - value``, for something that should be absent."""
    return 1.0 - value


# ---- means


def geometric_mean(values: Sequence[float]) -> float:
    """The N-th root of the product of N values; 0 where one is 0."""
    if min(values) <= 0:
        return 0.0
    # By logarithms, because a product of several tiny values would underflow to 0.
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def arithmetic_mean(values: Sequence[float]) -> float:
    """The sum of N values over N."""
    return math.fsum(values) / len(values)


# ---- trees of them


@dataclass(frozen=True)
class Term:
    """The desirability of one number of a molecule.

    Parameters
    ----------
    measure, about
        As in :data:`grammar_rae.chem.MEASURES`.
    transform
        The number -> its desirability.
    """

    measure: str
    about: str = ""
    transform: Callable[[float], float] = float

    def terms(self) -> Iterator["Term"]:
        """The term itself."""
        yield self

    def combine(self, numbers: Iterator[float]) -> float:
        """The desirability of the next of the numbers."""
        return self.transform(next(numbers))


@dataclass(frozen=True)
class Mean:
    """A mean of terms and other means, all of equal weight."""

    parts: "tuple[Term | Mean, ...]"
    mean: Callable[[Sequence[float]], float] = geometric_mean

    def terms(self) -> Iterator[Term]:
        """All terms below, in order."""
        for part in self.parts:
            yield from part.terms()

    def combine(self, numbers: Iterator[float]) -> float:
        """The mean, given one number for each of :meth:`terms`."""
        return self.mean([part.combine(numbers) for part in self.parts])


@dataclass(frozen=True)
class Goal:
    """A function of one SMILES: the value of a term or a mean of several.

    Calling it raises :class:`~grammar_rae.errors.TextError` where RDKit refuses the text.
    """

    tree: Term | Mean

    def __call__(self, text: str) -> float:
        """The value for a molecule (SMILES)."""
        # Imported here, so that a table of names costs no import of RDKit.
        from grammar_rae.chem import measure

        wanted = [(term.measure, term.about) for term in self.tree.terms()]
        return self.tree.combine(iter(measure(text, wanted)))


def isomer(formula: str) -> Mean:
    """How near a molecule is to a formula: the geometric mean over its elements and the number of all atoms.

    Each is a :func:`gaussian` about its number in the formula, with the deviation 1 for an element and 2 for all atoms.
    Hydrogen counts.
    """
    counts = {symbol: int(number or 1) for symbol, number in re.findall(r"([A-Z][a-z]?)(\d*)", formula)}
    elements = [Term("atoms", symbol, partial(gaussian, mean=n, deviation=1)) for symbol, n in counts.items()]
    return Mean((*elements, Term("atoms", "", partial(gaussian, mean=sum(counts.values()), deviation=2))))
