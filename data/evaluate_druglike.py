"""Measure the drug-like model as it stands: ``python data/evaluate_druglike.py RUN DATA --moses test.csv.gz``.

The averaged weights of the training's state are taken, a density is fitted to the codes of some training rows, and the
figures are appended to RUN/figures.jsonl. ``--export`` writes the compact model with a density of 50,000 codes.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from compare_leads import costs
from sklearn.linear_model import Ridge
from train_models import TRAINING

from grammar_rae import checkpoint
from grammar_rae.chem import canonical_or_none
from grammar_rae.chem.properties import properties
from grammar_rae.codecs import codec_from_dict
from grammar_rae.conditions import PROPERTY_NAMES
from grammar_rae.datasets import TokenDataset
from grammar_rae.model import TextModel
from grammar_rae.model.fitted import FittedTexts
from grammar_rae.model.known import Known
from grammar_rae.recipes import TextRecipe, build_text, get_recipe
from grammar_rae.training import History

READ = ("logp", "weight", "tpsa", "qed", "sa", "rings")
ASKED = ("logp", "weight", "tpsa", "qed")


def load_average(run: Path, data: TokenDataset, held_out: TokenDataset, codes: int) -> tuple[TextModel, dict[str, Any]]:
    """The model with the averaged weights of a training's state, and where that is."""
    meta, groups = checkpoint.load(run / "state", require=("average",))
    recipe = get_recipe("molecules", TextRecipe).replace(
        **TRAINING["molecules"], max_length=data.codec_dict["max_length"]
    )
    codec = codec_from_dict(data.codec_dict)
    parts = build_text(recipe, codec)
    parts.autoencoder.load_state_dict(groups["average"])
    model = TextModel(recipe)
    history = History.from_dict(meta["history"])
    parts.autoencoder.eval()
    known = Known.of(data, codec)
    draft = FittedTexts(recipe=recipe, **parts._asdict(), codec=codec, atoms=data.atoms, known=known, history=history)
    model.fitted_ = draft
    ordered = data.subset(np.flatnonzero(np.asarray(data.facts.reordered) == 0)) if data.facts else data
    kept, held_out_codes = model._encode_some(ordered, codes), model._encode_some(held_out, 5000)
    percentiles = model._measure(draft, ordered)
    model.fitted_ = replace(draft, codes=kept, held_out_codes=held_out_codes, percentiles=percentiles)
    model._fit_density(recipe, parts.density, kept, 0)
    rows = [row for row in meta["history"]["rows"] if row["validation_loss"] is not None]
    last = rows[-1] if rows else {}
    told = {name: last.get(name) for name in ("validation_loss", "validation_exact")}
    return model, {"step": meta["position"]["step"], "seconds": round(meta["position"]["seconds"]), **told}


def reconstruction(model: TextModel, texts: list[str], n: int) -> dict[str, float]:
    """The share of the first n texts, in random order, that come back, also from the encoder's own codes."""
    chosen = [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:n]]
    found = model.reconstruction(chosen)
    alone = model.reconstruction(chosen, polish=0).share
    return {"n": len(chosen), "exact": found.share, "encoder alone": alone, "refused": found.refused / len(chosen)}


def fit_properties(model: TextModel, data: TokenDataset, held_out: TokenDataset) -> dict[str, float]:
    """The R² of linear fits of properties on codes, of rows that did not train."""
    sets = []
    for part in (data.subset(np.random.default_rng(0).permutation(len(data))[:30_000]), held_out):
        values = np.asarray(part.described().batch(np.arange(len(part))).properties)
        sets.append((model._encode_set(part, np.arange(len(part))), values))
    (z, values), (other, truth) = sets
    found = {}
    for column, name in enumerate(PROPERTY_NAMES):
        if name in READ:
            known, tested = np.isfinite(values[:, column]), np.isfinite(truth[:, column])
            fit = Ridge(1.0).fit(z[known], values[known, column])
            found[name] = float(fit.score(other[tested], truth[tested, column]))
    return found


def asked_for(model: TextModel, held_out: TokenDataset, n: int, smoothing: float, guidance: float) -> dict[str, float]:
    """The mean error of one property asked for at a time, over its deviation; values are those of held-out rows."""
    rows = held_out.described()
    values = np.asarray(rows.batch(np.arange(len(rows))).properties)
    condition: Any = model.autoencoder_.condition
    found = {}
    for name in ASKED:
        column = PROPERTY_NAMES.index(name)
        low, high = condition.ranges[name]  # what lies outside is refused
        wanted = values[(values[:, column] >= low) & (values[:, column] <= high), column]
        wanted = wanted[np.random.default_rng(0).integers(0, len(wanted), n)]
        errors, attempts = [], 0
        for seed, value in enumerate(wanted.tolist()):
            drawn = model.sample(2, seed=seed, properties={name: value}, smoothing=smoothing, guidance=guidance)
            errors += [abs(float(properties(text, [name])[0]) - value) for text in drawn.texts]
            attempts += drawn.attempts
        found[name] = float(np.mean(errors)) / float(condition.deviation[column])
        found[f"{name} valid"] = len(errors) / attempts
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--moses", type=Path, required=True)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--export", type=Path, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data, held_out = (TokenDataset.open(arguments.data / part) for part in ("train", "validation"))
    model, found = load_average(arguments.run, data, held_out, 50_000 if arguments.export else 15_000)
    tests = {name: (arguments.data / f"test-{name}.smi").read_text().split() for name in ("broad", "zinc")}
    tests["moses"] = pd.read_csv(arguments.moses)["SMILES"].tolist()
    found["reconstruction"] = {name: reconstruction(model, texts, arguments.n) for name, texts in tests.items()}
    drawn = model.sample(arguments.n, valid_only=False, seed=0)
    valid = [text for text in drawn.texts if canonical_or_none(text) is not None]
    found["drawn"] = {"n": arguments.n, "valid": len(valid) / arguments.n, "unique": len(set(valid)) / len(valid)}
    found["linear R2"] = fit_properties(model, data, held_out)
    found["nats"] = costs(model, held_out)
    found["asked"] = {str(g): asked_for(model, held_out, 60, 2.0, g) for g in (0.0, 1.0, 2.0)}
    with (arguments.run / "figures.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(found) + "\n")
    print(json.dumps(found, indent=1), flush=True)
    if arguments.export:
        model.save(arguments.export, compact=True)


if __name__ == "__main__":
    main()
