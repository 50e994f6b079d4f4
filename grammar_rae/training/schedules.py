"""Learning-rate schedules: progress of the training and validation losses -> a factor on the peak rate.

A new one is one class and one row of :data:`SCHEDULES`.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

from grammar_rae.errors import UnknownNameError


class Schedule(Protocol):
    """The interface of a schedule."""

    def factor(self, progress: float) -> float:
        """The factor in [0, 1] on the peak rate when a share ``progress`` in [0, 1] of the training is done."""

    def observe(self, loss: float) -> None:
        """Observe a new validation loss."""

    def state_dict(self) -> dict[str, Any]:
        """The state to save for a resumed training, JSON-compatible."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of :meth:`state_dict`."""


class Constant:
    """The peak rate throughout."""

    def factor(self, progress: float) -> float:
        """See :meth:`Schedule.factor`."""
        return 1.0

    def observe(self, loss: float) -> None:
        """See :meth:`Schedule.observe`."""

    def state_dict(self) -> dict[str, Any]:
        """See :meth:`Schedule.state_dict`."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`Schedule.load_state_dict`."""


class Cosine(Constant):
    """Half a cosine from the peak to zero: ``(1 + cos(pi * progress)) / 2`` (Loshchilov and Hutter, ICLR 2017)."""

    def factor(self, progress: float) -> float:
        """See :meth:`Schedule.factor`."""
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, max(0.0, progress))))


class Trapezoid(Constant):
    """The peak until a last part of the training, then a straight line to zero: ``min(1, (1 - progress) / tail)``.

    Until the tail begins nothing depends on the length of the training, so one that was stopped can be prolonged as
    if it had been longer from the start.
    """

    def __init__(self, tail: float = 0.2) -> None:
        self.tail = tail

    def factor(self, progress: float) -> float:
        """See :meth:`Schedule.factor`."""
        return min(1.0, (1.0 - min(1.0, max(0.0, progress))) / self.tail)


class Plateau:
    """Multiply by ``decay`` after ``patience`` validations in a row without a new best loss, then start again."""

    def __init__(self, decay: float = 0.5, patience: int = 5) -> None:
        self.decay = decay
        self.patience = patience
        self.scale = 1.0
        self.best = math.inf
        self.waited = 0

    def factor(self, progress: float) -> float:
        """See :meth:`Schedule.factor`."""
        return self.scale

    def observe(self, loss: float) -> None:
        """See :meth:`Schedule.observe`."""
        self.waited = 0 if loss < self.best else self.waited + 1
        self.best = min(self.best, loss)
        if self.waited >= self.patience:
            self.scale *= self.decay
            self.waited = 0

    def state_dict(self) -> dict[str, Any]:
        """See :meth:`Schedule.state_dict`."""
        # JSON has no infinity.
        best = self.best if math.isfinite(self.best) else None
        return {"scale": self.scale, "best": best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`Schedule.load_state_dict`."""
        self.scale = float(state["scale"])
        self.best = math.inf if state["best"] is None else float(state["best"])
        self.waited = int(state["waited"])


def schedule(name: str, decay: float = 0.5, patience: int = 5) -> Schedule:
    """Build the schedule of a name; ``decay`` and ``patience`` are options of "plateau".

    Raises
    ------
    UnknownNameError
        For a name that is not in :data:`SCHEDULES`.
    """
    if name not in SCHEDULES:
        raise UnknownNameError("schedule", name, SCHEDULES)
    return SCHEDULES[name](decay, patience)


SCHEDULES: dict[str, Callable[[float, int], Schedule]] = {
    "constant": lambda decay, patience: Constant(),
    "cosine": lambda decay, patience: Cosine(),
    "trapezoid": lambda decay, patience: Trapezoid(),
    "plateau": Plateau,
}
