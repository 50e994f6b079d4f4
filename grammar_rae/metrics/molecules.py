"""Metrics of sets of molecules, given as SMILES.

Functions that need molecules raise :class:`~grammar_rae.errors.TextError` at the first invalid text: what to do with
those is a choice that a metric should not hide.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from grammar_rae import chem
from grammar_rae.errors import InputError, MissingExtraError
from grammar_rae.metrics.frechet import Moments, frechet_distance, moments

RING_SIZES = ("3", "4", "5", "6", "7", "8+")
"""The sizes of rings that :func:`ring_statistics` distinguishes."""

_WEIGHTS = "ChemNet_v0.13_pretrained.pt"
_CHARACTERS = 350  # what ChemNet was trained to read


def validity(smiles: Sequence[str]) -> float:
    """The share of texts that RDKit parses and sanitises; NaN without texts."""
    texts = as_list(smiles)
    return sum(map(chem.is_valid, texts)) / len(texts) if texts else float("nan")


def uniqueness(smiles: Sequence[str]) -> float:
    """The share of different molecules (canonical SMILES) among the valid ones; NaN where none is valid."""
    valid = [spelled for spelled in map(chem.canonical_or_none, as_list(smiles)) if spelled is not None]
    return len(set(valid)) / len(valid) if valid else float("nan")


def ring_statistics(smiles: Sequence[str]) -> dict[str, float]:
    """Statistics of the rings of molecules.

    Returns
    -------
    ``rings`` and ``aromatic_rings``, means over the molecules; and for each of :data:`RING_SIZES` the share of all
    rings, as ``rings_of_3`` to ``rings_of_8+`` (NaN without rings). Rings are those of
    :func:`grammar_rae.chem.ring_list`.

    Raises
    ------
    TextError
        For the first text that RDKit refuses.
    InputError
        Without molecules.
    """
    texts = as_list(smiles)
    if not texts:
        raise InputError("no molecules to count rings in", expected="one SMILES or more")
    sizes: Counter[str] = Counter()
    aromatic = 0
    for ring in (ring for text in texts for ring in chem.ring_list(text)):
        sizes[str(ring.size) if ring.size < 8 else "8+"] += 1
        aromatic += ring.aromatic
    rings = sizes.total()
    shares = {f"rings_of_{size}": sizes[size] / rings if rings else float("nan") for size in RING_SIZES}
    return {"rings": rings / len(texts), "aromatic_rings": aromatic / len(texts), **shares}


def fcd(
    smiles: Sequence[str] | Moments, reference: Sequence[str] | Moments, device: str | torch.device = "cpu"
) -> float:
    """The Fréchet ChemNet distance (Preuer et al., 2018): how far molecules are from reference molecules, 0 or more.

    It falls with the number of molecules, towards a limit: compare only distances of equally many to the same
    reference. Two samples of one set also differ by more than 0; measure that floor too.

    Parameters
    ----------
    smiles, reference
        The molecules and the reference molecules, or their :func:`chemnet_moments`.
    device
        Where ChemNet runs.

    Raises
    ------
    MissingExtraError
        Without the package fcd_torch, which holds ChemNet's weights.
    TextError
        For the first text that RDKit refuses.
    InputError
        For fewer than two molecules.
    """
    theirs, ours = (
        part if isinstance(part, Moments) else chemnet_moments(part, device) for part in (reference, smiles)
    )
    return frechet_distance(ours.mean, ours.covariance, theirs.mean, theirs.covariance)


def chemnet_moments(
    smiles: Sequence[str], device: str | torch.device = "cpu", batch_size: int = 256, progress: bool = False
) -> Moments:
    """Mean and covariance of the 512 activations of ChemNet's last hidden layer, as :func:`fcd` compares them.

    Each text is read as its canonical SMILES, as ChemNet was trained; only the first part of a molecule of several
    parts is read. Only one batch is held in memory. Parameters and errors as for :func:`fcd`.
    """
    return moments(_activations(as_list(smiles), torch.device(device), batch_size, progress))


def check_chemnet() -> Any:
    """Import the module with ChemNet, or raise :class:`~grammar_rae.errors.MissingExtraError`."""
    try:
        import fcd_torch.utils as chemnet
    except ImportError as error:
        raise MissingExtraError("fcd_torch", "metrics", "the Fréchet ChemNet distance") from error
    return chemnet


def _activations(
    texts: list[str], device: torch.device, batch_size: int, progress: bool
) -> Iterator[NDArray[np.float32]]:
    from grammar_rae.bars import bar_type

    tqdm = bar_type()

    chemnet = check_chemnet()
    # Only the net and its reading of SMILES come from fcd_torch. Its own class unpickles the weights (with older
    # versions of PyTorch) and calls functions that NumPy and SciPy have removed.
    weights: Any = torch.load(Path(chemnet.__file__).with_name(_WEIGHTS), map_location=device, weights_only=True)
    net = chemnet.load_imported_model(weights).to(device).eval()
    starts = range(0, len(texts), batch_size)
    for start in tqdm(starts, desc="ChemNet", leave=False, disable=not progress):
        spelled = map(chem.canonical, texts[start : start + batch_size])
        one_hot = np.stack([chemnet.get_one_hot(text, _CHARACTERS) for text in spelled]).astype(np.float32)
        x = torch.from_numpy(one_hot / one_hot.shape[2]).transpose(1, 2).to(device)
        with torch.inference_mode():
            activations: NDArray[np.float32] = net(x).cpu().numpy()
        yield activations


def as_list(smiles: Sequence[str]) -> list[str]:
    """Convert texts to a list; InputError for a single text."""
    if isinstance(smiles, str):
        raise InputError(
            "a set of molecules must be a list of strings", received=repr(smiles), expected=f"[{smiles!r}]"
        )
    return list(smiles)
