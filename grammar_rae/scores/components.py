"""Components: scores with parameters, as a file of objectives describes them by ``score = "..."`` and further keys.

``COMPONENTS`` is the table; the fields of a class are its keys. Descriptors, alerts and the other scores without
parameters have names of their own: see :func:`named`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.scores.predictors import Predictor
from grammar_rae.scores.programs import Program

TAKES = ("best", "mean")


@dataclass(frozen=True)
class Similarity:
    """The Tanimoto similarity (of counts) to a set of molecules: to the nearest, or the mean.

    Parameters
    ----------
    to
        SMILES.
    take
        ``best`` or ``mean``.
    fingerprint
        A name in :data:`grammar_rae.chem.COUNT_FINGERPRINTS`.
    """

    to: Sequence[str]
    take: str = "best"
    fingerprint: str = "ECFP4"

    def __post_init__(self) -> None:
        from grammar_rae.chem import COUNT_FINGERPRINTS

        if isinstance(self.to, str) or not self.to or not all(isinstance(text, str) for text in self.to):
            raise InputError("similarity needs molecules", received=repr(self.to), expected='to = ["CCO", "CCN"]')
        if self.take not in TAKES:
            raise UnknownNameError("way to take similarities", self.take, TAKES)
        if self.fingerprint not in COUNT_FINGERPRINTS:
            raise UnknownNameError("fingerprint", self.fingerprint, COUNT_FINGERPRINTS)
        object.__setattr__(self, "to", tuple(self.to))
        self(self.to[0])  # so that one that RDKit refuses is told now

    def __call__(self, text: str) -> float:
        """The similarity of a molecule."""
        from grammar_rae.chem import similarities

        found = similarities(text, self.fingerprint, tuple(self.to))
        return float(found.max() if self.take == "best" else found.mean())


@dataclass(frozen=True)
class Smarts:
    """How often a molecule has a substructure.

    Parameters
    ----------
    pattern
        A SMARTS.
    """

    pattern: str

    def __post_init__(self) -> None:
        self("C")  # so that one that RDKit refuses is told now

    def __call__(self, text: str) -> float:
        """The number of places."""
        from grammar_rae.chem import measure

        return measure(text, [("matches", self.pattern)])[0]


COMPONENTS: dict[str, type[Any]] = {
    "similarity": Similarity,
    "smarts": Smarts,
    "program": Program,
    "predictor": Predictor,
}
"""Components by name: ``COMPONENTS[name](**keys)(text)``."""


def named(name: str) -> Callable[[str], float] | None:
    """The function of a score without parameters, a descriptor or a catalogue of alerts; None for any other name.

    Raises
    ------
    InputError
        For a score that is standardised over data.
    """
    from grammar_rae.scores import SCORES, get_score
    from grammar_rae.scores.windows import functions

    if name.partition("=")[0] in SCORES:
        found = get_score(name)
        if found.standardizes:
            raise InputError(
                f"the score {name} depends on data, and a search that is asked has none",
                remedy="Use optimize for it, or tell its values from outside by another name.",
            )
        return found.function
    return functions().get(name)


def names() -> list[str]:
    """All names that an objective's score may have."""
    from grammar_rae.scores import SCORES
    from grammar_rae.scores.windows import functions

    return [*COMPONENTS, *(name for name, row in SCORES.items() if not row.standardizes), *functions()]
