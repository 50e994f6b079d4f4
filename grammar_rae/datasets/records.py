"""Rows of files: their texts, what else stands beside them, and which column holds the texts."""

import math
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from grammar_rae.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Fields: TypeAlias = Literal["first", "line"]

SMILES_COLUMNS = (
    "smiles",
    "canonical_smiles",
    "isomeric_smiles",
    "smiles_string",
    "canonicalsmiles",
    "isomericsmiles",
    "smi",
)
"""The names of columns of SMILES, the preferred one first; case, blanks and hyphens do not matter."""

IDENTIFIERS = ("id", "name", "title", "identifier", "cas", "inchikey", "compound", "molecule_name", "zinc_id")
"""Names of columns that say which molecule a row is, as do those that end in ``_id`` or ``_name``."""

HEADER = "header"
BLANK = "blank line"
BESIDE = "_in"
"""What is added to the name of a column of a file that a result has a column of, too."""


class Row(NamedTuple):
    """One row of a source: its line (from 1), its text, and why it is unusable (None if it is usable)."""

    line: int
    text: str
    problem: str | None = None


class Record(NamedTuple):
    """A row, and the values of the other columns, in the order of :attr:`Records.names`."""

    row: Row
    cells: tuple[Any, ...] = ()


class Records(NamedTuple):
    """The records of a source, read as they are asked for.

    Attributes
    ----------
    names
        The names of the columns beside the one of the texts, each once.
    records
        An iterator over them.
    """

    names: tuple[str, ...]
    records: Iterator[Record]


class Wanted(NamedTuple):
    """What is wanted of a file.

    ``column`` is that of the texts; ``fields`` says how lines are read; ``beside`` whether other columns are read, too.
    """

    column: str | None = None
    fields: Fields = "first"
    beside: bool = False


Reader: TypeAlias = Callable[[Path, Wanted], Records]

Write: TypeAlias = Callable[["pd.DataFrame"], None]


def cell(number: int, value: Any) -> Row:
    """The row of a value that a table or a list holds."""
    if isinstance(value, str):
        text = value.strip()
        return Row(number, text) if text else Row(number, "", BLANK)
    if value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value)):
        return Row(number, "", "missing value")
    return Row(number, str(value), f"not a string but {type(value).__name__}")


def choose_column(names: Sequence[Any], column: str | None, where: str | None) -> Any:
    """The column that holds the texts.

    Raises
    ------
    DataError
        Where there is no such column, or none is named and it cannot be told.
    """
    if column is not None:
        if column in names:
            return column
        close = get_close_matches(column, [str(name) for name in names], n=1)
        raise DataError(
            "the table has no such column",
            where=where,
            received=repr(column),
            expected="one of " + _join_names(names),
            remedy=f"Did you mean {close[0]!r}?" if close else None,
        )
    for known in SMILES_COLUMNS:
        for name in names:
            if plain_name(str(name)) == known:
                return name
    if len(names) == 1:
        return names[0]
    raise DataError(
        "cannot tell which column holds the texts",
        where=where,
        received=f"the columns {_join_names(names)}",
        remedy="Choose one with column (--column).",
    )


def _join_names(names: Sequence[Any], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more


def plain_name(name: str) -> str:
    """A column's name without what does not matter: case, blanks, hyphens, a leading #."""
    return name.strip().lstrip("#").strip().lower().replace(" ", "_").replace("-", "_")


def distinct_names(names: Sequence[Any], taken: Sequence[str] = (), suffix: str = "") -> tuple[str, ...]:
    """Names of columns, each once and none of those taken: others get the suffix, or ``.1``, ``.2`` and so on.

    >>> distinct_names(["id", "qed", "id"], taken=["qed"], suffix="_in")
    ('id', 'qed_in', 'id.1')
    """
    used = set(taken)
    found = []
    for name in map(str, names):
        chosen = name + suffix if name in taken else name
        number = 1
        while chosen in used:
            chosen, number = f"{name}.{number}", number + 1
        used.add(chosen)
        found.append(chosen)
    return tuple(found)


def identifies(name: str) -> bool:
    """Whether a column of this name says which molecule a row is."""
    plain = plain_name(name)
    return plain in IDENTIFIERS or plain.endswith(("_id", "_name"))
