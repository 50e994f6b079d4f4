"""The rows of a study of Figure 2 as Markdown, beside the paper's figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.rows import Row
from benchmarks.structured import DECODINGS, ENCODINGS, PRIOR_POINTS, texts_of
from benchmarks.structured_problems import PROTOCOLS, RAW
from grammar_rae.recipes import STRUCTURED_MODELS
from grammar_rae.scores import get_score

EMPTY = "-"


def markdown(rows: Sequence[Row]) -> str:
    """The tables of the rows: the searches, what comes back, what the density gives, and the surrogate."""
    parts = []
    for problem in dict.fromkeys(row["problem"] for row in rows):
        mine = [row for row in rows if row["problem"] == problem]
        parts += [f"## {problem.capitalize()}", "", *_searches(mine, problem), *_reconstruction(mine), *_draws(mine)]
    return "\n".join(parts) + "\n"


def _searches(rows: list[Row], problem: str) -> list[str]:
    found = [row for row in rows if row["part"] == "search"]
    if not found:
        return []
    first, protocol = found[0], PROTOCOLS[problem]
    trials = len({row["trial"] for row in found})
    lines = [
        f"Bayesian optimisation of {first['score']}, {first['iterations']} x {first['batch']} points, strategy "
        f"{first['strategy']}, {protocol.decodings} decodings a point, {trials} trials: mean and standard deviation "
        "over trials; the best three texts of all trials. A point is valid when one of its decodings is; the average "
        f"is that of the valid points. The searches decode by {RAW}, the paper's way; for other decodings their points "
        f"are decoded again, {protocol.again} times. The best of the texts that they begin with has "
        f"{first['initial_best']:.2f}, and a point "
        "may come to one of these texts." + _of_characters(found),
        "",
        "| model | decoding | % valid | of single decodings | average score | best three |",
        "|---|---|---|---|---|---|",
    ]
    for recipe, mine in _by(found, "recipe").items():
        for constraint in _constraints(mine, "valid_"):
            best = sorted(_best_texts(mine, constraint).values(), reverse=get_score(first["score"]).higher_is_better)
            cells = [
                _spread([row[f"valid_{constraint}"] for row in mine], 2),
                _spread([row[f"share_{constraint}"] for row in mine], 2),
                _spread([row[f"average_{constraint}"] for row in mine], 2),
                ", ".join(f"{value:.2f}" for value in best[:3]) or EMPTY,
            ]
            lines.append(_line(recipe, constraint, *cells))
        if (paper := protocol.paper.get(mine[0]["model"])) is not None:
            best_three = ", ".join(f"{value:.2f}" for value in paper[2])
            lines.append(_line("the paper's", RAW, f"{paper[0]:.2f}", EMPTY, f"{paper[1]:.2f}", best_three))
    lines += [
        "",
        "| model | surrogate's RMSE | log-likelihood | different valid texts | new texts |",
        "|---|---|---|---|---|",
    ]
    for recipe, mine in _by(found, "recipe").items():
        names = ("surrogate_rmse", "surrogate_log_likelihood", "different", "new")
        lines.append(_line(recipe, *(_spread([row.get(name) for row in mine], 3) for name in names)))
    return [*lines, ""]


def _reconstruction(rows: list[Row]) -> list[str]:
    found = [row for row in rows if row["part"] == "reconstruction"]
    if not found:
        return []
    constraints = _constraints(found, "exact_")
    refused = ", ".join(f"{row['refused']:,} by {row['recipe']}" for row in found if row["refused"])
    lines = [
        f"Exact reconstruction of {found[0]['rows'] + found[0]['refused']:,} rows that were not trained on"
        + (" (they chose the learning rate and the best epoch)" if found[0]["validated"] else "")
        + (f", less those that a codec does not take ({refused})" if refused else "")
        + ": the likeliest text of each code, and, for one row in ten, by the grammar VAE's protocol: "
        f"{ENCODINGS} encodings with the model's noise, {DECODINGS} decodings at temperature 1 of each.",
        "",
        "| model | " + " | ".join(constraints) + " | drawn |",
        "|---" * (len(constraints) + 2) + "|",
    ]
    lines += [
        _line(row["recipe"], *(_share(row.get(f"exact_{name}")) for name in constraints), _share(row["exact_drawn"]))
        for row in found
    ]
    return [*lines, ""]


def _draws(rows: list[Row]) -> list[str]:
    found = [row for row in rows if row["part"] == "draws"]
    if not found:
        return []
    lines = [
        f"Draws of the density: {found[0]['n']:,}, one text each, under each decoding; uniqueness among the valid, "
        f"novelty among the unique ones; and the validity of {DECODINGS} decodings of each of {PRIOR_POINTS:,} points "
        f"({RAW})." + _of_characters(found),
        "",
        "| model | density | decoding | valid | unique | novel | valid, drawn |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        for constraint in _constraints([row], "valid_"):
            cells = [_share(row[f"{name}_{constraint}"]) for name in ("valid", "unique", "novel")]
            drawn = _share(row["valid_drawn"]) if constraint == RAW else EMPTY
            lines.append(_line(row["recipe"], row["density"], constraint, *cells, drawn))
    return [*lines, ""]


def _constraints(rows: list[Row], prefix: str) -> list[str]:
    names = dict.fromkeys(name.removeprefix(prefix) for row in rows for name in row if name.startswith(prefix))
    return [name for name in names if name != "drawn"]


def _of_characters(rows: list[Row]) -> str:
    """A remark where a model has no grammar."""
    names = dict.fromkeys(row["recipe"] for row in rows if STRUCTURED_MODELS[row["model"]].characters)
    return (
        f" To {', '.join(names)} the grammar is that of any characters: it only ends a text in time." if names else ""
    )


def _best_texts(rows: list[Row], constraint: str) -> dict[Any, float]:
    """The best texts of each search, and their values; rows of the first versions have no texts of every constraint."""
    return {
        text: value
        for row in rows
        for values in [row[f"best_{constraint}"]]
        for text, value in zip(row.get(texts_of(constraint)) or values, values, strict=True)
    }


def _by(rows: list[Row], name: str) -> dict[Any, list[Row]]:
    return {value: [row for row in rows if row[name] == value] for value in dict.fromkeys(row[name] for row in rows)}


def _spread(values: Sequence[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.{digits}f} ± {np.std(known):.{digits}f}" if known else EMPTY


def _share(value: float | None) -> str:
    return EMPTY if value is None else f"{value:.1%}"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
