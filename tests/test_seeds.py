"""Seeds: which are taken, and what becomes of None."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import grammar_rae
from grammar_rae.cli import app
from grammar_rae.datasets import sample_texts
from grammar_rae.datasets.rows import split_rows
from grammar_rae.density import MixtureDensity
from grammar_rae.errors import GrammarRAEError, InputError
from grammar_rae.evaluation.molecules import EvaluationSettings
from grammar_rae.model import TextModel
from grammar_rae.optimization import optimize
from grammar_rae.seeds import check_seed, resolve_seed
from grammar_rae.training import TrainingSettings

TEXTS = ["C" * n + end for n in range(1, 12) for end in ("O", "N", "F", "Cl")]
QUICK: dict[str, Any] = {"recipe": "tiny", "epochs": 1, "progress": False, "jobs": 1, "density": "gaussian"}
CODES = np.random.default_rng(0).normal(size=(50, 3))

TAKERS: dict[str, Callable[[Any], object]] = {
    "settings": lambda seed: TrainingSettings(epochs=1, seed=seed),
    "training": lambda seed: grammar_rae.train(TEXTS, seed=seed, **{**QUICK, "density_options": {}}),
    "sample": lambda seed: grammar_rae.sample(1, seed=seed),
    "fit": lambda seed: MixtureDensity(3, n_components=2).fit(CODES, seed=seed),
    "split": lambda seed: split_rows(10, 0.5, seed),
    "texts": lambda seed: sample_texts(TEXTS, 2, seed),
    "optimize": lambda seed: optimize(object(), len, TEXTS, seed=seed),
    "evaluate": lambda seed: EvaluationSettings(seed=seed),
}


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, True, "1", float("nan")])
@pytest.mark.parametrize("taker", TAKERS)
def test_seeds_out_of_range_are_refused(taker: str, seed: Any) -> None:
    with pytest.raises(InputError, match="the seed cannot be used"):
        TAKERS[taker](seed)


@pytest.mark.parametrize("seed", [0, 2**31, 2**32, 2**63, 2**64 - 1, np.int64(3)])
@pytest.mark.parametrize("taker", ["settings", "fit", "split", "texts", "evaluate"])
def test_seeds_in_range_are_taken(taker: str, seed: Any) -> None:
    TAKERS[taker](seed)
    assert check_seed(seed) == resolve_seed(seed) == seed


def test_none_draws_a_seed_that_is_kept(tmp_path: Path) -> None:
    model = grammar_rae.train(TEXTS, folder=tmp_path, seed=None, density_options={}, **QUICK)
    again = TextModel.load(tmp_path)
    assert model.seed is None and again.seed == model.seed_ == again.seed_ == model.recipe_.training["seed"]
    drawn = model.sample(3, seed=None, valid_only=False)
    assert model.sample(3, seed=drawn.seed, valid_only=False).texts == drawn.texts
    # A training that goes on keeps the seed that it drew.
    longer = grammar_rae.train(
        TEXTS, folder=tmp_path, seed=None, resume=True, density_options={}, **QUICK | {"epochs": 2}
    )
    assert longer.seed_ == model.seed_
    other = grammar_rae.train(TEXTS, seed=None, density_options={}, **QUICK)
    assert other.seed_ != model.seed_


def test_several_processes_need_a_seed() -> None:
    with pytest.raises(InputError, match="several devices"):
        grammar_rae.train(TEXTS, seed=None, devices=2, density_options={}, **QUICK)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_commands_refuse_seeds_out_of_range(seed: int, tmp_path: Path) -> None:
    for words in (["refit", "gmm"], ["sample"], ["optimize", "--score", "qed"], ["train", "x.smi", "-o", "y"]):
        result = CliRunner().invoke(
            app, [*words, "--seed", str(seed), "-m", str(tmp_path)][: None if words[0] != "train" else -2]
        )
        assert result.exit_code == 2 and "--seed" in result.stderr
    with pytest.raises(GrammarRAEError, match="seed"):
        TextModel.load("data/models/molecules").refit_density("gaussian", seed=seed)
