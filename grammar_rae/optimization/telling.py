"""What a laboratory tells: a table of values, failures and repeats, checked before any of it counts."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grammar_rae.errors import DataError, InputError
from grammar_rae.optimization import start
from grammar_rae.optimization.ledger import Molecule, Telling
from grammar_rae.optimization.result import Optimization
from grammar_rae.scores.evaluation import evaluate_function

ID, SMILES, REASON = "id", "smiles", "reason"


@dataclass(frozen=True)
class Told:
    """What a search made of a table.

    Attributes
    ----------
    values, failures
        How many values and failures it had.
    repeats
        Values of molecules that had one already: the search takes the mean of all.
    corrections
        Values that took the place of earlier ones.
    blank
        Rows that say nothing: no value, no reason.
    pending
        Molecules that were asked for and are still to be told, after this.
    """

    values: int
    failures: int
    repeats: int
    corrections: int
    blank: int
    pending: int

    def __str__(self) -> str:
        parts = [f"{self.values} values", f"{self.failures} failures"]
        parts += [f"{self.repeats} repeats, averaged with what was known"] if self.repeats else []
        parts += [f"{self.corrections} corrections"] if self.corrections else []
        parts += [f"{self.blank} rows without value or reason, still pending"] if self.blank else []
        return ", ".join(parts) + f"; {self.pending} pending"


def read_table(path: str | PathLike[str]) -> pd.DataFrame:
    """A CSV file (.tsv: with tabs) with all cells as texts, so that none is changed by reading it.

    Raises
    ------
    DataError
        When there is no such file, or it is no table.
    """
    try:
        return pd.read_csv(
            path,
            sep="\t" if ".tsv" in Path(path).suffixes else ",",
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
        )
    except (OSError, ValueError) as error:  # pandas's parser errors are ValueErrors
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"the table cannot be read ({reason})", where=str(path)) from error


def read_molecules(
    data: Any, canonical: Callable[[str], str | None], known: Collection[str]
) -> tuple[pd.DataFrame, Counter[str]]:
    """The rows of molecules that are new, canonical in the column ``smiles``, and the others counted by reason.

    Parameters
    ----------
    data
        Texts, or a table with a column of texts.
    canonical
        A text -> its canonical spelling, None if it is not valid.
    known
        What is there already.
    """
    if isinstance(data, Optimization):
        raise InputError("a result is no table", remedy="Pass a DataFrame of what you want of it.")
    found = start.parse_data(data, [])
    table = data if isinstance(data, pd.DataFrame) else pd.DataFrame(index=range(len(found.texts)))
    left_out: Counter[str] = Counter()
    rows: dict[str, int] = {}
    for row, (text, problem) in enumerate(zip(found.texts, found.problems, strict=True)):
        spelled = None if problem else canonical(text)
        if spelled is None or spelled in known or spelled in rows:
            left_out[problem or (start.NOT_VALID if spelled is None else start.TWICE)] += 1
        else:
            rows[spelled] = row
    return table.iloc[list(rows.values())].assign(**{SMILES: list(rows)}), left_out


def has_values(table: pd.DataFrame, objectives: Sequence[str]) -> list[bool]:
    """Whether each row of a table has a value of an objective."""
    cells = [table[name].tolist() for name in objectives if name in table.columns]
    return [not all(_is_blank(column[row]) for column in cells) for row in range(len(table))]


def read_tellings(
    frame: Any,
    molecules: Mapping[str, Molecule],
    objectives: Sequence[str],
    functions: Mapping[str, Callable[[str], float]],
    correct: bool,
    jobs: int,
) -> tuple[list[Telling], int]:
    """What each row of a table tells, and how many rows tell nothing.

    Parameters
    ----------
    frame
        A DataFrame, or what becomes one, with the column ``id`` or ``smiles``, columns of objectives, and ``reason``.
    molecules
        The search's, by name.
    objectives
        Names.
    functions
        Those of objectives that are computed where the table has no value of them.
    correct
        Whether values take the place of earlier ones, and what could not be computed is tried again.
    jobs
        Processes that compute them.

    Raises
    ------
    InputError
        For a table without the columns, an unknown molecule, a SMILES that is not the molecule's, or a value that is no
        finite number. Nothing is told then.
    """
    try:
        table = frame if isinstance(frame, pd.DataFrame) else pd.DataFrame(frame)
    except (ValueError, TypeError) as error:
        raise InputError("this is not a table", received=type(frame).__name__, expected="a DataFrame") from error
    external = [name for name in objectives if name not in functions]
    columns = [name for name in objectives if name in table.columns]
    if external and not columns and REASON not in table.columns:
        raise InputError(
            "the table has no column of an objective",
            received=", ".join(map(str, table.columns)),
            expected=", ".join(external),
        )
    names = _find(table, molecules)
    tellings, blank = [], 0
    reasons = table[REASON].tolist() if REASON in table.columns else [None] * len(table)
    for row, (name, given) in enumerate(zip(names, reasons, strict=True)):
        cells = {column: _number(table[column].iloc[row], column, row) for column in columns}
        values = {column: value for column, value in cells.items() if value is not None}
        reason = "" if _is_blank(given) else " ".join(str(given).split())
        missing = [column for column in objectives if column not in values and column in external]
        failed = dict.fromkeys(missing, reason) if reason else {}
        if values or failed or len(external) < len(objectives):
            tellings.append(Telling(name, values, failed, correct))
        else:
            blank += 1
    return _compute(tellings, molecules, functions, correct, jobs), blank


def _find(table: pd.DataFrame, molecules: Mapping[str, Molecule]) -> list[str]:
    """The name of each row's molecule."""
    if ID not in table.columns and SMILES not in table.columns:
        raise InputError(
            "the table does not say which molecules it is about",
            received=", ".join(map(str, table.columns)),
            expected=f"a column {ID} or {SMILES}",
        )
    by_text = {one.text: name for name, one in molecules.items()}
    found = []
    for row in range(len(table)):
        text = str(table[SMILES].iloc[row]).strip() if SMILES in table.columns else None
        if text is not None and text not in by_text:
            text = _canonical(text)
        if ID not in table.columns:
            if text not in by_text:
                raise InputError(
                    "this molecule was never asked for",
                    received=str(table[SMILES].iloc[row]),
                    where=_where(row),
                    remedy="Add molecules from elsewhere with search.add.",
                )
            found.append(by_text[str(text)])
            continue
        name = str(table[ID].iloc[row]).strip()
        if name not in molecules:
            raise InputError(
                "this search has no molecule of this name",
                received=repr(name),
                expected=f"a name such as {next(iter(molecules))}" if molecules else "a name that it gave",
                where=_where(row),
            )
        if text is not None and by_text.get(text) != name:
            raise InputError(
                f"the molecule {name} is another one",
                received=str(table[SMILES].iloc[row]),
                expected=molecules[name].text,
                where=_where(row),
            )
        found.append(name)
    return found


def _canonical(text: str) -> str | None:
    from grammar_rae.chem import canonical_or_none

    return canonical_or_none(text)


def _is_blank(cell: Any) -> bool:
    missing = cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell))
    return missing or (isinstance(cell, str) and not cell.strip())


def _number(cell: Any, column: str, row: int) -> float | None:
    """A cell's number; None for a blank one."""
    if _is_blank(cell):
        return None
    try:
        if isinstance(cell, bool | np.bool_ | complex | np.complexfloating):
            raise ValueError
        value = float(cell)
    except (TypeError, ValueError):
        value = math.inf
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise InputError(
            f"the value of {column} is not a finite number",
            received=repr(cell),
            expected="a number; or an empty cell, with a reason if there will be none",
            where=_where(row),
        )
    return value


def _compute(
    tellings: Sequence[Telling],
    molecules: Mapping[str, Molecule],
    functions: Mapping[str, Callable[[str], float]],
    correct: bool,
    jobs: int,
) -> list[Telling]:
    """The tellings, with the values of functions that were neither told nor known; to correct, what failed is tried."""
    found = [replace(one, values=dict(one.values), failed=dict(one.failed)) for one in tellings]
    for score, function in functions.items():
        told = {one.id for one in found if score in one.values}
        mentioned = {one.id: molecules[one.id] for one in found}
        told |= {
            name for name, one in mentioned.items() if one.measured.get(score) or (not correct and score in one.failed)
        }
        rows = list({one.id: one for one in found if one.id not in told}.values())
        done = evaluate_function(function, [molecules[one.id].text for one in rows], jobs, False)
        reasons = dict(done.failures)
        for index, (one, value) in enumerate(zip(rows, done.values, strict=True)):
            if index in reasons:
                one.failed[score] = reasons[index]
            else:
                one.values[score] = float(value)
    return found


def _where(row: int) -> str:
    return f"row {row + 1}"
