"""``encode`` into a folder: shards of many files, which a training reads."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from grammar_rae.cli import app
from grammar_rae.datasets import ShardedDataset
from grammar_rae.expressions import expression_set
from grammar_rae.model import TextModel

TOY = ("--set", "latent=4", "--set", "batch_size=32", "--set", "density=gaussian", "--set", "density_options={}")


def grammar_rae(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words), "-q"], prog_name="grammar-rae")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Three files of 40 expressions, the last with a row that is none."""
    folder = tmp_path / "in"
    folder.mkdir()
    texts = expression_set()[::800]
    for place, name in enumerate("abc"):
        rows = [*texts[40 * place : 40 * place + 40], *(["nonsense"] if name == "c" else [])]
        (folder / f"{name}.txt").write_text("".join(f"{row}\n" for row in rows))
    return folder


def test_files_become_shards_that_grow_and_train(sources: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    words = ("-o", f"{folder}/", "--jobs", 1, "--threads", 1)
    first = grammar_rae("encode", sources / "[ab].txt", *words, "-m", "expressions", "--rows", 25)
    assert first.exit_code == 0, first.output
    assert "80 of 80 rows are encoded, in 4 shards" in first.output
    data = ShardedDataset.open(folder)
    assert [shard.read for shard in data.manifest.shards] == [25, 15, 25, 15]
    # The same again encodes nothing; more files append, by the codec that is there.
    written = (folder / "shards.json").read_bytes()
    assert grammar_rae("encode", sources / "a.txt", sources / "b.txt", *words).exit_code == 0
    assert (folder / "shards.json").read_bytes() == written
    grown = grammar_rae("encode", sources, *words)
    assert "120 of 121 rows are encoded, in 6 shards" in grown.output
    other = grammar_rae("encode", sources, *words, "-m", "moses")
    assert other.exit_code == 2 and "encoded by another codec" in other.output
    other = grammar_rae("encode", sources, *words, "--recipe", "moses")
    assert other.exit_code == 2 and "encoded by another codec" in other.output
    run = tmp_path / "run"
    trained = grammar_rae("train", folder, "-o", run, "--recipe", "expressions", "--epochs", 1, "--threads", 1, *TOY)
    assert trained.exit_code == 0, trained.output
    assert TextModel.load(run).codec.to_dict() == data.codec_dict


def test_a_recipe_learns_its_codec_from_the_files(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for place in range(2):
        part = tmp_path / "table" / f"part={place}"
        part.mkdir(parents=True)
        rows = pa.table({"id": ["x"] * 30, "smiles": ["C" * (n + 1) + "O" * place for n in range(30)]})
        pq.write_table(rows, part / "0.parquet")
    folder = tmp_path / "set"
    words = ("encode", tmp_path / "table", "-o", f"{folder}/", "--recipe", "characters", "--jobs", 1)
    assert grammar_rae(*words).exit_code == 0
    data = ShardedDataset.open(folder)
    assert len(data) == 60 and data.codec_dict["kind"] == "characters"
    assert grammar_rae(*words).exit_code == 0  # and keeps it, whatever it would learn now
    other = grammar_rae(*words[:4], "--recipe", "moses", "--jobs", 1)
    assert other.exit_code == 2 and "expected codec characters" in other.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.smi", "b.smi", "-o", "z.npy"], "received 2 files"),
        (["a.smi", "-o", "z.npy", "--rows", "5"], "--rows is for shards in a folder"),
        (["a.smi", "-o", "z.npy", "--recipe", "moses"], "--recipe is for shards in a folder"),
        (["a.smi", "-o", "z.npy", "--duplicates", "drop"], "--duplicates is for shards in a folder"),
        (["a.smi", "-o", "set/", "--unknown", "refuse"], "received --unknown refuse"),
        (["a.smi", "-o", "set/", "--recipe", "moose"], "'moses'"),
        (["-", "-o", "set/"], "the standard input"),
        (["no*.smi", "-o", "set/"], "no file of texts is there"),
        (["a.smi", "-o", "z.npy", "--threads", "0"], "threads cannot be used"),
    ],
)
def test_what_does_not_go_together(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = grammar_rae("encode", *words)
    assert result.exit_code == 2 and message in result.output
    assert not [*tmp_path.iterdir()]
