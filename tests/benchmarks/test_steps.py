"""The benchmark of training steps: what is compared, and how; never how long it takes."""

import importlib.util
import json
from itertools import count

import numpy as np
import pytest

from benchmarks import steps
from benchmarks.rows import figures
from grammar_rae.errors import InputError, UnknownNameError

SETTING = steps._Setting("grammar_rae", "rae-l2", "own loop", (1, 8, 8), 4, 3, "small", 0, None)

needs_pythae = pytest.mark.skipif(importlib.util.find_spec("pythae") is None, reason="pythae is not installed")


class Ticks:
    """A clock that is one second later whenever it is looked at."""

    def __init__(self) -> None:
        self.seconds = count()

    def __call__(self) -> float:
        return float(next(self.seconds))


@pytest.mark.parametrize("model", steps.MODELS)
@pytest.mark.parametrize("comparison", steps.COMPARISONS)
def test_our_own_side(model: str, comparison: str) -> None:
    setting = SETTING._replace(model=model, comparison=comparison)
    about = steps._about(setting)
    assert (about.name, about.optimizer, about.images.shape) == ("grammar_rae", "fused", (2, 1, 8, 8))
    # A step is one look at the clock, and the first does not count; the next round is as long.
    assert steps._train(setting, Ticks()) == [1.0] * setting.steps
    assert steps._train(setting, Ticks()) == [1.0] * setting.steps
    # It is training that is timed: the same net reconstructs otherwise now.
    assert not np.array_equal(steps._about(setting).images, about.images)


def test_a_side_that_trains_afresh_begins_with_the_same_weights() -> None:
    about = steps._about(SETTING)
    steps._side.cache_clear()
    np.testing.assert_array_equal(steps._about(SETTING).images, about.images)
    steps._side.cache_clear()
    assert not np.array_equal(steps._about(SETTING._replace(seed=1)).images, about.images)


def test_an_interrupted_training_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = steps._Ours(SETTING)
    original = steps.fit

    def interrupted(*arguments: object, **keywords: object) -> object:
        history = original(*arguments, **keywords)
        history.stopped = "interrupted"
        return history

    monkeypatch.setattr(steps, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ours.train(Ticks())


def test_figures_of_a_comparison() -> None:
    ours = steps._About("grammar_rae", "fused", 2, np.zeros((1, 1, 2, 2), np.float32))
    theirs = steps._About("other 1.0", "its own", 2, np.full((1, 1, 2, 2), 0.25, np.float32))
    taken = [[[0.001, 0.003], [0.002, 0.002]], [[0.004, 0.004], [0.008, 0.016]]]
    row = steps._row(SETTING, [ours, theirs], taken)
    assert (row["ours_ms"], row["theirs_ms"], row["steps"]) == (2.0, 6.0, 4)
    assert row["theirs_quartiles_ms"] == [4.0, 10.0]
    assert row["ratio"] == pytest.approx(1 / 3)
    assert (row["ratio_lowest"], row["ratio_highest"]) == (pytest.approx(1 / 6), pytest.approx(1 / 2))
    assert row["difference"] == 0.25
    assert (row["against"], row["ours_adam"], row["theirs_adam"]) == ("other 1.0", "fused", "its own")
    assert json.loads(json.dumps(row)) == row
    assert "| ratio | 0.3333 |" in figures([row])


def test_alone_there_is_nothing_to_compare() -> None:
    about = steps._about(SETTING)
    row = steps._row(SETTING, [about], [[[0.001, 0.002, 0.003]]])
    assert row["ours_ms"] == 2.0
    assert not {"theirs_ms", "ratio", "against", "difference"} & row.keys()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"batch": 0}, "batch cannot be used"),
        ({"rounds": 1.5}, "rounds cannot be used"),
        ({"steps": -1}, "steps cannot be used"),
        ({"threads": 0}, "threads cannot be used"),
    ],
)
def test_numbers_that_cannot_be_used(wrong: dict[str, float], told: str) -> None:
    with pytest.raises(InputError, match=told):
        steps.run(against=None, **wrong)


@pytest.mark.parametrize("wrong", [{"models": ["wae"]}, {"against": "another"}, {"net": "large", "against": None}])
def test_names_that_are_not_there(wrong: dict[str, object]) -> None:
    with pytest.raises(UnknownNameError):
        steps.run(**({"against": None} | wrong))


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pythae is not installed") as caught:
        steps.run()
    assert "pip install pythae==0.1.2" in str(caught.value.remedy)


@pytest.mark.slow
def test_run_alone() -> None:
    rows = steps.run(["vae"], (1, 8, 8), batch=4, threads=1, rounds=1, steps=2, against=None)
    assert [(row["model"], row["comparison"]) for row in rows] == [("vae", "own loop"), ("vae", "step alone")]
    assert all(row["threads"] == 1 and row["steps"] == 2 and row["ours_ms"] > 0 for row in rows)


@needs_pythae
@pytest.mark.parametrize("model", steps.MODELS)
def test_run_against_pythae(model: str) -> None:
    rows = steps.run([model], (1, 8, 8), batch=4, threads=1, rounds=2, steps=2)
    assert [row["theirs_adam"] for row in rows] == ["as PyTorch makes it", "fused"]
    for row in rows:
        assert row["against"].startswith("pythae ")
        assert row["ratio_lowest"] <= row["ratio_highest"]
        assert row["difference"] < 1e-6  # the same nets, with the same weights
