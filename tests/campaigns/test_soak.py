"""One process that encodes and draws for a long time: its memory stays flat after the first tenth."""

import gc
import random
from functools import partial
from pathlib import Path

import pytest
from campaigns.ledger import Ledger

from grammar_rae.datasets import read_texts
from grammar_rae.model import TextModel
from grammar_rae.resources import bundled_file, bundled_model

FEW, MANY = ("expressions", 100, 30), ("molecules", 1_000_000, 200_000)
ENCODED, DRAWN = 2_000, 400  # at a time
SLACK = 32  # MiB; what the allocator and the garbage collector leave around


def resident() -> float:
    """The memory of this process now, in MiB."""
    path = Path("/proc/self/status")
    if not path.is_file():
        pytest.skip("needs /proc")
    line = next(line for line in path.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 2**10


@pytest.mark.parametrize(("name", "encode", "draw"), [FEW, pytest.param(*MANY, marks=pytest.mark.slow)])
def test_soak(name: str, encode: int, draw: int) -> None:
    model = TextModel.load(bundled_model(name))
    texts = [f"{n % 3 + 1}+x*{n // 3 % 3 + 1}" for n in range(400)]
    if name == "molecules":
        texts = [text for _, text in read_texts(bundled_file("data/moses_sample.smi.gz"))]
    chance, ledger = random.Random(0), Ledger("soak")
    for title, total, at_a_time in (("encoded", encode, ENCODED), ("drawn", draw, DRAWN)):
        at_a_time = min(at_a_time, max(1, total // 20))
        early, done, most = 0.0, 0, 0.0
        while done < total:
            if title == "encoded":
                some = chance.sample(texts, at_a_time)
                ledger.ask(f"{title} {done}", partial(model.encode, some, errors="skip"))
            else:
                ledger.ask(f"{title} {done}", partial(model.sample, at_a_time, valid_only=False, seed=done))
            done += at_a_time
            gc.collect()
            if done <= max(total // 10, 2 * at_a_time):
                early = max(early, resident())
            most = max(most, resident())
        ledger.counts[f"{title} texts"] = done
        print(f"\n{title}: {early:.0f} MiB after the first tenth, {most:.0f} MiB at most")
        assert most <= 1.05 * early + SLACK
    ledger.tell()
    assert not ledger.counts["refused"]
