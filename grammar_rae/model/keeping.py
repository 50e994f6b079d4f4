"""What a model keeps of its training's course, and what it says of it."""

import warnings

from grammar_rae.training import Callback, History, TrainingState

_FIRST_STEPS = 32  # on an accelerator, losses are read in bunches of so many


class KeepHistory(Callback):
    """Keeps the history of a training that was validated once, also when it ends in an error."""

    history: History | None = None
    begun_at: float | None = None
    """The reconstruction cost of the first steps; None where a training goes on."""

    def on_step(self, state: TrainingState) -> None:
        """Keep what the first steps cost."""
        if self.begun_at is None and state.step <= _FIRST_STEPS:
            self.begun_at = state.recent.get("reconstruction")

    def on_validation(self, state: TrainingState) -> None:
        """Keep the history so far."""
        self.history = state.history


def warn_if_grown(begun_at: float | None, history: History, learning_rate: float) -> None:
    """Warn when a training ended with a higher reconstruction cost than it began with."""
    costs = [cost for row in history.rows if (cost := row["reconstruction"]) is not None]
    if begun_at is None or not costs or costs[-1] <= begun_at + 0.1 * abs(begun_at):
        return
    warnings.warn(
        f"the training did not learn: its reconstruction cost grew from {begun_at:.4g} to {costs[-1]:.4g}; lower the "
        f"learning rate, which is {learning_rate:g}, and train again",
        stacklevel=5,
    )
