"""The training loop on a toy: the best weights, an end in time, callbacks, failures."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toys import SETTINGS, Losses, Toy, rows, same, toy, train

from grammar_rae import checkpoint
from grammar_rae.errors import CheckpointError, TrainingError
from grammar_rae.training import (
    Callback,
    History,
    ProgressBar,
    TrainingState,
    fit,
    has_bfloat16,
)


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
        assert has_bfloat16("cpu") is expected
    assert not has_bfloat16("mps")


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
