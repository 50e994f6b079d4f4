"""How good a trained model is: its figures, typed, and where they were measured.

>>> from grammar_rae.evaluation import EvaluationSettings, evaluate
>>> evaluate(model, EvaluationSettings(reference="moses", n=30_000)).figures.moses  # doctest: +SKIP
"""

from grammar_rae.evaluation.molecules import EvaluationSettings, evaluate
from grammar_rae.evaluation.provenance import Provenance, provenance
from grammar_rae.evaluation.results import (
    Distribution,
    DrawFigures,
    Evaluation,
    EvaluationFigures,
    Reconstruction,
    ReferenceFigures,
    SetFigures,
)

__all__ = [
    "Distribution",
    "DrawFigures",
    "Evaluation",
    "EvaluationFigures",
    "EvaluationSettings",
    "Provenance",
    "Reconstruction",
    "ReferenceFigures",
    "SetFigures",
    "evaluate",
    "provenance",
]
