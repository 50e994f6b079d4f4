"""Decoding: constraints on what may come next, and the loop that draws it."""

from grammar_rae.decoding.constraints import CONSTRAINTS, Constraint, GrammarConstraint, Stacks, State
from grammar_rae.decoding.sampling import check_temperature, decode, draw

__all__ = [
    "CONSTRAINTS",
    "Constraint",
    "GrammarConstraint",
    "Stacks",
    "State",
    "check_temperature",
    "decode",
    "draw",
]
