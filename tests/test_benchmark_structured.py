"""The study of the paper's Figure 2, on a few expressions with a tiny training: cells, resuming, tables."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from grammar_rae.benchmarks import structured, structured_problems
from grammar_rae.benchmarks.structured import Run, Study, run
from grammar_rae.benchmarks.structured_problems import PROTOCOLS, Texts
from grammar_rae.benchmarks.structured_tables import markdown
from grammar_rae.cli import app
from grammar_rae.datasets.rows import split_rows
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.expressions import expression_set
from grammar_rae.model import GenerativeModel
from grammar_rae.scores import get_score

MODELS = ("grae", "cvae")


def few(source: Path | None) -> Texts:
    """A two-hundredth of the expressions."""
    texts = expression_set()
    assert source is None
    return Texts(texts[:100_000:200], None)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """A protocol that takes seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROTOCOLS, "expressions", PROTOCOLS["expressions"]._replace(texts=few, decodings=3))
        for name, value in (("ENCODINGS", 2), ("DECODINGS", 3), ("PRIOR_POINTS", 20)):
            patch.setattr(structured, name, value)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(
        tmp_path_factory.mktemp("study"),
        models=MODELS,
        fast=True,
        epochs=2,
        trials=2,
        iterations=1,
        batch=4,
        rows=30,
        samples=50,
        progress=False,
    )


@pytest.fixture(scope="module")
def rows(study: Study) -> list[dict[str, Any]]:
    return list(run(study))


def test_one_row_a_cell(study: Study, rows: list[dict[str, Any]]) -> None:
    wanted = [(model, part) for model in MODELS for part in ("reconstruction", "draws", "search", "search")]
    assert [(row["model"], row["part"]) for row in rows] == wanted
    assert [json.loads(line) for line in study.results.read_text().splitlines()] == json.loads(json.dumps(rows))
    assert {row["recipe"] for row in rows} == {f"fast-{model}-expressions" for model in MODELS}
    assert all("torch" in row["versions"] and row["seed"] == 0 and row["epochs"] == 2 for row in rows)


def test_figures_are_those_of_the_model(study: Study, rows: list[dict[str, Any]]) -> None:
    model = GenerativeModel.load(Run(study, "grae").folder)
    back, prior = rows[:2]
    recipe, training = model.recipe_, study.texts.training
    rows_of = split_rows(len(training), recipe.validation_fraction, 0, recipe.validation_maximum)[1]
    test = [training[row] for row in rows_of[:30]]
    exact = np.mean([a == b for a, b in zip(test, model.reconstruct(test, constraint="masks"), strict=True)])
    assert back["exact_masks"] == exact and back["rows"] == 30 and back["refused"] == 0
    drawn = model.sample(50, valid_only=False, seed=0, constraint="masks")
    assert (prior["valid_masks"], prior["unique_masks"]) == (drawn.validity, drawn.uniqueness)
    assert prior["density"] == "gmm" and prior["valid_grammar"] == 1


def test_searches_are_scored_by_the_score(study: Study, rows: list[dict[str, Any]]) -> None:
    score = get_score("expression_error").function
    for row in rows:
        if row["part"] != "search":
            continue
        assert 0 <= row["valid_masks"] <= 1 and row["initial_best"] >= 0
        assert row["best_masks"] == sorted(row["best_masks"])
        assert row["best_masks"] == pytest.approx([score(text) for text in row["texts"]])
        assert len(set(row["texts"])) == len(row["texts"])
        assert row["surrogate_rmse"] > 0
    assert rows[2]["valid_grammar"] == 1
    assert [row["trial"] for row in rows if row["part"] == "search"] == [0, 1, 0, 1]


def test_what_is_measured_is_not_measured_again(study: Study, rows: list[dict[str, Any]]) -> None:
    before = study.results.read_text()
    again = list(run(replace(study)))
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(rows))
    assert study.results.read_text() == before


def test_a_missing_cell_is_measured_again_and_is_the_same(study: Study, rows: list[dict[str, Any]]) -> None:
    lines = study.results.read_text().splitlines()
    study.results.write_text("\n".join(lines[:2] + lines[3:]) + "\n")
    again = list(run(replace(study)))[2]
    assert {name: value for name, value in again.items() if "seconds" not in name} == {
        name: value for name, value in rows[2].items() if "seconds" not in name
    }


def test_another_recipe_in_the_folder(study: Study, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="another recipe; received training"):
        list(run(replace(study, epochs=3)))


def test_the_tables(rows: list[dict[str, Any]]) -> None:
    told = markdown(rows)
    assert "## Expressions" in told and "1 x 4 points" in told and "2 trials" in told
    lines = told.splitlines()
    paper = next(line for line in lines if "the paper's" in line)
    assert "3.22" in paper and "0.39, 0.39, 0.43" in paper
    search = next(line for line in lines if line.startswith("| fast-grae-expressions | grammar |"))
    assert search.split("|")[3].strip() == "1.00 ± 0.00"
    assert all(line.count("|") == lines[i - 1].count("|") for i, line in enumerate(lines) if line.startswith("|--"))


def test_the_command(study: Study, rows: list[dict[str, Any]]) -> None:
    options = [
        "--fast",
        "--epochs",
        "2",
        "--trials",
        "2",
        "--iterations",
        "1",
        "--batch",
        "4",
        "--rows",
        "30",
        "-n",
        "50",
        "-q",
        "--models",
    ]
    result = CliRunner().invoke(app, ["benchmark", "structured", "-o", str(study.folder), *options, ",".join(MODELS)])
    assert result.exit_code == 0, result.output
    assert (study.folder / "figure2.md").read_text() == markdown(rows)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"models": ("gpt",)}, UnknownNameError),
        ({"problem": "proteins"}, UnknownNameError),
        ({"trials": 0}, InputError),
        ({"batch": 0}, InputError),
    ],
)
def test_what_cannot_be_studied(study: Study, changed: dict[str, Any], error: type[InputError]) -> None:
    with pytest.raises(error):
        replace(study, **changed)


def test_rows_of_the_problems(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be given"):
        PROTOCOLS["molecules"].texts(None)
    small = tmp_path / "few.smi"
    small.write_text("CCO\n" * 20)
    with pytest.raises(InputError, match="holds out 5,000"):
        PROTOCOLS["molecules"].texts(small)
    with pytest.raises(InputError, match="generated"):
        structured_problems._expressions(small)
    texts = structured_problems._expressions(None)
    assert len(texts.training) == 100_000 and texts.test is None
    assert "1/3+(x)+sin(x*x)" in texts.training
