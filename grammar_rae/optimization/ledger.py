"""The state of a search that is asked and told, in memory and, where there is a folder, on the disk.

``search.json`` says what the search is. ``events.jsonl`` gets one line for each call, in one write: molecules that came
in, those that were asked for, values that were told. Nothing is ever taken out or changed. A line that a kill has cut
off does not count and is removed, so each call is kept whole or not at all; and any other JSON reader can read both.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grammar_rae.errors import DataError, InputError
from grammar_rae.files import replacing

SETTINGS, EVENTS = "search.json", "events.jsonl"
FORMAT = 1
"""The version of the files; another one is refused."""


@dataclass
class Molecule:
    """A molecule (or another text) of a search, and all that is known of it.

    Attributes
    ----------
    id, text, origin
        Its name in the search, its canonical spelling, and how it was made: "data", or a strategy's way.
    batch
        Which time of asking it was asked for, from 1; None as long as nobody was asked.
    iteration
        0 for what was there before the strategy chose anything; then the number of its choice.
    expected
        By objective, mean and standard deviation of its value before it was known.
    measured
        By objective, all values that were told and hold.
    failed
        By objective, why there is no value.
    """

    id: str
    text: str
    origin: str
    iteration: int = 0
    batch: int | None = None
    expected: dict[str, tuple[float, float]] = field(default_factory=dict)
    measured: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def value(self, objective: str) -> float:
        """The mean of the values that were told; nan without any."""
        values = self.measured.get(objective)
        if not values:
            return math.nan
        return values[0] if len(values) == 1 else math.fsum(values) / len(values)

    def is_settled(self, objectives: Sequence[str]) -> bool:
        """Whether each of the objectives has a value or a failure."""
        return all(self.measured.get(name) or name in self.failed for name in objectives)


@dataclass(frozen=True)
class Telling:
    """What is told of one molecule: values and failures by objective; ``correct`` puts them in the place of others."""

    id: str
    values: dict[str, float]
    failed: dict[str, str]
    correct: bool = False


class Ledger:
    """What was asked and told.

    Parameters
    ----------
    settings
        What the search is; what JSON can hold. None takes those on the disk, and so does each that is None.
    folder
        Where it is kept; None for in memory only.

    Raises
    ------
    DataError
        When the folder holds another search, or something damaged; without settings, when it holds none.
    """

    def __init__(self, settings: Mapping[str, Any] | None, folder: Path | None) -> None:
        self.folder = folder
        self.molecules: dict[str, Molecule] = {}
        self.batches = 0
        self.iterations = 0
        self.n_asked = 0
        self._open: list[Molecule] = []
        self.probe: list[list[float]] = []
        self._read_to = 0
        self._lines = 0
        path = None if folder is None else folder / SETTINGS
        if path is not None and path.exists():
            found = _read_settings(path)
            if settings is not None:
                _compare(settings, found, path)
            self.settings = found
        elif settings is None:
            raise DataError(
                "there is no search in this folder", where=str(folder), remedy="Ask it first, with a model."
            )
        else:
            self.settings = {"format": FORMAT, **settings}
            self._write_settings(path)

    def _write_settings(self, path: Path | None) -> None:
        try:
            text = json.dumps(self.settings, indent=1)
        except TypeError as error:
            raise InputError(f"an option cannot be written as JSON ({error})") from error
        if path is not None:
            with replacing(path, sync=True, follow=False) as draft:
                draft.write_text(text, encoding="utf-8")

    def unsettled(self, objectives: Sequence[str]) -> list[Molecule]:
        """The molecules of which something is still to be told, always of the same objectives.

        A settled molecule stays settled: its values may be corrected, but not taken back.
        """
        self._open = [one for one in self._open if not one.is_settled(objectives)]
        return self._open

    # -- events -------------------------------------------------------------------------------------------------

    def record(
        self,
        *,
        new: Sequence[Molecule] = (),
        asked: Sequence[str] = (),
        told: Sequence[Telling] = (),
        probe: Sequence[Sequence[float]] = (),
    ) -> None:
        """Keep what one call did, first on the disk and then in memory.

        Parameters
        ----------
        new
            Molecules that come in.
        asked
            The names of molecules that are asked for now, as one batch.
        told
            What is told.
        probe
            Codes of the first molecules, by which a model is known again.
        """
        event = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "new": [[one.id, one.text, one.origin, one.iteration, one.expected] for one in new],
            "asked": list(asked),
            "told": [[one.id, one.values, one.failed, one.correct] for one in told],
            "probe": [list(map(float, row)) for row in probe],
        }
        line = json.dumps({name: value for name, value in event.items() if value}).encode() + b"\n"
        if self.folder is not None:
            with (self.folder / EVENTS).open("r+b" if (self.folder / EVENTS).exists() else "xb") as file:
                file.truncate(self._read_to)  # what a kill has left of a line
                file.seek(self._read_to)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        self._read_to += len(line)
        self._apply(line)

    def refresh(self) -> None:
        """Read what other processes have added; to be called while the folder is locked."""
        if self.folder is None or not (self.folder / EVENTS).exists():
            return
        with (self.folder / EVENTS).open("rb") as file:
            file.seek(self._read_to)
            blob = file.read()
        whole = blob[: blob.rfind(b"\n") + 1]
        for line in whole.splitlines(keepends=True):
            self._apply(line)
            self._read_to += len(line)

    def _apply(self, line: bytes) -> None:
        self._lines += 1
        try:
            event = json.loads(line)
            for name, text, origin, iteration, expected in event.get("new", ()):
                pairs = {str(key): (float(mean), float(spread)) for key, (mean, spread) in expected.items()}
                if name in self.molecules:
                    raise ValueError("a name comes twice")
                one = Molecule(str(name), str(text), str(origin), int(iteration), expected=pairs)
                self.molecules[one.id] = one
                self._open.append(one)
                self.iterations = max(self.iterations, int(iteration))
            if event.get("asked"):
                self.batches += 1
                for name in event["asked"]:
                    self.n_asked += self.molecules[name].batch is None
                    self.molecules[name].batch = self.batches
            for name, values, failed, correct in event.get("told", ()):
                told = {str(key): float(value) for key, value in values.items()}
                _tell(self.molecules[name], Telling(name, told, dict(failed), bool(correct)))
            if event.get("probe"):
                self.probe = [[float(number) for number in row] for row in event["probe"]]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                "this line of the search is damaged",
                where=f"{self.folder and self.folder / EVENTS}, line {self._lines}",
                remedy="Put back the file from a copy, or start again in another folder.",
            ) from error


def _tell(molecule: Molecule, told: Telling) -> None:
    for name, value in told.values.items():
        before = [] if told.correct else molecule.measured.get(name, [])
        molecule.measured[name] = [*before, value]
        molecule.failed.pop(name, None)
    for name, reason in told.failed.items():
        if told.correct:
            molecule.measured.pop(name, None)
        if not molecule.measured.get(name):  # a failure takes back no value
            molecule.failed[name] = str(reason)


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError("this file of the search is damaged", where=str(path)) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError("the folder holds no search of this version", where=str(path))
    if not isinstance(found.get("objectives"), dict) or not isinstance(found.get("seed"), int):
        raise DataError("this file of the search is damaged", where=str(path))
    return found


def _compare(mine: Mapping[str, Any], found: Mapping[str, Any], path: Path) -> None:
    mine = json.loads(json.dumps(mine))
    names = [name for name, value in mine.items() if value is not None and value != found.get(name)]
    if names:
        raise DataError(
            "the folder holds another search",
            received=", ".join(f"{name} {mine[name]}" for name in names),
            expected=", ".join(f"{name} {found.get(name)}" for name in names),
            where=str(path.parent),
            remedy="Pass the same settings, or choose another folder.",
        )
