"""How fast a training is with two threads, and with two processes of one thread, alone and beside other work.

Each measurement is a training in processes of its own; they take turns. Beside it runs nothing, or a process that
keeps one core busy. What else the machine does is measured, too, since figures of a
busy machine are not those of an idle one.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.rows import Row

SAMPLE = "data/moses_sample.smi.gz"
BUSY = "while True: pass"


class Way(NamedTuple):
    """One way to use two cores: processes, threads of each, and how threads wait."""

    processes: int
    threads: int
    waiting: str

    def environment(self) -> dict[str, str]:
        """The variables of its processes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
        waits = {} if self.waiting == "spinning" else {"OMP_WAIT_POLICY": "PASSIVE"}
        return {**kept, **waits, "OMP_NUM_THREADS": str(self.threads)}


WAYS = (Way(1, 2, "spinning"), Way(1, 2, "asleep"), Way(2, 1, "asleep"), Way(1, 1, "asleep"))


def run(seconds: float = 20.0, rounds: int = 3, rows: int = 20_000, batch: int = 512) -> list[Row]:
    """Rows trained a second, for each way to use two cores, with and without a core that is busy elsewhere.

    Parameters
    ----------
    seconds
        How long each training lasts.
    rounds
        How often each way gets its turn; the median is reported, with the lowest and the highest.
    rows, batch
        Rows of the bundled sample of MOSES that are trained on by the recipe ``moses``, and rows of a step.
    """
    from grammar_rae.datasets import encode, sample_texts
    from grammar_rae.recipes import TextRecipe, get_recipe, learn_codec
    from grammar_rae.resources import bundled_file

    texts = sample_texts(bundled_file(SAMPLE), rows, seed=0)
    rates: dict[tuple[Way, int], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        encode(texts, learn_codec(get_recipe("moses", TextRecipe), texts), f"{folder}/data")
        for _ in range(rounds):
            for busy in (0, 1):
                for way in WAYS:
                    rates.setdefault((way, busy), []).append(_measure(Path(folder), way, busy, seconds, batch))
    return [
        {
            **way._asdict(),
            "busy_cores": busy,
            "rows_a_second": median(rate for rate, _ in found),
            "lowest": min(rate for rate, _ in found),
            "highest": max(rate for rate, _ in found),
            "cores_of_others": median(others for _, others in found),
            "n": rounds,
        }
        for (way, busy), found in rates.items()
    ]


def _measure(folder: Path, way: Way, busy: int, seconds: float, batch: int) -> tuple[float, float]:
    """The rate of one training, and the cores that processes of others used meanwhile."""
    beside = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy)]
    began, all_before, mine_before = time.monotonic(), _busy_seconds(), _my_seconds()
    try:
        asked = {"data": str(folder / "data"), "devices": way.processes, "seconds": seconds, "batch_size": batch}
        command = [sys.executable, "-m", "benchmarks.threads", json.dumps(asked)]
        done = subprocess.run(command, env=way.environment(), check=True, stdout=subprocess.PIPE, text=True)
    finally:
        for process in beside:
            process.kill()
            process.wait()
    used = _busy_seconds() - all_before - (_my_seconds() - mine_before)
    return json.loads(done.stdout.splitlines()[-1]), round(used / (time.monotonic() - began), 2)


def _my_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def _busy_seconds() -> float:
    """Seconds that the machine's cores have worked, all together."""
    ticks = list(map(int, Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]))
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _train(data: str, devices: int, seconds: float, batch_size: int) -> None:
    """What each process of a measurement does: train, and print the rate."""
    from grammar_rae.codecs import codec_from_dict
    from grammar_rae.datasets import TokenDataset
    from grammar_rae.recipes import TextRecipe, build_text, get_recipe, training_settings
    from grammar_rae.training import fit, is_main_process

    rows = TokenDataset.open(data)
    length: dict[str, Any] = {"epochs": None, "time_limit": seconds, "log_every": 1.0, "validate_every": 1e6}
    how: dict[str, Any] = {"devices": devices, "batch_size": batch_size, "accelerator": "cpu", "precision": "32-true"}
    recipe = get_recipe("moses", TextRecipe).replace(**length, **how, seed=0)
    parts = build_text(recipe, codec_from_dict(rows.codec_dict))
    history = fit(parts.autoencoder, *rows.split(0.01, 0, 64), training_settings(recipe))
    rates = [row["rate"] for row in history.rows if row["rate"]]
    if is_main_process():
        print(json.dumps(median(rate for rate in rates if rate is not None)))


if __name__ == "__main__":
    _train(**json.loads(sys.argv[1]))
