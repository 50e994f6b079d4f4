"""The figures of a training as curves over its seconds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grammar_rae.report.charts import Curve

FIGURES = ("loss", "validation_loss", "exact", "validation_exact")
"""The figures of a training that are drawn."""

_MEANS = ("loss", "exact")  # over the steps since the row before
_LEAST = 0.25  # of the steps that a row usually has


def curves_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Curve]:
    """The curve of each figure of a training that was ever taken.

    A mean over far fewer steps than is usual, as the last row before an end often has, is left out: it says how these
    few batches were, and would look like a turn of the training.

    Parameters
    ----------
    rows
        Those of a history.

    Returns
    -------
    dict
        Name -> (seconds, values).
    """
    steps = np.diff([0, *(row["step"] for row in rows)])
    taken = steps > 0
    least = _LEAST * float(np.median(steps[taken])) if taken.any() else 0.0
    curves: dict[str, Curve] = {}
    for name in FIGURES:
        points = [
            (row["seconds"], row[name])
            for row, n in zip(rows, steps, strict=True)
            if row.get(name) is not None and (name not in _MEANS or n >= least)
        ]
        if points:
            seconds, values = zip(*points, strict=True)
            curves[name] = (list(seconds), list(values))
    return curves
