"""Draws into a folder, and work on a cluster, from the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from grammar_rae.cli import app
from grammar_rae.model.drawn import DrawnShards
from grammar_rae.model.shards import draw_shards

pytest.importorskip("pyarrow")


def sample(*words: object) -> Result:
    return CliRunner().invoke(app, ["sample", "-m", "expressions", "-n", "5", *map(str, words)])


def test_a_folder_gets_files_and_goes_on(tmp_path: Path) -> None:
    words = (
        "-o",
        f"{tmp_path / 'draws'}/",
        "--seed",
        1,
        "--jobs",
        1,
        "--distinct",
        "-q",
        "--scores",
        "expression_error",
    )
    first = sample(*words)
    assert first.exit_code == 0, first.output
    assert "5 texts in 1 files" in first.output and "seed 1" in first.output
    drawn = DrawnShards.open(tmp_path / "draws")
    (frame,) = drawn.frames()
    assert list(frame.columns) == ["smiles", "valid", "expression_error"] and len(frame) == 5
    manifest = json.loads((tmp_path / "draws" / "manifest.json").read_text())
    assert manifest["settings"]["seed"] == 1 and manifest["rows"] == 5
    assert sample("-o", tmp_path / "draws", *words[2:]).exit_code == 0  # the folder is known by being there
    assert DrawnShards.open(tmp_path / "draws") == drawn
    again = draw_shards(5, tmp_path / "draws", "expressions", distinct=True, scores=["expression_error"])
    assert again == drawn  # the command passes on nothing but what was asked for
    other = sample("-o", tmp_path / "draws", "--seed", 2, "--jobs", 1, "--distinct", "--scores", "expression_error")
    assert other.exit_code == 2 and "another seed" in other.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--distinct"], "--distinct is for draws into a folder"),
        (["--jobs", "2"], "--jobs is for draws into a folder"),
        (["--cluster", "nowhere"], "unknown kind of cluster"),
        (["--cluster", "dask"], "no address of a cluster"),
        (["-o", "draws/", "--html", "page.html"], "a page shows what one file holds"),
    ],
)
def test_what_does_not_go_together(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = sample(*words)
    assert result.exit_code == 2 and message in result.output
    assert not [*tmp_path.iterdir()]
