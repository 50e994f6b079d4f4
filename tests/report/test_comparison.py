"""Runs side by side."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from grammar_rae import checkpoint
from grammar_rae.cli import app
from grammar_rae.errors import CheckpointError, DataError, InputError
from grammar_rae.report.comparison import compare_runs
from grammar_rae.resources import bundled_model

NAMES = ("molecules", "moses")
FOLDERS = [bundled_model(name) for name in NAMES]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="grammar-rae")


def test_what_differs_and_what_came_of_it() -> None:
    found = compare_runs(FOLDERS)
    assert found.names == list(NAMES)
    recipes = [checkpoint.read_meta(folder)["recipe"] for folder in FOLDERS]
    assert found.settings["latent"] == [recipe["latent"] for recipe in recipes] == [128, 64]
    assert "encoder" not in found.settings  # which is the same
    assert all(any(value is not None for value in values) for values in found.figures.values())
    assert set(found.curves["validation_loss"]) <= set(NAMES)


def test_evaluations_beside_the_models_are_read(tmp_path: Path) -> None:
    for name, folder in zip("ab", FOLDERS, strict=True):
        (tmp_path / name / "evaluation").mkdir(parents=True)
        (tmp_path / name / "model.json").write_bytes((folder / "model.json").read_bytes())
    figures = {"reference": "moses", "moses": {"draws": {"validity": 0.5}, "filters": None}, "reconstruction": None}
    (tmp_path / "a" / "evaluation" / "results.json").write_text(json.dumps(figures))
    found = compare_runs([tmp_path / "a", tmp_path / "b"])
    assert found.figures["evaluation: draws.validity"] == [0.5, None]
    (tmp_path / "a" / "evaluation" / "results.json").write_text("{}")
    with pytest.raises(DataError, match="figures of an evaluation"):
        compare_runs([tmp_path / "a", tmp_path / "b"])


def test_the_command_prints_a_table_and_writes_a_page(tmp_path: Path) -> None:
    page = tmp_path / "compared.html"
    result = run("compare", *NAMES, "--html", page)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "What differs" and lines[1].split() == list(NAMES)
    assert ["latent", "128", "64"] in [line.split() for line in lines]
    text = page.read_text(encoding="utf-8")
    assert "What differs" in text and "http://" not in text.replace("http://www.w3.org", "")
    assert json.loads(run("compare", *NAMES, "--json").stdout)["settings"]["latent"] == [128, 64]


@pytest.mark.parametrize("folders", [[], FOLDERS[:1], [FOLDERS[0], FOLDERS[0]]])
def test_a_comparison_takes_two_runs(folders: list[Path]) -> None:
    with pytest.raises(InputError, match="two or more"):
        compare_runs(folders)


def test_folders_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        compare_runs([FOLDERS[0], tmp_path])
    assert run("compare", "molecules", tmp_path / "nothing").exit_code == 2
