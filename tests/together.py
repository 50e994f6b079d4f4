"""A script that several processes run together: trainings of a model without noise, and what each of them saw.

``together.py FOLDER`` trains; ``together.py FOLDER STEP`` ends the second process, and nothing else, at that step.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent))  # before what pytest may not have put there

from toys import WIDTH, Losses, Rows, rows, toy

from grammar_rae.training import TrainingSettings, fit, is_main_process, writers

SETTINGS = TrainingSettings(
    epochs=2, batch_size=15, learning_rate=0.01, precision="32-true", accelerator="cpu", schedule="constant"
)
"""Batches of 15 rows and one of 11, none of which two processes share evenly; then 3 rows, too few to share."""

N = 15 * 9 + 11


class Quiet(nn.Module):
    """Linear both ways, without noise: whole batches and shared ones cost the same."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.encoder, self.decoder = nn.Linear(WIDTH, 4), nn.Linear(4, WIDTH)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        z = self.encoder(x)
        errors = (self.decoder(z) - x).square().sum(1)
        latent = 0.01 * z.square().sum(1).mean()
        parts = (errors.mean(), latent, torch.zeros(()), (errors < 0.5).float().mean())
        return Losses(errors.mean() + latent, *parts)


class Fatal(Rows):
    """Data that end the second process at a step."""

    def __init__(self, x: Tensor, step: int) -> None:
        super().__init__(x)
        self.step = step

    def batch(self, indices: NDArray[np.int64], /) -> Tensor:
        if len(self.asked) == self.step and not is_main_process():
            os._exit(9)
        return super().batch(indices)


def train(
    folder: Path | None = None,
    settings: TrainingSettings = SETTINGS,
    n: int = N,
    quiet: bool = True,
    **keywords: object,
) -> Any:
    """One training: its rows, weights and history, as JSON holds them."""
    torch.set_num_threads(1)
    model, data = Quiet() if quiet else toy(), rows(n)
    history = fit(model, data, rows(41, seed=1), settings, folder, **keywords)  # type: ignore[arg-type]
    weights = [value.double().flatten().tolist() for value in model.state_dict().values()]
    return {"asked": data.asked, "weights": weights, "history": history.to_dict()}


def main(folder: Path, step: int | None) -> None:
    settings = replace(SETTINGS, devices=None if "RANK" in os.environ or "SLURM_PROCID" in os.environ else 2)
    if step is not None:
        fit(Quiet(), Fatal(rows(N).x, step), rows(41, seed=1), replace(settings, checkpoint_every=0.0), folder)
        return
    result = {
        "whole": train(settings=settings),
        "few": train(settings=replace(settings, batch_size=4), n=4 * 4 + 3),
        "resumed": train(folder / "resumed", settings, resume=True),
        "noisy": train(settings=settings, quiet=False),
    }
    rank = 0 if is_main_process() else 1
    train(folder / "written", replace(settings, epochs=1), callbacks=writers((), folder / f"written-{rank}"))
    (folder / f"rank-{rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
