"""The loop itself. See :func:`fit`.

All randomness of a step comes from (seed, step, process), so a training that was killed at any step goes on as if
nothing had happened, with no generator's state on the disk.
"""

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from grammar_rae import checkpoint
from grammar_rae.errors import GrammarRAEError, InputError, TrainingError
from grammar_rae.precision import in_single_precision
from grammar_rae.training import resume
from grammar_rae.training.averaging import WeightAverage, copy_weights
from grammar_rae.training.batches import DataSet, plan_batches
from grammar_rae.training.callbacks import LOSSES, Callback, History, Row, TrainingState
from grammar_rae.training.locking import training_lock
from grammar_rae.training.machine import Interrupt, ctrl_c, keep_memory, release_memory
from grammar_rae.training.processes import Processes, check_share, lost_processes
from grammar_rae.training.schedules import schedule
from grammar_rae.training.settings import OPTIMIZERS, TrainingSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

RELEASE_EVERY = 15.0
"""Seconds after which unused memory goes back to the system."""


@in_single_precision
def fit(
    autoencoder: nn.Module,
    train_set: DataSet,
    validation_set: DataSet,
    settings: TrainingSettings,
    folder: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
    same: Mapping[str, Any] = MappingProxyType({}),
) -> History:
    """Train in place; afterwards the autoencoder holds the weights of the lowest validation loss, in evaluation mode.

    Parameters
    ----------
    autoencoder
        ``autoencoder(x, generator)`` returns float32 scalars, means over the batch, as attributes: ``total`` (to
        descend), ``reconstruction``, ``latent``, ``penalty`` and ``exact`` (the share of rows reconstructed exactly).
        The generator is on the training device. Validation runs under ``torch.no_grad``.
    train_set, validation_set
        See :class:`DataSet`.
    folder
        Where to keep the training's state (in ``folder/state``), every ``checkpoint_every`` seconds and at the end,
        so that a finished training, too, can go on with more epochs or time. An older state there is replaced.
    callbacks
        See :class:`Callback`; :class:`ProgressBar` is one.
    resume
        Go on from ``folder/state``: at the same place of the same epoch, with the same weights to the last bit.
        Settings other than length, machine and intervals must be the same, and so must the data.
    same
        What else must be the same when this training is resumed, such as the weights of its costs: as JSON holds it.

    Ctrl-C ends the training after the step at hand: the state is saved, ``history.stopped`` is ``"interrupted"``, and
    ``fit`` returns normally, so that a notebook keeps its model. A second Ctrl-C raises KeyboardInterrupt at once; what
    was saved before stays whole.

    Raises
    ------
    InputError
        For an empty data set, or ``resume`` without a folder.
    TrainingError
        When a loss or gradient is not a finite number (the state saved last and the best weights so far are kept), or
        when there is nothing to resume, or something else than these data, settings and this model.
    CheckpointError
        When the state cannot be written or read.
    WorkerError
        When another process of this training has ended.
    """
    for name, data in (("training", train_set), ("validation", validation_set)):
        if len(data) < 1:
            raise InputError(f"the {name} set is empty", expected="at least one row", remedy="Use more data.")
    if resume and folder is None:
        raise InputError("resuming needs a folder", remedy="Pass the folder of the first training.")
    check_share(settings, len(train_set))
    if not any(parameter.requires_grad for parameter in autoencoder.parameters()):
        raise InputError("the autoencoder has no parameters to train")
    from grammar_rae.training.fabric import make_fabric

    home = next(autoencoder.parameters()).device
    sets = (train_set, validation_set)
    state_folder = None if folder is None else Path(folder) / "state"
    try:
        with training_lock(state_folder), lost_processes():
            history, weights = make_fabric(settings).launch(
                _work, autoencoder, sets, settings, state_folder, callbacks, resume, dict(same)
            )
    finally:
        autoencoder.to(home).eval()
    # Under a launcher that forks or spawns, the training took place in other processes.
    autoencoder.load_state_dict(weights)
    return cast(History, history)


def _work(fabric: "Fabric", *arguments: Any) -> tuple[History, dict[str, Tensor]]:
    """What every process does."""
    return _Run(fabric, *arguments).run()


@dataclass
class _Window:
    """Sums over the items trained since the last row; ``since`` is on the clock of trained seconds."""

    since: float = 0.0
    items: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * len(LOSSES))


class _Run:
    """One process's part of one training."""

    def __init__(
        self,
        fabric: "Fabric",
        autoencoder: nn.Module,
        sets: tuple[DataSet, DataSet],
        settings: TrainingSettings,
        folder: Path | None,
        callbacks: Sequence[Callback],
        go_on: bool,
        same: Mapping[str, Any],
    ) -> None:
        self.fabric, self.settings, self.folder, self.go_on = fabric, settings, folder, go_on
        self.train_set, self.validation_set = sets
        self.identity = resume.identity(settings, sets, same)
        self.interrupt = Interrupt()
        self.callbacks = callbacks if fabric.is_global_zero else ()
        self.processes, self.device = Processes(fabric), fabric.device
        self.autoencoder = autoencoder.train()
        self.optimizer = OPTIMIZERS[settings.optimizer](
            [parameter for parameter in autoencoder.parameters() if parameter.requires_grad],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.module, self.stepper = fabric.setup(autoencoder, self.optimizer)
        self.schedule = schedule(settings.schedule, settings.plateau_factor, settings.plateau_patience)
        self.generator = torch.Generator(device=self.device)
        self.state = TrainingState(autoencoder, epochs=settings.epochs)
        self.average = None if settings.average is None else WeightAverage(autoencoder, settings.average)
        self.best: dict[str, Tensor] | None = None
        self.best_loss = math.inf
        self.window = _Window()
        self.pending: list[tuple[Tensor, int]] = []
        self.validated, self.validated_at, self.validation_seconds = -1, 0.0, 0.0
        self.saved_at, self.released_at, self.origin, self.stop = 0.0, 0.0, 0.0, False

    def run(self) -> tuple[History, dict[str, Tensor]]:
        if getattr(self.train_set, "lengths", None) is None:  # then every batch needs as much as the one before
            keep_memory()
        self._begin()
        state = self.state
        self.origin = time.monotonic() - state.seconds
        self.saved_at = self.released_at = state.seconds
        cuda = [self.device.index or 0] if self.device.type == "cuda" else []
        # Layers such as dropout draw from the global generators; the caller's are given back as they were.
        with ctrl_c() as self.interrupt, torch.random.fork_rng(devices=cuda):
            try:
                self._loop()
            finally:
                if self.best is not None:
                    self.autoencoder.load_state_dict(self.best)
                self._tell("on_end")
        return state.history, copy_weights(self.autoencoder)

    def _begin(self) -> None:
        """Go on where a training was left, if that is asked for, and let all processes begin with the same."""
        problem: GrammarRAEError | None = None
        try:
            if self.go_on:
                self._restore()
        except GrammarRAEError as error:
            problem = error
        self.processes.agree(self.identity | {"step": self.state.step}, problem)

    def _loop(self) -> None:
        state, batches = self.state, self._plan()
        while (reason := self._reason_to_stop()) is None:
            if state.position < len(batches):
                self._step(batches[state.position])
                self._tell("on_step")
                self._synchronise()
                self._look_up()
            elif self.settings.validate_every is not None or self._validate():
                state.epoch, state.position = state.epoch + 1, 0
                batches = self._plan()
        if reason != "interrupted" and not self._validate():
            reason = "interrupted"
        if reason != "interrupted":
            state.progress = 1.0
        if self.window.items or self.pending:
            self._add_row()
        self.processes.share_buffers(self.autoencoder)
        state.history.stopped = reason
        self._save()

    def _plan(self) -> Sequence[NDArray[np.int64]]:
        lengths = getattr(self.train_set, "lengths", None)
        settings, epoch = self.settings, self.state.epoch
        batches = plan_batches(len(self.train_set), settings.batch_size, settings.seed, epoch, lengths)
        self.state.epoch_steps = len(batches)
        return batches

    def _step(self, rows: NDArray[np.int64]) -> None:
        state = self.state
        self._seed(f"step {state.step} of process {self.processes.rank}")
        self._set_rate()
        mine, weight = self.processes.share(rows)
        losses = self.module(self.train_set.batch(mine).to(self.device), self.generator)
        self.fabric.backward(losses.total if weight == 1 else weight * losses.total)
        clip = math.inf if self.settings.gradient_clip is None else self.settings.gradient_clip
        norm: Any = self.fabric.clip_gradients(self.module, self.stepper, max_norm=clip, error_if_nonfinite=False)
        self.stepper.step()
        self.stepper.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(state.step)
        parts = (losses.total, losses.reconstruction, losses.latent, losses.penalty, losses.exact)
        values = weight * torch.stack([part.detach() for part in parts])
        self.pending.append((torch.cat([values, norm.detach().reshape(1)]), len(rows)))
        state.step += 1
        state.position += 1
        # Reading a number back makes an accelerator wait, so there they are read in bunches.
        if self.device.type == "cpu" or len(self.pending) >= 32:
            self._read_losses()

    def _seed(self, purpose: str) -> None:
        digest = hashlib.blake2b(f"{self.settings.seed} {purpose}".encode(), digest_size=16).digest()
        self.generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        other = int.from_bytes(digest[8:], "little") >> 1
        torch.default_generator.manual_seed(other)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(other)

    def _set_rate(self) -> None:
        state, settings = self.state, self.settings
        shares = [0.0]
        if settings.epochs is not None:
            shares.append(state.step / (settings.epochs * state.epoch_steps))
        if settings.time_limit is not None:
            shares.append(state.seconds / max(settings.time_limit - self._next_validation(), 1e-9))
        state.progress = min(1.0, max(shares))
        rate = max(settings.minimum_rate, settings.learning_rate * self.schedule.factor(state.progress))
        state.learning_rate = rate * min(1.0, (state.step + 1) / max(1, settings.warmup_steps))
        for group in self.optimizer.param_groups:
            group["lr"] = state.learning_rate

    def _read_losses(self) -> None:
        """Add up what the latest steps cost, and stop at anything that is no number."""
        if not self.pending:
            return
        table = self.processes.mean(torch.stack([values for values, _ in self.pending])).tolist()
        first = self.state.step - len(table) + 1
        for step, (*losses, norm), (_, items) in zip(
            range(first, first + len(table)), table, self.pending, strict=True
        ):
            if not all(map(math.isfinite, (*losses, norm))):
                self.pending.clear()
                raise self._not_finite("gradient" if all(map(math.isfinite, losses)) else "loss", step)
            self.window.items += items
            self.window.sums = [total + items * loss for total, loss in zip(self.window.sums, losses, strict=True)]
        self.pending.clear()
        items, seconds = self.window.items, time.monotonic() - self.origin - self.window.since
        self.state.recent = {name: total / items for name, total in zip(LOSSES, self.window.sums, strict=True)}
        self.state.rate = items / seconds if seconds > 0 else self.state.rate

    def _not_finite(self, what: str, step: int) -> TrainingError:
        kept = "the weights of the best validation are kept" if self.best else "there was no validation yet"
        return TrainingError(
            f"the {what} is not a finite number at step {step}, in epoch {self.state.epoch + 1}",
            where=kept,
            remedy="Lower learning_rate, or raise warmup_steps, and check the data for extreme values.",
        )

    def _synchronise(self) -> None:
        """Let all processes agree on the time and on whether to stop; what follows from these, they do together."""
        seconds, stop = self.processes.largest(time.monotonic() - self.origin, self.interrupt.is_set())
        self.state.seconds, self.stop = seconds, bool(stop)

    def _reason_to_stop(self) -> str | None:
        settings, state = self.settings, self.state
        if self.stop:
            return "interrupted"
        if settings.epochs is not None and state.epoch >= settings.epochs:
            return "epochs"
        # The last validation is part of the time.
        if settings.time_limit is not None and state.seconds + self._next_validation() >= settings.time_limit:
            return "time limit"
        if settings.patience is not None and state.history.stale >= settings.patience:
            return "patience"
        return None

    def _next_validation(self) -> float:
        """The seconds that a validation will take: as long as the last one, or a guess before the first."""
        limit, state = self.settings.time_limit or math.inf, self.state
        if self.validated >= 0 or state.step == 0:
            return self.validation_seconds
        a_row = state.seconds / (state.step * self.settings.batch_size)
        # Half the time of training; but the first steps are slow, and must not end a short training.
        return min(0.5 * a_row * len(self.validation_set), 0.1 * limit)

    def _look_up(self) -> None:
        """Do what is due by the clock."""
        settings, seconds = self.settings, self.state.seconds
        # Ever fewer rows in a long training: a few thousand in a week.
        if seconds - self.window.since >= max(settings.log_every, seconds / 1000):
            self._add_row()
        if settings.validate_every is not None and seconds - self.validated_at >= settings.validate_every:
            self._validate()
        if seconds - self.saved_at >= settings.checkpoint_every:
            self._save()
        if seconds - self.released_at >= RELEASE_EVERY:
            self.released_at = seconds
            release_memory()

    def _add_row(self, validation: tuple[float, float] | None = None) -> None:
        self._read_losses()
        state, window = self.state, self.window
        loss, exact = validation or (None, None)
        empty = window.items == 0  # a second look at the same step
        rate = None if empty else state.rate
        means = {name: None if empty else total / window.items for name, total in zip(LOSSES, window.sums, strict=True)}
        row: Row = {"step": state.step, "epoch": state.epoch_number, "seconds": state.seconds, "rate": rate, **means}
        row |= {"validation_loss": loss, "validation_exact": exact, "learning_rate": state.learning_rate}
        state.history.rows.append(row)
        self.window = _Window(since=state.seconds)

    def _validate(self) -> bool:
        """Validate the present weights, unless that was done; False when Ctrl-C came in between."""
        state = self.state
        if self.validated == state.step:
            return True
        self._read_losses()
        self.processes.share_buffers(self.autoencoder)
        self._synchronise()
        began = state.seconds
        with nullcontext() if self.average is None else self.average.swapped_in():
            result = self._evaluate()
            shown = copy_weights(self.autoencoder)
        self._synchronise()
        if result is None:
            return False
        if not math.isfinite(result[0]):
            raise self._not_finite("validation loss", state.step)
        self.validated, self.validated_at = state.step, state.seconds
        if result[0] < self.best_loss:
            self.best_loss, self.best, state.history.best_step = result[0], shown, state.step
        self.schedule.observe(result[0])
        self.validation_seconds = state.seconds - began
        self._add_row(result)
        self._tell("on_validation")
        self._synchronise()
        return True

    def _evaluate(self) -> tuple[float, float] | None:
        """Loss and share of exact reconstructions over the validation set; None when Ctrl-C came in between."""
        data, size = self.validation_set, self.settings.batch_size
        lengths = getattr(data, "lengths", None)
        order = np.arange(len(data)) if lengths is None else np.argsort(np.asarray(lengths), kind="stable")
        sums = np.zeros(2)
        self.autoencoder.eval()
        rank, count = self.processes.rank, self.processes.count
        for start in range(rank * size, len(data), count * size):
            if self.interrupt.is_set() and count == 1:
                self.autoencoder.train()
                return None
            rows = order[start : start + size]
            self._seed(f"validation {start}")  # the same noise every time: validations compare
            with torch.no_grad(), self.fabric.autocast():
                losses = self.autoencoder(data.batch(rows).to(self.device), self.generator)
            sums += len(rows) * np.array([losses.total.item(), losses.exact.item()])
        self.autoencoder.train()
        if count > 1:
            sums = self.processes.mean(torch.tensor(sums, device=self.device)).cpu().numpy() * count
        return float(sums[0] / len(data)), float(sums[1] / len(data))

    def _tell(self, moment: str) -> None:
        try:
            for callback in self.callbacks:
                getattr(callback, moment)(self.state)
        except KeyboardInterrupt:
            self.interrupt.set()

    def _save(self) -> None:
        self._read_losses()
        self.saved_at = self.state.seconds
        if self.folder is None or self.processes.rank != 0:
            return
        optimizer, packed = checkpoint.pack_optimizer(self.optimizer.state_dict())
        state = self.state
        meta = {
            "kind": "training state",
            "identity": self.identity,
            "settings": asdict(self.settings),
            "versions": checkpoint.versions(),
            "position": {name: getattr(state, name) for name in ("step", "epoch", "position", "seconds")},
            "history": state.history.to_dict(),
            "window": asdict(self.window),
            "validated": [self.validated, self.validated_at, self.validation_seconds],
            "best_loss": self.best_loss if self.best else None,
            "schedule": self.schedule.state_dict(),
            "optimizer": packed,
        }
        groups = {"weights": self.autoencoder.state_dict(), "best": self.best or {}, "optimizer": optimizer}
        if self.average is not None:
            groups["average"] = self.average.weights
        checkpoint.save(self.folder, meta, groups)

    def _restore(self) -> None:
        assert self.folder is not None
        meta, tensors = resume.read(self.folder, self.identity, self.autoencoder)
        state = self.state
        with resume.require_format(self.folder):
            position = meta["position"]
            state.step, state.epoch, state.position = (int(position[key]) for key in ("step", "epoch", "position"))
            state.seconds = float(position["seconds"])
            state.history = History.from_dict(meta["history"])
            state.history.stopped = None
            since, items, sums = (meta["window"][key] for key in ("since", "items", "sums"))
            self.window = _Window(float(since), int(items), [float(sums[i]) for i in range(len(LOSSES))])
            validated, *seconds = meta["validated"]
            self.validated, (self.validated_at, self.validation_seconds) = int(validated), map(float, seconds)
            self.best = tensors["best"] or None
            self.best_loss = math.inf if meta["best_loss"] is None else float(meta["best_loss"])
            self.schedule.load_state_dict(meta["schedule"])
            self.autoencoder.load_state_dict(tensors["weights"])
            if self.average is not None:
                self.average.weights = tensors.get("average") or copy_weights(self.autoencoder)
            resume.load_optimizer(self.optimizer, tensors["optimizer"], meta["optimizer"])
