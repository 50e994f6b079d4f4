"""What a run has done, in memory and, where there is a folder, on the disk.

``settings.json``, ``initial.json`` (texts), ``initial.npy`` (their codes) and ``initial.csv`` (their values) are what
the run begins with; ``iteration-0001.safetensors`` are the points of an iteration, written whole before any of them is
evaluated; ``history.csv`` gets a line for each evaluation as soon as it and those before it are known, and
``arrived.jsonl`` one for each that an executor has ended, in whatever order. A line that a kill has cut off is not
counted.
"""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from grammar_rae.arrays import read_array
from grammar_rae.errors import DataError, InputError
from grammar_rae.files import replacing
from grammar_rae.locks import FolderLock
from grammar_rae.optimization.proposals import Decoded, Proposals

SETTINGS, TEXTS, CODES, INITIAL, HISTORY = (
    "settings.json",
    "initial.json",
    "initial.npy",
    "initial.csv",
    "history.csv",
)
ARRIVED = "arrived.jsonl"
FORMAT = 2


@dataclass(frozen=True)
class Evaluation:
    """One line: which point or text, its values (nan where there is none), and why there is none, else ""."""

    iteration: int
    point: int
    values: tuple[float, ...]
    reason: str = ""


@dataclass
class Initial:
    """What the run begins with: texts, float32 codes (N, D), and how many texts were left out for which reason."""

    texts: list[str]
    codes: NDArray[np.float32]
    left_out: dict[str, int] = field(default_factory=dict)


def one_search(folder: str | PathLike[str] | None) -> AbstractContextManager[Any]:
    """A context in which no other optimisation works in the folder; None, and what is no folder, is not locked."""
    if folder is None or (os.path.exists(folder) and not os.path.isdir(folder)):
        return nullcontext()
    return FolderLock(folder, "an optimisation")


class Journal:
    """The journal of one run.

    Parameters
    ----------
    folder
        Where it is kept; None for in memory only.
    settings
        What the run is; what JSON can hold.
    resume
        Go on with the run in the folder.

    Raises
    ------
    DataError
        When the folder holds a run that is not to be resumed, another one, none to resume, or something damaged.
    """

    def __init__(self, folder: Path | None, settings: Mapping[str, Any], resume: bool) -> None:
        self.folder = folder
        self.initial: Initial | None = None
        self.proposals: dict[int, Proposals] = {}
        self.rows: dict[str, list[Evaluation]] = {INITIAL: [], HISTORY: []}
        self.arrived: dict[str, tuple[tuple[float, ...], str]] = {}
        self.settings = {"format": FORMAT, **settings}
        self._columns = list(settings["scores"])
        if folder is None:
            return
        if folder.exists() and not folder.is_dir():
            raise DataError("this is not a folder", where=str(folder), remedy="Pass the folder to keep the run in.")
        if resume:
            self._open(folder)
        # A run that ended before its data were read has left its settings only.
        elif any((folder / name).exists() for name in (TEXTS, INITIAL, HISTORY)):
            raise DataError(
                "the folder holds an optimisation already",
                where=str(folder),
                remedy="Resume it, or choose another folder.",
            )
        folder.mkdir(parents=True, exist_ok=True)
        self.set()

    # -- writing ------------------------------------------------------------------------------------------------

    def set(self, **settings: Any) -> None:
        """Keep the settings, and more of them."""
        self.settings |= settings
        try:
            text = json.dumps(self.settings, indent=1)
        except TypeError as error:
            raise InputError(f"an option cannot be written as JSON ({error})") from error
        self._replace(SETTINGS, text.encode())

    def begin(self, initial: Initial) -> None:
        """Keep the texts and codes that the run begins with."""
        self.initial = initial
        buffer = io.BytesIO()
        np.save(buffer, initial.codes, allow_pickle=False)
        self._replace(CODES, buffer.getvalue())
        content = {"texts": initial.texts, "left_out": initial.left_out}
        self._replace(TEXTS, json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass"))

    def propose(self, iteration: int, proposals: Proposals) -> None:
        """Keep the points of an iteration."""
        self.proposals[iteration] = proposals
        about = {"decoded": [tuple(one) for one in proposals.decoded], "counts": proposals.counts}
        tensors = {"latent": proposals.latent, "codes": proposals.codes}
        blob = safetensors.numpy.save(tensors, {"points": json.dumps(about)})
        self._replace(_name(iteration), blob)

    def add(self, name: str, rows: Sequence[Evaluation]) -> None:
        """Keep evaluations: ``name`` is :data:`INITIAL` or :data:`HISTORY`."""
        self.rows[name] += rows
        if self.folder is None:
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not (self.folder / name).exists():
            validity = ["valid"] if name == HISTORY else []
            writer.writerow(["iteration", "point", "text", *self._columns, *validity, "reason"])
        for row in rows:
            values = ["" if np.isnan(value) else repr(value) for value in row.values]
            validity = [str(self.proposals[row.iteration].decoded[row.point].valid)] if name == HISTORY else []
            text_of = _line(self.text_of(row))
            writer.writerow([row.iteration, row.point, text_of, *values, *validity, _line(row.reason)])
        with (self.folder / name).open("ab") as file:
            file.write(text.getvalue().encode("utf-8", "backslashreplace"))
            file.flush()
            if name == HISTORY:
                os.fsync(file.fileno())

    def text_of(self, row: Evaluation) -> str:
        """The text that was evaluated."""
        if row.iteration:
            return self.proposals[row.iteration].decoded[row.point].text
        assert self.initial is not None
        return self.initial.texts[row.point]

    def _replace(self, name: str, blob: bytes) -> None:
        if self.folder is None:
            return
        with replacing(self.folder / name, sync=True, follow=False) as draft:
            draft.write_bytes(blob)

    def arrive(self, text: str, values: tuple[float, ...], reason: str) -> None:
        """Keep what came of a text before its turn: evaluations that end out of order."""
        self.arrived[text] = (values, reason)
        if self.folder is None:
            return
        shown = [None if np.isnan(value) else value for value in values]
        with (self.folder / ARRIVED).open("ab") as file:
            file.write(json.dumps([text, shown, reason]).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    # -- reading ------------------------------------------------------------------------------------------------

    def _read_arrived(self, path: Path) -> None:
        """The whole lines of what came before its turn."""
        if not path.is_file():
            return
        blob = path.read_bytes()
        whole = blob[: blob.rfind(b"\n") + 1]
        if len(whole) < len(blob):
            with path.open("r+b") as file:
                file.truncate(len(whole))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                text, shown, reason = json.loads(line)
                values = tuple(np.nan if value is None else float(value) for value in shown)
                if len(values) != len(self._columns):
                    raise ValueError("these are not the scores of this run")
                self.arrived[str(text)] = (values, str(reason))
            except (ValueError, TypeError) as error:
                raise _damage(path, f", line {number}") from error

    def _open(self, folder: Path) -> None:
        if not (folder / SETTINGS).is_file():
            raise DataError("there is no optimisation to resume", where=str(folder), remedy="Start one without resume.")
        self._compare(self._json(folder / SETTINGS))
        if (folder / TEXTS).is_file():
            self.initial = self._read_initial(folder)
            self.rows[INITIAL] = self._read_rows(folder / INITIAL, {0: len(self.initial.texts)})
        self._read_arrived(folder / ARRIVED)
        while (path := folder / _name(len(self.proposals) + 1)).is_file():
            self.proposals[len(self.proposals) + 1] = _read_proposals(path)
        points = {iteration: len(found.decoded) for iteration, found in self.proposals.items()}
        self.rows[HISTORY] = self._read_rows(folder / HISTORY, points)

    def _compare(self, found: Any) -> None:
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise DataError("the folder holds no optimisation of this version", where=str(self.folder))
        mine = json.loads(json.dumps(self.settings))
        # The budget may change, data that were read and a seed need not be passed again, and then nothing is drawn.
        free = {"n_iterations", *(name for name in ("data", "seed") if mine[name] is None)}
        free |= {"n_initial"} if None in (mine["n_initial"], found.get("n_initial")) else set()
        different = [name for name in mine if name not in free and mine[name] != found.get(name)]
        if different:
            raise DataError(
                "the folder holds another optimisation",
                received=_show(mine, different),
                expected=_show(found, different),
                where=str(self.folder),
                remedy="Resume with the same settings, or choose another folder.",
            )
        self.settings = found | {"n_iterations": mine["n_iterations"]}

    def _json(self, path: Path) -> Any:
        try:
            return json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
        except ValueError as error:
            raise _damage(path) from error

    def _read_initial(self, folder: Path) -> Initial:
        content = self._json(folder / TEXTS)
        try:
            codes = read_array(folder / CODES)
            texts = [str(text) for text in content["texts"]]
            left_out = {str(reason): int(count) for reason, count in content["left_out"].items()}
        except (DataError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damage(folder / CODES) from error
        if codes.ndim != 2 or codes.dtype.kind not in "fiu" or len(codes) != len(texts):
            raise _damage(folder / CODES)
        return Initial(texts, codes.astype(np.float32), left_out)

    def _read_rows(self, path: Path, points: Mapping[int, int]) -> list[Evaluation]:
        """The whole lines of a file, which are cut there, so that the next one begins a line."""
        if not path.is_file():
            return []
        blob = path.read_bytes()
        whole = blob[: blob.rfind(b"\n") + 1]
        if len(whole) < len(blob):
            with path.open("r+b") as file:
                file.truncate(len(whole))
        rows: list[Evaluation] = []
        counts: Counter[int] = Counter()
        behind = 2 if path.name == HISTORY else 1  # columns after the values: the validity, the reason
        for number, cells in enumerate(_cells(path, whole.decode("utf-8", "replace")), start=1):
            if number == 1:
                continue
            try:
                iteration, point = int(cells[0]), int(cells[1])
                values = tuple(float(cell) if cell else np.nan for cell in cells[3:-behind])
                if len(values) != len(self._columns) or not counts[iteration] == point < points[iteration]:
                    raise ValueError("these are not the columns or the points of this run, each once and in order")
            except (ValueError, IndexError, KeyError) as error:
                raise _damage(path, f", line {number}") from error
            counts[iteration] += 1
            rows.append(Evaluation(iteration, point, values, cells[-1]))
        if not whole:
            path.unlink()
        return rows


def _cells(path: Path, text: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text))
    except csv.Error as error:  # a quotation mark that is never closed, for one
        raise _damage(path) from error


def _read_proposals(path: Path) -> Proposals:
    try:
        with safetensors.safe_open(path, "numpy") as file:
            content = json.loads(file.metadata()["points"])
            latent, codes = file.get_tensor("latent"), file.get_tensor("codes")
        decoded = [
            Decoded(str(text), bool(valid), float(share), *map(str, origin))  # the first versions knew no origin
            for text, valid, share, *origin in content["decoded"]
        ]
        counts = {str(name): int(count) for name, count in content["counts"].items()}
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damage(path) from error
    if not len(latent) == len(codes) == len(decoded):
        raise _damage(path)
    return Proposals(latent, codes, decoded, counts)


def _name(iteration: int) -> str:
    return f"iteration-{iteration:04}.safetensors"


def _show(settings: Mapping[str, Any], names: Sequence[str]) -> str:
    """Some of the settings on one line, with only the beginning of the data's long digest."""
    shown = {name: settings.get(name) for name in names}
    if shown.get("data"):
        shown["data"] = f"with the digest {str(shown['data'])[:8]}"
    return ", ".join(f"{name} {value}" for name, value in shown.items())[:300]


def _line(text: str) -> str:
    """A text on one line: a line break would look like the end of a row that was cut off."""
    return " ".join(text.splitlines())


def _damage(path: Path, more: str = "") -> DataError:
    return DataError(
        "this file of the optimisation is damaged", where=f"{path}{more}", remedy="Start again in another folder."
    )
