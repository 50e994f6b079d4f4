"""Bayesian optimisation in latent space: texts with high scores, by few evaluations.

A surrogate learns the score from codes that are known; a strategy (:data:`STRATEGIES`) names the codes to decode next.
The search knows nothing of molecules: it asks a model to encode and decode, and a score for numbers.
"""

from grammar_rae.optimization.base import Observations, Question, Strategy
from grammar_rae.optimization.loop import STRATEGIES, optimize
from grammar_rae.optimization.result import Optimization

__all__ = ["STRATEGIES", "Observations", "Optimization", "Question", "Strategy", "optimize"]
