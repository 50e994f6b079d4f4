"""A training that is stopped anywhere goes on to the last bit, in one process or several."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from toys import SETTINGS, WIDTH, Rows, StopAt, Toy, ctrl_c_now, interrupt, rows, same, toy, train

from grammar_rae import checkpoint
from grammar_rae.errors import CheckpointError, TrainingError
from grammar_rae.training import (
    History,
    fit,
)
from grammar_rae.training.machine import ctrl_c

TESTS = Path(__file__).resolve().parents[1]


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
import toys as t
from dataclasses import replace
settings = replace(t.SETTINGS, checkpoint_every=0.0)
t.train(settings, t.StopAt(17, lambda: os._exit(9)), folder=Path({folder!r}))
"""


def test_killed_hard_and_gone_on(tmp_path: Path) -> None:
    script = KILLED.format(tests=str(TESTS), folder=str(tmp_path))
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
    train(settings, StopAt(2, interrupt), folder=tmp_path)
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
    with pytest.raises(CheckpointError, match="not in the expected format"):
        go_on(toy(), data, tmp_path / "other")
    assert go_on(toy(), data).stopped == "epochs"


def test_training_imports_no_chemistry() -> None:
    script = "import sys, grammar_rae.training as t; print([m for m in sys.modules if m in ('rdkit', 'nltk')])"
    done = subprocess.run([sys.executable, "-c", script], timeout=120, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
