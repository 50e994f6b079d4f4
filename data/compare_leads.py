"""Compare ways to train the drug-like model, each for the same time: ``python data/compare_leads.py OUT 2048 warm``.

Each lead is the recipe with a few settings of its own, trained with one seed for the same seconds on the same rows.
Costs are nats a molecule, so that codecs compare. Results are appended to OUT as JSON, a line each.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from warm_start import Warm

import grammar_rae
from grammar_rae.datasets import TokenDataset
from grammar_rae.model import TextModel
from grammar_rae.recipes import get_recipe

TOLD: dict[str, Any] = {"condition": "properties", "condition_options": {"none": 0.3}}
HEAD: dict[str, Any] = {"head": "linear", "head_options": {"bits": 512}}
PLAIN: dict[str, Any] = {
    "condition": "none",
    "condition_options": {},
    "head": "none",
    "head_options": {},
    "echo": (),
    "latent": 64,
    "decoder_options": {"hidden": 768, "tally": True, "rank": 128},
    "regularizer_options": {},
}


def decoder(**options: Any) -> dict[str, Any]:
    """The plain decoder with other options."""
    return {"decoder_options": {**PLAIN["decoder_options"], **options}}


LEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "512": ("512", decoder(rank=None)),
    "2048-full": ("2048", decoder(rank=None)),
    "2048": ("2048", {}),
    "4096": ("4096", {}),
    "latent-128": ("2048", {"latent": 128}),
    "clean-15": ("2048", {"regularizer_options": {"clean": 0.15}}),
    "nothing": ("2048", {"regularizer_options": {"clean": 0.25, "nothing": 0.1}}),
    "batch-256": ("2048", {"batch_size": 256, "warmup_steps": 400}),
    "rate-4": ("2048", {"learning_rate": 4e-3}),
    "layers": ("2048", decoder(hidden=512, layers=2)),
    "wide": ("2048", decoder(hidden=1024)),
    "encoder-384": ("2048", {"encoder_options": {"hidden": 384}}),
    "told": ("2048", TOLD),
    "told-head": ("2048", TOLD | HEAD),
    "warm": ("2048", {}),
    "warm-4096": ("4096", {}),
    "warm-latent-128": ("2048", {"latent": 128}),
    "warm-all": ("2048", TOLD | HEAD | {"regularizer_options": {"clean": 0.25, "nothing": 0.1}}),
    "warm-batch-256": ("2048", {"batch_size": 256}),
    "warm-rate-1": ("2048", {"learning_rate": 1e-3}),
    "warm-all-128": ("2048", TOLD | HEAD | {"regularizer_options": {"clean": 0.25, "nothing": 0.1}, "latent": 128}),
}


@torch.no_grad()
def costs(model: TextModel, data: TokenDataset) -> dict[str, float]:
    """Nats a molecule given codes with noise of some levels and without a code, and the share that is exact."""
    autoencoder, found = model.autoencoder_, {}
    order = np.argsort(data.lengths)
    for name, level in (("clean", 0.0), ("noise-0.5", 0.5), ("noise-1", 1.0), ("noise-2", 2.0), ("nothing", None)):
        if level is None and not getattr(autoencoder.regularizer, "without", 0):
            continue
        generator, total, exact = torch.Generator().manual_seed(0), 0.0, 0.0
        for rows in np.array_split(order, 10):
            x = data.batch(rows)
            if level is None:
                seen = autoencoder.without_code(len(x), model.recipe_.latent)
            else:
                seen = autoencoder.smooth(autoencoder.encode(x), level, generator)
            cost, right = autoencoder.likelihood(autoencoder.decoder(seen, x), x)
            total, exact = total + float(cost.sum()), exact + float(right.sum())
        found[name] = total / len(data)
        if name == "clean":
            found["exact"] = exact / len(data)
    return found


def run(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one lead and measure it."""
    codec_name, settings = LEADS[name]
    torch.set_num_threads(1)
    data = TokenDataset.open(f"{arguments.data}-{codec_name}/train")
    validation = TokenDataset.open(f"{arguments.data}-{codec_name}/validation")
    overrides = PLAIN | {"average": 0.99, "schedule": "cosine", "precision": "32-true"} | settings
    model = TextModel("molecules", time_limit=arguments.seconds, seed=arguments.seed, overrides=overrides)
    if name.startswith("warm"):
        model.__class__ = type("Warm", (Warm,), {})
    began = time.process_time()
    model.fit(data, validation=validation)
    found: dict[str, Any] = {"lead": name, "seed": arguments.seed, "seconds": arguments.seconds}
    found["cpu_seconds"] = time.process_time() - began
    steps = max(row["step"] for row in model.history.rows)
    found["rows"] = steps * model._resolved().training["batch_size"]
    found["parameters"] = sum(parameter.numel() for parameter in model.autoencoder_.parameters())
    found |= costs(model, validation)
    found["valid"] = model.sample(500, valid_only=False, seed=1, smoothing=2.0, temperature=1.0).validity
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("leads", nargs="+", choices=sorted(LEADS))
    parser.add_argument("--data", required=True, help="folders DATA-512, DATA-2048, ... that prepare_druglike.py wrote")
    parser.add_argument("--seconds", type=float, default=360)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    get_recipe("molecules", grammar_rae.recipes.TextRecipe)
    for name in arguments.leads:
        found = run(name, arguments)
        with arguments.output.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(found) + "\n")
        print(found, flush=True)


if __name__ == "__main__":
    main()
