"""``train`` by several processes: one model, one voice, and an end in a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from grammar_rae.datasets import sample_texts
from grammar_rae.model import TextModel
from grammar_rae.resources import bundled_file

ROOT = Path(__file__).resolve().parents[2]
ALONE = [sys.executable, "-m", "grammar_rae"]
TORCHRUN = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node=2",
    "-m",
    "--",
    "grammar_rae",
]
FASTER = ("--set", "density=gaussian", "--set", "density_options={}", "--jobs", "1", "-q")


@pytest.fixture(scope="module")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "molecules.smi"
    path.write_text("\n".join([*sample_texts(bundled_file("data/moses_sample.smi.gz"), 200, seed=0), "C1CC"]))
    return path


def train(launcher: list[str], *words: object) -> subprocess.CompletedProcess[str]:
    command = [*launcher, "train", *map(str, words), *FASTER]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)


@pytest.mark.slow
def test_one_model_of_two_processes(molecules: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = train(ALONE, molecules, "-o", run, "--recipe", "tiny", "--epochs", 1, "--devices", 2)
    assert first.returncode == 0, first.stderr
    assert first.stderr.count(f"the model is in {run}") == first.stderr.count("1 of 201 rows were left out") == 1
    assert not [*run.rglob(".lock"), *run.rglob("*.tmp")]
    steps = TextModel.load(run).history.rows[-1]["step"]
    longer = train(TORCHRUN, molecules, "-o", run, "--recipe", "tiny", "--epochs", 2, "--resume")
    assert longer.returncode == 0, longer.stderr
    assert longer.stderr.count(f"the model is in {run}") == 1
    assert TextModel.load(run).history.rows[-1]["step"] == 2 * int(steps or 0)


@pytest.mark.slow
def test_two_processes_adapt(molecules: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = train(TORCHRUN, molecules, "-o", run, "--start", "moses", "--epochs", 1)
    assert done.returncode == 0, done.stderr
    assert len(TextModel.load(run).sample(5, seed=0)) == 5


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [ALONE, TORCHRUN])
def test_data_that_cannot_be_used_end_both(launcher: list[str], tmp_path: Path) -> None:
    (tmp_path / "none.smi").write_text("C1CC\n" * 30)
    words = ("--recipe", "tiny", "--epochs", 1, *(["--devices", 2] if launcher is ALONE else []))
    done = train(launcher, tmp_path / "none.smi", "-o", tmp_path / "run", *words)
    assert done.returncode != 0
    assert done.stderr.count("Traceback") <= (launcher is TORCHRUN)  # torchrun's own, of a child that failed
    assert "error:" in done.stderr and "none.smi" in done.stderr
