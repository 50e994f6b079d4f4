"""Scale: shards that are repeated are rows again, and the figures say what was measured."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.rows import peak_memory
from grammar_rae.codecs import CharacterCodec
from grammar_rae.datasets import ShardedDataset, encode_shards
from grammar_rae.errors import InputError


def test_repeated_shards_are_the_same_rows_again(tmp_path: Path) -> None:
    source = tmp_path / "a.smi"
    source.write_text("".join(f"{'C' * (1 + i % 7)}\n" for i in range(50)))
    once = encode_shards(source, CharacterCodec.learn(["C" * 7]), tmp_path / "once", rows=20)
    twice = ShardedDataset.open(scale.repeat(tmp_path / "once", tmp_path / "twice", 90))
    assert len(once) == 50 and len(twice) == 90  # shards of 20, 20, 10, 20 and 20 rows
    assert (twice.batch([50, 89]) == once.batch([0, 39])).all()


def test_rows_beyond_a_file_are_its_molecules_in_other_orders(tmp_path: Path) -> None:
    from rdkit import Chem

    source = tmp_path / "a.smi"
    source.write_text("CCOc1ccccc1N\nCC(=O)NCCO\n")
    target = scale.write_orders(source, tmp_path / "b.smi.gz", 7)
    texts = [text for _, text in scale.read_texts(target)]
    assert len(texts) == 7 and texts[:2] == source.read_text().split()
    assert texts[2:4] != texts[:2] and texts[4:] == texts[:3]  # two orders, and then again
    assert {Chem.CanonSmiles(text) for text in texts} == {Chem.CanonSmiles(text) for text in texts[:2]}


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too few rows"):
        scale.run(tmp_path / "a.smi", tmp_path, rows=[10])
    with pytest.raises(InputError, match="too few rows"):
        scale.run(tmp_path / "a.smi", tmp_path, rows=[], repeated=100)
    assert scale.run(tmp_path / "a.smi", tmp_path, rows=[], repeated=0, draws=0) == []


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux
def test_the_peak_of_a_process_is_not_that_of_who_started_it() -> None:
    held = bytearray(b"1" * (200 * 2**20))
    command = [sys.executable, "-c", "from benchmarks.rows import peak_memory; print(peak_memory())"]
    peak = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    assert peak < 150 < len(held) / 2**20 < peak_memory()


WORK = """
import subprocess, sys
from benchmarks.scale import _work
busy = "import time\\nwhile time.process_time() < 0.3: pass\\nprint(flush=True)\\ninput()"
before = _work()
with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
    process.stdout.readline()
    work = _work()
    process.kill()
print(work.seconds - before.seconds, work.own_seconds - before.own_seconds, work.megabytes)
"""


@linux
def test_the_work_of_processes_counts() -> None:
    # In a process of its own, since what other tests started works and holds memory, too.
    told = subprocess.run([sys.executable, "-c", WORK], check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, own_seconds, megabytes = map(float, told.split())
    assert seconds >= 0.2 and own_seconds < 0.2  # the system counts in ticks, of a hundredth of a second
    assert 1 < megabytes < 150
