"""Where the course of a training is written while it runs: always a CSV file, and what else is asked for by name."""

import csv
import importlib.util
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from grammar_rae.errors import InputError, MissingExtraError, UnknownNameError
from grammar_rae.files import write_bytes
from grammar_rae.training.callbacks import Callback, History, TrainingState

HISTORY = "history.csv"
"""The file of a training's folder that holds its rows."""


def history_csv(history: History) -> str:
    """The rows of a history as CSV, with a header; what was not taken is empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(history.rows[0]) if history.rows else ["step"], lineterminator="\n")
    table.writeheader()
    table.writerows(history.rows)
    return text.getvalue()


class HistoryFile(Callback):
    """Writes the rows so far into a folder, at each validation and at the end."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / HISTORY

    def on_validation(self, state: TrainingState) -> None:
        """Write the rows so far."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(self.path, history_csv(state.history).encode())

    def on_end(self, state: TrainingState) -> None:
        """Write all rows."""
        self.on_validation(state)


class LogRows(Callback):
    """Passes each row of the history, once, to a logger that is opened with the first of them.

    Parameters
    ----------
    open_logger
        Makes the logger: ``log_metrics(numbers by name, step)`` and ``finalize(status)``, as Lightning Fabric's have.
    """

    def __init__(self, open_logger: Callable[[], Any]) -> None:
        self.open_logger = open_logger
        self._logger: Any = None
        self._written = 0

    def on_step(self, state: TrainingState) -> None:
        """Pass on what is new."""
        for row in state.history.rows[self._written :]:
            if self._logger is None:
                self._logger = self.open_logger()
            numbers = {name: value for name, value in row.items() if name != "step" and value is not None}
            self._logger.log_metrics(numbers, int(row["step"] or 0))
            self._written += 1

    def on_validation(self, state: TrainingState) -> None:
        """Pass on what is new."""
        self.on_step(state)

    def on_end(self, state: TrainingState) -> None:
        """Pass on what is new, and close the logger."""
        self.on_step(state)
        if self._logger is not None:
            self._logger.finalize(state.history.stopped or "failed")


class _WeightsAndBiases:
    """A run of Weights & Biases, by the two methods of Fabric's loggers, which have none for it."""

    def __init__(self, folder: Path) -> None:
        import wandb

        self._run = wandb.init(project="grammar_rae", name=folder.name, dir=str(folder))

    def log_metrics(self, numbers: dict[str, float], step: int) -> None:
        self._run.log(numbers, step=step)

    def finalize(self, status: str) -> None:
        self._run.summary["stopped"] = status
        self._run.finish()


def _tensorboard(folder: Path) -> Any:
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger

    return TensorBoardLogger(root_dir=folder, name="tensorboard")


LOGGERS: dict[str, Callable[[Path], Any]] = {"tensorboard": _tensorboard, "wandb": _WeightsAndBiases}
"""Loggers by name, which is that of the package and of the extra that each needs."""


def check_loggers(names: Any) -> tuple[str, ...]:
    """The names of loggers as a tuple.

    Raises
    ------
    InputError
        For what is no list of names.
    UnknownNameError
        For a name that is not in :data:`LOGGERS`.
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InputError("loggers are named in a list", received=repr(names), expected='for example ["tensorboard"]')
    for name in names:
        if name not in LOGGERS:
            raise UnknownNameError("logger", name, LOGGERS)
    return tuple(names)


def writers(names: Sequence[str], folder: Path | None) -> list[Callback]:
    """The callbacks that write a training's course into its folder; none without one.

    Raises
    ------
    InputError
        For loggers without a folder.
    MissingExtraError
        For a logger whose package is not installed.
    """
    if folder is None:
        if names:
            raise InputError("a logger needs the folder of the training", received=", ".join(names))
        return []
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(name, name, f"the logger {name}")
    return [HistoryFile(folder), *(LogRows(lambda name=name: LOGGERS[name](folder)) for name in names)]  # type: ignore[misc]
