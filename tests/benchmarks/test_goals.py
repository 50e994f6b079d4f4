"""Goal-directed benchmarks: PMO's figure by its definition, a grid of toy searches that goes on, the table."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import goals
from benchmarks.goals import GoalsStudy, auc_top, batch_size, diversity, foresight, markdown, published
from benchmarks.grid import measure
from grammar_rae import chem
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.model import TextModel
from grammar_rae.optimization import SURROGATES
from grammar_rae.scores import SUITES, get_score

ATOMS = ("C", "N", "O", "C(F)", "C(=O)", "C(C)", "c1ccc(cc1)", "S")


class Chains:
    """Molecules that are chains of six units, around codes in [-1, 1]^6."""

    codec = SimpleNamespace(canonical=chem.canonical_or_none)

    def __init__(self) -> None:
        self._codes: dict[str, Any] = {}

    def decode_batch(self, z: Any, **options: Any) -> Any:
        units = np.clip(np.rint((np.asarray(z) + 1) * 3.5), 0, 7).astype(int)
        texts = [chem.canonical_or_none("C" + "".join(ATOMS[unit] for unit in row) + "C") for row in units]
        self._codes |= {text: row / 3.5 - 1 for text, row in zip(texts, units, strict=True) if text}
        return SimpleNamespace(texts=[text or "?" for text in texts], valid=np.array([bool(text) for text in texts]))

    def encode(self, texts: list[str], errors: str = "raise") -> Any:
        rows = [row for row, text in enumerate(texts) if text in self._codes]
        codes = np.array([self._codes[texts[row]] for row in rows], np.float32).reshape(-1, 6)
        return SimpleNamespace(codes=codes, rows=np.array(rows, int))

    def sample(self, n: int, valid_only: bool = True, seed: int = 0, constraint: Any = None) -> Any:
        z = np.random.default_rng(seed).uniform(-1, 1, (n, 6))
        return SimpleNamespace(latent=z, **vars(self.decode_batch(z)))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoalsStudy:
    model = Chains()
    monkeypatch.setattr(TextModel, "load", lambda path: model)
    options = {"n_pool": 60, "surrogate": "tanimoto"}
    return GoalsStudy(
        tmp_path,
        tmp_path / "toy",
        tasks=["celecoxib_rediscovery", "isomers_c7h8n2o2"],
        seeds=(0,),
        calls=130,
        batch=20,
        initial=60,
        options=options,
        progress=False,
    )


def test_the_area_is_that_of_pmo() -> None:
    assert auc_top(np.ones(250), 10, 1000) == pytest.approx(0.95)  # the first hundred rises from 0
    assert auc_top(np.r_[np.zeros(100), np.ones(100)], 10, 200) == pytest.approx(0.25)
    assert auc_top(np.r_[np.zeros(90), np.ones(10)], 100, 100) == pytest.approx(0.05)
    values = np.random.default_rng(0).uniform(size=370)
    points = {end: np.sort(values[:end])[-10:].mean() for end in (100, 200, 300, 370)}
    truth = 50 * points[100] + 50 * (points[100] + points[200]) + 50 * (points[200] + points[300])
    truth += 35 * (points[300] + points[370]) + 630 * points[370]
    assert auc_top(values, 10, 1000) == pytest.approx(truth / 1000)


def test_diversity_is_the_mean_over_pairs() -> None:
    assert diversity(["CCO", "CCO"]) == pytest.approx(0)
    texts = ["CCO", "c1ccccc1", "CCN"]
    bits = [np.unpackbits(chem.morgan(text, 2048)) for text in texts]
    pairs = [1 - (bits[i] & bits[j]).sum() / (bits[i] | bits[j]).sum() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert diversity(texts) == pytest.approx(np.mean(pairs)) and np.isnan(diversity(texts[:1]))


def test_batches_grow_with_what_is_known() -> None:
    assert [batch_size(known, 50) for known in (0, 200, 500, 1_000, 9_000)] == [10, 10, 25, 50, 50]
    assert batch_size(9_000, 5) == 5


def test_every_surrogate_is_asked_before_the_same_batches() -> None:
    model = Chains()
    texts = list(dict.fromkeys(model.decode_batch(np.random.default_rng(0).uniform(-1, 1, (60, 6))).texts))[:40]
    values = [float(text.count("F")) for text in texts]
    history = pd.DataFrame({"smiles": texts, "goal": values, "batch": np.arange(40) // 10 + 1})
    history["goal_expected"] = np.where(history["batch"] > 1, 0.0, np.nan)
    found = foresight(history, "goal", model)
    assert set(found) == set(SURROGATES) and found["tanimoto"] > 0.5 and found["forest"] > 0.5
    assert foresight(history.assign(goal_expected=np.nan), "goal", model) == {}


@pytest.mark.slow
def test_a_study_of_toys_and_its_table(study: GoalsStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = goals.Search.ask
    stopped: list[int] = []

    def stop_once(search: Any, n: int) -> Any:
        batch = ask(search, n)
        if not stopped and len(search) > 60:
            stopped.append(len(search))
            raise KeyboardInterrupt  # asked, and not told
        return batch

    monkeypatch.setattr(goals.Search, "ask", stop_once)
    with pytest.raises(KeyboardInterrupt):
        list(measure(study))
    rows = list(measure(replace(study)))
    assert [row["task"] for row in rows] == list(study.tasks)
    for row in rows:
        score = get_score(f"pmo:{row['task']}").function
        assert row["evaluated"] == 130 and row["failures"] == 0 and len(row["curve"]) == 1
        assert score(row["texts"][0]) == pytest.approx(row["top1"])
        assert row["top1"] >= row["top10"] >= row["top100"]
        assert 0 < row["auc_top100"] < row["auc_top10"] < row["auc_top1"] < row["top1"]
        assert 0 < row["diversity"] < 1 and 1 < row["sa"] < 10 and 0 <= row["filters"] <= 1
        assert set(row["surrogates"]) == set(SURROGATES) and all(-1 <= one <= 1 for one in row["surrogates"].values())
        assert -1 <= row["surrogate"] <= 1 and sum(row["origins"].values()) == 130 and row["origins"]["draws"] >= 60
    table = markdown(rows)
    assert "| 100 |" in table and "| codes | tanimoto | forest | ensemble |" in table
    assert "| celecoxib_rediscovery | " in table and "REINVENT" in table and "| **sum of 2** | " in table
    assert f"{published()['celecoxib_rediscovery']['REINVENT']:.3f}" in table
    before = study.results.read_text()
    assert len(list(measure(replace(study)))) == 2 and study.results.read_text() == before


def test_what_is_published_adds_up() -> None:
    found = published()
    assert [f"pmo:{task}" for task in found] == list(SUITES["pmo"])
    sums = {name: sum(row[name] for row in found.values()) for name in found["qed"]}
    assert sums["REINVENT"] == pytest.approx(14.196, abs=0.013)  # cut at three decimals there
    assert sums["NF-BO"] == pytest.approx(14.737, abs=0.013) and sums["f-RAG"] == pytest.approx(16.928, abs=0.013)


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"tasks": ["beauty"]}, UnknownNameError),
        ({"suite": "none"}, UnknownNameError),
        ({"strategies": ["luck"]}, UnknownNameError),
        ({"seeds": []}, InputError),
        ({"calls": 1}, InputError),
        ({"batch": 200}, InputError),
    ],
)
def test_what_is_refused(study: GoalsStudy, more: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        replace(study, **more)
