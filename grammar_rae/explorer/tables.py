"""A selection as a table: its rows in some order, and as the text of a file."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from grammar_rae.datasets.encoded import protect
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.explorer.layers import Atlas, Point
from grammar_rae.explorer.values import Values

FORMATS = {"csv": "text/csv", "sdf": "chemical/x-mdl-sdfile"}
"""What a selection is saved as, and the media type."""


class File(NamedTuple):
    """A file for the browser to save, and a sentence about it."""

    name: str
    media: str
    text: str
    note: str


def tabulate(atlas: Atlas, points: Sequence[Point], values: Values) -> pd.DataFrame:
    """The points as a table: ``smiles``, ``name``, ``layer``, what their layers know, and the values that are known."""
    rows = []
    for point in points:
        layer = atlas.layers[point.layer]
        text = layer.texts[point.row]
        known = {name: column[point.row] for name, column in layer.columns.items()}
        rows.append(
            {"smiles": text, "name": layer.name(point.row), "layer": layer.title, **values.computed(text), **known}
        )
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=["smiles", "name", "layer"])
    return frame.drop(columns="name") if len(frame) and not frame["name"].astype(bool).any() else frame


def sort_rows(frame: pd.DataFrame, by: str | None, descending: bool) -> pd.DataFrame:
    """The table in the order of a column, rows without a value last; as it is for None.

    Raises
    ------
    UnknownNameError
        If there is no such column.
    """
    if by is None:
        return frame
    if by not in frame:
        raise UnknownNameError("column", by, map(str, frame.columns))
    return frame.sort_values(by, ascending=not descending, kind="stable", na_position="last")


def write_file(frame: pd.DataFrame, kind: str) -> File:
    """The table as the text of a CSV or SDF file.

    Raises
    ------
    InputError
        For an empty table, or no molecule to write as SDF.
    UnknownNameError
        For another format.
    """
    if kind not in FORMATS:
        raise UnknownNameError("format", kind, FORMATS)
    if not len(frame):
        raise InputError("nothing is selected", remedy="Select points on the map, or search for a molecule.")
    name = f"selection.{kind}"
    if kind == "csv":
        safe = frame.assign(**{one: frame[one].map(protect) for one in ("name", "layer") if one in frame})
        return File(name, FORMATS[kind], safe.to_csv(index=False), f"{len(frame)} rows saved as {name}.")
    from grammar_rae.chem.molblocks import sdf

    texts = frame["smiles"].tolist()
    columns: dict[str, Sequence[Any]] = {str(one): frame[one].tolist() for one in frame if one != "name"}
    text, refused = sdf(texts, frame["name"].tolist() if "name" in frame else None, columns)
    if not text:
        raise InputError("none of the selected texts is a molecule", expected="molecules", remedy="Save them as CSV.")
    left = f"; {len(refused)} that are no molecules were left out" if refused else ""
    return File(name, FORMATS[kind], text, f"{len(texts) - len(refused)} molecules saved as {name}{left}.")
