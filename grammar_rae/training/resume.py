"""The saved state of a training, and whether it belongs to the training to resume."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from grammar_rae import checkpoint
from grammar_rae.errors import CheckpointError, TrainingError
from grammar_rae.seeds import check_seed
from grammar_rae.training.batches import DataSet
from grammar_rae.training.settings import FREE, TrainingSettings

GROUPS = ("weights", "best", "optimizer")

_REMEDY = "Resume with the same model, settings and data, or start a new training in another folder."


def identity(settings: TrainingSettings, sets: tuple[DataSet, DataSet], same: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal when a training is resumed, JSON-compatible."""
    agreed: dict[str, Any] = json.loads(json.dumps(dict(same)))
    found = agreed | {name: value for name, value in asdict(settings).items() if name not in FREE}
    for name, data in zip(("training", "validation"), sets, strict=True):
        fingerprint = getattr(data, "fingerprint", None)
        found |= {f"{name}_rows": len(data), f"{name}_data": None if fingerprint is None else str(fingerprint)}
    return found


def read(
    folder: Path, mine: Mapping[str, Any], autoencoder: nn.Module
) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """Read the saved state of a training with the identity ``mine`` and of this autoencoder.

    Raises
    ------
    TrainingError
        When there is no training to resume, or only another one.
    CheckpointError
        When the state is damaged.
    """
    if not checkpoint.exists(folder):
        raise TrainingError("no training to resume", where=str(folder), remedy="Train without resume first.")
    meta, tensors = checkpoint.load(folder, require=GROUPS)
    with require_format(folder):
        _compare(mine, meta["identity"], folder)
        for group in ("weights", "best"):
            if group == "weights" or tensors[group]:  # there is no best before the first validation
                _compare(_shapes(autoencoder.state_dict()), _shapes(tensors[group]), folder)
    return meta, tensors


def resumed_seed(home: Path) -> int | None:
    """The seed of the training whose state is in a folder; None where there is none."""
    folder = home / "state"
    if not checkpoint.exists(folder):
        return None
    with require_format(folder):
        return check_seed(checkpoint.read_meta(folder)["identity"]["seed"])


@contextmanager
def require_format(folder: Path) -> Iterator[None]:
    """Turn errors about the content of a state into a CheckpointError."""
    try:
        yield
    except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"the saved training state is not in the expected format ({type(error).__name__}: {error})",
            where=str(folder),
            remedy="Train again, in another folder.",
        ) from error


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], packed: Mapping[str, Any]) -> None:
    """Give an optimiser the state that :func:`grammar_rae.checkpoint.pack_optimizer` packed."""
    optimizer.load_state_dict(checkpoint.unpack_optimizer(tensors, packed))
    for parameter, slots in optimizer.state.items():
        for name, value in slots.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # In memory as the parameter is: fused optimisers pair the two by address, not by strides.
                slots[name] = torch.empty_like(parameter).copy_(value)


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in weights.items()}


def _compare(mine: Mapping[str, Any], saved: Mapping[str, Any], folder: Path) -> None:
    for name in sorted(mine.keys() | saved.keys()):
        if name not in saved or name not in mine or saved[name] != mine[name]:
            raise TrainingError(
                f"cannot resume another training: its {name} differs",
                received=repr(mine.get(name, "none")),
                expected=repr(saved.get(name, "none")),
                where=str(folder),
                remedy=_REMEDY,
            )
