"""Numbers of one molecule, from its SMILES; :class:`~grammar_rae.errors.TextError` where RDKit refuses it."""

import gc
from collections.abc import Callable
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from rdkit import RDConfig
from rdkit.Chem import QED, Crippen, Descriptors, rdMolDescriptors

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule
from grammar_rae.errors import DataError

# RDKit's type stubs lack what these modules define while they are imported.
_crippen: Any = Crippen
_descriptors: Any = Descriptors
_qed: Any = QED


@quiet
def logp(text: str) -> float:
    """The octanol-water partition coefficient, as a logarithm (Wildman and Crippen, 1999)."""
    return float(_crippen.MolLogP(molecule(text)))


@quiet
def qed(text: str) -> float:
    """The quantitative estimate of drug-likeness, from 0 to 1 (Bickerton et al., 2012)."""
    return float(_qed.qed(molecule(text)))


@quiet
def sa(text: str) -> float:
    """The synthetic accessibility score, from 1 (easy) to 10 (hard) (Ertl and Schuffenhauer, 2009).

    Raises
    ------
    TextError
        When RDKit refuses the text.
    DataError
        When this installation of RDKit lacks the files of the score.
    """
    return sa_of(molecule(text))


@quiet
def weight(text: str) -> float:
    """The molecular weight in g/mol, at natural abundance where no isotope is given."""
    return float(_descriptors.MolWt(molecule(text)))


@quiet
def heavy_atoms(text: str) -> float:
    """The number of atoms other than hydrogen."""
    return float(molecule(text).GetNumHeavyAtoms())


@quiet
def rings(text: str) -> float:
    """The number of rings (the smallest set of smallest rings)."""
    return float(rdMolDescriptors.CalcNumRings(molecule(text)))


@quiet
def largest_ring(text: str) -> float:
    """The number of atoms in the largest ring (of the smallest set of smallest rings, symmetrised), or 0."""
    return _largest_ring(molecule(text))


@quiet
def logp_sa_and_largest_ring(text: str) -> tuple[float, float, float]:
    """:func:`logp`, :func:`sa` and :func:`largest_ring` of a molecule that is read once; errors as in :func:`sa`."""
    found = molecule(text)
    return float(_crippen.MolLogP(found)), sa_of(found), _largest_ring(found)


def sa_of(found: Any) -> float:
    """:func:`sa` of RDKit's molecule."""
    return float(_sa_scorer()(found))


def _largest_ring(found: Any) -> float:
    return float(max(map(len, found.GetRingInfo().AtomRings()), default=0))


@cache
def _sa_scorer() -> Callable[[Any], float]:
    """RDKit delivers the score as a script in its Contrib folder, not as a module that can be imported by name."""
    script = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    missing = [path for path in (script, script.with_name("fpscores.pkl.gz")) if not path.is_file()]
    spec = spec_from_file_location("grammar_rae_sascorer", script)
    if missing or spec is None or spec.loader is None:
        raise DataError(
            "this installation of RDKit lacks the synthetic accessibility score",
            expected=str((missing or [script])[0]),
            remedy="Install RDKit from PyPI (python -m pip install rdkit), which has it.",
        )
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.calculateScore  # type: ignore[no-any-return]


def forget_fragments() -> None:
    """Give back the table of fragments that :func:`sa` holds, some 64 MB; it is read again when it is needed."""
    _sa_scorer.cache_clear()
    gc.collect()  # the script's functions and their globals refer to each other


#: name -> function of a SMILES.
DESCRIPTORS: dict[str, Callable[[str], float]] = {
    "qed": qed,
    "logp": logp,
    "sa": sa,
    "weight": weight,
    "heavy_atoms": heavy_atoms,
    "rings": rings,
    "largest_ring": largest_ring,
}
