"""Baselines of the goals: searches by the same calls, from the same start, with less than a strategy has.

Each is a pure function of what was evaluated and a seed, so the record of a search is all that it needs to go on.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.graph_ga import breed
from benchmarks.grid import read_rows
from grammar_rae.errors import GrammarRAEError
from grammar_rae.optimization import Search
from grammar_rae.optimization.fingerprints import fingerprint_counts
from grammar_rae.optimization.surrogates import Known, Points, TanimotoSurrogate
from grammar_rae.seeds import wrap_seed

CALLS = "calls.jsonl"
"""The record of a search: one line a batch."""

DRAWS = "draws"
"""The origin of the model's own draws."""

POOL = 8
"""Draws, times a batch, that the process on fingerprints chooses from."""


class Proposal(NamedTuple):
    """A molecule to evaluate, how it was made, and what was expected of it."""

    text: str
    origin: str
    expected: float | None = None


def graph_ga(model: Any, known: pd.DataFrame, n: int, seed: int, constraint: Any) -> list[Proposal]:
    """Children of molecular graphs: :mod:`benchmarks.graph_ga`."""
    values = np.maximum(known["value"].fillna(0).to_numpy(np.float64), 0)
    return [Proposal(*one) for one in breed(known["smiles"].tolist(), values, n, [seed, len(known)])]


def gp_bo(model: Any, known: pd.DataFrame, n: int, seed: int, constraint: Any) -> list[Proposal]:
    """The model's own draws, chosen by the process on fingerprints: upper bounds, each with another weight."""
    texts = [one.text for one in draw(model, known, POOL * n, seed, constraint)]
    learned, asked = fingerprint_counts(known["smiles"].tolist()), fingerprint_counts(texts)
    assert learned is not None and asked is not None
    values = known["value"].fillna(0).to_numpy(np.float64)
    nowhere = np.zeros((len(known), 1)), np.zeros((len(texts), 1))
    process = TanimotoSurrogate().fit(Known(Points(nowhere[0], learned), values, np.zeros(len(known), np.int64)), seed)
    mean, spread = process.predict(Points(nowhere[1], asked))
    rng = np.random.default_rng([seed, len(known)])
    free = np.ones(len(texts), bool)
    chosen = []
    for _ in range(min(n, len(texts))):
        best = int(np.where(free, mean + 10 ** rng.uniform(-1.5, 0.3) * spread, -np.inf).argmax())
        chosen.append(Proposal(texts[best], DRAWS, float(mean[best])))
        free[best] = False
    return chosen


def draw(model: Any, known: pd.DataFrame, n: int, seed: int, constraint: Any) -> list[Proposal]:
    """The model's plain draws, at most n that are not known."""
    drawn = model.sample(n + n // 4 + 8, seed=wrap_seed(seed + len(known)), constraint=constraint)
    new = dict.fromkeys(drawn.texts).keys() - set(known["smiles"])
    return [Proposal(text, DRAWS) for text in dict.fromkeys(drawn.texts) if text in new][:n]


def begin(model: Any, n: int, seed: int, constraint: Any) -> list[Proposal]:
    """The plain draws that a search of this seed begins with."""
    search = Search(model, {"value": "maximize"}, constraint=constraint, n_initial=n, seed=seed)
    return [Proposal(text, DRAWS) for text in search.ask(n)["smiles"]]


BASELINES: dict[str, Callable[[Any, pd.DataFrame, int, int, Any], list[Proposal]]] = {
    "graph_ga": graph_ga,
    "gp_bo": gp_bo,
}
"""Baselines by name: (model, what is known, how many, seed, constraint) -> what to evaluate next."""


def run(
    name: str,
    model: Any,
    score: Callable[[str], float],
    folder: Path,
    *,
    calls: int,
    initial: int,
    batch: Callable[[int], int],
    seed: int,
    constraint: Any,
) -> Iterator[pd.DataFrame]:
    """What is known after each batch, from the first that the folder has not; draws of the model come first.

    ``batch`` says how many are evaluated at once where so many are known. A DataFrame with ``smiles``, ``value``,
    ``origin``, ``batch`` (from 1) and ``expected``; where the score failed, no value.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CALLS
    batches: list[Any] = [row["calls"] for row in _whole(path)]
    known = _frame(batches)
    yield known
    while len(known) < calls:
        size = min(calls - len(known), batch(len(known)) if batches else initial)
        new = BASELINES[name](model, known, size, seed, constraint) if batches else begin(model, size, seed, constraint)
        if not new:
            return
        found = [[one.text, _evaluate(score, one.text), one.origin, one.expected] for one in new]
        _append(path, found)
        batches.append(found)
        known = _frame(batches)
        yield known


def _evaluate(score: Callable[[str], float], text: str) -> float | None:
    """The value of a text; None where the score refuses it, which is a call that counts."""
    try:
        value = float(score(text))
    except (GrammarRAEError, ValueError, RuntimeError):
        return None
    return value if math.isfinite(value) else None


def _frame(batches: Sequence[Sequence[Any]]) -> pd.DataFrame:
    rows = [[*one, number] for number, batch in enumerate(batches, 1) for one in batch]
    frame = pd.DataFrame(rows, columns=["smiles", "value", "origin", "expected", "batch"])
    return frame.astype({"value": np.float64, "expected": np.float64})


def _whole(path: Path) -> list[Any]:
    """The batches of a record, without what a kill has left of a line."""
    if path.exists():
        blob = path.read_bytes()
        if not blob.endswith(b"\n"):
            path.write_bytes(blob[: blob.rfind(b"\n") + 1])
    return read_rows(path)


def _append(path: Path, found: Sequence[Any]) -> None:
    with path.open("ab") as file:
        file.write(json.dumps({"calls": found}).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
