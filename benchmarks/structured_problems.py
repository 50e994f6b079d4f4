"""The two problems of the paper's Figure 2: their rows, what is asked of them, and the paper's figures."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from grammar_rae.datasets import read_texts
from grammar_rae.errors import InputError
from grammar_rae.expressions import expression_set

RAW = "masks"
"""The paper's own decoding."""


HELD_OUT = 5_000
"""The first molecules, which are never trained on."""


class Texts(NamedTuple):
    """The rows that a model is trained on, and others; None where the validation rows have to serve as test."""

    training: list[str]
    test: list[str] | None


class Protocol(NamedTuple):
    """What is asked of one problem.

    Attributes
    ----------
    texts
        The rows, of a file where the problem has none of its own.
    score
        What the search is after.
    decodings
        How often each point is decoded; the most frequent valid text is scored.
    again
        Decodings of each point under the constraints below, where the points of a search are decoded once more.
    constraints
        Under which points are decoded besides :data:`RAW`.
    paper
        By model, the paper's figures: the share of valid points, the average score, and the best three.
    """

    texts: Callable[[Path | None], Texts]
    score: str
    decodings: int
    again: int
    constraints: tuple[str, ...]
    paper: dict[str, tuple[float, float, tuple[float, float, float]]]


def _molecules(source: Path | None) -> Texts:
    if source is None:
        raise InputError(
            "the study needs a file of molecules",
            expected="a file of SMILES, for example ZINC250k",
            remedy="Name it with --source; grammar_rae.datasets.fetch('zinc250k') downloads one.",
        )
    texts = [text for _, text in read_texts(source)]
    if len(texts) < 2 * HELD_OUT:
        raise InputError(
            f"the file has too few molecules, because the study holds out {HELD_OUT:,}",
            received=len(texts),
            expected=f"{2 * HELD_OUT:,} or more",
        )
    return Texts(texts[HELD_OUT:], texts[:HELD_OUT])


def _expressions(source: Path | None) -> Texts:
    if source is not None:
        raise InputError("the expressions of the study are generated, so it takes no file", received=str(source))
    # The original's set, of which nothing is held out. What follows it in the enumeration is no test: its rows all
    # begin with 1/3, as almost none of these do.
    return Texts(expression_set()[:100_000], None)


PROTOCOLS: dict[str, Protocol] = {
    "molecules": Protocol(
        _molecules,
        "penalized_logp",
        500,
        25,
        ("grammar", "chemistry"),
        {
            "grae": (0.72, -5.62, (3.74, 3.52, 3.14)),
            "gvae": (0.28, -7.89, (3.13, 3.10, 2.37)),
            "cvae": (0.16, -25.64, (2.75, 0.82, 0.63)),
        },
    ),
    "expressions": Protocol(
        _expressions,
        "expression_error",
        25,
        25,
        ("grammar",),
        {
            "grae": (1.00, 3.22, (0.39, 0.39, 0.43)),
            "gvae": (0.99, 3.26, (0.10, 0.46, 0.52)),
            "cvae": (0.82, 4.74, (0.45, 0.48, 0.61)),
        },
    ),
}
"""The two problems of Figure 2; the paper prints no figures of GCVVAE."""
