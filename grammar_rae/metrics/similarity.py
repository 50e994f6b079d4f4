"""Tanimoto similarities of many fingerprints: products of matrices of bits, a tile at a time."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.errors import InputError

Packed = NDArray[np.uint8]
Floats = NDArray[np.float64]

_TILE = 4096  # rows of either side: a tile of similarities takes 64 MB


def nearest_similarity(
    fingerprints: Packed, reference: Packed | None = None, device: str | torch.device = "cpu"
) -> Floats:
    """The Tanimoto similarity of each fingerprint to the nearest reference fingerprint.

    Parameters
    ----------
    fingerprints
        Packed bits, uint8 (N, W).
    reference
        (M, W); None compares with the other fingerprints of the same set, which needs at least two.
    device
        The device of the products.

    Returns
    -------
    float64 (N,)

    Raises
    ------
    InputError
        For arrays of other shapes or widths, or without a row.
    """
    own = reference is None
    others = fingerprints if reference is None else reference
    _check(fingerprints, others, least=2 if own else 1)
    nearest = torch.zeros(len(fingerprints), dtype=torch.float32, device=device)
    for rows, columns, tile in _tiles(fingerprints, others, torch.device(device)):
        if own and rows == columns:
            tile.fill_diagonal_(0)
        nearest[rows] = torch.maximum(nearest[rows], tile.amax(dim=1))
    return nearest.cpu().numpy().astype(np.float64)


def mean_powers(fingerprints: Packed, powers: Sequence[int], device: str | torch.device = "cpu") -> Floats:
    """For each fingerprint, the means of the powers of its similarities to all of the set, itself included.

    Returns
    -------
    float64 (P, N), one row for each power.

    Raises
    ------
    InputError
        As :func:`nearest_similarity`.
    """
    _check(fingerprints, fingerprints, least=1)
    sums = torch.zeros(len(powers), len(fingerprints), dtype=torch.float64, device=device)
    for rows, _, tile in _tiles(fingerprints, fingerprints, torch.device(device)):
        for total, power in zip(sums, powers, strict=True):
            total[rows] += (tile if power == 1 else tile**power).sum(dim=1, dtype=torch.float64)
    return (sums / len(fingerprints)).cpu().numpy()


def _tiles(first: Packed, second: Packed, device: torch.device) -> Iterator[tuple[slice, slice, Tensor]]:
    """Slices of both sides, and the similarities (B, C) between them; 1 for two fingerprints without bits."""
    for rows, left in _blocks(first, device):
        count = left.sum(dim=1, keepdim=True)
        for columns, right in _blocks(second, device):
            common = left @ right.T
            union = (count + right.sum(dim=1)).sub_(common)
            yield rows, columns, common.div_(union).nan_to_num_(nan=1.0)


def _blocks(packed: Packed, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    for start in range(0, len(packed), _TILE):
        rows = slice(start, min(start + _TILE, len(packed)))
        # Counts of bits are small integers, which float32 represents exactly.
        yield rows, torch.from_numpy(np.unpackbits(packed[rows], axis=1)).to(device, torch.float32)


def _check(first: Packed, second: Packed, least: int) -> None:
    for part in (first, second):
        if part.ndim != 2 or part.dtype != np.uint8 or part.shape[1] != first.shape[1] or len(part) < least:
            raise InputError(
                "fingerprints have the wrong type, shape or number",
                received=f"{first.dtype} of shape {first.shape}, {second.dtype} of shape {second.shape}",
                expected=f"packed bits, uint8 (N, W) and (M, W), {least} row{'s' if least > 1 else ''} or more",
            )
