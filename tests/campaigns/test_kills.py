"""Processes killed at random moments: nothing half-written is left, and what goes on ends with the same bits."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from campaigns.ledger import Ledger

from grammar_rae import checkpoint
from grammar_rae.model import load_model
from grammar_rae.optimization import journal
from grammar_rae.resources import bundled_model

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="needs signals"),
]
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
KILLS = 60
ENDS = ("x", "1", "exp(x)", "3*x")
TEXTS = [f"{a}{b}{c}" for a in ("x", "1+x", "sin(x)", "x*x", "2/3") for b in "+*/" for c in ENDS]


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "grammar_rae", *map(str, words)]


def to_the_end(words: list[str]) -> None:
    found = subprocess.run(words, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert found.returncode == 0, found.stderr


def kill(words: list[str], after: float, how: int = signal.SIGKILL) -> bool:
    """Start a command and kill it some seconds after its first sign of life; whether it was still at work."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    try:
        process.wait(after)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(how)
        process.wait()
        return True


def digest(paths: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


def weights_of(run: Path) -> str:
    return digest(run.glob("*.safetensors"))


def words_for(kind: str, folder: Path, texts: Path) -> list[str]:
    model = bundled_model("expressions")
    return {
        "encode": command("encode", texts, "-m", model, "-o", folder / "z.csv"),
        "export": command("export", "-m", model, "-o", folder / "copy"),
        "refit": command("refit", "gmm", "-m", folder / "refitted", "--set", "n_components=2"),
        "optimize": command(
            *("optimize", "--score", "expression_error", "-m", model, "-o", folder / "search", "--budget", "20"),
            *("--batch-size", "5", "--n-initial", "40", "-q"),
        ),
    }[kind]


def duration(words: list[str]) -> float:
    started = time.monotonic()
    to_the_end(words)
    return time.monotonic() - started


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_trainings_go_on_to_the_same_bits(tmp_path: Path, how: int) -> None:
    n = int(os.environ.get("GRAMMAR_RAE_KILLS", KILLS)) // 6 or 1
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS))
    ledger = Ledger(f"trainings ended by {signal.Signals(how).name}")

    def words(folder: Path, *more: str) -> list[str]:
        return command(
            *("train", texts, "-o", folder, "--recipe", "expressions", "--epochs", "12", "-q", "--jobs", "1", *more)
        )

    whole = tmp_path / "whole"
    took = duration(words(whole))
    for seed in range(n):
        folder = tmp_path / str(seed)

        def interrupted(folder: Path = folder, seed: int = seed) -> None:
            after = random.Random(seed).uniform(0.3, 1.0) * took
            ledger.counts["killed at work" if kill(words(folder), after, how) else "had ended"] += 1
            if checkpoint.exists(folder):
                load_model(folder)
            begun = checkpoint.exists(folder / "state")
            if not begun or not checkpoint.exists(folder) or how == signal.SIGTERM:
                to_the_end(words(folder, "--resume" if begun else "--overwrite"))
            assert weights_of(folder) == weights_of(whole)
            assert not [path for path in folder.rglob("*") if path.name.endswith(".tmp")]

        ledger.ask(f"seed {seed}", interrupted)
    ledger.tell()
    assert not ledger.counts["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["encode", "export", "refit", "optimize"])
def test_killed_commands_leave_nothing_half_written(tmp_path: Path, kind: str) -> None:
    n = int(os.environ.get("GRAMMAR_RAE_KILLS", KILLS)) // 6 or 1
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS * 20))
    ledger = Ledger(f"{kind}, killed")

    def prepared(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        if kind == "refit":
            model = load_model(bundled_model("expressions"))
            codes = model.encode(TEXTS)
            model.fitted_ = type(model.fitted_)(**{**vars(model.fitted_), "codes": codes, "held_out_codes": codes[:5]})
            model.save(folder / "refitted")
        return folder

    whole = prepared("whole")
    took = duration(words_for(kind, whole, texts))
    for seed in range(n):
        folder = prepared(str(seed))
        before = digest(path for path in folder.rglob("*") if path.is_file())

        def interrupted(folder: Path = folder, seed: int = seed, before: str = before) -> None:
            words = words_for(kind, folder, texts)
            ledger.counts[
                "killed at work" if kill(words, random.Random(seed).uniform(0.3, 1.0) * took) else "had ended"
            ] += 1
            if kind == "refit":
                load_model(folder / "refitted")
            elif kind == "export":
                if checkpoint.exists(folder / "copy"):
                    load_model(folder / "copy")
            elif kind == "encode":
                if (folder / "z.csv").exists():
                    assert (folder / "z.csv").read_bytes() == (whole / "z.csv").read_bytes()
                else:
                    assert digest(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")) == before
            else:
                if (folder / "search" / journal.TEXTS).exists():
                    words = [*words, "--resume"]
                to_the_end(words)
                for name in ("history.csv", "best.csv"):
                    assert (folder / "search" / name).read_bytes() == (whole / "search" / name).read_bytes()

        ledger.ask(f"seed {seed}", interrupted)
    ledger.tell()
    assert not ledger.counts["refused"]


def test_a_killed_encoding_leaves_the_old_file(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS))
    (tmp_path / "z.csv").write_text("old")
    words = command("encode", texts, "-m", bundled_model("expressions"), "-o", tmp_path / "z.csv")
    kill(words, 0.5)
    content = (tmp_path / "z.csv").read_text()
    assert content == "old" or content.startswith("line,text,z0")
