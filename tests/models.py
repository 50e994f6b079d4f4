"""What the tests of models share: weights to compare, saved folders to change, and processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grammar_rae import checkpoint
from grammar_rae.training import Callback, TrainingState

ROOT = Path(__file__).resolve().parent.parent


def outside(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run code in a process of its own."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {**model.autoencoder_.state_dict(), **{f"density.{k}": v for k, v in model.density_.state_dict().items()}}


def same_weights(one: Any, other: Any) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def unusable_codes(latent: int) -> list[Any]:
    """What is no row, or no table, of finite numbers for a model of this latent dimension."""
    return [
        np.zeros((2, latent + 1)),
        np.zeros((1, 2, latent)),
        np.zeros(0),
        None,
        3.0,
        ["CCO"],
        [[1.0], [1.0, 2.0]],
        np.full((1, latent), np.nan),
        np.full((1, latent), np.inf),
    ]


UNUSABLE_ARGUMENTS: list[dict[str, Any]] = [
    {"epochs": 0},
    {"epochs": 1.5},
    {"time_limit": -1},
    {"seed": -1},
    {"overrides": {"latent": 0}},
    {"overrides": {"latnet": 3}},
    {"overrides": {"seed": 1}},
    {"epochs": 1, "overrides": {"epochs": 1}},
]
"""What neither kind of model can be trained with."""


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """What changes the folder's model.json."""

    def apply(folder: Path) -> None:
        index = json.loads((folder / "model.json").read_text())
        change(index)
        index["sha256"] = checkpoint.index_digest(index)  # sealed again: it is the content that is to be refused
        (folder / "model.json").write_text(json.dumps(index))

    return apply


class InterruptAt(Callback):
    """Press Ctrl-C after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, state: TrainingState) -> None:
        if state.step == self.step:
            raise KeyboardInterrupt
