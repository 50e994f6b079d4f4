"""Many properties of each molecule, which is read once, in several processes."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, starmap
from typing import Any

from rdkit import Chem
from rdkit.Chem import QED, Crippen, Descriptors

from grammar_rae.checks import check_jobs
from grammar_rae.chem.descriptors import sa_of
from grammar_rae.chem.filters import passes
from grammar_rae.chem.fingerprints import packed_morgan
from grammar_rae.chem.fragments import fragments_of, scaffold_of
from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule_or_none
from grammar_rae.errors import UnknownNameError
from grammar_rae.parallel import map_parts

# RDKit's type stubs lack what these modules define while they are imported.
_crippen: Any = Crippen
_descriptors: Any = Descriptors
_qed: Any = QED

#: Name -> function of RDKit's molecule. Numbers are floats.
TRAITS: dict[str, Callable[[Any], Any]] = {
    "fingerprints": partial(packed_morgan, bits=1024),
    "long_fingerprints": partial(packed_morgan, bits=4096),
    "fragments": fragments_of,
    "scaffolds": partial(scaffold_of, least_rings=2),
    "filters": passes,
    "canonical": lambda found: str(Chem.MolToSmiles(found)),
    "flat": lambda found: str(Chem.MolToSmiles(found, isomericSmiles=False)),
    "logp": lambda found: float(_crippen.MolLogP(found)),
    "sa": sa_of,
    "qed": lambda found: float(_qed.qed(found)),
    "weight": lambda found: float(_descriptors.MolWt(found)),
    "bertz_ct": lambda found: float(_descriptors.BertzCT(found)),
    "tpsa": lambda found: float(_descriptors.TPSA(found)),
    "acceptors": lambda found: float(_descriptors.NumHAcceptors(found)),
    "donors": lambda found: float(_descriptors.NumHDonors(found)),
    "rotatable_bonds": lambda found: float(_descriptors.NumRotatableBonds(found)),
    "aliphatic_rings": lambda found: float(_descriptors.NumAliphaticRings(found)),
    "aromatic_rings": lambda found: float(_descriptors.NumAromaticRings(found)),
}

_AT_ONCE = 200  # texts: a second of work for a process


def compute_traits(texts: Sequence[str], traits: Sequence[str], jobs: int = 1) -> Iterator[tuple[Any, ...] | None]:
    """Compute traits of each text, in the order of the texts; None for an invalid text.

    Parameters
    ----------
    texts
        SMILES.
    traits
        Names in :data:`TRAITS`.
    jobs
        Number of processes; -1 for one per core.

    Raises
    ------
    UnknownNameError
        For a trait that is not in the table.
    InputError
        For an invalid number of jobs.
    """
    jobs = check_jobs(jobs)
    for name in traits:
        if name not in TRAITS:
            raise UnknownNameError("molecular trait", name, TRAITS, "grammar_rae.chem.TRAITS")
    parts = [list(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE)]
    tasks = [(part, traits) for part in parts]
    # The workers import only chem, which must not import PyTorch.
    found: Iterator[list[tuple[Any, ...] | None]]
    found = starmap(_compute_part, tasks) if len(tasks) < 2 else map_parts(_compute_part, tasks, jobs)
    yield from chain.from_iterable(found)


@quiet
def _compute_part(texts: Sequence[str], traits: Sequence[str]) -> list[tuple[Any, ...] | None]:
    functions = [TRAITS[name] for name in traits]
    molecules = map(molecule_or_none, texts)
    return [None if found is None else tuple(function(found) for function in functions) for found in molecules]
