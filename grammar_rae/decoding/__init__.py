"""Decoding: constraints on what may come next, and the loops that draw tokens or search for them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grammar_rae.decoding.beam import beam_search, check_width
    from grammar_rae.decoding.chemistry import Limits, MoleculeConstraint, Point
    from grammar_rae.decoding.constraints import (
        Constraint,
        Draws,
        DrawsAll,
        Free,
        GrammarConstraint,
        Masks,
        Stacks,
        State,
    )
    from grammar_rae.decoding.guidance import Guided
    from grammar_rae.decoding.molecule_specs import (
        Chemistry,
        Elements,
        MaxHeavyAtoms,
        RingSizes,
        ScaffoldPrefix,
        Template,
    )
    from grammar_rae.decoding.sampling import (
        DecodesAtOnce,
        StepDecoder,
        check_temperature,
        check_top_p,
        decode,
        decode_all,
        draw,
    )
    from grammar_rae.decoding.specs import (
        CONSTRAINTS,
        AllOf,
        ConstraintSpec,
        Grammatical,
        Masked,
        Unconstrained,
        parse_spec,
    )

__all__ = [
    "CONSTRAINTS",
    "AllOf",
    "Chemistry",
    "Constraint",
    "ConstraintSpec",
    "DecodesAtOnce",
    "Draws",
    "DrawsAll",
    "Elements",
    "Free",
    "GrammarConstraint",
    "Grammatical",
    "Guided",
    "Limits",
    "Masked",
    "Masks",
    "MaxHeavyAtoms",
    "MoleculeConstraint",
    "Point",
    "RingSizes",
    "ScaffoldPrefix",
    "Stacks",
    "State",
    "StepDecoder",
    "Template",
    "Unconstrained",
    "beam_search",
    "check_temperature",
    "check_top_p",
    "check_width",
    "decode",
    "decode_all",
    "draw",
    "parse_spec",
]

_HOMES = {
    "beam": "beam_search check_width",
    "chemistry": "Limits MoleculeConstraint Point",
    "constraints": "Constraint Draws DrawsAll Free GrammarConstraint Masks Stacks State",
    "guidance": "Guided",
    "sampling": "DecodesAtOnce StepDecoder check_temperature check_top_p decode decode_all draw",
    "molecule_specs": "Chemistry Elements MaxHeavyAtoms RingSizes ScaffoldPrefix Template",
    "specs": "CONSTRAINTS AllOf ConstraintSpec Grammatical Masked Unconstrained parse_spec",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    # Specifications are read without PyTorch, so that a wrong one is told at once.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
