"""Schedules of the learning rate, and the settings of a training."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from torch import nn
from toys import SETTINGS, rows, toy, train

from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.training import (
    SCHEDULES,
    Callback,
    TrainingSettings,
    TrainingState,
    fit,
)
from grammar_rae.training.schedules import schedule


def test_schedules() -> None:
    assert [schedule("constant").factor(p) for p in (0.0, 0.5, 1.0)] == [1.0, 1.0, 1.0]
    assert [schedule("cosine").factor(p) for p in (0.0, 0.5, 1.0, 2.0)] == pytest.approx([1.0, 0.5, 0.0, 0.0])
    plateau = schedule("plateau", 0.5, 2)
    factors = []
    for loss in (3.0, 2.0, 2.0, 2.5, 1.0, 1.5, 1.5, 1.5, 1.5):
        plateau.observe(loss)
        factors.append(plateau.factor(0.0))
    assert factors == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_a_schedule_goes_on_from_its_state(name: str) -> None:
    one, other = schedule(name, 0.5, 2), schedule(name, 0.5, 2)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for loss in (3.0, 3.0, 2.0, 2.5, 2.5, 2.5):
        one.observe(loss)
        other.load_state_dict(json.loads(json.dumps(other.state_dict())))
        other.observe(loss)
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
    with pytest.raises(InputError, match="needs a folder"):
        fit(toy(), rows(4), rows(4), SETTINGS, resume=True)
    with pytest.raises(InputError, match="fewer rows than devices"):
        fit(toy(), rows(1), rows(4), replace(SETTINGS, devices=2))
    with pytest.raises(InputError, match="no parameters"):
        fit(nn.Identity(), rows(4), rows(4), SETTINGS)
    with pytest.raises(InputError, match="Lightning Fabric"):
        fit(toy(), rows(4), rows(4), replace(SETTINGS, accelerator="abacus"))


def test_a_trapezoid_can_be_prolonged() -> None:
    factors = [schedule("trapezoid").factor(progress) for progress in (0.0, 0.5, 0.8, 0.9, 1.0, 2.0)]
    assert factors == pytest.approx([1, 1, 1, 0.5, 0, 0])
