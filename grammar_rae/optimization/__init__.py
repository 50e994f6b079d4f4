"""Searches for texts with high scores, by few evaluations.

A surrogate learns the score from what is known; a strategy (:data:`STRATEGIES`) names what to decode next.
:func:`optimize` evaluates a score itself; a :class:`Search` is asked for molecules and told what came of them. Both
leave encoding and decoding to a model, and know of molecules only that they have fingerprints.
"""

from grammar_rae.optimization.base import Observations, Question, Strategy
from grammar_rae.optimization.loop import STRATEGIES, optimize
from grammar_rae.optimization.profile import Profile, read_objectives
from grammar_rae.optimization.result import Optimization
from grammar_rae.optimization.search import Search
from grammar_rae.optimization.surrogates import SURROGATES
from grammar_rae.optimization.telling import Told, read_table

__all__ = [
    "STRATEGIES",
    "SURROGATES",
    "Observations",
    "Optimization",
    "Profile",
    "Question",
    "Search",
    "Strategy",
    "Told",
    "optimize",
    "read_objectives",
    "read_table",
]
