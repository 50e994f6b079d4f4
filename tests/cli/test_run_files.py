"""Runs as files: what ``--config`` reads and refuses, and that what is written beside results runs again."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from grammar_rae.cli import app, arguments, run_files
from grammar_rae.errors import GrammarRAEError, InputError

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
WITH_FILES = ["train", "sample", "optimize", "evaluate"]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="grammar-rae")


def defaults(command: str, text: str, folder: Path) -> dict[str, Any]:
    path = folder / "run.toml"
    path.write_text(text)
    return run_files._defaults(path, command, COMMANDS[command].params)


def test_which_commands_read_files() -> None:
    found = [name for name, one in COMMANDS.items() if any(parameter.name == "config" for parameter in one.params)]
    assert sorted(found) == sorted(WITH_FILES)


@pytest.mark.parametrize("command", WITH_FILES)
def test_every_option_can_be_said_in_a_file(command: str, tmp_path: Path) -> None:
    for parameter in COMMANDS[command].params:
        if parameter.name in run_files._OWN:
            continue
        value: Any = (
            True
            if getattr(parameter, "is_flag", False)
            else ["a", "b"]
            if getattr(parameter, "multiple", False)
            else "7"
        )
        for key in {run_files._key(parameter), run_files._key(parameter).replace("-", "_")}:
            text = f"{key} = {json.dumps(value)}"
            assert defaults(command, text, tmp_path) == {parameter.name: value}
        again = run_files.run_toml(command, [parameter], {parameter.name: value})
        assert defaults(command, again, tmp_path) == {parameter.name: value}


def test_tables_and_lists(tmp_path: Path) -> None:
    text = 'scores = ["qed", "sa"]\nraw = true\nn = 5\n[property]\nlogp = 2.5\nweight = [300, 350]\n'
    assert defaults("sample", text, tmp_path) == {
        "scores": "qed,sa",
        "valid_only": False,
        "n": "5",
        "properties": ["logp=2.5", "weight=300:350"],
    }
    text = "[set]\nlatent = 32\nschedule = 'cosine'\nloggers = []\n"
    read = arguments.read_settings(defaults("train", "[set]\nlatent = 32\nschedule = 'cosine'\n", tmp_path)["settings"])
    assert read == {"latent": 32, "schedule": "cosine"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tempreature = 1", "Did you mean 'temperature'?"),
        ("temperature = true", "temperature cannot be used"),
        ("raw = 1", "true or false"),
        ("temperature = [1, [2]]", "cannot be used"),
        ("new-to = 2026-01-01", "cannot be used"),
        ("raw = true\nvalid-only = true", "valid-only"),
        ("top-p = 1\ntop_p = 0.5", "two entries say the same"),
        ('command = "train"', "another command"),
        ("n = = 3", "cannot be read as TOML"),
        ("config = 'x'", "unknown option"),
    ],
)
def test_what_is_refused(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(GrammarRAEError, match=told) as caught:
        defaults("sample", text, tmp_path)
    assert "run.toml" in str(caught.value)


def test_files_that_are_not_there_or_too_large(tmp_path: Path) -> None:
    assert "no such file" in run("sample", "--config", tmp_path / "absent.toml").stderr
    (tmp_path / "large.toml").write_text("#" * (run_files._LARGEST + 1))
    assert "too large" in run("sample", "--config", tmp_path / "large.toml").stderr


def test_wrong_types_are_told_as_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('n = "many"\n')
    result = run("sample", "--config", tmp_path / "run.toml")
    assert result.exit_code == 2 and "'-n'" in result.stderr and "Traceback" not in result.output


def test_a_sample_runs_again_and_the_command_line_comes_first(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(f'model = "expressions"\nn = 4\noutput = "{tmp_path / "out.csv"}"\n')
    first = run("sample", "--config", tmp_path / "run.toml", "-n", 3)
    assert first.exit_code == 0, first.output
    drawn = (tmp_path / "out.csv").read_text()
    assert len(drawn.splitlines()) == 4
    resolved = tmp_path / "out.csv.run.toml"
    entries = tomllib.loads(resolved.read_text())
    assert entries["n"] == 3 and entries["model"] == "expressions" and isinstance(entries["seed"], int)
    (tmp_path / "out.csv").unlink()
    assert run("sample", "--config", resolved).exit_code == 0
    assert (tmp_path / "out.csv").read_text() == drawn
    assert tomllib.loads(resolved.read_text()) == entries


def test_settings() -> None:
    assert arguments.read_settings(None) == {}
    assert arguments.read_settings(["a=1e-3", "b=[1]", "c=x=y"]) == {"a": 1e-3, "b": [1], "c": "x=y"}
    for wrong in (["a"], ["1a=2"], ["=3"], ["a=1", "a=2"]):
        with pytest.raises(InputError, match="--set"):
            arguments.read_settings(wrong)
