"""The command line: what it prints, writes and refuses. Models are tiny; what they draw is not looked at."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from grammar_rae.cli import app, arguments, files
from grammar_rae.errors import DataError

ROOT = Path(__file__).resolve().parent.parent


def grammar_rae(*words: str | Path) -> Result:
    """A command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="grammar-rae")


def outside(*words: str | Path, **options: object) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own."""
    command = [sys.executable, "-m", "grammar_rae", *map(str, words)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, **options)  # type: ignore[call-overload, no-any-return]


def refused(*words: str | Path) -> str:
    """The one line that a refused command leaves on stderr."""
    result = grammar_rae(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    first = result.stderr.splitlines()[0]
    assert first.startswith("error: ")
    return first


@pytest.fixture
def smiles(tmp_path: Path) -> Path:
    path = tmp_path / "molecules.smi"
    path.write_text("CCO\nc1ccccc1\nCC(C)N\n")
    return path


# --- without a model -------------------------------------------------------------------------------------------------


COMMANDS = ["demo", "train", "sample", "encode", "decode", "reconstruct", "interpolate", "recipes", "grammar"]


@pytest.mark.parametrize("words", [[], *([command] for command in COMMANDS), ["grammar", "list"], ["grammar", "check"]])
def test_help(words: list[str]) -> None:
    result = grammar_rae(*words, "--help")
    assert result.exit_code == 0
    assert "Usage: grammar-rae" in result.stdout


def test_help_names_every_command() -> None:
    assert set(COMMANDS) <= set(grammar_rae("--help").stdout.split())


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from typer.testing import CliRunner
from grammar_rae.cli import app
assert CliRunner().invoke(app, ["train", "--help"]).exit_code == 0
print({"torch", "numpy", "pandas", "rdkit", "nltk", "numba"} & set(sys.modules))
"""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == "set()\n"


def test_version() -> None:
    result = grammar_rae("--version")
    assert result.exit_code == 0
    name, version = result.stdout.split()
    assert name == "grammar-rae"
    assert version[0].isdigit()


def test_no_command_shows_the_help() -> None:
    assert "Usage: grammar-rae" in grammar_rae().output


@pytest.mark.parametrize(
    "words",
    [
        ["dance"],
        ["sample"],
        ["train", "x.smi"],
        ["sample", "-m", "run", "-n", "many"],
        ["train", "x.smi", "-o", "run", "--time-limit", "soon"],
        ["train", "x.smi", "-o", "run", "--time-limit", "0"],
    ],
)
def test_wrong_usage(words: list[str]) -> None:
    result = grammar_rae(*words)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_recipes() -> None:
    result = grammar_rae("recipes")
    assert result.exit_code == 0
    assert "molecules" in [line.split()[0] for line in result.stdout.splitlines()]
    assert all(len(line.split()) > 2 for line in result.stdout.splitlines())


def test_grammar_list() -> None:
    result = grammar_rae("grammar", "list")
    assert {"smiles", "zinc", "expressions"} <= {line.split()[0] for line in result.stdout.splitlines()}


def test_grammar_check_counts_what_is_not_covered(tmp_path: Path) -> None:
    path = tmp_path / "expressions.txt"
    path.write_text("1+x\nsin(x)/3\n1+y\n2*y\n1+4\n")
    result = grammar_rae("grammar", "check", path, "--grammar", "expressions", "--form", "text")
    assert result.exit_code == 0, result.output
    assert "2 of 5 rows" in result.stdout
    counts = {line.split()[1]: line for line in result.stdout.partition("unsupported tokens")[2].splitlines() if line}
    assert counts["y"].split()[0] == "2"
    assert "line 3: 1+y" in counts["y"]
    assert counts["4"].split()[0] == "1"


def test_grammar_check_takes_a_grammar_file(tmp_path: Path) -> None:
    (tmp_path / "own.cfg").write_text("S -> 'a' S | 'b'\n")
    (tmp_path / "words.txt").write_text("ab\naab\nba\n")
    result = grammar_rae(
        "grammar", "check", tmp_path / "words.txt", "--grammar", tmp_path / "own.cfg", "--form", "text"
    )
    assert "2 of 3 rows" in result.stdout


def test_unknown_names_list_what_exists(smiles: Path) -> None:
    assert "expressions" in refused("grammar", "check", smiles, "--grammar", "expresions")
    assert "kekule" in refused("grammar", "check", smiles, "--form", "kekul")
    assert "molecules" in refused("train", smiles, "-o", smiles.parent / "run", "--recipe", "molecule")
    assert "qed" in refused("sample", "-m", smiles.parent, "--scores", "qde")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "absent.smi" in refused("grammar", "check", tmp_path / "absent.smi")
    assert "absent.smi" in refused("train", tmp_path / "absent.smi", "-o", tmp_path / "run", "--epochs", "1")
    assert not (tmp_path / "run" / "model.json").exists()


def test_a_wrong_column_lists_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("name,structure\nethanol,CCO\n")
    told = refused("grammar", "check", path, "--column", "smile")
    assert "'structure'" in told


@pytest.mark.parametrize("content", ["", "\n\n", "CC(\nC1CC\n"])
def test_a_file_without_a_usable_row(content: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.smi"
    path.write_text(content)
    assert "bad.smi" in refused("train", path, "-o", tmp_path / "run", "--epochs", "1")
    assert not (tmp_path / "run" / "model.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "-n", "3"],
        ["encode", "molecules.smi", "-o", "z.csv"],
        ["reconstruct", "molecules.smi"],
        ["interpolate", "C", "CC"],
    ],
)
def test_no_model_in_the_folder(words: list[str], smiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(smiles.parent)
    assert "nowhere" in refused(*words, "-m", "nowhere")
    assert sorted(path.name for path in smiles.parent.iterdir()) == ["molecules.smi"]


def test_outputs_that_cannot_be_written_are_refused_before_any_work(tmp_path: Path) -> None:
    assert str(tmp_path / "absent") in refused("sample", "-m", "run", "-o", tmp_path / "absent" / "out.csv")
    assert str(tmp_path) in refused("sample", "-m", "run", "--html", tmp_path)


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    plain = outside("grammar", "check", tmp_path / "absent.smi")
    shown = outside("--debug", "grammar", "check", tmp_path / "absent.smi")
    assert plain.returncode == 2
    assert "Traceback" not in plain.stderr
    assert shown.returncode != 0
    assert "Traceback" in shown.stderr


def test_a_closed_pipe_ends_quietly() -> None:
    # The shell's `| true` would race; a pipe whose reading end is closed from the start does not.
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "grammar_rae", "grammar", "list"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False, env=env)
    assert done.returncode == 1
    assert done.stderr == ""


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("grammar_rae.resources.bundled_names", interrupt)
    result = grammar_rae("grammar", "list")
    assert result.exit_code == 130
    assert result.stderr == "interrupted\n"


# --- arguments and files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("0.5h", 1800), (" 3 min ", 180)]
)
def test_durations(text: str, value: float) -> None:
    assert arguments.seconds(text) == value


@given(st.text(alphabet="0123456789.smhd-+e ", max_size=6))
def test_what_is_no_duration_is_refused(text: str) -> None:
    try:
        assert arguments.seconds(text) > 0
    except typer.BadParameter as error:
        assert repr(text) in str(error)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named_by_the_file_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"out\.csv"), files.replacing(tmp_path / "out.csv"):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("name", ["z.npy", "z.csv"])
def test_codes_come_back(name: str, tmp_path: Path) -> None:
    from grammar_rae.datasets import Row

    codes = np.random.default_rng(0).normal(size=(3, 12)).astype(np.float32)
    files.write_codes(tmp_path / name, codes, [Row(line, "C" * line) for line in (1, 2, 4)])
    np.testing.assert_array_equal(files.read_codes(tmp_path / name), codes)


def test_pickles_and_other_files_are_no_codes(tmp_path: Path) -> None:
    pickled = np.empty(1, dtype=object)
    pickled[0] = {"a": 1}
    np.save(tmp_path / "pickle.npy", pickled, allow_pickle=True)
    np.save(tmp_path / "flat.npy", np.zeros(3))
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "names.csv").write_text("a,b\n1,2\n")
    (tmp_path / "words.csv").write_text("z0,z1\n1,two\n")
    for path in [*sorted(tmp_path.iterdir()), tmp_path / "absent.npy"]:
        with pytest.raises(DataError, match=path.name):
            files.read_codes(path)
