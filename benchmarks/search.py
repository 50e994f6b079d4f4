"""Searches of one trained model side by side: strategies and seeds, what they found and how long they took."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import ge, le
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.grid import Cell, Run, Study, check_names
from benchmarks.rows import Row
from grammar_rae.errors import InputError
from grammar_rae.model import TextModel
from grammar_rae.optimization import STRATEGIES, Optimization, optimize
from grammar_rae.optimization.journal import TEXTS
from grammar_rae.scores import get_score

BEST = 3


@dataclass(frozen=True)
class SearchStudy(Study):
    """A study of searches of one model; each search has a folder of its own in that of the study.

    Attributes
    ----------
    model
        The folder of the model.
    data
        Texts that each search begins with; None to draw them.
    score
        The name of the score.
    strategies, seeds
        One search for each pair.
    iterations, batch, decodings, constraint
        As :func:`optimize` takes them.
    reach
        A value: rows say whether a search came as far, also rows of earlier searches.
    """

    model: Path
    data: Sequence[str] | None
    score: str
    strategies: Sequence[str]
    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    iterations: int = 5
    batch: int = 50
    decodings: int = 1
    constraint: str | None = None
    reach: float | None = None

    def __post_init__(self) -> None:
        if not self.strategies or not self.seeds:
            raise InputError("a study needs a strategy and a seed", received=f"{self.strategies}, {self.seeds}")
        check_names("strategy", self.strategies, STRATEGIES)
        get_score(self.score)  # an unknown name is refused before any work

    @property
    def runs(self) -> list[Run]:
        """One run, whose cells are the searches."""
        settings = {
            "score": self.score,
            "iterations": self.iterations,
            "batch": self.batch,
            "decodings": self.decodings,
            "constraint": self.constraint,
        }
        cells = [
            Cell({"strategy": strategy, "seed": seed}, partial(_search, self, strategy, seed))
            for seed in self.seeds
            for strategy in self.strategies
        ]
        return [Run(self.score, self.folder, settings, self._load, cells)]

    def show(self, row: Row) -> Row:
        """A row that says whether the search came as far as was asked."""
        plain = {name: value for name, value in row.items() if name != "reached"}
        if self.reach is None:
            return plain
        far = ge if get_score(self.score).higher_is_better else le
        return plain | {"reached": any(far(value, self.reach) for value in row["best"])}

    def _load(self) -> "_Searching":
        return _Searching(TextModel.load(self.model), None if self.data is None else list(self.data))


@dataclass
class _Searching:
    """The model, and what the next search may begin with."""

    model: TextModel
    data: Any


def _search(study: SearchStudy, strategy: str, seed: int, one: _Searching) -> Row:
    home = study.folder / f"{strategy}-seed{seed}"
    begun = time.perf_counter()
    # A search that was stopped has what it began with in its folder. It is not given again: where another search went
    # before, it came with its scores, and now it would look like other data.
    read = (home / TEXTS).is_file()
    found = optimize(
        one.model,
        study.score,
        None if read else one.data,
        n_iterations=study.iterations,
        batch_size=study.batch,
        strategy=strategy,
        decodings=study.decodings,
        constraint=study.constraint,
        seed=seed,
        folder=home,
        resume=read,
        progress=study.progress,
        jobs=-1,
    )
    one.data = one.data if one.data is None else found
    seconds = time.perf_counter() - begun
    return {"recipe": one.model.recipe_.name, **_figures(found, study), "seconds": seconds}


def _figures(found: Optimization, study: SearchStudy) -> Row:
    name = found.scores[0]
    best, curve = found.best(BEST), found.curve()
    return {
        "data": len(found.initial),
        "initial_best": found.initial_best[name][1],
        "best": best[name].tolist(),
        "texts": best["text"].tolist(),
        "curve": [float(value) for value in curve[:: study.batch]],
        "evaluated": len(found.history),
        "valid": found.validity,
        "decoded": int(found.decoded["decoded"].sum()),
        "decoded_invalid": int(found.decoded["invalid"].sum()),
        "mean": float(np.nanmean(found.history[name])) if found.history[name].notna().any() else None,
        **{f"surrogate_{figure}": value for figure, value in found.surrogate.get(name, {}).items()},
    }


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table: a line a strategy, means and standard deviations over the seeds."""
    first = rows[0]
    better = max if get_score(first["score"]).higher_is_better else min
    lines = [
        f"{first['score']}, {first['iterations']} x {first['batch']} evaluations, {first['data']:,} texts to begin "
        f"with, the best of which has {first['initial_best']:.4g}; {len({row['seed'] for row in rows})} seeds: mean "
        "and standard deviation, then the best of all seeds.",
        "",
        "| strategy | first | second | third | best of all | mean of the evaluated | reached | valid of all decoded "
        "| seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for strategy in dict.fromkeys(row["strategy"] for row in rows):
        mine = [row for row in rows if row["strategy"] == strategy]
        ranks = [[row["best"][rank] for row in mine if len(row["best"]) > rank] for rank in range(BEST)]
        top = [row for row in mine if row["best"]]
        best = better(((row["best"][0], row["texts"][0]) for row in top), default=None)
        means = [row["mean"] for row in mine if row["mean"] is not None]
        reached = [row["reached"] for row in mine if "reached" in row]
        lines.append(
            "| "
            + " | ".join(
                [
                    strategy,
                    *(f"{np.mean(rank):.3g} ± {np.std(rank):.2g}" if rank else "-" for rank in ranks),
                    f"{best[0]:.4g} `{best[1]}`" if best else "-",
                    f"{np.mean(means):.3g}" if means else "-",
                    f"{sum(reached)} of {len(reached)}" if reached else "-",
                    f"{1 - sum(row['decoded_invalid'] for row in mine) / sum(row['decoded'] for row in mine):.1%}",
                    f"{np.mean([row['seconds'] for row in mine]):.0f}",
                ]
            )
            + " |"
        )
    return "\n".join(lines) + "\n"
