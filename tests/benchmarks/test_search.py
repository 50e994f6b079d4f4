"""Searches side by side: rows, resuming, the table, the command; and the file of expressions that they begin with."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.grid import measure
from benchmarks.search import SearchStudy, markdown
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.expressions import are_equivalent, expression_set
from grammar_rae.model import TextModel
from grammar_rae.optimization import STRATEGIES
from grammar_rae.scores import get_score

TEXTS = expression_set()[::400]
STRATEGY = ("turbo", "paper")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SearchStudy:
    folder = tmp_path_factory.mktemp("search")
    TextModel("fast-grae-expressions", epochs=4).fit(TEXTS, folder=folder / "model")
    return SearchStudy(
        folder / "study",
        folder / "model",
        TEXTS,
        "expression_error",
        STRATEGY,
        seeds=(0, 1),
        iterations=2,
        batch=5,
        reach=100.0,
        progress=False,
    )


def test_one_row_a_search(study: SearchStudy, rows: list[dict[str, Any]]) -> None:
    assert [(row["strategy"], row["seed"]) for row in rows] == [(s, seed) for seed in (0, 1) for s in STRATEGY]
    score = get_score("expression_error").function
    for row in rows:
        assert row["best"] == pytest.approx([score(text) for text in row["texts"]])
        assert row["best"] == sorted(row["best"]) and row["reached"] is True
        assert row["evaluated"] <= 10 and row["data"] == len(TEXTS)
        assert row["initial_best"] == pytest.approx(min(map(score, TEXTS)))
        assert len(row["curve"]) == 3 and row["curve"] == sorted(row["curve"], reverse=True)
        assert row["curve"][-1] == pytest.approx(min(row["initial_best"], row["best"][0]))
        assert row["recipe"] == "fast-grae-expressions" and "torch" in row["versions"]
    assert set(STRATEGY) <= set(STRATEGIES)


def test_a_search_is_made_once(study: SearchStudy, rows: list[dict[str, Any]]) -> None:
    before = study.results.read_text()
    assert list(measure(replace(study))) == json.loads(json.dumps(rows))
    assert study.results.read_text() == before


def test_a_lost_row_is_found_again(study: SearchStudy, rows: list[dict[str, Any]]) -> None:
    lines = study.results.read_text().splitlines()
    study.results.write_text("\n".join(lines[1:]) + "\n")
    again = next(measure(replace(study)))
    assert {name: value for name, value in again.items() if name != "seconds"} == {
        name: value for name, value in rows[0].items() if name != "seconds"
    }


@pytest.mark.parametrize("lost", [2, 3])
def test_a_search_that_was_stopped_goes_on(study: SearchStudy, rows: list[dict[str, Any]], lost: int) -> None:
    """Also one that began with what another search had read and scored, which the study no longer has at hand."""
    lines = study.results.read_text().splitlines()
    path = study.folder / f"{rows[lost]['strategy']}-seed{rows[lost]['seed']}"
    points = (path / "history.csv").read_text().splitlines(keepends=True)
    (path / "history.csv").write_text("".join(points[:-2]))
    wanted = [
        line
        for line in lines
        if (json.loads(line)["strategy"], json.loads(line)["seed"]) != (rows[lost]["strategy"], rows[lost]["seed"])
    ]
    study.results.write_text("\n".join(wanted) + "\n")
    again = list(measure(replace(study)))[lost]
    assert {**again, "seconds": 0} == {**json.loads(json.dumps(rows[lost])), "seconds": 0}
    # Stopped before it had read anything.
    (path / "initial.json").unlink()
    (path / "initial.csv").unlink()
    for file in [*path.glob("iteration-*"), path / "history.csv"]:
        file.unlink()
    study.results.write_text("\n".join(wanted) + "\n")
    again = list(measure(replace(study)))[lost]
    assert {**again, "seconds": 0} == {**json.loads(json.dumps(rows[lost])), "seconds": 0}


def test_how_far_a_search_came_is_told_afterwards(study: SearchStudy, rows: list[dict[str, Any]]) -> None:
    assert all("reached" not in row for row in measure(replace(study, reach=None)))
    best = [row["best"][0] for row in rows]
    assert [row["reached"] for row in measure(replace(study, reach=min(best)))] == [one == min(best) for one in best]


def test_the_best_of_a_score_that_falls_is_the_lowest(rows: list[dict[str, Any]]) -> None:
    few = [{**rows[0], "best": [value], "texts": [name]} for value, name in ((2.0, "a"), (1.0, "b"))]
    assert "| 1 `b` |" in markdown(few)
    assert "| 2 `a` |" in markdown([{**row, "score": "logp"} for row in few])
    nothing = {**rows[0], "best": [], "texts": [], "mean": None}
    assert "| - | - | - | - | - |" in markdown([nothing])


def test_the_table_and_the_command(study: SearchStudy, rows: list[dict[str, Any]]) -> None:
    data = study.folder.parent / "texts.txt"
    data.write_text("\n".join(TEXTS) + "\n")
    options = ["-m", str(study.model), "-o", str(study.folder), "--score", "expression_error", "--data", str(data)]
    options += ["--strategies", ",".join(STRATEGY), "--seeds", "0,1", "--iterations", "2", "--batch", "5", "-q"]
    options += ["--reach", "100"]
    result = CliRunner().invoke(app, ["search", *options])
    assert result.exit_code == 0, result.output
    told = markdown(list(measure(study)))
    assert (study.folder / "search.md").read_text() == told
    assert f"{len(TEXTS):,} texts to begin with" in told and "2 seeds" in told
    assert "2 of 2" in told
    best = min((row["best"][0], row["texts"][0]) for row in rows if row["strategy"] == "turbo")
    assert f"`{best[1]}`" in next(line for line in told.splitlines() if line.startswith("| turbo"))


def test_what_cannot_be_studied(study: SearchStudy) -> None:
    with pytest.raises(InputError, match="a strategy and a seed"):
        replace(study, strategies=())
    with pytest.raises(UnknownNameError, match="strategy"):
        replace(study, strategies=("paper", "luck"))
    with pytest.raises(UnknownNameError, match="score"):
        replace(study, score="luck")


def test_the_file_of_expressions(tmp_path: Path) -> None:
    path, target = tmp_path / "some.txt", "1/3+x+sin(x*x)"
    result = CliRunner().invoke(app, ["expressions", "-o", str(path), "-n", "2000"])
    assert result.exit_code == 0, result.output
    assert path.read_text().splitlines() == expression_set()[:2000]
    one = expression_set()[1234]
    result = CliRunner().invoke(app, ["expressions", "-n", "2000", "--without", one, "--without", target])
    assert result.exit_code == 0, result.output
    left = result.stdout.splitlines()
    same = int(are_equivalent(expression_set()[:2000], one).sum())
    assert same >= 1 and len(left) == 2000 - same and one not in left
    assert f"left out {same} that equal {one}: " in result.stderr
    assert CliRunner().invoke(app, ["expressions", "--without", "1+"]).exit_code == 2


def test_the_time_of_an_iteration(tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32))
    options = ["--codes", str(tmp_path / "z.npy"), "-n", "100", "--batch", "2", "--strategies", "turbo,paper"]
    rows = tmp_path / "rows.jsonl"
    result = CliRunner().invoke(app, ["iteration", *options, "--seeds", "1", "--results", str(rows)])
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [(row["strategy"], row["codes"], row["dimensions"], row["seed"]) for row in found] == [
        (name, 100, 3, 1) for name in ("turbo", "paper")
    ]
    assert found[1]["candidates"] == 2 and all(row["seconds"] > 0 for row in found)
    assert CliRunner().invoke(app, ["iteration", "--strategies", "luck"]).exit_code == 2
    np.save(tmp_path / "z.npy", np.zeros(5))
    assert CliRunner().invoke(app, ["iteration", "--codes", str(tmp_path / "z.npy")]).exit_code == 2
