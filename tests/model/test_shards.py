"""Draws into a folder: the same rows however they were interrupted and shared, and only what was asked for."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import ROOT

import grammar_rae
from grammar_rae.datasets.duplicates import BloomFilter, SeenKeys
from grammar_rae.errors import DataError, InputError, WorkerError
from grammar_rae.model import SampleResult, shards
from grammar_rae.model.drawn import MANIFEST, DrawnShards
from grammar_rae.model.quantizing import CHECKED
from grammar_rae.model.shards import draw_shards, shard_seed

pytest.importorskip("pyarrow")
MODEL = "expressions"


def draw(folder: Path, n: int = 50, **options: Any) -> DrawnShards:
    return draw_shards(n, folder, MODEL, **{"seed": 3, "rows": 20} | options)


def texts(drawn: DrawnShards) -> list[str]:
    return [text for frame in drawn.frames() for text in frame["smiles"]]


class Dice:
    """A model that draws one of 60 texts, at once."""

    def sample(self, n: int, seed: int, max_attempts: int | None = None, **options: Any) -> SampleResult:
        n = n if max_attempts is None else min(n, max_attempts)
        found = [f"x+{face}" for face in np.random.default_rng(seed).integers(0, 60, n)]
        return SampleResult(found, np.ones(n, bool), n + 1, n, np.zeros((n, 1), np.float32), "none", 1.0, seed)


@pytest.fixture
def dice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_model", lambda folder, digest, int8: Dice())


@pytest.fixture
def whole(dice: None, tmp_path: Path) -> DrawnShards:
    return draw(tmp_path / "whole")


def thrown(rows: int, number: int) -> list[str]:
    return [text for k in range(number) for text in Dice().sample(rows, seed=shard_seed(3, k)).texts]


def test_a_shard_is_a_sample_of_its_own_seed(tmp_path: Path) -> None:
    drawn = draw(tmp_path, 20, rows=12, scores=["expression_error"], valid_only=False, temperature=2.0)
    model = grammar_rae.load(MODEL)
    results = [model.sample(12, False, seed=shard_seed(3, number), temperature=2.0) for number in range(2)]
    frames = [result.to_frame(["expression_error"]) for result in results]
    pd.testing.assert_frame_equal(pd.concat(drawn.frames()), pd.concat([frames[0], frames[1].head(8)]))
    assert drawn.attempts == 24


def test_the_folder_holds_what_the_manifest_says(whole: DrawnShards) -> None:
    assert [shard.rows for shard in whole.shards] == [20, 20, 10] and len(whole) == 50
    assert (whole.attempts, whole.repeated, whole.seed) == (63, 10, 3)
    assert texts(whole) == thrown(20, 3)[:50]
    assert {path.name for path in whole.folder.iterdir()} - {".lock"} == {MANIFEST, *(p.name for p in whole.paths)}
    assert DrawnShards.open(whole.folder) == whole


STEPS = [("_draw_shard", 1), ("_draw_shard", 3), ("_put_in_place", 2), ("_write", 1), ("_write", 3), ("_write", 4)]


@pytest.mark.parametrize(("name", "killed_at"), STEPS)
@pytest.mark.parametrize("distinct", [False, True])
def test_a_drawing_goes_on_where_it_was_interrupted(
    name: str, killed_at: int, distinct: bool, dice: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, original = 0, getattr(shards, name)

    def interrupted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == killed_at:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(shards, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            draw(tmp_path / "twice", distinct=distinct)
    before = DrawnShards.open(tmp_path / "twice").shards
    resumed = draw(tmp_path / "twice", seed=None, rows=None, distinct=distinct)
    once = draw(tmp_path / "once", distinct=distinct)
    assert texts(resumed) == texts(once) and len(resumed) == 50
    assert resumed.shards == once.shards and resumed.shards[: len(before)] == before


def test_more_texts_begin_with_those_of_before(whole: DrawnShards, tmp_path: Path) -> None:
    assert texts(draw(tmp_path / "draws", 30)) == texts(whole)[:30]
    assert texts(draw(tmp_path / "draws", 50)) == texts(whole)
    assert texts(draw(tmp_path / "draws", 50)) == texts(whole)  # nothing is left to do
    with pytest.raises(InputError, match=r"more texts are there than.*received 40"):
        draw(tmp_path / "draws", 40)


def test_distinct_texts_in_the_order_of_their_first_draw(dice: None, tmp_path: Path) -> None:
    drawn = draw(tmp_path, 50, distinct=True)
    assert len(drawn.shards) > 3
    assert texts(drawn) == list(dict.fromkeys(thrown(20, len(drawn.shards))))[:50]
    with pytest.raises(DataError, match="another distinct"):
        draw(tmp_path, 60, distinct=True)


def test_few_texts_are_told(dice: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MOST_ROUNDS", 2)
    with pytest.warns(UserWarning, match=r"only \d+ of 50 texts after"):
        drawn = draw(tmp_path, 50, max_attempts=5)
    assert len(drawn) == 5 * 2 * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 4}, "another seed.*received 4.*expected 3"),
        ({"rows": 10}, "another shard rows"),
        ({"temperature": 2.0}, "another options"),
        ({"scores": ["expression_error"]}, "another scores"),
    ],
)
def test_other_settings_are_refused(whole: DrawnShards, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        draw(whole.folder, **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "part-000001.parquet").unlink(), "a shard is missing"),
        (lambda folder: (folder / "part-000001.parquet").write_bytes(b"x"), "a shard was changed"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text('{"kind": "x"}'), "cannot be read"),
        (lambda folder: rename_shard(folder, "../part-000000.parquet"), "cannot be read"),
        (lambda folder: (folder / MANIFEST).unlink(), "something else is where"),
    ],
)
def test_damaged_folders(whole: DrawnShards, change: Any, message: str) -> None:
    change(whole.folder)
    with pytest.raises(DataError, match=message):
        draw(whole.folder)


def rename_shard(folder: Path, name: str) -> None:
    content = json.loads((folder / MANIFEST).read_text())
    content["shards"][0]["file"] = name
    (folder / MANIFEST).write_text(json.dumps(content))


def test_a_worker_that_sees_another_model(tmp_path: Path) -> None:
    task = shards._Task(MODEL, str(tmp_path), json.dumps({"model": "0" * 64}))
    with pytest.raises(WorkerError, match="another model, or none"):
        shards._draw_shard(task, 0)


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"rows": 0}, {"jobs": 0}, {"distinct": 1}, {"constraint": object()}, {"heat": 1}]
)
def test_wrong_arguments(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        draw(tmp_path / "draws", **options)


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 300), max_size=40), max_size=8))
def test_a_bloom_filter_knows_what_came(batches: list[list[int]]) -> None:
    """With room for far more keys, it errs so seldom that it agrees with the keys themselves."""
    bloom, exact = BloomFilter(100_000), SeenKeys()
    for batch in batches:
        keys = np.array(batch, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        assert np.array_equal(bloom.add(keys), exact.add(keys) if len(keys) else np.zeros(0, bool))


def test_a_full_bloom_filter_errs_as_seldom_as_it_says() -> None:
    keys = np.random.default_rng(0).integers(0, 2**64, 60_000, np.uint64)
    bloom = BloomFilter(40_000)
    assert (~bloom.add(keys[:40_000])).sum() <= 12  # one in 140,000: 1.4 are expected
    wrong = (~bloom.add(keys[40_000:41_000])).sum()
    assert wrong <= 5  # 0.1 are expected
    assert not bloom.add(keys[:40_000]).any()


@pytest.mark.slow
def test_two_workers_and_a_kill_change_nothing(tmp_path: Path) -> None:
    whole = draw(tmp_path / "whole")
    assert texts(draw(tmp_path / "two", jobs=2)) == texts(whole)
    code = f"""
from grammar_rae.model.shards import draw_shards
draw_shards(200, {str(tmp_path / "killed")!r}, {MODEL!r}, seed=3, rows=20)
"""
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], env=env)
    manifest = tmp_path / "killed" / MANIFEST
    while not manifest.exists() or len(json.loads(manifest.read_text())["shards"]) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(DrawnShards.open(tmp_path / "killed").shards) >= 2
    assert texts(draw(tmp_path / "killed", 200))[:50] == texts(whole)


def test_shards_of_a_model_with_int8_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    monkeypatch.setattr("grammar_rae.model.quantizing._compare", lambda model, found, n: compared.append(n))
    drawn = draw(tmp_path / "fast", 30, int8=True)
    assert draw(tmp_path / "fast", 40, int8=True).shards[0] == drawn.shards[0]
    assert compared == [CHECKED]  # once, before the first text
    model = grammar_rae.load(MODEL).quantized(check=0)
    assert texts(drawn)[:20] == model.sample(20, seed=shard_seed(3, 0)).texts
    with pytest.raises(DataError, match="another int8"):
        draw(tmp_path / "fast", 30)
