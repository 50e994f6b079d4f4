"""Molecules a second beside other models: what is timed, whose turn it is, what is refused."""

import itertools
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from benchmarks import sampling
from benchmarks.__main__ import app
from benchmarks.sampling import ALPHABET, RIVALS, run
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.model import TextModel
from grammar_rae.resources import bundled_model

MODEL = """
import torch
drawn = []
class {name}:
    def __init__(self, vocabulary, config):
        self.vocabulary, self.size = vocabulary, config.size
        assert vocabulary.vectors.shape == (len(vocabulary), len(vocabulary))
    def eval(self):
        return self
    def sample(self, n):
        assert torch.zeros(1, dtype=torch.uint8).dtype == torch.bool and torch.ones(2).sum() == self.size
        drawn.append(n)
        ids = [self.vocabulary.bos, 0, 1, self.vocabulary.eos]
        return [self.vocabulary.ids2string(ids)] * n
"""
CONFIG = """
import argparse
def get_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=2)
    return parser
"""


@pytest.fixture
def molsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with the files of molsets that are used, whose own import fails as that of molsets may."""
    home = tmp_path / "moses"
    for folder, name in RIVALS.items():
        (home / folder).mkdir(parents=True)
        (home / folder / "model.py").write_text(MODEL.format(name=name))
        (home / folder / "config.py").write_text(CONFIG)
    (home / "__init__.py").write_text("raise ImportError('pandas has changed')")
    monkeypatch.syspath_prepend(tmp_path)
    return home


@pytest.fixture(scope="module")
def model() -> TextModel:
    return TextModel.load(bundled_model("expressions"))


@pytest.mark.usefixtures("molsets")
def test_rates_and_ratios(model: TextModel) -> None:
    # A round that does not count, and two that do: what each of the three sides takes, from one look at the clock to
    # the next.
    turns = [9, 9, 9, 1, 4, 2, 3, 4, 6]
    looks = itertools.accumulate(step for taken in turns for step in (0.5, taken))
    rows = run(model, n=10, batch=4, rounds=2, threads=1, clock=lambda: next(looks))
    assert [row["drawn by"] for row in rows] == ["grammar_rae", "molsets char_rnn", "molsets vae"]
    assert rows[0]["recipe"] == "expressions" and rows[0]["threads"] == 1
    assert [row["texts a second"] for row in rows] == [10 / 2, 10 / 4, 10 / 4]
    assert [row["grammar_rae to it"] for row in rows[1:]] == [2, 2]
    assert rows[1]["grammar_rae: lowest and highest of a round"] == "1.3, 4.0"
    # Once that does not count, then two rounds: ten texts, four at a time.
    assert sys.modules["_molsets_vae_model"].drawn == [4, 4, 2] * 3
    assert sampling.rival("char_rnn")(2) == [ALPHABET[:2]] * 2


@pytest.mark.usefixtures("molsets")
def test_int8_takes_its_own_turn(model: TextModel) -> None:
    rows = run(model, ["vae"], n=10, rounds=1, int8=True)
    assert [row["drawn by"] for row in rows] == ["grammar_rae", "grammar_rae, int8", "molsets vae"]
    assert rows[2]["grammar_rae, int8 to it"] == rows[1]["texts a second"] / rows[2]["texts a second"]
    assert 0 < rows[1]["raw validity"] <= 1


def test_ours_alone(model: TextModel) -> None:
    (row,) = run(model, [], n=5, rounds=1)
    assert row["texts a second"] > 0
    words = ["sampling", "-m", "expressions", "--alone", "-n", "5", "--rounds", "1"]
    done = CliRunner().invoke(app, words, prog_name="benchmarks")
    assert done.exit_code == 0 and "| texts a second |" in done.stdout


def test_what_is_refused(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    with pytest.raises(UnknownNameError, match="char_rnn"):
        run(model, ["char_rn"], threads=1)
    with pytest.raises(InputError, match="n cannot be used"):
        run(model, n=0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install --no-deps molsets"):
        run(model, n=1)
    assert torch.get_num_threads() == threads
