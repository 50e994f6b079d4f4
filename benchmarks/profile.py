"""Where the time of a training step goes, phase by phase, on the CPU."""

import time
from collections import defaultdict
from os import PathLike
from statistics import median

import torch

from benchmarks.rows import Row
from grammar_rae.codecs import codec_from_dict
from grammar_rae.datasets import TokenDataset
from grammar_rae.recipes import TextRecipe, build_text, get_recipe, training_settings
from grammar_rae.training import OPTIMIZERS, has_bfloat16, plan_batches


def run(folder: str | PathLike[str], recipe: str = "moses", steps: int = 60, seed: int = 0) -> list[Row]:
    """Median milliseconds of each phase of a training step, and its share of the whole.

    Parameters
    ----------
    folder
        An encoded data set.
    recipe
        What is trained; it must fit the data set's codec.
    steps
        Steps that are timed at most, after ten that are not (fewer where the data set is small).
    seed
        The random seed of the weights and of the order of the rows.
    """
    chosen = get_recipe(recipe, TextRecipe).replace(seed=seed)
    settings = training_settings(chosen)
    data = TokenDataset.open(folder)
    model = build_text(chosen, codec_from_dict(data.codec_dict)).autoencoder.train()
    optimizer = OPTIMIZERS[settings.optimizer](model.parameters(), lr=settings.learning_rate, fused=True)
    batches = plan_batches(len(data), settings.batch_size, seed, 0, data.lengths)
    warmup = min(10, len(batches) // 2)
    bf16 = has_bfloat16("cpu")
    taken: dict[str, list[float]] = defaultdict(list)
    for rows in batches[: steps + warmup]:
        clock = _Clock()
        x = data.batch(rows)
        clock.mark("batch from disk")
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            h = model.encoder(x)
            clock.mark("encoder")
            z, latent = model.objective(h)
            z = model.regularizer.perturb(z)
            out = model.decoder(z, x)
            clock.mark("decoder")
            reconstruction, _ = model.likelihood(out, x)
            loss = reconstruction.mean() + latent.mean() + model.regularizer.penalty(model.decoder, z, out)
            clock.mark("likelihood")
        loss.backward()
        clock.mark("backward")
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip or float("inf"))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        clock.mark("optimizer")
        for phase, seconds in clock.phases.items():
            taken[phase].append(seconds)
    medians = {phase: 1e3 * median(times[warmup:]) for phase, times in taken.items()}
    total = sum(medians.values())
    rows_ = [{"phase": phase, "milliseconds": value, "share": value / total} for phase, value in medians.items()]
    rate = 1e3 * settings.batch_size / total
    return [
        *rows_,
        {"phase": "step", "milliseconds": total, "share": 1.0, "molecules_a_second": rate, "bfloat16": bf16},
    ]


class _Clock:
    """Seconds between marks."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, phase: str) -> None:
        now = time.perf_counter()
        self.phases[phase] = now - self._last
        self._last = now
