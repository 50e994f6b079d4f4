"""Searches of one trained model side by side: strategies and seeds, what they found and how long they took."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import ge, le
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import rows as common
from benchmarks.rows import Row
from benchmarks.grid import check_names, latest, read_rows
from grammar_rae.errors import InputError
from grammar_rae.model import TextModel
from grammar_rae.optimization import STRATEGIES, Optimization, optimize
from grammar_rae.optimization.journal import TEXTS
from grammar_rae.scores import get_score

BEST = 3


@dataclass(frozen=True)
class Searches:
    """What to search, how, and where to keep it.

    Attributes
    ----------
    folder
        Of the study: a folder for each search, and ``results.jsonl``.
    model
        The folder of the model.
    data
        Texts that each search begins with; None to draw them.
    score
        By name.
    strategies, seeds
        One search each.
    iterations, batch, decodings, constraint
        As :func:`optimize` takes them.
    reach
        A value: whether a search came as far is told, also of searches that were made before.
    progress
        Whether to show progress bars.
    """

    folder: Path
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
    progress: bool = True

    def __post_init__(self) -> None:
        if not self.strategies or not self.seeds:
            raise InputError("a study needs a strategy and a seed", received=f"{self.strategies}, {self.seeds}")
        check_names("strategy", self.strategies, STRATEGIES)
        get_score(self.score)  # an unknown name is told before any work

    @property
    def results(self) -> Path:
        return self.folder / "results.jsonl"

    def key(self, strategy: str, seed: int) -> Row:
        """What tells a search's row from others'."""
        return {
            "score": self.score,
            "strategy": strategy,
            "seed": seed,
            "iterations": self.iterations,
            "batch": self.batch,
            "decodings": self.decodings,
            "constraint": self.constraint,
        }


def run(study: Searches) -> Iterator[Row]:
    """The row of each search, as they are ready; those that were measured before are not made again."""
    model = TextModel.load(study.model)
    begun: Any = None if study.data is None else list(study.data)
    for seed in study.seeds:
        for strategy in study.strategies:
            key = study.key(strategy, seed)
            row = latest(read_rows(study.results), key)
            if row is None:
                row, begun = _measured(study, model, begun, strategy, seed)
                common.append(study.results, [row])
            yield {name: value for name, value in row.items() if name != "reached"} | _reached(study, row)


def _measured(study: Searches, model: TextModel, data: Any, strategy: str, seed: int) -> tuple[Row, Any]:
    """The row of a search, and what the next one may begin with."""
    home = study.folder / f"{strategy}-seed{seed}"
    begun = time.perf_counter()
    # A search that was stopped has what it began with in its folder. It is not given again: where another search went
    # before, it came with its scores, and now it would look like other data.
    read = (home / TEXTS).is_file()
    found = optimize(
        model,
        study.score,
        None if read else data,
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
    row = {
        **study.key(strategy, seed),
        "recipe": model.recipe_.name,
        **(figures := _figures(found, study)),
        **_reached(study, figures),
        "seconds": time.perf_counter() - begun,
        **common.machine(),
    }
    return row, data if data is None else found


def _figures(found: Optimization, study: Searches) -> Row:
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


def _reached(study: Searches, figures: Row) -> Row:
    """Whether a search came as far as was asked; nothing where nothing was asked."""
    if study.reach is None:
        return {}
    far = ge if get_score(study.score).higher_is_better else le
    return {"reached": any(far(value, study.reach) for value in figures["best"])}


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
