"""Everything that needs RDKit: reading and writing SMILES, descriptors, fingerprints, fragments, filters, drawing.

No other part of the package imports rdkit. All functions take and return plain text and numbers, raise
:class:`~grammar_rae.errors.TextError` where RDKit refuses a text, and keep RDKit's log silent while they run.
"""

from grammar_rae.chem.blocks import is_block, write_record
from grammar_rae.chem.descriptors import DESCRIPTORS, heavy_atoms, logp, qed, rings, sa, weight
from grammar_rae.chem.drawing import svg, svg_grid
from grammar_rae.chem.filters import filter_matches
from grammar_rae.chem.fingerprints import COUNT_FINGERPRINTS, folded_counts, morgan, similarities
from grammar_rae.chem.fragments import brics_fragments, scaffold
from grammar_rae.chem.groups import cut_group
from grammar_rae.chem.measures import MEASURES, measure
from grammar_rae.chem.pharmacophores import pharmacophores
from grammar_rae.chem.picking import pick_diverse
from grammar_rae.chem.pictures import Picture, changed_atoms, picture
from grammar_rae.chem.plausibility import is_plausible
from grammar_rae.chem.rewriting import rewriting
from grammar_rae.chem.smiles import (
    FRAGMENTS,
    MAX_CHARACTERS,
    Written,
    aromatic,
    canonical,
    canonical_or_none,
    is_valid,
    kekule,
    strip_extension,
    write_aromatic,
    write_kekule,
)
from grammar_rae.chem.templates import read_points, reorder_template, spell_template
from grammar_rae.chem.topology import Ring, ring_list
from grammar_rae.chem.traits import TRAITS, compute_traits
from grammar_rae.chem.valence import LARGEST_CAPACITY, ORGANIC, capacities
from grammar_rae.chem.writing import kekule_as_written

__all__ = [
    "COUNT_FINGERPRINTS",
    "DESCRIPTORS",
    "FRAGMENTS",
    "LARGEST_CAPACITY",
    "MAX_CHARACTERS",
    "MEASURES",
    "ORGANIC",
    "TRAITS",
    "Picture",
    "Ring",
    "Written",
    "aromatic",
    "brics_fragments",
    "canonical",
    "canonical_or_none",
    "capacities",
    "changed_atoms",
    "compute_traits",
    "cut_group",
    "filter_matches",
    "folded_counts",
    "heavy_atoms",
    "is_block",
    "is_plausible",
    "is_valid",
    "kekule",
    "kekule_as_written",
    "logp",
    "measure",
    "morgan",
    "pharmacophores",
    "pick_diverse",
    "picture",
    "qed",
    "read_points",
    "reorder_template",
    "rewriting",
    "ring_list",
    "rings",
    "sa",
    "scaffold",
    "similarities",
    "spell_template",
    "strip_extension",
    "svg",
    "svg_grid",
    "weight",
    "write_aromatic",
    "write_kekule",
    "write_record",
]
