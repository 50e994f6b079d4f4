"""The study of the paper's Figure 2, on a few expressions with a tiny training: cells, resuming, tables."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from benchmarks import structured, structured_problems
from benchmarks.__main__ import app
from benchmarks.grid import load_or_train, measure
from benchmarks.structured import StructuredStudy
from benchmarks.structured_problems import PROTOCOLS, Texts
from benchmarks.structured_tables import markdown
from grammar_rae.datasets.rows import split_rows
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.expressions import expression_set
from grammar_rae.model import TextModel
from grammar_rae.optimization.proposals import Decoded
from grammar_rae.recipes import RECIPES
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROTOCOLS, "expressions", PROTOCOLS["expressions"]._replace(texts=few, decodings=3, again=2))
        for name, value in (("ENCODINGS", 2), ("DECODINGS", 3), ("PRIOR_POINTS", 20)):
            patch.setattr(structured, name, value)
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StructuredStudy:
    return StructuredStudy(
        tmp_path_factory.mktemp("study"),
        models=MODELS,
        fast=True,
        epochs=2,
        trials=2,
        iterations=1,
        batch=4,
        n_tested=30,
        samples=50,
        progress=False,
    )


def test_one_row_a_cell(study: StructuredStudy, rows: list[dict[str, Any]]) -> None:
    wanted = [(model, part) for model in MODELS for part in ("reconstruction", "draws", "search", "search")]
    assert [(row["model"], row["part"]) for row in rows] == wanted
    assert [json.loads(line) for line in study.results.read_text().splitlines()] == json.loads(json.dumps(rows))
    assert {row["recipe"] for row in rows} == {f"fast-{model}-expressions" for model in MODELS}
    assert all("torch" in row["versions"] and row["seed"] == 0 and row["epochs"] == 2 for row in rows)


def test_figures_are_those_of_the_model(study: StructuredStudy, rows: list[dict[str, Any]]) -> None:
    model = TextModel.load(study.runs[0].folder)
    back, prior = rows[:2]
    recipe, training = model.recipe_, study.texts.training
    rows_of = split_rows(len(training), recipe.validation_fraction, 0, recipe.validation_maximum)[1]
    test = [training[row] for row in rows_of[:30]]
    exact = np.mean([a == b for a, b in zip(test, model.reconstruct(test, constraint="masks"), strict=True)])
    assert back["exact_masks"] == exact and back["rows"] == 30 and back["refused"] == 0
    drawn = model.sample(50, valid_only=False, seed=0, constraint="masks")
    assert (prior["valid_masks"], prior["unique_masks"]) == (drawn.validity, drawn.uniqueness)
    assert prior["density"] == "gmm" and prior["valid_grammar"] == 1
    points = model.density_.sample(20, torch.Generator().manual_seed(0)).numpy()
    texts = model.decode(np.repeat(points, 3, axis=0), temperature=1.0, constraint="masks", seed=0)
    valid = [model.codec.canonical(text) is not None for text in texts]
    assert prior["valid_drawn"] == pytest.approx(np.mean(valid))


def test_searches_are_scored_by_the_score(study: StructuredStudy, rows: list[dict[str, Any]]) -> None:
    score = get_score("expression_error").function
    folders = {run.key["model"]: run.folder for run in study.runs}
    for row in rows:
        if row["part"] != "search":
            continue
        history = pd.read_csv(folders[row["model"]] / f"search-paper-{row['trial']}.csv")
        assert row["valid_masks"] == history["valid"].mean() and row["share_masks"] == history["valid_share"].mean()
        mean = history["expression_error"].mean()
        assert row["average_masks"] == (pytest.approx(mean) if history["valid"].any() else None)
        assert row["initial_best"] == pytest.approx(min(map(score, study.texts.training)))
        for constraint, texts in (("masks", row["texts"]), ("grammar", row["texts_grammar"])):
            assert row[f"best_{constraint}"] == sorted(row[f"best_{constraint}"])
            assert row[f"best_{constraint}"] == pytest.approx([score(text) for text in texts])
            assert len(set(texts)) == len(texts)
        assert row["surrogate_rmse"] > 0
    assert rows[2]["valid_grammar"] == 1
    assert [row["trial"] for row in rows if row["part"] == "search"] == [0, 1, 0, 1]


def test_points_without_a_valid_text_are_counted() -> None:
    points = [Decoded("x", True, 1.0), Decoded("", False, 0.0), Decoded("1", True, 0.5), Decoded("x", True, 0.5)]
    row = structured._outcome("grammar", points, np.array([2.0, np.nan, 1.0, 2.0]), up=True)
    assert row == {
        "valid_grammar": 0.75,
        "share_grammar": 0.5,
        "average_grammar": pytest.approx(5 / 3),
        "best_grammar": [2.0, 1.0],
        "texts_grammar": ["x", "1"],
    }
    nothing = structured._outcome("masks", points[1:2], np.array([np.nan]), up=True)
    assert (nothing["valid_masks"], nothing["average_masks"], nothing["best_masks"]) == (0.0, None, [])
    assert json.loads(json.dumps(nothing, allow_nan=False)) == nothing


@pytest.mark.parametrize("stopped", ["interrupted", None])  # as Ctrl-C leaves it, or a loss that is no number
def test_a_training_without_an_end_goes_on(tmp_path: Path, stopped: str | None) -> None:
    texts, recipe = expression_set()[::1000], RECIPES["fast-grae-expressions"].replace(epochs=3, seed=0)
    model = TextModel(recipe.replace(epochs=1), seed=0).fit(texts, folder=tmp_path, jobs=1)
    model.history.stopped = stopped
    model.save(tmp_path)
    for _ in range(2):
        found = load_or_train(TextModel, recipe, texts, tmp_path, seed=0, progress=False)
        assert (found.history.stopped, found.history.rows[-1]["epoch"]) == ("epochs", 3)
        assert found.history.rows[0] == model.history.rows[0]


def test_what_is_measured_is_not_measured_again(study: StructuredStudy, rows: list[dict[str, Any]]) -> None:
    before = study.results.read_text()
    again = list(measure(replace(study)))
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(rows))
    assert study.results.read_text() == before


def test_a_missing_cell_is_measured_again_and_is_the_same(study: StructuredStudy, rows: list[dict[str, Any]]) -> None:
    lines = study.results.read_text().splitlines()
    study.results.write_text("\n".join(lines[:2] + lines[3:]) + "\n")
    again = list(measure(replace(study)))[2]
    assert {name: value for name, value in again.items() if "seconds" not in name} == {
        name: value for name, value in rows[2].items() if "seconds" not in name
    }


def test_another_recipe_in_the_folder(study: StructuredStudy, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="another recipe; received training"):
        list(measure(replace(study, epochs=3)))


def test_the_tables(rows: list[dict[str, Any]]) -> None:
    told = markdown(rows)
    assert "## Expressions" in told and "1 x 4 points" in told and "2 trials" in told
    lines = told.splitlines()
    paper = next(line for line in lines if line.startswith("| the paper's"))
    assert "3.22" in paper and "0.39, 0.39, 0.43" in paper
    search = next(line for line in lines if line.startswith("| fast-grae-expressions | grammar |"))
    assert search.split("|")[3].strip() == "1.00 ± 0.00"
    assert all(line.count("|") == lines[i - 1].count("|") for i, line in enumerate(lines) if line.startswith("|--"))
    assert f"begin with has {rows[2]['initial_best']:.2f}" in told
    assert "To fast-cvae-expressions the grammar is that of any characters" in told


def test_a_text_that_two_searches_found_is_one_of_the_best_three(rows: list[dict[str, Any]]) -> None:
    first, second = ({**row} for row in rows[2:4])
    first |= {"best_masks": [0.1, 0.3], "texts": ["a", "b"]}
    second |= {"best_masks": [0.1, 0.2, 0.4], "texts": ["a", "c", "d"]}
    line = next(line for line in markdown([first, second]).splitlines() if "| masks |" in line)
    assert line.split("|")[6].strip() == "0.10, 0.20, 0.30"
    for row in (first, second):  # as the first versions wrote them
        del row["texts_grammar"]
    assert "| fast-grae-expressions | grammar |" in markdown([first, second])


def test_rows_that_no_codec_takes_are_told(rows: list[dict[str, Any]]) -> None:
    told = markdown([{**rows[0], "rows": 28, "refused": 2}, rows[4]])
    assert "reconstruction of 30 rows" in told and "(2 by fast-grae-expressions)" in told
    assert "refused" not in markdown([rows[0], rows[4]])
    none = {**rows[1], "valid_masks": 0.0, "unique_masks": None, "novel_masks": None}
    assert "| masks | 0.0% | - | - |" in markdown([none])


def test_the_command(study: StructuredStudy, rows: list[dict[str, Any]]) -> None:
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
    result = CliRunner().invoke(app, ["structured", "-o", str(study.folder), *options, ",".join(MODELS)])
    assert result.exit_code == 0, result.output
    assert (study.folder / "figure2.md").read_text() == markdown(rows)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"models": ("gpt",)}, UnknownNameError),
        ({"problem": "proteins"}, UnknownNameError),
        ({"trials": 0}, InputError),
        ({"batch": 0}, InputError),
        ({"models": ()}, InputError),
        ({"strategy": "luck"}, UnknownNameError),
    ],
)
def test_what_cannot_be_studied(study: StructuredStudy, changed: dict[str, Any], error: type[InputError]) -> None:
    with pytest.raises(error):
        replace(study, **changed)


def test_rows_of_the_problems(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a file of molecules"):
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
