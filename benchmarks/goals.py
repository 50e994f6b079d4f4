"""Goal-directed benchmarks: what a search finds of PMO's and GuacaMol's tasks, by the number of calls of the score.

Protocol of PMO (Gao et al., NeurIPS 2022): only new valid molecules are calls; after every hundred of them the mean of
the k best so far is noted, and the area under these points, over all calls that are allowed, is the figure.
"""

import csv
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import baselines
from benchmarks.baselines import BASELINES
from benchmarks.grid import Cell, Run, Study, check_least, check_names
from benchmarks.rows import Row
from grammar_rae.chem import filter_matches, morgan, sa
from grammar_rae.errors import InputError, UnfamiliarWarning
from grammar_rae.metrics.similarity import mean_powers
from grammar_rae.model import TextModel
from grammar_rae.optimization import STRATEGIES, SURROGATES, Search
from grammar_rae.optimization.surrogates import Known, describe_points, rank_correlation
from grammar_rae.resources import bundled_file
from grammar_rae.scores import SUITES, get_score

EVERY = 100
"""Calls between two points of the curve."""

BEST = 100
"""Molecules that diversity and quality are measured on."""

LEAST = 10
"""Molecules that are asked for at once, at least."""

CHECKED = 10
"""Batches, spread over a search, before which every surrogate is asked what comes of them."""

POINTS = (100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""Calls after which the table of the curves has the mean of the ten best."""

PUBLISHED = "benchmarks/data/pmo_published.csv"


@dataclass(frozen=True)
class GoalsStudy(Study):
    """A study of searches for the tasks of a suite; each search has a folder of its own in that of the study.

    Attributes
    ----------
    model
        The folder of the model.
    suite
        ``pmo`` or ``guacamol``.
    tasks
        Names of tasks; none for all of the suite.
    strategies, seeds
        Strategies of the package or baselines of :mod:`benchmarks.baselines`; one search of each task for each pair.
    calls
        Molecules that each search may evaluate.
    batch, initial
        Molecules that are asked for at once, at most, and plain draws of the model before the strategy begins. It
        begins with small batches, which cost little as long as little is known: see :func:`batch_size`.
    constraint
        As :class:`Search` takes it.
    options
        Those of the strategies.
    """

    model: Path
    suite: str = "pmo"
    tasks: Sequence[str] = ()
    strategies: Sequence[str] = ("analogues",)
    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    calls: int = 10_000
    batch: int = 50
    initial: int = 100
    constraint: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.strategies or not self.seeds:
            raise InputError("a study needs a strategy and a seed", received=f"{self.strategies}, {self.seeds}")
        check_names("suite", [self.suite], SUITES)
        check_names(f"task of {self.suite}", self.tasks, [_short(name) for name in SUITES[self.suite]])
        check_names("strategy", self.strategies, [*STRATEGIES, *BASELINES])
        check_least(self, calls=2, batch=1, initial=2)
        if self.batch > self.calls:
            raise InputError(
                "the batch is larger than the budget", received=self.batch, expected=f"{self.calls} or less"
            )

    @property
    def runs(self) -> list[Run]:
        """One run a task, whose cells are the searches."""
        tasks = self.tasks or [_short(name) for name in SUITES[self.suite]]
        key = {"calls": self.calls, "batch": self.batch, "initial": self.initial, "constraint": self.constraint}
        return [
            Run(
                task,
                self.folder / task,
                {"model": Path(self.model).name, "suite": self.suite, "task": task, **key, "options": self.options},
                partial(TextModel.load, self.model),
                [
                    Cell({"strategy": strategy, "seed": seed}, partial(_search, self, task, strategy, seed))
                    for seed in self.seeds
                    for strategy in self.strategies
                ],
            )
            for task in tasks
        ]


def _search(study: GoalsStudy, task: str, strategy: str, seed: int, model: Any) -> Row:
    """One search to its end, from where it was stopped."""
    from tqdm.auto import tqdm

    objective = f"{study.suite}:{task}"
    folder = study.folder / task / f"{strategy}-seed{seed}"
    begun = time.perf_counter()
    if strategy in BASELINES:
        turns = _baseline(study, objective, strategy, seed, folder, model)
    else:
        turns = _turns(_open(study, objective, strategy, seed, folder, model), study)
    shows = deque(tqdm(turns, disable=not study.progress, desc=f"{task}, seed {seed}", unit="batch"), maxlen=1)
    seconds = time.perf_counter() - begun
    history = shows[0]()
    row = figures(history, objective, study.calls)
    return {**row, "surrogates": foresight(history, objective, model), "seconds": seconds}


def _open(study: GoalsStudy, objective: str, strategy: str, seed: int, folder: Path, model: Any) -> Search:
    return Search(
        model,
        {objective: "maximize"},
        strategy=strategy,
        constraint=study.constraint,
        n_initial=study.initial,
        budget=study.calls,
        seed=seed,
        folder=folder,
        **study.options,
    )


def _baseline(
    study: GoalsStudy, objective: str, name: str, seed: int, folder: Path, model: Any
) -> Iterator[Callable[[], pd.DataFrame]]:
    """The turns of a baseline, each with what gives its history."""
    score = get_score(objective).function
    batch = partial(batch_size, most=study.batch)
    sizes: dict[str, Any] = {"calls": study.calls, "initial": study.initial, "batch": batch}
    for known in baselines.run(name, model, score, folder, **sizes, seed=seed, constraint=study.constraint):
        renamed = known.rename(columns={"value": objective, "expected": f"{objective}_expected"})
        yield partial(pd.DataFrame, renamed)


def batch_size(known: int, most: int) -> int:
    """Molecules to ask for at once: a twentieth of those that are known, at least ten, and no more than ``most``."""
    return min(most, max(LEAST, known // 20))


def _turns(search: Search, study: GoalsStudy) -> Iterator[Callable[[], pd.DataFrame]]:
    """Ask and tell until the budget or the model has no more; after each turn, what gives the search's history."""
    yield search.history
    if search.pending:  # it was stopped between the two
        search.tell({"id": search.pending})
    while len(search) < study.calls:
        # The first draws come at once: none of them is chosen by what others told.
        known = len(search)
        size = study.initial - known if known < study.initial else batch_size(known, study.batch)
        batch = search.ask(min(size, study.calls - len(search)))
        if batch.empty:
            return
        search.tell(batch[["id"]])
        yield search.history


def figures(history: pd.DataFrame, objective: str, calls: int) -> Row:
    """What a search found, by the figures of PMO, from its molecules in the order of the calls."""
    values = np.nan_to_num(history[objective].to_numpy(np.float64))
    best = history.sort_values(objective, ascending=False, kind="stable")["smiles"].head(BEST).tolist()
    row: Row = {"evaluated": len(history), "failures": int(history[objective].isna().sum())}
    for k in (1, 10, 100):
        row[f"auc_top{k}"] = auc_top(values, k, calls)
        row[f"top{k}"] = float(np.sort(values)[-k:].mean())
    row["curve"] = [float(np.sort(values[:end])[-10:].mean()) for end in range(EVERY, len(values) + 1, EVERY)]
    row["diversity"] = diversity(best)
    row["sa"] = float(np.mean([sa(text) for text in best]))
    row["filters"] = float(np.mean([not filter_matches(text) for text in best]))
    row["surrogate"] = _foresight(history, objective)
    row["origins"] = {str(way): int(count) for way, count in history["origin"].value_counts().items()}
    row["best_origins"] = history.nlargest(BEST, objective)["origin"].value_counts().to_dict()
    row["texts"] = best[:3]
    return row


def auc_top(values: NDArray[np.float64], k: int, calls: int) -> float:
    """PMO's area under the mean of the k best of N values, in the order of the calls, from 0 to 1.

    Trapezoids between points after each hundred calls and the last, from (0, 0); where fewer than ``calls`` were made,
    the last mean holds to the end.
    """
    ends = [*range(EVERY, min(len(values), calls), EVERY), min(len(values), calls)]
    means = [float(np.sort(values[:end])[-k:].mean()) for end in ends]
    heights = np.array([0.0, *means])
    area = float((np.diff([0, *ends]) * (heights[1:] + heights[:-1]) / 2).sum())
    return float(area + (calls - ends[-1]) * means[-1]) / calls


def diversity(texts: Sequence[str]) -> float:
    """The mean distance, 1 less the Tanimoto similarity of Morgan fingerprints, of all pairs; nan for one text."""
    n = len(texts)
    if n < 2:
        return float("nan")
    similarity = mean_powers(np.array([morgan(text, 2048) for text in texts]), (1,))[0].mean()
    return float(1 - (n * similarity - 1) / (n - 1))


def _foresight(history: pd.DataFrame, objective: str) -> float | None:
    """The mean over batches of the rank correlation of expected and true values; None where nothing was expected."""
    known = history.dropna(subset=[objective, f"{objective}_expected"])
    found = [
        rank_correlation(batch[f"{objective}_expected"].to_numpy(), batch[objective].to_numpy())
        for _, batch in known.groupby("batch")
        if len(batch) > 2
    ]
    return float(np.mean(found)) if found else None


def foresight(history: pd.DataFrame, objective: str, model: Any) -> dict[str, float]:
    """By surrogate, the mean rank correlation of what it expects of a batch, by all before it, with what came of it.

    :data:`CHECKED` batches are asked about. Every surrogate sees those of the one search, which its own one chose.
    """
    history = history.dropna(subset=[objective])
    chosen = np.unique(history["batch"][history[f"{objective}_expected"].notna()])
    if not len(chosen):
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnfamiliarWarning)  # what is unfamiliar has a code as well as it goes
        encoded = model.encode(history["smiles"].tolist(), errors="skip")
    history = history.iloc[encoded.rows]
    points = describe_points(np.asarray(encoded.codes, np.float64), history["smiles"].tolist())
    values, batches = history[objective].to_numpy(np.float64), history["batch"].to_numpy(np.int64)
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, CHECKED).round().astype(int))]
    found: dict[str, list[float]] = {name: [] for name in SURROGATES}
    for number in chosen:
        before, then = np.flatnonzero(batches < number), np.flatnonzero(batches == number)
        if len(before) < 2 or len(then) < 3:
            continue
        known = Known(points, values, batches).take(before)
        for name, kind in SURROGATES.items():
            guess, _ = kind().fit(known, 0).predict(points.take(then))
            found[name].append(rank_correlation(guess, values[then]))
    return {name: float(np.mean(one)) for name, one in found.items() if one}


# ---- the table


def published() -> dict[str, dict[str, float]]:
    """By task of PMO, the AUC top-10 of other methods at 10,000 calls."""
    with bundled_file(PUBLISHED).open(encoding="utf-8", newline="") as file:
        return {row.pop("task"): {name: float(value) for name, value in row.items()} for row in csv.DictReader(file)}


def markdown(rows: Sequence[Row]) -> str:
    """The rows as tables: AUC top-10 beside what is published, and then what else there is to know of each strategy."""
    first = rows[0]
    seeds = len({row["seed"] for row in rows})
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    others = published() if first["suite"] == "pmo" else {}
    columns = list(next(iter(others.values()))) if others else []
    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    lines = [
        f"{first['suite']}, model {first['model']}, {first['calls']:,} calls, {seeds} seeds: AUC top-10, mean and "
        f"standard deviation.{' Other columns as published, at 10,000 calls.' if columns else ''}",
        "",
        f"| task | {' | '.join([*strategies, *columns])} |",
        f"|---|{'---|' * (len(strategies) + len(columns))}",
    ]
    sums = dict.fromkeys([*strategies, *columns], 0.0)
    for task in tasks:
        cells = []
        for strategy in strategies:
            found = [row["auc_top10"] for row in rows if (row["task"], row["strategy"]) == (task, strategy)]
            cells.append(f"{np.mean(found):.3f} ± {np.std(found):.3f}" if found else "-")
            sums[strategy] += float(np.mean(found)) if found else np.nan
        for column in columns:
            cells.append(f"{others[task][column]:.3f}")
            sums[column] += others[task][column]
        lines.append(f"| {task} | {' | '.join(cells)} |")
    lines.append(f"| **sum of {len(tasks)}** | {' | '.join(f'{value:.3f}' for value in sums.values())} |")
    return "\n".join([*lines, "", *_details(rows), "", *_curves(rows), "", *_surrogates(rows), ""])


def _details(rows: Sequence[Row]) -> list[str]:
    """The lines of the second table."""
    names = ["auc_top1", "auc_top100", "top1", "top10", "top100", "diversity", "sa", "filters", "surrogate", "seconds"]
    lines = [
        f"Of the best {BEST}: mean pairwise distance, mean SA score, share that passes MOSES's filters. Surrogate: "
        "rank correlation of what was expected of a batch with what came of it.",
        "",
        f"| task | strategy | {' | '.join(name.replace('_', ' ') for name in names)} |",
        f"|---|---|{'---|' * len(names)}",
    ]
    for task, strategy, mine in _groups(rows):
        cells = []
        for name in names:
            found = [row[name] for row in mine if row[name] is not None]
            cells.append(
                "-" if not found else f"{np.mean(found):.0f}" if name == "seconds" else f"{np.mean(found):.3f}"
            )
        lines.append(f"| {task} | {strategy} | {' | '.join(cells)} |")
    return lines


def _curves(rows: Sequence[Row]) -> list[str]:
    """The lines of the table of curves."""
    ends = [end for end in POINTS if end <= max(EVERY * len(row["curve"]) for row in rows)]
    lines = [
        "Mean of the ten best after so many calls.",
        "",
        f"| task | strategy | {' | '.join(f'{end:,}' for end in ends)} |",
        f"|---|---|{'---|' * len(ends)}",
    ]
    for task, strategy, mine in _groups(rows):
        cells = []
        for place in (end // EVERY - 1 for end in ends):
            found = [row["curve"][place] for row in mine if place < len(row["curve"])]
            cells.append(f"{np.mean(found):.3f}" if found else "-")
        lines.append(f"| {task} | {strategy} | {' | '.join(cells)} |")
    return lines


def _surrogates(rows: Sequence[Row]) -> list[str]:
    """The lines of the table of surrogates."""
    names = list(SURROGATES)
    lines = [
        f"Rank correlation of what each surrogate expects of a batch with what came of it, mean of {CHECKED} batches.",
        "",
        f"| task | strategy | {' | '.join(names)} |",
        f"|---|---|{'---|' * len(names)}",
    ]
    for task, strategy, mine in _groups(rows):
        columns = [[row["surrogates"][name] for row in mine if name in row.get("surrogates", {})] for name in names]
        cells = [f"{np.mean(column):.3f}" if column else "-" for column in columns]
        lines.append(f"| {task} | {strategy} | {' | '.join(cells)} |")
    return lines


def _groups(rows: Sequence[Row]) -> list[tuple[str, str, list[Row]]]:
    """Rows of one task and strategy, in the order in which they come."""
    pairs = dict.fromkeys((row["task"], row["strategy"]) for row in rows)
    return [(*pair, [row for row in rows if (row["task"], row["strategy"]) == pair]) for pair in pairs]


def _short(name: str) -> str:
    return name.partition(":")[2]
