"""The history and the state of a training, and callbacks such as the progress bar."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

Row = dict[str, float | int | None]

LOSSES = ("loss", "reconstruction", "latent", "penalty", "exact")


@dataclass
class History:
    """The history of a training; every part is JSON-compatible.

    Attributes
    ----------
    rows
        One every few seconds and one at every validation, with the columns ``step``, ``epoch`` (of that step, from 1),
        ``seconds`` (trained in total, resumes and validation included), ``rate`` (training items per second since the
        previous row, over all processes, without the time of validations), ``loss``, ``reconstruction``, ``latent``,
        ``penalty``, ``exact`` (means over the items trained since the previous row; None without any),
        ``validation_loss``, ``validation_exact`` (None in rows between validations) and ``learning_rate`` (of that
        step).
    best_step
        The step after which the validation loss was lowest, or None before the first validation.
    stopped
        Why the training ended: ``"epochs"``, ``"time limit"``, ``"patience"`` or ``"interrupted"``; None while it runs.
    """

    rows: list[Row] = field(default_factory=list)
    best_step: int | None = None
    stopped: str | None = None

    @property
    def best(self) -> Row | None:
        """The row of the best validation, or None before the first one."""
        rows = [row for row in self.rows if row["step"] == self.best_step and row["validation_loss"] is not None]
        return rows[-1] if rows else None

    @property
    def stale(self) -> int:
        """How many validations there were since the best one."""
        steps = [int(row["step"] or 0) for row in self.rows if row["validation_loss"] is not None]
        return sum(step > (self.best_step or 0) for step in steps)

    def validations(self) -> "History":
        """The same history with only the rows of validations."""
        return replace(self, rows=[row for row in self.rows if row["validation_loss"] is not None])

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers; :meth:`from_dict` reads them back."""
        return {"rows": [dict(row) for row in self.rows], "best_step": self.best_step, "stopped": self.stopped}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "History":
        """Rebuild a history from :meth:`to_dict`."""
        return cls([dict(row) for row in values["rows"]], values["best_step"], values["stopped"])


@dataclass
class TrainingState:
    """The state of a running training, for callbacks to read but not to change.

    ``step`` counts optimiser steps from the start, resumes included; ``epoch`` counts finished epochs and ``position``
    the steps inside the present one, of ``epoch_steps``; ``seconds`` is the time trained so far; ``progress`` in [0, 1]
    the share of the training that is done; ``recent`` the latest means of the losses (names in :data:`LOSSES`), empty
    before the first step; ``rate`` in items per second.
    """

    autoencoder: nn.Module
    history: History = field(default_factory=History)
    step: int = 0
    epoch: int = 0
    epochs: int | None = None
    position: int = 0
    epoch_steps: int = 0
    seconds: float = 0.0
    progress: float = 0.0
    learning_rate: float = 0.0
    rate: float = 0.0
    recent: dict[str, float] = field(default_factory=dict)

    @property
    def epoch_number(self) -> int:
        """The epoch of the latest step, counted from 1."""
        return self.epoch + (self.position > 0)

    @property
    def seconds_left(self) -> float | None:
        """An estimate of the remaining time, or None at the start."""
        return self.seconds * (1.0 - self.progress) / self.progress if self.progress > 0.0 else None


class Callback:
    """The base of callbacks: override what you need. Only the first process calls them.

    A KeyboardInterrupt in a callback ends the training as Ctrl-C does, after a complete step and with its state saved.
    Any other exception ends it at once.
    """

    def on_step(self, state: TrainingState) -> None:
        """Called after every step of the optimiser."""

    def on_validation(self, state: TrainingState) -> None:
        """Called after every validation; its row is the last of ``state.history.rows``."""

    def on_end(self, state: TrainingState) -> None:
        """Called once, however the training ends."""


class ProgressBar(Callback):
    """One line with loss, exact reconstruction, items per second, and the time left.

    Parameters
    ----------
    every
        Seconds between two updates.
    """

    def __init__(self, every: float = 0.25) -> None:
        self.every = every
        self._bar: Any = None
        self._shown = 0.0

    def on_step(self, state: TrainingState) -> None:
        """Update the line, unless it was updated recently."""
        now = time.monotonic()
        if now - self._shown >= self.every:
            self._shown = now
            self._show(state)

    def on_validation(self, state: TrainingState) -> None:
        """Update the line."""
        self._show(state)

    def on_end(self, state: TrainingState) -> None:
        """Close the line."""
        if self._bar is not None:
            self._show(state)
            self._bar.close()
            self._bar = None

    def _show(self, state: TrainingState) -> None:
        if self._bar is None:
            from grammar_rae.bars import bar_type

            tqdm = bar_type()

            self._bar = tqdm(total=100, bar_format="{desc} {percentage:3.0f}%|{bar}|{postfix}", leave=True)
        self._bar.n = round(100 * state.progress)
        of = "" if state.epochs is None else f"/{state.epochs}"
        self._bar.set_description_str(f"epoch {state.epoch_number}{of}", refresh=False)
        self._bar.set_postfix_str(describe(state), refresh=True)


def describe(state: TrainingState) -> str:
    """Describe the state in a few words, for a progress bar or a log line."""
    parts = []
    # Images are hardly ever reconstructed to the last pixel; for them, losses say more.
    if state.recent:
        exact = f", exact {state.recent['exact']:.1%}" if state.recent["exact"] else ""
        parts.append(f"loss {state.recent['loss']:.4g}{exact}")
    validated = [row for row in reversed(state.history.rows[-200:]) if row["validation_exact"] is not None]
    if validated:
        loss, exact_share = validated[0]["validation_loss"], validated[0]["validation_exact"]
        parts.append(f"held out {exact_share:.1%}" if exact_share else f"held out {loss:.4g}")
    parts.append(f"{state.rate:,.0f}/s")
    if state.seconds_left is not None and state.progress < 1.0:
        minutes, seconds = divmod(round(state.seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left")
    return ", ".join(parts)
