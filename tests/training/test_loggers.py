"""Where the course of a training is written."""

import csv
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from grammar_rae.errors import InputError, MissingExtraError, UnknownNameError
from grammar_rae.training import LOGGERS, History, TrainingSettings, TrainingState, writers
from grammar_rae.training.loggers import HISTORY, LogRows, history_csv

ROWS: list[dict[str, Any]] = [
    {"step": 5, "loss": 2.5, "validation_loss": None},
    {"step": 9, "loss": 1.25, "validation_loss": 1.5},
]


class Recorder:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def log_metrics(self, numbers: dict[str, float], step: int) -> None:
        self.calls.append((step, numbers))

    def finalize(self, status: str) -> None:
        self.calls.append(status)


def state(rows: list[dict[str, Any]]) -> TrainingState:
    return TrainingState(autoencoder=None, history=History(rows=rows))  # type: ignore[arg-type]


def test_rows_reach_a_logger_once_and_in_order() -> None:
    recorder, opened = Recorder(), []
    log = LogRows(lambda: opened.append(1) or recorder)
    log.on_step(state([]))
    assert not opened
    log.on_step(state(ROWS[:1]))
    log.on_validation(state(ROWS))
    log.on_end(state(ROWS))
    assert recorder.calls == [(5, {"loss": 2.5}), (9, {"loss": 1.25, "validation_loss": 1.5}), "failed"]
    assert opened == [1]


def test_the_file_holds_all_rows(tmp_path: Path) -> None:
    file, *others = writers([], tmp_path / "run")
    assert not others
    file.on_validation(state(ROWS[:1]))
    file.on_end(state(ROWS))
    with (tmp_path / "run" / HISTORY).open(newline="") as lines:
        found = list(csv.DictReader(lines))
    assert found == [{name: "" if value is None else str(value) for name, value in row.items()} for row in ROWS]
    assert history_csv(History()) == "step\n"


def test_loggers_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert writers([], None) == []
    with pytest.raises(InputError, match="needs the folder"):
        writers(["tensorboard"], None)
    with pytest.raises(UnknownNameError, match="'tensorboard'"):
        TrainingSettings(epochs=1, loggers=("tensorbord",))
    with pytest.raises(InputError, match="in a list"):
        TrainingSettings(epochs=1, loggers="wandb")  # type: ignore[arg-type]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in LOGGERS:
        with pytest.raises(MissingExtraError, match=rf"grammar_rae\[{name}\]"):
            writers([name], tmp_path)


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    _, log = writers(["tensorboard"], tmp_path)
    log.on_end(state(ROWS))
    assert [path.name for path in tmp_path.rglob("events.out.tfevents.*")]
