"""Decoding: constraints on what may come next, and the loops that draw it or search for it."""

from grammar_rae.decoding.beam import beam_search, check_width
from grammar_rae.decoding.chemistry import MoleculeConstraint
from grammar_rae.decoding.choices import (
    CONSTRAINTS,
    AllOf,
    Chemistry,
    Choice,
    Elements,
    Grammatical,
    Masked,
    MaxHeavyAtoms,
    RingSizes,
    ScaffoldPrefix,
    Unconstrained,
    choice_of,
)
from grammar_rae.decoding.constraints import Constraint, Draws, DrawsAll, Free, GrammarConstraint, Masks, Stacks, State
from grammar_rae.decoding.limits import Limits
from grammar_rae.decoding.sampling import (
    DecodesAtOnce,
    StepDecoder,
    check_temperature,
    check_top_p,
    decode,
    decode_all,
    draw,
)

__all__ = [
    "CONSTRAINTS",
    "AllOf",
    "Chemistry",
    "Choice",
    "Constraint",
    "DecodesAtOnce",
    "Draws",
    "DrawsAll",
    "Elements",
    "Free",
    "GrammarConstraint",
    "Grammatical",
    "Limits",
    "Masked",
    "Masks",
    "MaxHeavyAtoms",
    "MoleculeConstraint",
    "RingSizes",
    "ScaffoldPrefix",
    "Stacks",
    "State",
    "StepDecoder",
    "Unconstrained",
    "beam_search",
    "check_temperature",
    "check_top_p",
    "check_width",
    "choice_of",
    "decode",
    "decode_all",
    "draw",
]
