"""Data sets of many shards: the same rows as one data set, whatever was interrupted, appended or damaged."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grammar_rae.codecs import CharacterCodec
from grammar_rae.datasets import ShardedDataset, TokenDataset, encode, encode_shards, open_data, sharded, sharding
from grammar_rae.datasets.duplicates import REPEATED
from grammar_rae.datasets.sharded import Manifest
from grammar_rae.datasets.sharding import find_sources
from grammar_rae.errors import DataError, InputError
from grammar_rae.model.sources import open_encoded

CODEC = CharacterCodec(characters=("C", "O", "N"), max_length=12)


def texts(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("CON"), rng.integers(1, 9))) for _ in range(n)]


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """Three files, one of them compressed and one with rows that are refused, blank or the last of their shard."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.smi").write_text("\n".join(texts(25, 0)) + "\n")
    (folder / "b.smi.gz").write_bytes(gzip.compress(("\n".join(texts(7, 1)) + "\n").encode()))
    (folder / "c.txt").write_text("\n".join([*texts(10, 2), "Q", "", "Q"]) + "\n")
    return sorted(folder.iterdir())


def rows_of(data: TokenDataset | ShardedDataset) -> list[tuple[int, ...]]:
    return [tuple(data.tokens(row)) for row in range(len(data))]


def one_by_one(sources: list[Path]) -> list[TokenDataset]:
    return [encode(path, CODEC) for path in sources]


def test_the_rows_are_those_of_the_sources(sources: list[Path], tmp_path: Path) -> None:
    data = encode_shards(sources, CODEC, tmp_path / "set", rows=10)
    parts = one_by_one(sources)
    assert [shard.read for shard in data.manifest.shards] == [10, 10, 5, 7, 10, 3]
    assert rows_of(data) == [row for part in parts for row in rows_of(part)]
    assert (data.n_read, data.n_accepted, data.n_rejected) == (45, 42, 3) and len(data) == 42
    assert [(name, *row) for name, row in data.rejected()] == [("c.txt", *row) for row in parts[2].rejected]
    assert data.matches(CODEC) and data.codec_dict == CODEC.to_dict()
    chosen = np.random.default_rng(0).integers(0, 42, 60)
    whole = np.concatenate([part.lengths for part in parts])
    assert np.array_equal(data.lengths.of(chosen), whole[chosen])
    table = data.batch(chosen)
    assert table.shape == (60, whole[chosen].max())
    assert [tuple(row[row >= 0].tolist()) for row in table] == [tuple(data.tokens(int(row))) for row in chosen]
    kept = data.in_memory(chosen)
    assert rows_of(kept) == [tuple(data.tokens(int(row))) for row in chosen]
    assert np.array_equal(kept.lines[:3], [np.concatenate([part.lines for part in parts])[row] for row in chosen[:3]])
    assert {tuple(row) for row in rows_of(data.few(20))} <= set(rows_of(data))
    assert isinstance(open_data(data.folder), ShardedDataset)
    assert isinstance(open_encoded(data.folder, None, False), ShardedDataset)
    with pytest.raises(IndexError):
        data.tokens(42)
    with pytest.raises(DataError, match="nothing but their tokens is known"):
        data.described()


def test_no_more_shards_are_open_than_a_system_allows(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode_shards(sources, CODEC, tmp_path / "set", rows=3)
    monkeypatch.setattr(sharded, "_OPEN", 2)
    assert rows_of(data) == [row for part in one_by_one(sources) for row in rows_of(part)]
    chosen = np.random.default_rng(0).permutation(len(data))
    table = data.batch(chosen)
    assert [tuple(row[row >= 0].tolist()) for row in table] == [tuple(data.tokens(int(row))) for row in chosen]
    assert len(data._open) == 2


def test_a_shard_is_compared_with_its_sum_once(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode_shards(sources, CODEC, tmp_path / "set", rows=10)
    compared: list[str] = []
    digest = sharded.digest_shard
    monkeypatch.setattr(sharded, "_OPEN", 1)
    monkeypatch.setattr(sharded, "digest_shard", lambda folder: compared.append(folder.name) or digest(folder))
    training, _ = data.split(0.3, 0)
    for rows in (data, training, training):
        rows.batch(np.arange(len(rows)))
    assert sorted(compared) == [shard.name for shard in data.manifest.shards if shard.accepted]


def test_sources_by_folder_glob_and_name(sources: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir()
    (folder / "deep" / "d.csv").write_text("smiles\nC\n")
    (folder / "_SUCCESS").write_text("")
    assert find_sources(folder) == [*sources, folder / "deep" / "d.csv"]
    assert find_sources(str(folder / "*.smi*")) == sources[:2]
    assert find_sources([folder / "c.txt", str(folder / "**" / "*.csv")]) == [sources[2], folder / "deep" / "d.csv"]
    with pytest.raises(DataError, match="no file of texts"):
        find_sources(str(folder / "*.sdf"))
    with pytest.raises(InputError, match="named twice"):
        find_sources([sources[0], folder])


def test_partitions_of_parquet(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for part in range(3):
        path = tmp_path / "in" / f"year={part}" / "part-0.parquet"
        path.parent.mkdir(parents=True)
        pandas.DataFrame({"smiles": texts(5, part), "id": range(5)}).to_parquet(path)
    data = encode_shards(tmp_path / "in", CODEC, tmp_path / "set", rows=4, column="smiles")
    assert rows_of(data) == [row for part in range(3) for row in rows_of(encode(texts(5, part), CODEC))]


@pytest.mark.parametrize("killed_at", [1, 3, 6])
@pytest.mark.parametrize("name", ["save_chunks", "write_keys", "digest_shard"])
def test_an_encoding_goes_on_where_it_was_interrupted(
    name: str, killed_at: int, sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, original = 0, getattr(sharding, name)

    def interrupted(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == killed_at:
            raise KeyboardInterrupt
        return original(*arguments, **keywords)

    whole = encode_shards(sources, CODEC, tmp_path / "whole", rows=10, duplicates="drop")
    with monkeypatch.context() as patch:
        patch.setattr(sharding, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            encode_shards(sources, CODEC, tmp_path / "set", rows=10, duplicates="drop")
    encoded: list[int] = []
    again = sharding.save_chunks
    monkeypatch.setattr(sharding, "save_chunks", lambda *a, **k: encoded.append(1) or again(*a, **k))
    resumed = encode_shards(sources, CODEC, tmp_path / "set", rows=None, duplicates="drop")
    assert len(encoded) == 6 - (killed_at - 1)  # one shard is lost, and no more
    assert resumed.fingerprint == whole.fingerprint
    assert resumed.manifest == whole.manifest


@pytest.mark.parametrize(("chunk", "jobs"), [(1, 1), (3, 1), (10, 1), (25, 1), (3, 2)])
def test_shards_do_not_depend_on_the_chunks(chunk: int, jobs: int, sources: list[Path], tmp_path: Path) -> None:
    whole = encode_shards(sources, CODEC, tmp_path / "whole", rows=10)
    found = encode_shards(sources, CODEC, tmp_path / "set", rows=10, chunk=chunk, jobs=jobs)
    assert found.manifest == whole.manifest and found.fingerprint == whole.fingerprint


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_was_read_before_a_source_breaks_off_is_kept(jobs: int, tmp_path: Path) -> None:
    source = tmp_path / "in.smi.gz"
    source.write_bytes(gzip.compress("".join(f"{text}\n" for text in texts(60_000, 0)).encode())[:-30])
    with pytest.raises(DataError, match="too early or is damaged"):
        encode_shards(source, CODEC, tmp_path / "set", rows=5_000, chunk=2_000, jobs=jobs)
    manifest = Manifest.read(tmp_path / "set")
    assert len(manifest.shards) > 3 and {shard.read for shard in manifest.shards} == {5_000}
    assert not manifest.sources[0]["finished"]


def test_appending(sources: list[Path], tmp_path: Path) -> None:
    encode_shards(sources[:1], CODEC, tmp_path / "set", rows=10)
    grown = encode_shards(sources[1:], CODEC, tmp_path / "set")
    assert grown.fingerprint == encode_shards(sources, CODEC, tmp_path / "whole", rows=10).fingerprint
    again = encode_shards(sources, CODEC, tmp_path / "set")  # nothing is left to do
    assert again.manifest == grown.manifest


def test_repeated_rows_are_refused_over_all_shards(sources: list[Path], tmp_path: Path) -> None:
    data = encode_shards(sources, CODEC, tmp_path / "set", rows=10, duplicates="drop")
    every = [row for part in one_by_one(sources) for row in rows_of(part)]
    assert rows_of(data) == list(dict.fromkeys(every))
    assert sum(row.reason == REPEATED for _, row in data.rejected()) == len(every) - len(set(every))


@settings(max_examples=10, deadline=None)
@given(n=st.integers(2, 40), rows=st.integers(6, 30), seed=st.integers(0, 2**64 - 1), maximum=st.integers(1, 20))
def test_every_row_trains_or_validates_and_no_molecule_does_both(
    n: int, rows: int, seed: int, maximum: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("split")
    every = ["C", "O", *texts(n, n)]
    (folder / "in.smi").write_text("\n".join(every) + "\n")
    data = encode_shards(folder / "in.smi", CODEC, folder / "set", rows=rows)
    training, validation = data.split(0.3, seed, maximum)
    trains, validates = rows_of(training), rows_of(validation)
    assert sorted(trains + validates) == sorted(rows_of(data))
    assert trains and validates and not set(trains) & set(validates)
    assert (len(training), len(validation)) == (len(trains), len(validates))
    assert np.array_equal(training.lengths.of(np.arange(len(training))), [len(row) for row in trains])
    # Wherever the rows are, the same molecules validate.
    other = encode_shards(folder / "in.smi", CODEC, folder / "other", rows=rows + 1).split(0.3, seed, maximum)
    assert sorted(rows_of(other[1])) == sorted(validates)
    assert training.fingerprint == ShardedDataset.open(folder / "set").split(0.3, seed, maximum)[0].fingerprint


def test_about_so_many_rows_validate(tmp_path: Path) -> None:
    every = texts(3000, 5)
    (tmp_path / "in.smi").write_text("\n".join(dict.fromkeys(every)) + "\n")
    data = encode_shards(tmp_path / "in.smi", CODEC, tmp_path / "set", rows=500)
    share = len(data.split(0.1, 0)[1]) / len(data)
    assert abs(share - 0.1) < 4 * (0.1 * 0.9 / len(data)) ** 0.5
    assert abs(len(data.split(0.1, 0, 50)[1]) - 50) < 4 * 50**0.5


def test_rows_that_are_all_the_same_cannot_be_split(tmp_path: Path) -> None:
    (tmp_path / "in.smi").write_text("C\n" * 9)
    with pytest.raises(DataError, match="all rows are the same"):
        encode_shards(tmp_path / "in.smi", CODEC, tmp_path / "set", rows=2).split(0.5, 0)


@pytest.mark.parametrize(
    ("name", "blob", "message"),
    [
        ("shard-000001/tokens.bin", b"\0" * 8, "changed after it was encoded"),
        ("shard-000001/tokens.bin", None, "a file of a shard cannot be read"),
        ("shard-000001/keys.bin", b"", "keys of a shard do not fit"),
        ("shard-000001", None, "a shard is missing"),
        ("shards.json", b"{", "cannot be read"),
        ("shards.json", b'{"kind": "other"}', "cannot be read"),
    ],
)
def test_damage_is_found(name: str, blob: bytes | None, message: str, sources: list[Path], tmp_path: Path) -> None:
    path = encode_shards(sources, CODEC, tmp_path / "set", rows=10).folder / name
    if path.is_dir():
        path.rename(tmp_path / "elsewhere")
    elif blob is None:
        path.unlink()
    else:
        path.write_bytes(blob)
    with pytest.raises(DataError, match=message):
        data = ShardedDataset.open(tmp_path / "set")
        data.split(0.5, 0)
        data.tokens(10)


def test_counts_that_do_not_add_up(sources: list[Path], tmp_path: Path) -> None:
    path = encode_shards(sources, CODEC, tmp_path / "set", rows=10).folder / "shards.json"
    path.write_text(path.read_text().replace('"accepted": 10', '"accepted": 9', 2))
    with pytest.raises(DataError, match="do not add up"):
        ShardedDataset.open(tmp_path / "set")


def test_what_cannot_be_appended(sources: list[Path], tmp_path: Path) -> None:
    target = encode_shards(sources[:1], CODEC, tmp_path / "set", rows=10).folder
    with pytest.raises(DataError, match="another codec"):
        encode_shards(sources, CharacterCodec(characters=("C",)), target)
    with pytest.raises(DataError, match=r"another choice of rows.*received 11.*expected 10"):
        encode_shards(sources, CODEC, target, rows=11)
    with pytest.raises(DataError, match="another choice of duplicates"):
        encode_shards(sources, CODEC, target, duplicates="drop")
    (tmp_path / "twin.smi").write_bytes(sources[0].read_bytes())
    with pytest.raises(InputError, match="same content"):
        encode_shards([sources[0], tmp_path / "twin.smi"], CODEC, tmp_path / "new")
    with pytest.raises(DataError, match="something else"):
        encode_shards(sources, CODEC, tmp_path / "in")
    (tmp_path / "none.smi").write_text("Q\n")
    with pytest.raises(DataError, match="none of the 1 rows"):
        encode_shards(tmp_path / "none.smi", CODEC, tmp_path / "empty")


def test_a_source_that_changed_while_it_was_encoded(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sharding, "ROWS", 10)
        rows = iter([None, KeyboardInterrupt])
        original = sharding.write_keys

        def write(*arguments: Any) -> None:
            if next(rows) is KeyboardInterrupt:
                raise KeyboardInterrupt
            original(*arguments)

        patch.setattr(sharding, "write_keys", write)
        with pytest.raises(KeyboardInterrupt):
            encode_shards(sources[0], CODEC, tmp_path / "set")
    sources[0].write_text("C\n")
    with pytest.raises(DataError, match=r"not named now, or it has changed.*received a.smi"):
        encode_shards(sources[0], CODEC, tmp_path / "set")
