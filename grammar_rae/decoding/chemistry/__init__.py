"""The chemistry constraint: any logits whatever decode to molecules that RDKit sanitises.

``constraint`` is what decoding sees, with the argument why there is no dead end. ``machine`` is the state of a molecule
and what one production does to it, ``policy`` finishes any molecule, ``bounds`` says how many productions that takes,
``kernels`` answer for a batch at a time, ``cycles`` finds smallest rings. ``templates`` says what stays as it is, and
``points`` what may grow at its points. ``dialects`` are the grammars that it knows,
and ``limits`` what may be asked for besides.

What is imported from here comes when it is asked for: ``points``, of which specifications are made, need no PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grammar_rae.decoding.chemistry.constraint import MoleculeConstraint, Molecules
    from grammar_rae.decoding.chemistry.limits import Limits
    from grammar_rae.decoding.chemistry.points import Point

__all__ = ["Limits", "MoleculeConstraint", "Molecules", "Point"]

_HOME = {"Limits": "limits", "MoleculeConstraint": "constraint", "Molecules": "constraint", "Point": "points"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
