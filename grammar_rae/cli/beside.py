"""The columns that stood beside the texts of a file, for tables of what became of these texts."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def read_beside(
    texts: Sequence[str], data: Path, column: str | None, canonical: Callable[[str], str | None]
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The names of a file's other columns, and their cells in the first row of each of N texts; None without a row.

    Parameters
    ----------
    texts
        In their canonical spelling.
    data, column
        The file, and its column of texts; None for the one that is named as such.
    canonical
        A text -> its canonical spelling, None if it is not valid.
    """
    from grammar_rae.datasets import read_records

    names, records = read_records(data, column, blocks=False)
    beside: dict[str | None, tuple[Any, ...]] = {}
    for record in records:
        if record.row.problem is None:
            beside.setdefault(canonical(record.row.text), record.cells)
    return list(names), [beside.get(text, (None,) * len(names)) for text in texts]


def append_columns(
    found: "pd.DataFrame", names: Sequence[str], cells: Sequence[tuple[Any, ...]], known: Collection[str]
) -> "pd.DataFrame":
    """A table (N rows) with further columns at its end, N cells each, but those that are ``known`` to be in it."""
    from grammar_rae.datasets import join_columns

    kept = [place for place, name in enumerate(names) if name not in known]
    rows = [tuple(row[place] for place in kept) for row in cells]
    joined = join_columns([names[place] for place in kept], rows, {}, dict(found))
    return joined[[*found.columns, *(name for name in joined.columns if name not in found.columns)]]
