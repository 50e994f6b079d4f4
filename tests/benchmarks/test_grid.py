"""The resumable grid: what is measured, skipped, kept as a failure and tried again. Nothing is trained."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.grid import FAILURE, Cell, Run, Study, check_least, check_names, latest, measure
from benchmarks.rows import Row
from grammar_rae.errors import DecodingError, InputError, TrainingError, UnknownNameError


@dataclass(frozen=True)
class Toy(Study):
    """Two runs of two cells; ``broken`` has what fails, ``log`` what was done."""

    broken: Sequence[str] = ()
    log: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        return [
            Run(
                name,
                self.folder / name,
                {"model": name},
                partial(self.prepare, name),
                [Cell({"part": part}, partial(self.figure, part)) for part in ("a", "b")],
            )
            for name in ("one", "two")
        ]

    def prepare(self, name: str) -> str:
        self.log.append(name)
        if name in self.broken:
            raise TrainingError("the loss is not finite")
        return name

    def figure(self, part: str, model: str) -> Row:
        self.log.append(f"{model} {part}")
        if f"{model} {part}" in self.broken:
            raise DecodingError("nothing is allowed")
        if "typo" in self.broken:
            raise InputError("this is the caller's mistake")
        return {"value": len(self.log)}


def cells(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["model"], row["part"]) for row in rows]


ALL = [("one", "a"), ("one", "b"), ("two", "a"), ("two", "b")]


def test_each_cell_is_measured_once_and_each_run_prepared_once(tmp_path: Path) -> None:
    study = Toy(tmp_path / "study", progress=False)
    rows = list(measure(study))
    assert cells(rows) == ALL
    assert study.log == ["one", "one a", "one b", "two", "two a", "two b"]
    assert [json.loads(line) for line in study.results.read_text().splitlines()] == rows
    assert all("torch" in row["versions"] and "command" in row for row in rows)
    again = Toy(tmp_path / "study", progress=False)
    assert list(measure(again)) == rows
    assert again.log == [] and again.failures() == []


def test_a_lost_row_is_measured_again_alone(tmp_path: Path) -> None:
    study = Toy(tmp_path, progress=False)
    rows = list(measure(study))
    study.results.write_text("".join(json.dumps(row) + "\n" for row in (rows[0], rows[1], rows[3])))
    again = Toy(tmp_path, progress=False)
    assert cells(list(measure(again))) == ALL
    assert again.log == ["two", "two a"]


def test_failures_are_kept_and_tried_again(tmp_path: Path) -> None:
    study = Toy(tmp_path, progress=False, broken=("one", "two a"))
    assert cells(list(measure(study))) == [("two", "b")]
    assert study.log == ["one", "two", "two a", "two b"]  # a training that failed is not begun once more for each cell
    kept = [row for row in study.rows() if FAILURE in row]
    assert cells(kept) == ALL[:3] and "not finite" in kept[0][FAILURE]
    assert len(study.failures()) == 3 and "model two, part a: nothing is allowed" in study.failures()[2]
    again = Toy(tmp_path, progress=False)
    assert cells(list(measure(again))) == ALL
    assert again.log == ["one", "one a", "one b", "two", "two a"]
    assert again.failures() == []


def test_mistakes_of_the_caller_end_the_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="caller"):
        list(measure(Toy(tmp_path, progress=False, broken=("typo",))))
    assert not (tmp_path / "results.jsonl").exists()


def test_rows_are_found_by_their_key() -> None:
    rows = [{"a": 1, "n": 0}, {"a": 2}, {"a": 1, "n": 1}]
    assert latest(rows, {"a": 1}) == {"a": 1, "n": 1} and latest(rows, {"a": 3}) is None


def test_checks(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'paper'"):
        check_names("strategy", ["papr"], ["paper"])

    @dataclass(frozen=True)
    class Small(Study):
        n: int = 3

    check_least(Small(tmp_path), n=3)
    with pytest.raises(InputError, match="n cannot be used; received 3; expected 4 or more"):
        check_least(Small(tmp_path), n=4)
