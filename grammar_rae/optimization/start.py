"""What an optimisation begins with: texts, their codes and their scores."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.datasets import read_rows
from grammar_rae.datasets.reading import SMILES_COLUMNS
from grammar_rae.errors import DataError, InputError
from grammar_rae.optimization.journal import Initial
from grammar_rae.optimization.proposals import encode_some
from grammar_rae.optimization.result import Optimization
from grammar_rae.scores import Score
from grammar_rae.scores.evaluation import rows_of

NOT_VALID = "not valid"
TWICE = "a text that stands in the data twice"
NOT_TAKEN = "the model's codec does not take it"


class Given(NamedTuple):
    """Texts as the user gave them, and their values (N, M) and codes (N, D) where they are known."""

    texts: list[str]
    values: NDArray[np.float64] | None
    problems: list[str]
    codes: NDArray[np.float32] | None = None


def given(data: Any, scores: Sequence[Score]) -> Given:
    """The texts of what a user may give as data, and their values of the scores where these are known.

    Parameters
    ----------
    data
        A list, array or Series of texts; ``(texts, values)`` with values (N,) or (N, M); a DataFrame, whose texts
        are in the column ``text`` or in one of SMILES, and whose values are taken where it has a column for each score;
        or the result of another run: what that one began with, with its codes.

    Raises
    ------
    InputError
        For what is none of these, or values that are no numbers.
    DataError
        When there is no text at all.
    """
    names, values = [one.name for one in scores], None
    if isinstance(data, Optimization):
        texts = data.initial["text"].tolist()
        return Given(texts, _values_in(data, scores), [""] * len(texts), data.initial_codes)
    if hasattr(data, "columns"):
        columns = {str(name).lower(): name for name in data.columns}
        found = [columns[name] for name in ("text", *SMILES_COLUMNS) if name in columns]
        if not found:
            raise InputError(
                "the table has no column of texts",
                received=", ".join(map(str, data.columns)),
                expected="a column named text or smiles",
            )
        if all(name in data.columns for name in names):
            values = data[names]
        data = data[found[0]]
    elif isinstance(data, tuple) and len(data) == 2 and not isinstance(data[1], str):
        data, values = data
    if isinstance(data, str | bytes | os.PathLike) or not isinstance(data, Iterable):
        raise InputError(
            "this is no list of texts",
            received=f"{type(data).__name__}",
            expected="a list, array or Series of texts; (texts, values); or a table",
        )
    rows = list(read_rows(data))
    texts = [row.text for row in rows]
    problems = [row.problem or "" for row in rows]
    if values is None:
        return Given(texts, None, problems)
    try:
        table = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the values of the data are no numbers ({error})", expected="numbers, nan for none"
        ) from error
    table = table[:, None] if table.ndim == 1 else table
    if table.shape != (len(texts), len(names)):
        raise InputError(
            "texts and values do not belong together",
            received=f"values {np.shape(values)} for {len(texts)} texts",
            expected=f"({len(texts)}, {len(names)})",
        )
    return Given(texts, table, problems)


def _values_in(run: Optimization, scores: Sequence[Score]) -> NDArray[np.float64] | None:
    """The values (N, M) of what a run began with; None where it had another score, or standardised one otherwise."""
    constants = run.settings.get("constants", {})
    if any(one.name not in run.scores or constants.get(one.name, {}) != one.constants for one in scores):
        return None
    return run.initial[[one.name for one in scores]].to_numpy(np.float64)


def drawn(model: Any, n: int, seed: int, constraint: Any) -> Given:
    """Texts from the model itself."""
    texts = list(model.sample(n, seed=seed, constraint=constraint).texts)
    return Given(texts, None, [""] * len(texts))


def initial(model: Any, what: Given) -> tuple[Initial, NDArray[np.float64] | None]:
    """The texts that can be encoded, each once, as the model's codec spells them, with their codes and values.

    Raises
    ------
    DataError
        When fewer than two are left.
    """
    if what.codes is not None:
        return Initial(what.texts, what.codes), what.values
    left_out: Counter[str] = Counter()
    kept: dict[str, int] = {}
    for index, (text, problem) in enumerate(zip(what.texts, what.problems, strict=True)):
        spelled = None if problem else model.codec.canonical(text)
        if problem or spelled is None or spelled in kept:
            left_out[problem or (NOT_VALID if spelled is None else TWICE)] += 1
        else:
            kept[spelled] = index
    texts = list(kept)
    codes, taken = encode_some(model, texts)
    if not taken.all():
        left_out[NOT_TAKEN] += int((~taken).sum())
    texts = [text for text, good in zip(texts, taken, strict=True) if good]
    if len(texts) < 2:
        why = ", ".join(f"{reason}: {count}" for reason, count in left_out.most_common())
        raise DataError(
            "too few texts are left to begin with",
            received=f"{len(texts)}{f' ({why})' if why else ''}",
            expected="2 or more",
        )
    if not np.isfinite(codes).all():
        raise InputError("latent codes are not finite", remedy="The encoder diverged: lower the learning rate.")
    rows = np.array(list(kept.values()))[taken]
    return Initial(texts, codes, dict(left_out)), None if what.values is None else what.values[rows]


def values_of(scores: Sequence[Score], texts: Sequence[str], jobs: int) -> Iterator[tuple[tuple[float, ...], str]]:
    """The values of each text, and the reason where one is missing, as soon as it and those before it are ready.

    So what is given may be kept before the next is known, and a kill loses no more than is being evaluated.
    """
    for row in rows_of([one.function for one in scores], texts, jobs):
        values = tuple(math.nan if value is None else value for value, _ in row)
        yield values, _first_reason(scores, [reason for _, reason in row])


def with_reasons(
    columns: Sequence[NDArray[np.float64]], failures: Sequence[dict[int, str]], scores: Sequence[Score]
) -> list[tuple[tuple[float, ...], str]]:
    """The rows of columns of values, with the first reason of each row that has one."""
    rows = []
    for index, row in enumerate(zip(*columns, strict=True)):
        told = _first_reason(scores, [reasons.get(index) for reasons in failures])
        rows.append((tuple(float(value) for value in row), told))
    return rows


def _first_reason(scores: Sequence[Score], reasons: Sequence[str | None]) -> str:
    """Of the scores' reasons for one text, None where a score has a value: the first, and whose it is; else ""."""
    told = [(score.name, reason) for score, reason in zip(scores, reasons, strict=True) if reason is not None]
    if not told:
        return ""
    return ": ".join(told[0]) if len(scores) > 1 else told[0][1]
