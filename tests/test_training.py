"""The training loop on a toy: every row once, the best weights, an end in time, and a resume to the last bit."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from grammar_rae import checkpoint
from grammar_rae.errors import CheckpointError, InputError, TrainingError, UnknownNameError
from grammar_rae.training import (
    SCHEDULES,
    Callback,
    History,
    ProgressBar,
    TrainingSettings,
    TrainingState,
    bfloat16_units,
    fit,
    plan_batches,
)
from grammar_rae.training.machine import ctrl_c
from grammar_rae.training.schedules import schedule

WIDTH = 6


class Losses(NamedTuple):
    total: Tensor
    reconstruction: Tensor
    latent: Tensor
    penalty: Tensor
    exact: Tensor


class Toy(nn.Module):
    """Linear both ways, with all that a resume could forget: buffers, dropout, noise."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(width, 4), nn.BatchNorm1d(4), nn.Dropout(0.1))
        self.decoder = nn.Linear(4, width)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        z = self.encoder(x).float()
        z = z + 0.1 * torch.randn(z.shape, generator=generator, device=z.device)
        errors = (self.decoder(z).float() - x).square().sum(1)
        reconstruction, latent = errors.mean(), 0.01 * z.square().sum(1).mean()
        parts = (reconstruction, latent, torch.zeros((), device=x.device))
        return Losses(reconstruction + latent, *parts, (errors < 0.5).float().mean())


class Rows:
    """A set in memory that remembers what was asked of it."""

    def __init__(self, x: Tensor, fingerprint: str | None = None) -> None:
        self.x = x
        self.asked: list[list[int]] = []
        if fingerprint is not None:
            self.fingerprint = fingerprint

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: NDArray[np.int64], /) -> Tensor:
        self.asked.append(indices.tolist())
        return self.x[torch.as_tensor(indices)]


def rows(n: int, seed: int = 0) -> Rows:
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    return Rows(x @ torch.linspace(-1, 1, 2 * WIDTH).reshape(2, WIDTH))


def toy() -> Toy:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Toy()


SETTINGS = TrainingSettings(epochs=3, batch_size=16, learning_rate=0.01, precision="32-true", accelerator="cpu")


def train(settings: TrainingSettings = SETTINGS, *callbacks: Callback, **keywords: Any) -> tuple[Toy, History]:
    model = toy()
    return model, fit(model, rows(150), rows(40, seed=1), settings, callbacks=callbacks, **keywords)


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# Batches


@given(
    n=st.integers(1, 3000),
    batch_size=st.integers(1, 40),
    epoch=st.integers(0, 3),
    processes=st.integers(1, 4),
    bucketed=st.booleans(),
)
def test_every_row_once_over_the_processes(n: int, batch_size: int, epoch: int, processes: int, bucketed: bool) -> None:
    lengths = np.random.default_rng(0).integers(1, 30, n) if bucketed else None
    batches = plan_batches(n, batch_size, 7, epoch, lengths, smallest=2 * processes)
    shares = [[batch[rank::processes] for batch in batches] for rank in range(processes)]
    assert sorted(np.concatenate([part for share in shares for part in share])) == list(range(n))
    assert max(map(len, batches)) < batch_size + 2 * processes
    if batch_size >= 2 * processes and n >= 2 * processes:
        assert all(len(part) > 0 for share in shares for part in share)
    again = plan_batches(n, batch_size, 7, epoch, lengths, smallest=2 * processes)
    assert all(map(np.array_equal, batches, again))


def test_batches_differ_from_epoch_to_epoch_and_seed_to_seed() -> None:
    plans = [np.concatenate(plan_batches(100, 10, seed, epoch)).tolist() for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert plans[0] != plans[1] != plans[2] != plans[0]


def test_rows_of_like_length_come_together() -> None:
    lengths = np.random.default_rng(0).geometric(0.1, 20_000)
    batches = plan_batches(20_000, 100, 0, 0, lengths)
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    shuffled = sum(len(batch) * int(lengths[batch].max()) for batch in plan_batches(20_000, 100, 0, 0))
    assert padded < 1.15 * lengths.sum() < 2 * lengths.sum() < shuffled
    means = np.array([lengths[batch].mean() for batch in batches])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3  # the batches themselves are shuffled


def test_a_lone_last_row_joins_another_batch() -> None:
    assert sorted(map(len, plan_batches(33, 16, 0, 0))) == [16, 17]
    assert sorted(map(len, plan_batches(34, 16, 0, 0))) == [2, 16, 16]
    assert list(map(len, plan_batches(1, 16, 0, 0))) == [1]


def test_a_training_sees_every_row_once_an_epoch() -> None:
    data = rows(150)
    fit(toy(), data, rows(40, seed=1), replace(SETTINGS, epochs=2))
    seen = [row for batch in data.asked for row in batch]
    assert sorted(seen[:150]) == sorted(seen[150:]) == list(range(150))
    assert seen[:150] != seen[150:]


# Schedules and settings


def test_schedules() -> None:
    assert [schedule("constant").factor(p) for p in (0.0, 0.5, 1.0)] == [1.0, 1.0, 1.0]
    assert [schedule("cosine").factor(p) for p in (0.0, 0.5, 1.0, 2.0)] == pytest.approx([1.0, 0.5, 0.0, 0.0])
    plateau = schedule("plateau", 0.5, 2)
    factors = []
    for loss in (3.0, 2.0, 2.0, 2.5, 1.0, 1.5, 1.5, 1.5, 1.5):
        plateau.validated(loss)
        factors.append(plateau.factor(0.0))
    assert factors == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_a_schedule_goes_on_from_its_state(name: str) -> None:
    one, other = schedule(name, 0.5, 2), schedule(name, 0.5, 2)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for loss in (3.0, 3.0, 2.0, 2.5, 2.5, 2.5):
        one.validated(loss)
        other.load_state_dict(json.loads(json.dumps(other.state_dict())))
        other.validated(loss)
        assert one.factor(0.3) == other.factor(0.3)


class Rates(Callback):
    def __init__(self) -> None:
        self.rates: list[float] = []
        self.progress: list[float] = []

    def on_step(self, state: TrainingState) -> None:
        self.rates.append(state.learning_rate)
        self.progress.append(state.progress)


def test_warm_up_then_cosine() -> None:
    seen = Rates()
    train(replace(SETTINGS, epochs=4, warmup_steps=5, learning_rate=1.0), seen)  # 4 epochs of 10 steps
    cosine = [0.5 + 0.5 * math.cos(math.pi * step / 40) for step in range(40)]
    assert seen.rates == pytest.approx([rate * min(1.0, (step + 1) / 5) for step, rate in enumerate(cosine)])


def test_the_rate_follows_the_clock_when_that_is_ahead() -> None:
    seen = Rates()
    _, history = train(replace(SETTINGS, epochs=10**6, time_limit=0.3), seen)
    assert history.stopped == "time limit"
    # The time that the next validation will take is an estimate, and may grow.
    assert all(after > before - 0.01 for before, after in pairwise(seen.progress))
    assert seen.progress[-1] > 0.5
    assert seen.rates[-1] < 0.5 * seen.rates[0]


def test_a_rate_never_falls_below_its_minimum() -> None:
    seen = Rates()
    train(replace(SETTINGS, minimum_rate=0.004), seen)
    assert min(seen.rates) == 0.004 < max(seen.rates)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": None},
        {"epochs": 0},
        {"epochs": 1.5},
        {"epochs": True},
        {"time_limit": 0.0},
        {"time_limit": math.nan},
        {"batch_size": 0},
        {"batch_size": "16"},
        {"learning_rate": 0.0},
        {"learning_rate": math.inf},
        {"learning_rate": None},
        {"weight_decay": -1.0},
        {"gradient_clip": 0.0},
        {"warmup_steps": -1},
        {"seed": -1},
        {"devices": 0},
        {"validate_every": -1.0},
    ],
)
def test_settings_that_cannot_be_used(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong)).split("_")[0]):
        TrainingSettings(**({"epochs": 1} | wrong))


@pytest.mark.parametrize("key", ["schedule", "optimizer", "precision"])
def test_unknown_names_list_what_exists(key: str) -> None:
    with pytest.raises(UnknownNameError, match="expected one of"):
        TrainingSettings(epochs=1, **{key: "no such"})  # type: ignore[arg-type]


def test_empty_sets_and_a_resume_of_nowhere() -> None:
    with pytest.raises(InputError, match="training set is empty"):
        fit(toy(), rows(0), rows(4), SETTINGS)
    with pytest.raises(InputError, match="validation set is empty"):
        fit(toy(), rows(4), rows(0), SETTINGS)
    with pytest.raises(InputError, match="without a folder"):
        fit(toy(), rows(4), rows(4), SETTINGS, resume=True)
    with pytest.raises(InputError, match="fewer rows than devices"):
        fit(toy(), rows(1), rows(4), replace(SETTINGS, devices=2))
    with pytest.raises(InputError, match="no parameters"):
        fit(nn.Identity(), rows(4), rows(4), SETTINGS)
    with pytest.raises(InputError, match="machine"):
        fit(toy(), rows(4), rows(4), replace(SETTINGS, accelerator="abacus"))


# The training itself


def test_it_learns_and_tells_what_it_did() -> None:
    model, history = train(replace(SETTINGS, epochs=20))
    assert history.stopped == "epochs"
    validations = [row for row in history.rows if row["validation_loss"] is not None]
    assert [row["step"] for row in validations] == [10 * epoch for epoch in range(1, 21)]
    assert [row["epoch"] for row in validations] == list(range(1, 21))
    assert validations[-1]["validation_loss"] < 0.5 * validations[0]["validation_loss"]  # type: ignore[operator]
    for row in validations:
        assert row["loss"] == pytest.approx(row["reconstruction"] + row["latent"] + row["penalty"])  # type: ignore
        assert row["rate"] > 0  # type: ignore[operator]
    assert History.from_dict(json.loads(json.dumps(history.to_dict()))) == history
    assert not model.training


def test_the_means_of_a_row_weigh_rows_not_batches() -> None:
    class Record(Toy):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[tuple[int, float]] = []

        def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
            losses = super().forward(x, generator)
            if self.training:
                self.seen.append((len(x), losses.total.item()))
            return losses

    model = Record()
    history = fit(model, rows(20), rows(5), replace(SETTINGS, epochs=1))
    assert sorted(n for n, _ in model.seen) == [4, 16]
    assert history.rows[0]["loss"] == pytest.approx(sum(n * loss for n, loss in model.seen) / 20)


def test_the_validation_loss_is_the_mean_over_its_rows() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
            loss, zero = (x.mean(1) - self.shift).square().mean(), torch.zeros(())
            return Losses(loss, loss, zero, zero, (x[:, 0] > 0).float().mean())

    model, held_out = Plain(), rows(37, seed=1)
    history = fit(model, rows(40), held_out, replace(SETTINGS, epochs=1))
    expected = model(held_out.x, None)
    assert history.rows[0]["validation_loss"] == pytest.approx(expected.total.item())
    assert history.rows[0]["validation_exact"] == pytest.approx(expected.exact.item())


def test_the_best_weights_are_kept() -> None:
    class Worse(Callback):
        """Ruins the model after its second validation."""

        kept: dict[str, Tensor]

        def on_validation(self, state: TrainingState) -> None:
            if state.epoch == 1:
                self.kept = {name: value.clone() for name, value in state.autoencoder.state_dict().items()}
                with torch.no_grad():
                    for parameter in state.autoencoder.parameters():
                        parameter.fill_(5.0)

    spoiler = Worse()
    model, history = train(replace(SETTINGS, epochs=3, learning_rate=1e-3), spoiler)
    assert history.best_step == 20
    assert history.best is not None
    assert history.best["epoch"] == 2
    assert all(torch.equal(value, spoiler.kept[name]) for name, value in model.state_dict().items())


def test_the_average_of_the_weights_is_what_validates_and_is_kept() -> None:
    class Weights(Callback):
        def __init__(self) -> None:
            self.seen: list[Tensor] = []

        def on_step(self, state: TrainingState) -> None:
            weight = dict(state.autoencoder.named_parameters())["decoder.weight"]
            self.seen.append(weight.detach().clone())

    watch = Weights()
    model, _ = train(replace(SETTINGS, epochs=1, average=0.5), watch)
    expected = toy().decoder.weight.detach()
    for step, weight in enumerate(watch.seen):
        expected = expected.lerp(weight, 1 - min(0.5, (1 + step) / (10 + step)))
    torch.testing.assert_close(model.decoder.weight.detach(), expected)
    assert not torch.equal(model.decoder.weight, watch.seen[-1])
    plain, _ = train(replace(SETTINGS, epochs=1))
    torch.testing.assert_close(plain.decoder.weight.detach(), watch.seen[-1])  # it changes no step


def test_an_averaged_training_resumes_to_the_last_bit(tmp_path: Path) -> None:
    settings = replace(SETTINGS, average=0.9, schedule="constant")
    whole, _ = train(settings, folder=tmp_path / "whole")
    train(replace(settings, epochs=1), folder=tmp_path / "parts")
    parts, _ = train(settings, folder=tmp_path / "parts", resume=True)
    assert same(whole, parts)


def test_a_trapezoid_can_be_prolonged() -> None:
    factors = [schedule("trapezoid").factor(progress) for progress in (0.0, 0.5, 0.8, 0.9, 1.0, 2.0)]
    assert factors == pytest.approx([1, 1, 1, 0.5, 0, 0])


def test_the_same_seed_gives_the_same_model_whatever_the_callers_random_state() -> None:
    torch.manual_seed(1)
    one, _ = train()
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert same(one, train()[0])
    assert not same(one, train(replace(SETTINGS, seed=1))[0])
    torch.set_rng_state(state)
    train()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_weight_decay_and_no_clipping(optimizer: str) -> None:
    plain, decayed = (
        train(replace(SETTINGS, optimizer=optimizer, weight_decay=decay, gradient_clip=None))[0] for decay in (0.0, 1.0)
    )
    assert decayed.decoder.weight.norm() < plain.decoder.weight.norm()


def test_gradients_are_clipped() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(3))

        def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
            loss, zero = 1000.0 * self.shift.sum() + 0.0 * x.sum(), torch.zeros(())
            return Losses(loss, loss, zero, zero, zero)

    class Norms(Callback):
        norms: list[float] = []  # noqa: RUF012

        def on_step(self, state: TrainingState) -> None:
            self.norms.append(state.autoencoder.shift.norm().item())  # type: ignore[operator]

    settings = replace(SETTINGS, epochs=1, gradient_clip=1e-12, schedule="constant", learning_rate=0.1)
    fit(Plain(), rows(16), rows(4), settings, callbacks=[Norms()])
    # Adam divides by |gradient| + 1e-8: only a tiny gradient gives a step far below the learning rate.
    assert 0 < Norms.norms[0] < 0.01


def test_bfloat16_keeps_the_batch_and_the_losses_in_float32() -> None:
    class Look(Toy):
        seen: set[torch.dtype] = set()  # noqa: RUF012

        def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
            self.seen |= {x.dtype, self.decoder(torch.ones(1, 4)).dtype}
            return super().forward(x, generator)

    model = Look()
    history = fit(model, rows(32), rows(32), replace(SETTINGS, epochs=1, precision="bf16-mixed"))
    assert model.seen == {torch.float32, torch.bfloat16}
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert history.stopped == "epochs"


def test_bfloat16_only_where_there_are_units(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, expected in (({"avx2", "avx512_bf16"}, True), ({"amx_bf16"}, True), ({"avx2", "avx512f"}, False)):
        monkeypatch.setattr("grammar_rae.training.machine._cpu_flags", lambda flags=flags: flags)
        assert bfloat16_units("cpu") is expected
    assert not bfloat16_units("mps")


def test_a_step_at_least_even_in_no_time() -> None:
    _, history = train(replace(SETTINGS, epochs=None, time_limit=1e-9))
    assert history.stopped == "time limit"
    assert history.rows[-1]["step"] == 1
    assert history.best_step == 1


def test_validation_by_the_clock() -> None:
    _, history = train(replace(SETTINGS, epochs=2, validate_every=0.0))
    assert [row["step"] for row in history.rows] == list(range(1, 21))
    assert all(row["validation_loss"] is not None for row in history.rows)
    _, history = train(replace(SETTINGS, epochs=2, validate_every=1e6, log_every=0.0))
    assert [row["step"] for row in history.rows if row["validation_loss"] is not None] == [20]
    assert len(history.rows) == 21


class Moments(Callback):
    def __init__(self) -> None:
        self.moments: list[str] = []

    def on_step(self, state: TrainingState) -> None:
        self.moments.append(f"step {state.step}")
        assert set(state.recent) == {"loss", "reconstruction", "latent", "penalty", "exact"}

    def on_validation(self, state: TrainingState) -> None:
        self.moments.append(f"validation {state.history.rows[-1]['step']}")

    def on_end(self, state: TrainingState) -> None:
        self.moments.append("end")
        assert state.progress == 1.0


def test_callbacks_hear_of_every_moment() -> None:
    moments = Moments()
    fit(toy(), rows(32), rows(4), replace(SETTINGS, epochs=2), callbacks=[moments])
    assert moments.moments == ["step 1", "step 2", "validation 2", "step 3", "step 4", "validation 4", "end"]


def test_the_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    train(SETTINGS, ProgressBar(every=0.0))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "epoch 3/3" in shown.err
    assert "100%" in shown.err
    for word in ("loss", "exact", "held out", "/s", "left"):
        assert word in shown.err


# Failures


class Fails(Toy):
    def __init__(self, at: int, what: str) -> None:
        super().__init__()
        self.calls, self.at, self.what = 0, at, what

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        losses = super().forward(x, generator)
        self.calls += self.training
        if self.training and self.what != "validation" and self.calls == self.at:
            if self.what == "loss":
                return losses._replace(total=losses.total * math.nan)
            losses.total.register_hook(lambda gradient: gradient * math.inf)  # type: ignore[no-untyped-call]
        if not self.training and self.what == "validation" and self.calls == self.at:
            return losses._replace(total=losses.total * math.inf)
        return losses


@pytest.mark.parametrize(
    ("what", "at", "message"),
    [
        ("loss", 13, "loss is not a finite number at step 13, in epoch 2"),
        ("gradient", 13, "gradient is not a finite number at step 13, in epoch 2"),
        ("validation", 20, "validation loss is not a finite number at step 20, in epoch 2"),
    ],
)
def test_what_is_no_number_stops_the_training(tmp_path: Path, what: str, at: int, message: str) -> None:
    good = fit(Fails(0, what), rows(150), rows(40, 1), replace(SETTINGS, epochs=1))
    model = Fails(at, what)
    with pytest.raises(TrainingError, match=message) as caught:
        fit(model, rows(150), rows(40, 1), replace(SETTINGS, checkpoint_every=0.0), folder=tmp_path)
    assert "learning_rate" in str(caught.value)
    assert good.best_step == 10
    assert all(value.isfinite().all() for value in model.state_dict().values())
    meta, tensors = checkpoint.load(tmp_path / "state")
    assert meta["position"]["step"] == (at if what == "validation" else at - 1)
    assert all(value.isfinite().all() for value in tensors["weights"].values())
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in tensors["best"].items())


def test_a_full_disk_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(replace(SETTINGS, epochs=1), folder=tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_write", lambda path, blob: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(CheckpointError, match="disk full"):
            train(replace(SETTINGS, epochs=2), folder=tmp_path, resume=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()} == before


# Stopping and going on


class StopAt(Callback):
    def __init__(self, step: int, how: Callable[[], object]) -> None:
        self.step, self.how = step, how

    def on_step(self, state: TrainingState) -> None:
        if state.step == self.step:
            self.how()


def interrupt() -> None:
    raise KeyboardInterrupt


def ctrl_c_now() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("how", [interrupt, ctrl_c_now])
@pytest.mark.parametrize("step", [1, 7, 10, 11, 29, 30])
@pytest.mark.parametrize("name", ["cosine", "plateau"])
def test_stop_anywhere_and_go_on_to_the_same_bits(
    tmp_path: Path, how: Callable[[], object], step: int, name: str
) -> None:
    settings = replace(SETTINGS, schedule=name, plateau_patience=1)
    whole, history = train(settings)
    _, stopped = train(settings, StopAt(step, how), folder=tmp_path)
    assert stopped.stopped == "interrupted"
    assert stopped.rows[-1]["step"] == step
    again, resumed = train(settings, folder=tmp_path, resume=True)
    assert same(whole, again)
    assert resumed.stopped == "epochs"
    assert resumed.best_step == history.best_step
    ours, theirs = (
        {row["step"]: (row["validation_loss"], row["validation_exact"]) for row in h.rows if row["validation_loss"]}
        for h in (history, resumed)
    )
    assert ours == theirs


def test_stopped_again_and_again(tmp_path: Path) -> None:
    whole, _ = train()
    train(SETTINGS, StopAt(4, interrupt), folder=tmp_path)
    for step in (5, 11, 12, 25):
        train(SETTINGS, StopAt(step, interrupt), folder=tmp_path, resume=True)
    again, resumed = train(SETTINGS, folder=tmp_path, resume=True)
    assert same(whole, again)
    assert [row["step"] for row in resumed.rows] == [4, 5, 10, 11, 12, 20, 25, 30]
    seconds = [row["seconds"] for row in resumed.rows]
    assert seconds == sorted(seconds)  # type: ignore[type-var]
    # A finished training has nothing left to do.
    once_more, resumed = train(SETTINGS, StopAt(31, interrupt), folder=tmp_path, resume=True)
    assert same(whole, once_more)
    assert resumed.stopped == "epochs"


def test_ctrl_c_in_a_validation(tmp_path: Path) -> None:
    class Held(Rows):
        def batch(self, indices: NDArray[np.int64], /) -> Tensor:
            if len(self.asked) == 3:  # the first batch of the second validation
                ctrl_c_now()
            return super().batch(indices)

    whole, _ = train()
    model = toy()
    stopped = fit(model, rows(150), Held(rows(40, seed=1).x), SETTINGS, folder=tmp_path)
    assert stopped.stopped == "interrupted"
    assert stopped.best_step == 10
    again, resumed = train(SETTINGS, folder=tmp_path, resume=True)
    assert same(whole, again)
    assert [row["step"] for row in resumed.rows if row["validation_loss"]] == [10, 20, 30]


def test_interrupted_before_any_validation_the_model_has_its_latest_weights(tmp_path: Path) -> None:
    model, history = train(SETTINGS, StopAt(7, interrupt), folder=tmp_path)
    assert history.best_step is None
    weights = checkpoint.load(tmp_path / "state")[1]["weights"]
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ctrl_c() as interrupted:
        ctrl_c_now()
        assert interrupted.is_set()
        with pytest.raises(KeyboardInterrupt):
            ctrl_c_now()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_while_saving_leaves_a_whole_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(replace(SETTINGS, epochs=1), folder=tmp_path)
    real = os.replace

    def replace_slowly(*args: Any) -> None:
        ctrl_c_now()
        real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace_slowly)
        with pytest.raises(KeyboardInterrupt):
            train(SETTINGS, StopAt(15, ctrl_c_now), folder=tmp_path, resume=True)
    assert not [path for path in (tmp_path / "state").iterdir() if path.name.endswith(".tmp")]
    again, _ = train(SETTINGS, folder=tmp_path, resume=True)
    assert checkpoint.load(tmp_path / "state")[0]["position"]["step"] == 30
    assert not again.training


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
import test_training as t
settings = t.replace(t.SETTINGS, checkpoint_every=0.0)
t.train(settings, t.StopAt(17, lambda: os._exit(9)), folder=Path({folder!r}))
"""


def test_killed_hard_and_gone_on(tmp_path: Path) -> None:
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], timeout=120, check=False, capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    assert checkpoint.load(tmp_path / "state")[0]["position"]["step"] == 16
    assert same(train()[0], train(SETTINGS, folder=tmp_path, resume=True)[0])


def test_a_longer_training_goes_on_from_a_shorter_one(tmp_path: Path) -> None:
    settings = replace(SETTINGS, schedule="constant")
    train(replace(settings, epochs=1), folder=tmp_path)
    longer, history = train(replace(settings, epochs=3), folder=tmp_path, resume=True)
    assert same(longer, train(settings)[0])
    assert history.rows[-1]["step"] == 30


def test_a_time_limit_counts_over_resumes(tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=None, time_limit=0.3)
    train(settings, StopAt(20, interrupt), folder=tmp_path)
    _, history = train(settings, folder=tmp_path, resume=True)
    assert history.stopped == "time limit"
    last = history.rows[-1]["step"]
    _, once_more = train(settings, folder=tmp_path, resume=True)
    assert once_more.rows[-1]["step"] == last


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.02}, "learning_rate"),
        ({"batch_size": 8}, "batch_size"),
        ({"seed": 1}, "seed"),
        ({"schedule": "constant"}, "schedule"),
        ({"gradient_clip": None}, "gradient_clip"),
    ],
)
def test_other_settings_are_not_resumed(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    train(replace(SETTINGS, epochs=1), folder=tmp_path)
    with pytest.raises(TrainingError, match=message):
        train(replace(SETTINGS, **change), folder=tmp_path, resume=True)


def test_other_data_models_and_states_are_not_resumed(tmp_path: Path) -> None:
    held_out, data = rows(4, seed=1), Rows(rows(64).x, fingerprint="a")

    def go_on(model: nn.Module, data: Rows, folder: Path = tmp_path) -> History:
        return fit(model, data, held_out, replace(SETTINGS, epochs=1), folder=folder, resume=True)

    with pytest.raises(TrainingError, match="no training to resume"):
        go_on(toy(), data)
    fit(toy(), data, held_out, replace(SETTINGS, epochs=1), folder=tmp_path)
    with pytest.raises(TrainingError, match="training_data"):
        go_on(toy(), Rows(data.x, fingerprint="b"))
    with pytest.raises(TrainingError, match="training_rows"):
        go_on(toy(), Rows(data.x[:-1], fingerprint="a"))
    with pytest.raises(TrainingError, match=r"decoder\.bias"):
        go_on(Toy(width=WIDTH + 1), data)
    checkpoint.save(tmp_path / "other" / "state", {"recipe": "toy"}, {"weights": {}, "best": {}, "optimizer": {}})
    with pytest.raises(CheckpointError, match="not what this package writes"):
        go_on(toy(), data, tmp_path / "other")
    assert go_on(toy(), data).stopped == "epochs"


# More processes, and what must not be imported

TWO = """
import json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
import test_training as t
from grammar_rae.training import is_main_process
settings = t.replace(t.SETTINGS, devices=2, epochs=2)
data = t.rows(150)
model = t.toy()
history = t.fit(model, data, t.rows(40, seed=1), settings, folder=Path({folder!r}))
rank = 0 if is_main_process() else 1
seen = [row for batch in data.asked for row in batch]
weights = [value.double().sum().item() for value in model.state_dict().values()]
Path({folder!r}, f"rank{{rank}}.json").write_text(json.dumps([seen, weights, history.to_dict()]))
"""


def test_two_processes_share_the_rows_and_agree(tmp_path: Path) -> None:
    script = tmp_path / "two.py"  # Fabric starts the script a second time
    script.write_text(TWO.format(tests=str(Path(__file__).parent), folder=str(tmp_path)))
    done = subprocess.run([sys.executable, str(script)], timeout=120, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (seen, weights, history), (others, other_weights, other_history) = (
        json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)
    )
    half = len(seen) // 2
    assert sorted(seen + others) == sorted(2 * list(range(150)))
    assert not set(seen[:half]) & set(others[:half])
    assert weights == other_weights
    assert [row["validation_loss"] for row in history["rows"]] == [
        row["validation_loss"] for row in other_history["rows"]
    ]
    assert history["stopped"] == "epochs"


def test_training_imports_no_chemistry() -> None:
    script = "import sys, grammar_rae.training as t; print([m for m in sys.modules if m in ('rdkit', 'nltk')])"
    done = subprocess.run([sys.executable, "-c", script], timeout=120, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
