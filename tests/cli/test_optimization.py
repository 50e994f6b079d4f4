"""``grammar-rae optimize``: what it prints, writes and refuses. The model is tiny; what it finds is not looked at."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from grammar_rae.cli import app
from grammar_rae.model import TextModel

MINE = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Weight:
    each: float = 1.0

def carbons(text):
    return Weight().each * text.upper().count('C')
"""


def optimize(*words: str | Path) -> Result:
    command = ["optimize", "--budget", "4", "--batch-size", "2", "-q", *words]
    return CliRunner().invoke(app, [str(word) for word in command], prog_name="grammar-rae")


def refused(*words: str | Path) -> str:
    result = optimize(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == "" and "Traceback" not in result.stderr
    return result.stderr


def test_a_run_on_the_training_data_and_its_resumption(model: Path, tmp_path: Path) -> None:
    run = tmp_path / "found"
    words = ("-m", model, "--score", "penalized_logp", "--constraint", "chemistry", "-o", run)
    result = optimize(*words)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    best = pd.read_csv(run / "best.csv")
    assert [line.split("\t")[1] for line in lines] == best["text"].tolist()
    assert "beginning with the 100 texts" in result.stderr and "4 evaluations" in result.stderr
    assert "penalized_logp" in (run / "report.html").read_text()
    assert set(TextModel.load(model).score_constants_) == {"penalized_logp"}
    assert "already" in refused(*words)
    again = optimize(*words, "--resume", "--budget", "6")
    assert again.exit_code == 0, again.output
    assert len(pd.read_csv(run / "history.csv")) == 6
    assert "another optimisation" in refused(*words, "--resume", "--seed", "1")
    (tmp_path / "few.smi").write_text("CCO\nCCN\n")
    assert "another optimisation" in refused(*words, "--resume", "--data", tmp_path / "few.smi")


def test_a_score_and_data_of_the_users_own(model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "few.smi").write_text("OCC ethanol\nc1ccccc1\nnonsense\nCC(C)N an amine\nCCCC\nCCO again\n")
    score = f"{tmp_path / 'mine.py'}:carbons"
    words = ("-m", model, "--data", tmp_path / "few.smi", "--minimize", "--strategy", "paper", "--jobs", "2")
    result = optimize(*words, "--score", score, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "best carbons in the data 2\n" in result.stderr and "left out of the data: not valid (1)" in result.stderr
    data = pd.read_csv(tmp_path / "run" / "data.csv").fillna("")
    assert list(data.columns) == ["name", "text", "carbons"]
    named = {"CCO": "ethanol", "c1ccccc1": "", "CC(C)N": "an amine", "CCCC": ""}
    assert dict(zip(data["text"], data["name"], strict=True)) == named
    frame = pd.read_csv(tmp_path / "run" / "history.csv")
    valid = frame["reason"].isna()
    assert (frame["carbons"][valid] == frame["text"][valid].str.upper().str.count("C")).all()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--score", "beauty"], "unknown score"),
        (["--score", "qed", "--strategy", "luck"], "unknown strategy"),
        (["--score", "qed", "--budget", "3"], "expected a multiple"),
        (["--score", "qed", "--budget", "0"], "budget"),
        (["--score", "missing.py:f"], "no such file"),
        (["--score", "mine.py"], "mine.py:FUNCTION"),
        (["--score", "qed", "--constraint", "luck"], "unknown constraint"),
        (["--score", "qed", "--jobs", "0"], "jobs 0"),
        (["--score", "qed", "--resume"], "no optimisation to resume"),
        (["--score", "qed", "--data", "missing.smi"], "missing.smi"),
        ([], "--score"),
    ],
)
def test_what_is_refused(model: Path, tmp_path: Path, words: list[str], told: str) -> None:
    assert told in refused("-m", model, "-o", tmp_path / "run", *words)


@pytest.mark.parametrize(
    ("code", "told"), [("1 / 0", "ZeroDivisionError"), ("f = 3", "no such function"), ("def g(t): ...", "one of g")]
)
def test_code_that_cannot_be_used(model: Path, tmp_path: Path, code: str, told: str) -> None:
    (tmp_path / "mine.py").write_text(code)
    assert told in refused("-m", model, "-o", tmp_path / "run", "--score", f"{tmp_path / 'mine.py'}:f")


def test_a_score_file_that_ends_its_process_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text("import sys\nsys.exit(0)\n")
    assert "SystemExit" in refused("-m", model, "--score", f"{tmp_path / 'ends.py'}:any", "-o", tmp_path / "run")


GOALS = """
merge = "geometric"
[objectives.qed]
transform = { kind = "linear", low = 0, high = 1 }
[objectives.carbon]
score = "smarts"
pattern = "[#6]"
transform = { kind = "window", low = 5, high = 20, margin = 9 }
"""


def test_objectives_from_a_file(model: Path, tmp_path: Path) -> None:
    goals, run = tmp_path / "goals.toml", tmp_path / "found"
    goals.write_text(GOALS)
    words = ("-m", model, "--objectives", goals, "--constraint", "chemistry", "-o", run)
    result = optimize(*words)  # all of them are plain draws, as the first hundred are
    assert result.exit_code == 0, result.output
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    best = pd.read_csv(run / "best.csv")
    assert [line[-1] for line in lines] == best["smiles"].tolist() and len(lines[0]) == 4
    assert best["desirability"].is_monotonic_decreasing and "columns: desirability, qed, carbon" in result.stderr
    assert "What carries the score" in (run / "report.html").read_text()
    assert "holds a search" in refused(*words)
    again = optimize(*words, "--resume", "--budget", "6")
    assert again.exit_code == 0 and len(pd.read_csv(run / "history.csv")) == 6, again.output
    goals.write_text(GOALS.replace("high = 20", "high = 30"))
    assert "another search" in refused(*words, "--resume")


def test_columns_of_the_start_stay_beside_its_molecules(model: Path, tmp_path: Path) -> None:
    (tmp_path / "goals.toml").write_text(GOALS)
    start = tmp_path / "start.csv"
    start.write_text("supplier,smiles,qed,id\nA,OCC,0.9,x1\nB,c1ccccc1O,,x2\nC,CCO,0.1,x3\n")
    run = tmp_path / "found"
    result = optimize("-m", model, "--objectives", tmp_path / "goals.toml", "--data", start, "-o", run)
    assert result.exit_code == 0, result.output
    for name in ("history.csv", "best.csv"):
        found = pd.read_csv(run / name).set_index("smiles")
        assert found.loc["CCO", ["supplier", "id_in"]].tolist() == ["A", "x1"] and found.loc["CCO", "qed"] == 0.9
        assert found["supplier"].notna().sum() == found["id_in"].notna().sum() <= 2 < len(found)
        assert "qed_in" not in found.columns and list(found.columns[-2:]) == ["id_in", "supplier"]  # identifiers first


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (GOALS.replace("merge", "mergd"), (), "'merge'"),
        (GOALS.replace("qed", "affinity"), (), "affinity"),
        (GOALS, ("--score", "qed"), "one of the two"),
        (GOALS, ("--maximize",), "not --objectives"),
        (GOALS, ("--strategy", "turbos"), "'turbo'"),
        ("merge =", (), "cannot be read"),
    ],
)
def test_objectives_that_mean_nothing(model: Path, tmp_path: Path, text: str, words: tuple[str], said: str) -> None:
    (tmp_path / "goals.toml").write_text(text)
    chosen = ("-m", model, "--objectives", tmp_path / "goals.toml", "-o", tmp_path / "found")
    assert said in refused(*chosen, *words)
    assert not (tmp_path / "found" / "events.jsonl").exists()
