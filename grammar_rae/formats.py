"""The formats of files of texts: which there are, and how a name tells them; imports nothing heavy.

How each is read and written is in :mod:`grammar_rae.datasets.formats`, which has a row for each kind.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from grammar_rae.compression import COMPRESSIONS, split_compression
from grammar_rae.errors import DataError


class Format(NamedTuple):
    """One format of files: its kind, and whether such files hold columns and are compressed as a whole."""

    kind: str
    columns: bool = True
    compresses: bool = True


FORMATS: Mapping[str, Format] = {
    ".csv": Format("csv"),
    ".tsv": Format("tsv"),
    ".sdf": Format("sdf"),
    ".sd": Format("sdf"),
    ".parquet": Format("parquet", compresses=False),
    ".feather": Format("feather", compresses=False),
    ".arrow": Format("feather", compresses=False),
    ".arrows": Format("stream", compresses=False),
    ".smi": Format("lines", columns=False),
    ".smiles": Format("lines", columns=False),
    ".txt": Format("lines", columns=False),
}
"""Suffix -> the format of files of texts."""


def _with_compressions(columns: bool) -> tuple[str, ...]:
    plain = [suffix for suffix, row in FORMATS.items() if row.columns == columns]
    return tuple(plain + [one + packed for one in plain if FORMATS[one].compresses for packed in COMPRESSIONS])


TABLES = _with_compressions(columns=True)
"""The suffixes of files with columns."""

TEXTS = _with_compressions(columns=False)
"""The suffixes of files with one text a line."""

_BOOKS = (".xls", ".xlsx", ".xlsm", ".ods")


def suffix_of(path: Path) -> str:
    """The row of :data:`FORMATS` that says how to read a file; a .zip file may also leave it to the name of its member.

    Raises
    ------
    DataError
        For another suffix.
    """
    name, packed = split_compression(path.name)
    suffix = Path(name).suffix
    if packed == ".zip" and suffix not in FORMATS:
        suffix = Path(_member(path)).suffix.lower()
    if suffix in FORMATS and (not packed or FORMATS[suffix].compresses):
        return suffix
    raise DataError(
        "unsupported file suffix",
        where=str(path),
        received=repr("".join(path.suffixes[-2:])),
        expected=f"one of {', '.join(FORMATS)}; of text also with {', '.join(COMPRESSIONS)}",
        remedy="Save the sheet of a workbook as CSV." if suffix in _BOOKS else None,
    )


def _member(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            return next((one for one in archive.namelist() if not one.startswith("__MACOSX/")), "")
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        return ""
