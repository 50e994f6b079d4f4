"""The page of an optimisation: the best texts, how the best value rose, and the facts."""

import os
from typing import TYPE_CHECKING, Any

from grammar_rae.gallery import MOLECULES
from grammar_rae.report import line_chart, write_page
from grammar_rae.report.charts import stairs
from grammar_rae.report.evidence import columns_of, gather_evidence, remark_on, tabulate

if TYPE_CHECKING:
    from grammar_rae.optimization import Optimization

MOST_REASONS = 3
"""The largest number of reasons of failure that are shown; the history has them all."""


def write_optimization_report(
    path: str | os.PathLike[str],
    result: "Optimization",
    *,
    n: int = 30,
    kind: str = "molecules",
    title: str | None = None,
    model: Any = None,
    command: str = "",
) -> None:
    """Write the page; a file of this name is replaced in one step or left as it was.

    Parameters
    ----------
    path, kind, title, command
        As for :func:`grammar_rae.report.write_report`; without a title the page is named after its scores.
    result
        What :func:`grammar_rae.optimization.optimize` returned.
    n
        The largest number of texts to show: the best ones, or the Pareto front of several scores.
    model
        The model that was searched, for the likelihoods of molecules; None shows none.

    Raises
    ------
    InputError, UnknownNameError, DataError
        As :func:`grammar_rae.report.write_page`; InputError also for an ``n`` below 1.
    """
    best = result.best(n)
    shown = best if len(result.scores) == 1 else result.front().head(n)
    texts = [str(text) for text in shown["text"]]
    known = result.initial["text"].tolist() if kind == MOLECULES else []
    evidence = gather_evidence(texts, known, model) if kind == MOLECULES else []
    values = {name: shown[name].tolist() for name in [*result.scores, "iteration"]}
    write_page(
        path,
        title=title or f"Optimisation of {' and '.join(result.scores)}",
        molecules=texts,
        values=values | columns_of(evidence),
        facts=_facts(result),
        remarks=remark_on(evidence, known),
        tables=tabulate(evidence),
        charts=[_chart(result, name) for name in result.scores],
        heading="Search",
        command=command,
        kind=kind,
    )


def _facts(result: "Optimization") -> dict[str, str | int | float]:
    settings = result.settings
    facts: dict[str, str | int | float] = {}
    for name in result.scores:
        first = result.best(1, name)
        way = "highest" if result.maximize[name] else "lowest"
        facts[f"{way} {name}"] = float(first[name].iloc[0]) if len(first) else "none"
        facts[f"{way} {name} in the data"] = result.initial_best[name][1]
    if len(result.scores) > 1:
        facts["on the Pareto front"] = len(result.front())
    facts |= {
        "evaluations": len(result.history),
        "valid": f"{result.validity:.1%}" if len(result.history) else "none",
        "known before": int(result.history["known"].sum()),
        "data": len(result.initial.dropna(subset=result.scores)),
        "strategy": settings["strategy"],
        "seed": settings["seed"],
        "decodings per point": settings["decodings"],
        "codes decoded": int(result.decoded["decoded"].sum()),
        "constraint": settings["constraint"] or "the model's own",
    }
    for name, figures in result.surrogate.items():
        facts[f"surrogate of {name}"] = (
            f"RMSE {figures['rmse']:.3g}, log-likelihood {figures['log_likelihood']:.3g} on {figures['n']:.0f} held out"
        )
    for label, counts in (("without a value", result.failures), ("left out of the data", result.left_out)):
        if counts:
            shown = [f"{reason} ({count})" for reason, count in list(counts.items())[:MOST_REASONS]]
            facts[label] = ", ".join([*shown, *(["and others"] if len(counts) > MOST_REASONS else [])])
    return facts


def _chart(result: "Optimization", name: str) -> str:
    """A score's best value after so many evaluations, and the mean of each iteration's points."""
    best, iterations = result.curve(name), result.history.groupby("iteration")
    curves = {
        "best so far": stairs(best.tolist()),
        "mean of the iteration": (iterations.size().cumsum().tolist(), iterations[name].mean().tolist()),
    }
    return line_chart(curves, title=name, x_label="evaluations")
