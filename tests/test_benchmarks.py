"""The benchmarks: on files so small that only their bookkeeping can be wrong."""

import json
from itertools import islice
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grammar_rae.benchmarks import profile, text, training
from grammar_rae.benchmarks.common import figures, machine
from grammar_rae.cli import app
from grammar_rae.datasets import read_texts
from grammar_rae.resources import bundled


@pytest.fixture(scope="module")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 molecules, a header and a row that RDKit refuses."""
    rows = [row for _, row in islice(read_texts(bundled("data/moses_sample.smi.gz")), 120)]
    path = tmp_path_factory.mktemp("data") / "molecules.smi"
    path.write_text("smiles\n" + "\n".join(rows) + "\nC1CC\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(molecules: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A toy's training, and its row of figures."""
    folder = tmp_path_factory.mktemp("run")
    row = training.run(
        molecules, molecules, folder, recipe="tiny", epochs=2, samples=50, test_rows=30, progress=False, jobs=1
    )
    return folder, row


def test_text(molecules: Path) -> None:
    rows = text.run(molecules, agreement=3)
    by_figure = {(row["figure"], row["grammar"]): row for row in rows}
    for grammar in ("smiles", "zinc"):
        assert by_figure["speed", grammar]["ratio"] > 0
        agreement = by_figure["agreement", grammar]
        assert agreement["identical"] == agreement["texts"] == 3
        trip = by_figure["round trip", grammar]
        # The header and the broken ring are read, and rejected, and nothing else is.
        assert (trip["read"], trip["encoded"], trip["rejected"], trip["lost"]) == (122, 120, 2, 0)
        assert trip["same"] == 120
        assert trip["mean_codes"] < trip["most_codes"]
        decoded = by_figure["random decoding", grammar]
        assert decoded["complete"] == decoded["draws"] >= 10_000
    assert by_figure["agreement", "expressions"]["identical"] == 3


def test_training(run: tuple[Path, dict[str, object]]) -> None:
    _, row = run
    assert row["held_out"] == 30
    assert row["samples"] == 50
    assert 0 <= float(str(row["raw_validity"])) <= 1
    assert 0 <= float(str(row["reconstruction"])) <= 1
    assert row["epochs"] == 2
    assert float(str(row["peak_megabytes"])) > 50


def test_profile(run: tuple[Path, dict[str, object]]) -> None:
    folder, _ = run
    *phases, step = profile.run(folder / "data", "tiny", steps=2)
    assert [row["phase"] for row in phases] == [
        "batch from disk",
        "encoder",
        "decoder",
        "likelihood",
        "backward",
        "optimizer",
    ]
    assert sum(row["milliseconds"] for row in phases) == pytest.approx(step["milliseconds"])
    assert sum(row["share"] for row in phases) == pytest.approx(1)


def test_rows_are_kept_with_the_machine(run: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    folder, _ = run
    kept = tmp_path / "new" / "results.jsonl"
    arguments = ["benchmark", "profile", str(folder / "data"), "--recipe", "tiny", "--results", str(kept)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    assert [row["phase"] for row in rows][-1] == "step"
    assert all(row["versions"] == machine()["versions"] for row in rows)


def test_figures() -> None:
    shown = figures([{"figure": "speed", "ratio": 0.123456, "texts": 12345}, {"figure": "other", "n": True}])
    assert shown.splitlines() == [
        "| figure | value |",
        "|---|---|",
        "| figure | speed |",
        "| ratio | 0.1235 |",
        "| texts | 12,345 |",
        "| | |",
        "| figure | other |",
        "| n | True |",
    ]
