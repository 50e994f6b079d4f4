"""The page of a search that was asked and told: the best molecules, what carries their score, and what it hides."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grammar_rae.report import Table, line_chart, write_page
from grammar_rae.report.charts import stairs
from grammar_rae.report.evidence import columns_of, gather_evidence, remark_on, tabulate

if TYPE_CHECKING:
    from grammar_rae.optimization import Profile, Search

CARRIES = 0.7
"""The share of the rise of the score from which on one objective carries it."""

_TINY = 1e-6  # desirabilities below this count as this in logarithms


def write_search_report(
    path: str | os.PathLike[str], search: "Search", *, n: int = 30, title: str | None = None, command: str = ""
) -> None:
    """Write the page; a file of this name is replaced in one step or left as it was.

    Parameters
    ----------
    path
        The HTML file; its folder must exist.
    search
        The search, with its model if likelihoods are to be shown.
    n
        The largest number of molecules to show: the best ones, or the Pareto front of several objectives.
    title
        What stands above; without it the objectives.
    command
        What makes the same page again, for the reader to copy.

    Raises
    ------
    InputError, DataError
        As :func:`grammar_rae.report.write_page`.
    """
    history, profile = search.history(), search.profile
    shown = search.best(n) if len(profile.targets) == 1 else search.front().head(n)
    known = history.loc[history["origin"] == "data", "smiles"].tolist() or first_of(history)["smiles"].tolist()
    texts = shown["smiles"].tolist()
    evidence = gather_evidence(texts, known, search.model)
    carried = describe_rise(profile, first_of(history), shown)
    write_page(
        path,
        title=title or f"Search for {' and '.join(profile.names)}",
        molecules=texts,
        values=_values(profile, shown) | columns_of(evidence),
        facts=_facts(search, history),
        remarks=[*_remark_on_rise(carried), *remark_on(evidence, known)],
        tables=[*_table_of_rise(profile, carried), *tabulate(evidence)],
        charts=[_chart(history, target.name, target.sign) for target in profile.targets],
        heading="Search",
        command=command,
        kind="molecules" if evidence else "text",
    )


def first_of(history: pd.DataFrame) -> pd.DataFrame:
    """What there was before a strategy chose anything: the data, or else the first draws."""
    names = [column for column in history.columns if column.endswith("_expected")]
    return history[history[names].isna().all(axis=1)]


def describe_rise(profile: "Profile", first: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """By objective, its mean worth before the search and in the best molecules, and its share of the score's rise.

    The worth is the desirability, or the value where there is none. The score is the mean that merges, of which each
    objective has a term: its weighted desirability, or, in a geometric mean, the logarithm of that. A share is the rise
    of the term over the sum of all rises, nan where objectives are not merged or the score did not rise.
    """
    before, after = (profile.worths(rows[profile.names].to_numpy(np.float64)) for rows in (first, best))
    falls = [one.transform is None and one.direction == "minimize" for one in profile.objectives]
    signs = np.where(falls, -1.0, 1.0)
    found = pd.DataFrame({"before": signs * _means(before), "best": signs * _means(after)}, index=profile.names)
    found["share"] = np.nan
    if profile.merged:
        if profile.merge == "geometric":
            before, after = (np.log(np.maximum(part, _TINY)) for part in (before, after))
        rises = profile.weights * (_means(after) - _means(before))
        if rises.sum() > 0:
            found["share"] = rises / rises.sum()
    return found


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(values)
    return np.asarray(np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1))


def _remark_on_rise(carried: pd.DataFrame) -> list[str]:
    share = carried["share"]
    if len(share) < 2 or share.isna().all() or share.max() < CARRIES:
        return []
    return [f"{share.idxmax()} carries the score: {share.max():.0%} of its rise over the first molecules is its own."]


def _table_of_rise(profile: "Profile", carried: pd.DataFrame) -> list[Table]:
    worth = "desirability" if profile.merged else "value or desirability"
    head = ("objective", "weight", f"mean {worth} at first", "of the molecules shown", "share of the rise")
    rows = [
        (
            name,
            f"{weight:.2f}" if profile.merged else "",
            f"{row['before']:.3g}",
            f"{row['best']:.3g}",
            "" if np.isnan(row["share"]) else f"{row['share']:.0%}",
        )
        for (name, row), weight in zip(carried.iterrows(), profile.weights, strict=True)
    ]
    return [Table("What carries the score", head, [tuple(map(str, row)) for row in rows])]


def _values(profile: "Profile", shown: pd.DataFrame) -> dict[str, list[Any]]:
    """Lines of the cards: targets, values, what these are worth, and how a molecule was made."""
    names = dict.fromkeys([*(target.name for target in profile.targets), *profile.names])
    found: dict[str, list[Any]] = {name: shown[name].tolist() for name in names}
    worths = profile.worths(shown[profile.names].to_numpy(np.float64))
    for objective, column in zip(profile.objectives, worths.T, strict=True):
        if objective.transform is not None:
            found[f"{objective.name} is worth"] = column.tolist()
    return found | {"batch": shown["batch"].tolist(), "made by": shown["origin"].tolist()}


def _facts(search: "Search", history: pd.DataFrame) -> dict[str, str | int | float]:
    profile, settings = search.profile, search.settings
    facts: dict[str, str | int | float] = {}
    for name, sign in profile.targets:
        best = search.best(1, name)
        facts[f"{'highest' if sign > 0 else 'lowest'} {name}"] = float(best[name].iloc[0]) if len(best) else "none"
    if len(profile.targets) > 1:
        facts["on the Pareto front"] = len(search.front())
    facts |= {
        "molecules": len(history),
        "without a value": int((history["reason"] != "").sum()),
        "pending": len(search.pending),
        "merged by": profile.merge if profile.merged else "nothing: a Pareto front",
        "limits": "none" if profile.limits is None else profile.limits.text,
        "strategy": settings["strategy"],
        "seed": settings["seed"],
        "constraint": settings["constraint"] or "the model's own",
    }
    return facts


def _chart(history: pd.DataFrame, name: str, sign: float) -> str:
    """The best value of a target after so many molecules, and the mean of each batch."""
    values = history[name].to_numpy(np.float64)
    known = np.fmax.accumulate(sign * values) if len(values) else values
    batches = history.groupby("batch")[name]
    curves = {
        "best so far": stairs((sign * known).tolist()),
        "mean of the batch": (batches.size().cumsum().tolist(), batches.mean().tolist()),
    }
    return line_chart(curves, title=name, x_label="molecules")
