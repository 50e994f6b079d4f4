"""An accelerator beside the CPU: the same results on small input, and how fast it trains.

What is computed in float32 in another order of summation differs in the last digits, and may turn a single draw into
another one; so numbers are compared with a tolerance, and texts by the share that are equal.
"""

import time
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import torch

from benchmarks.rows import Row
from grammar_rae.datasets import TokenDataset, sample_texts
from grammar_rae.density import MixtureDensity
from grammar_rae.errors import InputError
from grammar_rae.model import TextModel
from grammar_rae.resources import bundled_file, bundled_model

BATCHES = (512, 1024, 2048, 4096, 8192)
SAMPLE = "data/moses_sample.smi.gz"


def run(device: str = "cuda", rows: int = 200, seconds: float = 20.0, data: TokenDataset | None = None) -> list[Row]:
    """Compare a device with the CPU, then measure its rate of training.

    Parameters
    ----------
    device
        As PyTorch names it; ``"cpu"`` compares the CPU with itself.
    rows
        How many texts are compared.
    seconds
        The training of each batch size lasts so long; 0 leaves the rates out.
    data
        What is trained on for the rates; None for the bundled sample.

    Raises
    ------
    InputError
        For a device that is not there.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("there is no such device", received=device, remedy="Pass another one, for example cpu.")
    texts = sample_texts(bundled_file(SAMPLE), rows, seed=0)
    found = [{"device": device, **row} for row in _compare(device, texts)]
    for batch in BATCHES if seconds else ():
        found.append({"device": device, **_rate(device, batch, seconds, data)})
    return found


def _compare(device: str, texts: list[str]) -> Iterator[Row]:
    here, there = (TextModel.load(bundled_model()) for _ in range(2))
    there.to(device)
    z, other = here.encode(texts), there.encode(texts)
    yield {"compared": "codes", "n": len(z), "largest_difference": float(np.abs(z - other).max())}
    for constraint, beam in product(("grammar", "chemistry"), (None, 5)):
        one, two = (model.decode(z, constraint=constraint, beam=beam) for model in (here, there))
        yield {"compared": f"decoded, {constraint}, beam {beam}", "n": len(z), "equal": _equal(one, two)}
    for constraint in ("grammar", "chemistry"):
        drawn = [model.sample(len(z), valid_only=False, seed=0, constraint=constraint) for model in (here, there)]
        validity = [result.validity for result in drawn]
        yield {"compared": f"draws, {constraint}", "n": len(z), "validity": validity[1], "validity_cpu": validity[0]}
    likely = [model.log_prob(texts, errors="nan") for model in (here, there)]
    yield {"compared": "log-probabilities", "largest_difference": float(np.nanmax(np.abs(likely[0] - likely[1])))}
    scores = []
    for place in ("cpu", device):
        density = MixtureDensity(z.shape[1], 3, solver="torch").to(place).fit(torch.from_numpy(z).to(place), seed=0)
        scores.append(density.score(torch.from_numpy(z)))
    yield {"compared": "mixture by EM, mean log-likelihood", "difference": abs(scores[0] - scores[1])}
    losses = []
    for place in ("cpu", device):
        options: dict[str, Any] = {"accelerator": place.partition(":")[0], "precision": "32-true", "epochs": 1}
        history = TextModel("tiny", overrides=options).fit(texts, jobs=1).history
        losses.append(float((history.best or {})["validation_loss"] or np.nan))
    yield {"compared": "validation loss after an epoch", "value": losses[1], "value_cpu": losses[0]}


def _equal(one: list[str], two: list[str]) -> float:
    return float(np.mean([a == b for a, b in zip(one, two, strict=True)]))


def _rate(device: str, batch: int, seconds: float, data: TokenDataset | None) -> Row:
    source: Any = sample_texts(bundled_file(SAMPLE), 20_000, seed=0) if data is None else data
    options: dict[str, Any] = {"accelerator": device.partition(":")[0], "batch_size": batch, "validate_every": 1e6}
    began = time.monotonic()
    history = TextModel("moses", time_limit=seconds, overrides=options).fit(source).history
    rates = [row["rate"] for row in history.rows if row["rate"]]
    return {
        "compared": f"training, batches of {batch}",
        "rows_a_second": float(np.median([rate for rate in rates if rate is not None])),
        "seconds": time.monotonic() - began,
    }
