"""Learning-rate schedules: progress of the training and validation losses -> a factor on the peak rate.

A new one is one class and one row of :data:`SCHEDULES`.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

from grammar_rae.errors import UnknownNameError


class Schedule(Protocol):
    """What the training loop needs of a schedule."""

    def factor(self, progress: float) -> float:
        """The factor in [0, 1] on the peak rate when the share ``progress`` in [0, 1] of the training is done."""

    def observe(self, loss: float) -> None:
        """Hear of a new validation loss."""

    def state_dict(self) -> dict[str, Any]:
        """What to keep for a resumed training, as JSON can hold it."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""


class Constant:
    """The peak rate throughout."""

    def factor(self, progress: float) -> float:
        return 1.0

    def observe(self, loss: float) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Cosine(Constant):
    """Half a cosine from the peak to zero: ``(1 + cos(pi * progress)) / 2`` (Loshchilov and Hutter, ICLR 2017)."""

    def factor(self, progress: float) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, max(0.0, progress))))


class Plateau:
    """Multiply by ``decay`` after ``patience`` validations in a row without a new best loss, and count anew."""

    def __init__(self, decay: float = 0.5, patience: int = 5) -> None:
        self.decay = decay
        self.patience = patience
        self.scale = 1.0
        self.best = math.inf
        self.waited = 0

    def factor(self, progress: float) -> float:
        return self.scale

    def observe(self, loss: float) -> None:
        self.waited = 0 if loss < self.best else self.waited + 1
        self.best = min(self.best, loss)
        if self.waited >= self.patience:
            self.scale *= self.decay
            self.waited = 0

    def state_dict(self) -> dict[str, Any]:
        # JSON has no infinity.
        best = self.best if math.isfinite(self.best) else None
        return {"scale": self.scale, "best": best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scale = float(state["scale"])
        self.best = math.inf if state["best"] is None else float(state["best"])
        self.waited = int(state["waited"])


def schedule(name: str, decay: float = 0.5, patience: int = 5) -> Schedule:
    """The schedule of this name, at its start; ``decay`` and ``patience`` are for those that wait for a plateau.

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
    "plateau": Plateau,
}
