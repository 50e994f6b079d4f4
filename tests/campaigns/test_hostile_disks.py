"""Full disks, folders that cannot be written, odd paths, and a folder that vanishes: one sentence, and nothing lost."""

import errno
import os
import shutil
import stat
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaigns.ledger import Ledger
from typer.testing import CliRunner

from grammar_rae.cli import app
from grammar_rae.codecs import GrammarCodec
from grammar_rae.datasets import TokenDataset, encode
from grammar_rae.errors import GrammarRAEError
from grammar_rae.grammar import read_grammar
from grammar_rae.model import TextModel, load_model
from grammar_rae.resources import bundled_model
from grammar_rae.training import Callback

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")
CODEC = GrammarCodec(table=read_grammar("expressions"))
TEXTS = ["x", "x+1", "sin(x)", "1/3+x"] * 5
NAMES = ["a b", "a'b", 'a"b', "a\nb", "ä€😀", "-o", "%s{}", "a" * 200, " ", "~", "*", "#", "$HOME"]


def invoke(*words: object) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = CliRunner().invoke(app, [str(word) for word in words], prog_name="grammar-rae")
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    return result


@pytest.mark.parametrize("name", NAMES)
def test_odd_paths(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    texts, z, out = folder / "texts.txt", folder / "z.npy", folder / f"{name[:50]}.csv"
    texts.write_text("\n".join(TEXTS))
    shutil.copytree(bundled_model("expressions"), folder / "model")
    model = ["-m", folder / "model"]
    assert invoke("encode", texts, *model, "-o", z).exit_code == 0
    assert invoke("decode", z, *model, "-o", out).exit_code == 0
    assert out.is_file() and np.load(z).shape == (20, 16)
    encode(TEXTS, CODEC, folder / name[:50])
    assert len(TokenDataset.open(folder / name[:50])) == 20
    load_model(folder / "model").save(folder / "again", compact=True)
    assert load_model(folder / "again").known_ == load_model(folder / "model").known_
    gone = invoke("encode", folder / "no such.txt", *model, "-o", z)
    assert gone.exit_code == 2 and gone.stderr.strip()


WRITERS: dict[str, Callable[[Path], object]] = {
    "a data set": lambda folder: encode(TEXTS, CODEC, folder / "set"),
    "a model": lambda folder: load_model(bundled_model("expressions")).save(folder / "model"),
    "codes": lambda folder: _run("encode", folder.parent / "texts.txt", "-m", "expressions", "-o", folder / "z.npy"),
    "draws": lambda folder: _run("sample", "-m", "expressions", "-n", "5", "--seed", "0", "-o", folder / "out.csv"),
    "a copy": lambda folder: _run("export", "-m", bundled_model("expressions"), "-o", folder / "copy"),
}


def _run(*words: object) -> None:
    result = invoke(*words)
    if result.exit_code:
        assert result.exit_code == 2 and result.stderr.strip()
        raise GrammarRAEError(result.stderr)


@contextmanager
def small_disk(folder: Path, size: str, readonly: bool = False) -> Iterator[Path]:
    """A file system of its own in a new folder, where this user may mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user cannot mount a file system")
    try:
        (folder / "before").write_text("kept")
        if readonly:
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.skipif(shutil.which("mount") is None, reason="needs mount")
@pytest.mark.parametrize("state", ["full", "read-only"])
def test_disks_that_take_nothing(tmp_path: Path, state: str) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    ledger = Ledger(f"a {state} disk")
    with small_disk(tmp_path / "disk", "64k", readonly=state == "read-only") as disk:
        if state == "full":
            with (disk / "filler").open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError as error:
                    assert error.errno == errno.ENOSPC
        before = listing(disk)
        for name, write in WRITERS.items():
            ledger.ask(name, lambda write=write: write(disk))
            assert listing(disk) == before, f"{name} left something"
        assert (disk / "before").read_text() == "kept"
    ledger.tell()
    assert ledger.counts["refused"] == len(WRITERS)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "words",
    [
        ["sample", "-m", "expressions", "-n", "200", "--seed", "0"],
        ["sample", "-m", "expressions", "-n", "200", "--seed", "0", "--html", "/dev/full"],
    ],
)
def test_a_full_device_is_told_and_left(words: list[str]) -> None:
    before = os.stat("/dev/full")
    words = words if "--html" in words else [*words, "-o", "/dev/full"]
    result = invoke(*words)
    assert result.exit_code == 2 and "space" in result.stderr
    after = os.stat("/dev/full")
    assert stat.S_ISCHR(after.st_mode) and after.st_ino == before.st_ino


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_folders_without_permission(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    folder.chmod(0o500)
    try:
        for write in WRITERS.values():
            with pytest.raises(GrammarRAEError):
                write(folder)
        assert listing(folder) == []
    finally:
        folder.chmod(0o700)


def test_a_folder_that_vanishes_while_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    gone: list[bool] = []

    class Vanish(Callback):
        def on_step(self, state: Any) -> None:
            if not gone:
                shutil.rmtree(folder)
                gone.append(True)

    import grammar_rae.model.latent as latent

    keeper = latent.KeepHistory

    class Both(keeper):  # type: ignore[misc, valid-type]
        def on_step(self, state: Any) -> None:
            Vanish().on_step(state)
            super().on_step(state)

    monkeypatch.setattr(latent, "KeepHistory", Both)
    texts = ["C" * n + end for n in range(1, 12) for end in ("O", "N", "F")]
    try:
        TextModel("tiny", epochs=2).fit(texts, folder=folder, jobs=1)
    except GrammarRAEError as error:
        assert str(error)
    else:
        assert load_model(folder).known_ is not None  # made again, whole
    assert gone
