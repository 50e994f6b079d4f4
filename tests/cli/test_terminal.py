"""What the global options do, the exit codes, colours, and completion."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from grammar_rae.cli import app, terminal
from grammar_rae.cli.formats import PLAIN, column_text
from grammar_rae.datasets import file_bytes

ROOT = Path(__file__).resolve().parents[2]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="grammar-rae")


@pytest.fixture
def words_file(tmp_path: Path) -> Path:
    (tmp_path / "words.txt").write_text("1+x\nsin(x)/3\n1+y\n")
    return tmp_path / "words.txt"


EXPRESSIONS = ("--grammar", "expressions", "--form", "text")


@pytest.mark.parametrize("before", [True, False])
def test_json_is_one_object_wherever_the_option_stands(before: bool, words_file: Path) -> None:
    words = ["check", words_file, *EXPRESSIONS]
    result = run("--json", *words) if before else run(*words, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["rows"], found["covered"], found["unsupported"]) == (3, 2, {"y": 1})


def test_one_command_does_not_change_the_next(words_file: Path) -> None:
    run("--json", "--quiet", "check", words_file, *EXPRESSIONS)
    assert "2 of 3 rows are covered" in run("check", words_file, *EXPRESSIONS).stdout
    assert not terminal.is_quiet()


def test_draws_are_rows_of_the_object_or_named_in_it(tmp_path: Path) -> None:
    words = ("sample", "-m", "expressions", "-n", 3, "--seed", 1, "--json")
    found = json.loads(run(*words).stdout)
    assert [set(row) for row in found["rows"]] == [{"smiles", "valid"}] * 3
    assert found["n"] == 3 and found["seed"] == 1 and 0 < found["validity"] <= 1 and found["hit_rate"] is None
    result = run(*words, "-o", tmp_path / "out.csv")
    assert json.loads(result.stdout)["output"] == str(tmp_path / "out.csv")
    assert "next: " in result.stderr and "next: " not in run(*words, "-o", tmp_path / "out.csv", "--quiet").stderr


def test_what_follows_two_dashes_is_no_option(tmp_path: Path) -> None:
    assert "--json" in run("check", *EXPRESSIONS, "--", "--json").stderr  # a file of this name, which is not there


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"a": float("nan"), 1: [float("inf"), 2.5]}, {"a": None, "1": [None, 2.5]}),
        ({"path": Path("x"), "none": None, "pair": (1, True)}, {"path": "x", "none": None, "pair": [1, True]}),
    ],
)
def test_json_holds_what_json_can_hold(value: object, plain: object) -> None:
    assert terminal._plain(value) == plain


@pytest.mark.parametrize("kind", PLAIN)
def test_columns_are_written_as_pandas_writes_them(kind: str) -> None:
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    columns = {
        "smiles": ["CCO", 'a "b", c', "", "é\n"],
        "valid": np.array([True, False, True, True]),
        "qed": np.array([0.1, 1e-7, np.nan, 123456789.25]),
        "n": [1, 2, 3, 4],
    }
    expected = file_bytes(pd.DataFrame(columns), kind).decode()
    assert column_text(columns, kind) == expected


# --- exit codes, as docs/how-to/command-line.md lists them ------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["list", "scores"], 0),
        (["--version"], 0),
        (["sample", "--no-such-option"], 2),
        (["sample", "--scores", "qeed"], 2),
        (["check", "absent.smi"], 2),
        (["dance"], 2),
    ],
)
def test_exit_codes(words: list[str], code: int) -> None:
    assert run(*words).exit_code == code


def test_the_page_lists_the_exit_codes() -> None:
    page = (ROOT / "docs/how-to/command-line.md").read_text(encoding="utf-8").partition("## Errors and exit codes")[2]
    assert [line.split()[1] for line in page.splitlines() if line.startswith("| ") and line.split()[1].isdecimal()] == [
        *("0", "1", "2", "130")
    ]


# --- colours and completion ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours(environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    words = ["sample", "--scores", "qeed"]
    assert ("\x1b[" in CliRunner().invoke(app, words, color=True).stderr) == coloured
    assert "\x1b[" not in CliRunner().invoke(app, words).stderr


@pytest.mark.parametrize(
    ("shell", "typed", "offered", "others"),
    [
        ("bash", "sa", "sample", "train"),
        ("zsh", "sa", "sample", "train"),
        ("fish", "sa", "sample", "train"),
        ("bash", "sample -m mol", "molecules", "moses"),
        ("bash", "list sco", "scores", "models"),
        ("bash", "train --recipe molecules-r", "molecules-rae", "moses"),
    ],
)
def test_completion(shell: str, typed: str, offered: str, others: str) -> None:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "_GRAMMAR_RAE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": f"grammar-rae {typed}",
        "COMP_CWORD": str(len(typed.split())),
        "_TYPER_COMPLETE_ARGS": f"grammar-rae {typed}",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    code = "from grammar_rae.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert offered in done.stdout, done.stderr
    assert others not in done.stdout
