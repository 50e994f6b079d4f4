"""What an optimisation begins with: texts, their codes and their scores."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.datasets import as_pandas, is_frame, read_rows
from grammar_rae.errors import DataError, InputError
from grammar_rae.optimization.journal import Initial
from grammar_rae.optimization.proposals import Decoder
from grammar_rae.optimization.result import Optimization
from grammar_rae.scores import Score
from grammar_rae.scores.evaluation import evaluate_rows

NOT_VALID = "not valid"
TWICE = "a duplicate of another text of the data"
REJECTED = "rejected by the model's codec"


class StartTexts(NamedTuple):
    """Texts to start from, why some cannot be used ("" where they can), and their values and codes where known.

    ``values`` (N, M) and ``codes`` (N, D) are None where they are not known yet.
    """

    texts: list[str]
    values: NDArray[np.float64] | None
    problems: list[str]
    codes: NDArray[np.float32] | None = None


def parse_data(data: Any, scores: Sequence[Score]) -> StartTexts:
    """The texts of what a user may pass as data, and their values of the scores where these are known.

    Parameters
    ----------
    data
        A list, array or Series of texts; ``(texts, values)`` with values (N,) or (N, M); a DataFrame, whose texts
        are in the column ``text`` or else in the one that :func:`grammar_rae.datasets.read_rows` chooses, and whose
        values are taken if it has a column for each score; or the result of another run: what that one began with,
        with its codes.

    Raises
    ------
    InputError
        For anything else, or values that are not numbers.
    DataError
        If there is no text at all, or the table has no column of texts.
    """
    if isinstance(data, Optimization):
        texts = data.initial["text"].tolist()
        return StartTexts(texts, _values_in(data, scores), [""] * len(texts), data.initial_codes)
    values, column = None, None
    if is_frame(data):
        data = as_pandas(data)
        names = [one.name for one in scores]
        if all(name in data.columns for name in names):
            values = data[names]
        column = next((name for name in data.columns if str(name).lower() == "text"), None)
        data = data.drop(columns=[name for name in names if name in data.columns])
    elif isinstance(data, tuple) and len(data) == 2 and not isinstance(data[1], str):
        data, values = data
    if isinstance(data, str | bytes | os.PathLike) or not isinstance(data, Iterable):
        raise InputError(
            "the data to start from are not texts",
            received=f"{type(data).__name__}",
            expected="a list, array or Series of texts; (texts, values); or a table",
        )
    rows = list(read_rows(data, column))
    texts = [row.text for row in rows]
    table = None if values is None else _value_table(values, len(texts), len(scores))
    return StartTexts(texts, table, [row.problem or "" for row in rows])


def _value_table(values: Any, n_texts: int, n_scores: int) -> NDArray[np.float64]:
    """The values as (N, M)."""
    try:
        table = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the values of the data are not numbers ({error})", expected="numbers, nan for none"
        ) from error
    table = table[:, None] if table.ndim == 1 else table
    if table.shape != (n_texts, n_scores):
        raise InputError(
            "texts and values do not match",
            received=f"values {np.shape(values)} for {n_texts} texts",
            expected=f"({n_texts}, {n_scores})",
        )
    return table


def _values_in(run: Optimization, scores: Sequence[Score]) -> NDArray[np.float64] | None:
    """The values (N, M) of what a run began with; None if it had another score, or other constants."""
    constants = run.settings.get("constants", {})
    if any(one.name not in run.scores or constants.get(one.name, {}) != one.constants for one in scores):
        return None
    return run.initial[[one.name for one in scores]].to_numpy(np.float64)


def sample_data(model: Any, n: int, seed: int, constraint: Any) -> StartTexts:
    """Texts drawn from the model itself."""
    texts = list(model.sample(n, seed=seed, constraint=constraint).texts)
    return StartTexts(texts, None, [""] * len(texts))


def encode_data(decoder: Decoder, what: StartTexts) -> tuple[Initial, NDArray[np.float64] | None]:
    """The texts that can be encoded, each once, as the model's codec spells them, with their codes and values.

    Raises
    ------
    DataError
        If fewer than two are left.
    """
    if what.codes is not None:
        return Initial(what.texts, what.codes), what.values
    left_out: Counter[str] = Counter()
    kept: dict[str, int] = {}
    for index, (text, problem) in enumerate(zip(what.texts, what.problems, strict=True)):
        spelled = None if problem else decoder.model.codec.canonical(text)
        if problem or spelled is None or spelled in kept:
            left_out[problem or (NOT_VALID if spelled is None else TWICE)] += 1
        else:
            kept[spelled] = index
    texts = list(kept)
    codes, accepted = decoder.encode(texts)
    if len(accepted) < len(texts):
        left_out[REJECTED] += len(texts) - len(accepted)
    texts = [texts[row] for row in accepted]
    if len(texts) < 2:
        why = ", ".join(f"{reason}: {count}" for reason, count in left_out.most_common())
        raise DataError(
            "too few texts are left to begin with",
            received=f"{len(texts)}{f' ({why})' if why else ''}",
            expected="2 or more",
        )
    if not np.isfinite(codes).all():
        raise InputError("latent codes are not finite", remedy="The encoder diverged: lower the learning rate.")
    rows = np.array(list(kept.values()))[accepted]
    return Initial(texts, codes, dict(left_out)), None if what.values is None else what.values[rows]


def values_of(scores: Sequence[Score], texts: Sequence[str], jobs: int) -> Iterator[tuple[tuple[float, ...], str]]:
    """The values of each text, and the reason where one is missing, as soon as it and those before it are ready.

    So a value may be kept before the next one is known, and a kill loses no more than is being evaluated.
    """
    for row in evaluate_rows([one.function for one in scores], texts, jobs):
        yield join_row(scores, row)


def join_row(scores: Sequence[Score], row: Sequence[tuple[float | None, str | None]]) -> tuple[tuple[float, ...], str]:
    """The values of one text, nan where there is none, and the first reason for that, else ""."""
    values = tuple(math.nan if value is None else value for value, _ in row)
    return values, _first_reason(scores, [reason for _, reason in row])


def join_reasons(
    columns: Sequence[NDArray[np.float64]], failures: Sequence[dict[int, str]], scores: Sequence[Score]
) -> list[tuple[tuple[float, ...], str]]:
    """The rows of columns of values, with the first reason of each row that has one."""
    rows = []
    for index, row in enumerate(zip(*columns, strict=True)):
        reason = _first_reason(scores, [reasons.get(index) for reasons in failures])
        rows.append((tuple(float(value) for value in row), reason))
    return rows


def _first_reason(scores: Sequence[Score], reasons: Sequence[str | None]) -> str:
    """The first of the scores' reasons for one text (None where a score has a value), with its score; else ""."""
    found = [(score.name, reason) for score, reason in zip(scores, reasons, strict=True) if reason is not None]
    if not found:
        return ""
    return ": ".join(found[0]) if len(scores) > 1 else found[0][1]
