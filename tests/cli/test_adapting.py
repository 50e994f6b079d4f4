"""Commands that begin with a model: ``train --start``, ``demo``, and properties that draws are asked for."""

import itertools
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import grammar_rae
from grammar_rae.chem.properties import properties
from grammar_rae.cli import app, demo
from grammar_rae.model import TextModel
from tests.test_conditions import TOLD

TEXTS = [f"{'C' * n}C(=O)N{b}" for n, b in itertools.product(range(1, 8), ["C", "CC", "CCO", "C1CC1", "CCCl", "CBr"])]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="grammar-rae")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start") / "model"
    TextModel("tiny", overrides={**TOLD, "epochs": 2, "smoothing": 1.0}).fit(TEXTS).save(folder)
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.smi"
    path.write_text("\n".join(TEXTS[:30]))
    return path


def test_a_training_begins_with_a_model(start: Path, rows: Path, tmp_path: Path) -> None:
    done = run("train", rows, "-o", tmp_path / "run", "--start", start, "--epochs", 1, "--quiet")
    assert done.exit_code == 0, done.output
    model = TextModel.load(tmp_path / "run")
    assert model.start_ is not None and model.start_["recipe"] == "tiny"
    again = run("train", rows, "-o", tmp_path / "run", "--start", start, "--epochs", 2, "--quiet", "--resume")
    assert again.exit_code == 0, again.output


def test_a_training_from_nothing(rows: Path, tmp_path: Path) -> None:
    words = ("train", rows, "--recipe", "tiny", "--epochs", 1, "--quiet")
    for index, start in enumerate((("--start", "none"), ())):
        done = run(*words, "-o", tmp_path / str(index), *start)
        assert done.exit_code == 0, done.output
        assert TextModel.load(tmp_path / str(index)).start_ is None


def test_a_start_that_is_not_there(rows: Path, tmp_path: Path) -> None:
    done = run("train", rows, "-o", tmp_path / "run", "--start", tmp_path / "nothing", "--quiet")
    assert done.exit_code == 2 and done.stderr.startswith("error: ")
    assert not (tmp_path / "run" / "model.json").exists()


def test_properties_are_asked_for(start: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    words = ("sample", "-m", start, "-n", 5, "-o", out, "--seed", 0)
    done = run(*words, "--property", "weight=110", "--property", "rings=0:1", "--guidance", 0)
    assert done.exit_code == 0 and len(pd.read_csv(out)) == 5
    assert "of the valid ones with what was asked for" in done.stderr
    done = run(*words, "--property", "weight=20:400", "--strict")
    assert done.exit_code == 0 and all(
        20 <= properties(text, ("weight",))[0] <= 400 for text in pd.read_csv(out).smiles
    )


@pytest.mark.parametrize(
    "asked",
    [
        ["weight"],
        ["weight=heavy"],
        ["weight=1:2:3"],
        ["weight=nan"],
        ["weight=2:1"],
        ["size=3"],
        ["weight=5000"],
        ["weight=110", "weight=120"],
    ],
    ids=" ".join,
)
def test_properties_that_cannot_be_asked_for(start: Path, asked: list[str]) -> None:
    words = [word for one in asked for word in ("--property", one)]
    done = run("sample", "-m", start, "-n", 3, *words)
    assert done.exit_code == 2 and done.stdout == "" and done.stderr.startswith("error: ")


def test_the_demo_in_small(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ligands = tmp_path / "ligands.csv"
    pd.DataFrame({"smiles": TEXTS, "split": ["train"] * 30 + ["test"] * 12}).to_csv(ligands, index=False)
    monkeypatch.setattr("grammar_rae.resources.bundled_file", lambda name: ligands)
    monkeypatch.setattr("grammar_rae.resources.bundled_model", lambda *_: start)
    for name, value in {"SECONDS": 1.0, "SAMPLES": 20, "BEFORE": 10}.items():
        monkeypatch.setattr(demo, name, value)
    done = run("demo", "-o", tmp_path, "--quiet")
    assert done.exit_code == 0, done.output
    assert all(name in done.stdout for name in demo.NAMES)
    frame = pd.read_csv(tmp_path / "samples.csv")
    assert len(frame) == 20 and frame["nearest_ligand"].is_monotonic_decreasing
    page = (tmp_path / "samples.html").read_text()
    assert "Before and after" in page and "the bundled tiny" in page
    assert grammar_rae.load(tmp_path / "demo-run").start_ is not None
