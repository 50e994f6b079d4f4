"""``grammar-rae ask`` and ``tell``: a laboratory's round, and what is refused. The model is tiny."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from grammar_rae.cli import app


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="grammar-rae")


def refused(*words: object) -> str:
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == "" and "Traceback" not in result.stderr
    return result.stderr


def test_a_round(model: Path, tmp_path: Path) -> None:
    home, batch = tmp_path / "search", tmp_path / "batch.csv"
    (tmp_path / "known.csv").write_text("smiles,affinity\nCCO,5.5\nc1ccccc1,\n")
    start = ("--objective", "affinity=maximize", "--objective", "qed=maximize")
    done = run("ask", "-s", home, "-m", model, "-n", 3, "-o", batch, *start, "--data", tmp_path / "known.csv")
    assert done.exit_code == 0 and "3 molecules; 3 pending" in done.stderr, done.output
    table = pd.read_csv(batch, dtype=object)
    assert table["smiles"][0] == "c1ccccc1"  # it was in the file without a value
    assert table["affinity"].isna().all() and table["reason"].isna().all()
    table.loc[0, "affinity"], table.loc[1, "reason"] = 6.5, "insoluble"
    table.to_csv(batch, index=False)
    told = run("tell", batch, "-s", home)
    assert told.exit_code == 0, told.output
    assert "4 values, 1 failures; 1 pending" in told.stderr and "best to maximize affinity: 6.5 c1ccccc1" in told.stderr
    assert "1 repeats" in run("tell", batch, "-s", home).stderr
    assert "1 corrections" in run("tell", batch, "-s", home, "--correct").stderr
    again = run("ask", "-s", home, "-m", model, "-n", 2)
    assert again.exit_code == 0 and len(again.stdout.splitlines()) == 3
    assert "another search" in refused("ask", "-s", home, "-m", model, "--objective", "qed=minimize")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "needs objectives"),
        (("--objective", "qed"), "NAME=maximize"),
        (("--objective", "qed=up"), "no direction"),
        (("--objective", "qed=maximize", "--strategy", "luck"), "unknown strategy"),
        (("--objective", "qed=maximize", "--data", "missing.csv"), "missing.csv"),
        (("--objective", "qed=maximize", "-o", "batch.png"), "batch.png"),
    ],
)
def test_what_cannot_be_asked(model: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    assert said in refused("ask", "-s", tmp_path / "search", "-m", model, *words)


def test_what_cannot_be_told(tmp_path: Path) -> None:
    assert "no search" in refused("tell", tmp_path / "batch.csv", "-s", tmp_path / "missing")
    (tmp_path / "file").write_text("")
    assert "not a folder" in refused("ask", "-s", tmp_path / "file", "--objective", "qed=maximize")
