"""The settings of a training: one frozen object, checked when it is built."""

import math
from dataclasses import dataclass

import torch

from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.seeds import check_seed
from grammar_rae.training.loggers import check_loggers
from grammar_rae.training.schedules import schedule

OPTIMIZERS: dict[str, type[torch.optim.Adam]] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
PRECISIONS = ("auto", "32-true", "bf16-mixed")

STRATEGIES = ("auto", "ddp", "ddp_fork", "ddp_spawn")
"""How several processes train together, by Lightning Fabric's names; they differ in how the processes are started."""

# What may differ when a training is resumed: its length, its machine, its intervals, and what it averages, which
# changes no step.
FREE = {
    "epochs",
    "time_limit",
    "accelerator",
    "devices",
    "nodes",
    "strategy",
    "precision",
    "validate_every",
    "checkpoint_every",
    "log_every",
    "average",
    "patience",
    "loggers",
}

_OPTIONAL = {"epochs", "patience", "time_limit", "gradient_clip", "validate_every", "devices", "nodes"}


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The settings of a training.

    Parameters
    ----------
    epochs, time_limit
        When to stop: after this number of passes or of seconds (validation included, summed over resumes), whichever
        comes first. At least one is required.
    patience
        Stop after this number of validations without a better loss, too; None never does.
    batch_size
        Rows per step, over all processes together, so that the number of devices does not change the training.
    learning_rate, warmup_steps, schedule, minimum_rate
        The peak rate, reached linearly over the first steps; then a row of ``SCHEDULES`` ("cosine" follows the larger
        of the completed shares of steps and time), but never less than ``minimum_rate``.
    plateau_factor, plateau_patience
        For "plateau": the factor on the rate, and the number of validations without a better loss before it applies.
    optimizer, weight_decay, gradient_clip
        A row of ``OPTIMIZERS``; the decay is decoupled in "adamw", an L2 term in "adam"; the norm to which gradients
        are clipped, or None.
    average
        Validate and keep weights that are averaged over the steps: each step moves the average by 1 - ``average`` of
        its way to the present weights (more in the first steps, which would weigh too much). None averages nothing.
    precision
        "32-true", "bf16-mixed" (autocast), or "auto": bf16 where the machine has units for it.
    accelerator
        The kind of device, as Lightning Fabric takes it.
    devices, nodes
        Devices of each node that train together, and nodes: a process for each device. None for what torchrun or srun
        started, and one without these.
    strategy
        A row of ``STRATEGIES``. "auto" is DDP, whose further processes run the same script from its first line; in a
        notebook it is "ddp_fork", whose processes begin with the training.
    seed
        The seed of the order of the rows and of the noise in the steps, from 0 to 2**64 - 1.
    validate_every, checkpoint_every, log_every
        Seconds; ``validate_every=None`` validates once an epoch.
    loggers
        Where the history is written besides ``history.csv``: rows of ``LOGGERS``.
    """

    epochs: int | None = None
    time_limit: float | None = None
    patience: int | None = None
    batch_size: int = 512
    learning_rate: float = 1e-3
    warmup_steps: int = 0
    schedule: str = "cosine"
    minimum_rate: float = 0.0
    plateau_factor: float = 0.5
    plateau_patience: int = 5
    optimizer: str = "adamw"
    weight_decay: float = 0.0
    gradient_clip: float | None = 1.0
    average: float | None = None
    precision: str = "auto"
    accelerator: str = "auto"
    devices: int | None = None
    nodes: int | None = None
    strategy: str = "auto"
    seed: int = 0
    validate_every: float | None = None
    checkpoint_every: float = 60.0
    log_every: float = 5.0
    loggers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.epochs is None and self.time_limit is None:
            raise InputError("a training needs a stopping criterion", expected="epochs, time_limit or both")
        for name in ("epochs", "patience", "batch_size", "devices", "nodes", "plateau_patience"):
            self._check(name, whole=True, lowest=1)
        self._check("warmup_steps", whole=True, lowest=0)
        object.__setattr__(self, "seed", check_seed(self.seed))
        for name in ("minimum_rate", "weight_decay", "checkpoint_every", "log_every", "validate_every"):
            self._check(name, lowest=0)
        for name in ("time_limit", "learning_rate", "gradient_clip", "plateau_factor"):
            self._check(name, lowest=0, above=True)
        if self.average is not None:
            self._check("average", lowest=0)
            if self.average >= 1:
                raise InputError("average cannot be used", received=repr(self.average), expected="below 1, or None")
        if self.optimizer not in OPTIMIZERS:
            raise UnknownNameError("optimizer", self.optimizer, OPTIMIZERS)
        if self.strategy not in STRATEGIES:
            raise UnknownNameError("strategy", self.strategy, STRATEGIES)
        if self.precision not in PRECISIONS:
            raise UnknownNameError("precision", self.precision, PRECISIONS)
        object.__setattr__(self, "loggers", check_loggers(self.loggers))
        schedule(self.schedule)

    def _check(self, name: str, *, lowest: float, whole: bool = False, above: bool = False) -> None:
        value = getattr(self, name)
        if value is None and name in _OPTIONAL:
            return
        good = isinstance(value, int if whole else int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not good or value < lowest or (above and value == lowest):
            kind = "a whole number" if whole else "a number"
            limit = f"above {lowest}" if above else f"of at least {lowest}"
            raise InputError(f"invalid {name}", received=repr(value), expected=f"{kind} {limit}")
