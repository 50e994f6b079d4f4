"""How long it takes until there is something to see: a draw, or an error, beside the imports that none can avoid.

All commands run in turn, each in a process of its own, again and again, so that whatever else the machine does falls on
all alike; the smallest of several is taken, and what counts is the ratio to the imports. CPU time is what a process and
its threads took of the machine, and hardly depends on what else runs.
"""

import os
import subprocess
import sys
import time
from typing import Any

IMPORTS = "import torch, rdkit.Chem"
"""What a draw of molecules cannot do without."""

_COMMAND = "import sys; sys.argv[1:] = {words!r}; from grammar_rae.cli import main; main()"
_UNCOMPILED = """
import os, tempfile
with tempfile.TemporaryDirectory() as folder:
    os.environ["NUMBA_CACHE_DIR"] = folder
    {code}
"""
_NEXT = "import grammar_rae, time; grammar_rae.sample(100); t = time.process_time(); grammar_rae.sample(100)"

CASES = {
    "import torch, rdkit.Chem": IMPORTS,
    "grammar-rae sample -n 10": _COMMAND.format(words=["sample", "-n", "10"]),
    "grammar-rae sample -n 10 --constraint chemistry, nothing compiled": _UNCOMPILED.format(
        code=_COMMAND.format(words=["sample", "-n", "10", "--constraint", "chemistry"])
    ),
    "grammar_rae.sample(100)": "import grammar_rae; grammar_rae.sample(100)",
    "a misspelt option": _COMMAND.format(words=["sample", "--scoress", "qed"]),
    "a misspelt score": _COMMAND.format(words=["sample", "--scores", "qeed"]),
    "grammar-rae --help": _COMMAND.format(words=["--help"]),
}


def run(repeats: int) -> list[dict[str, Any]]:
    """The smallest times of each case, and their ratios to the imports; first once without being counted."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    for turn in range(repeats + 1):
        for name, code in CASES.items():
            taken = _time(code)
            if turn:
                times[name].append(taken)
    rows: list[dict[str, Any]] = []
    for name, found in times.items():
        wall, cpu = (min(column) for column in zip(*found, strict=True))
        rows.append({"case": name, "wall": wall, "cpu": cpu})
    for row in rows:
        row |= {f"{kind}_ratio": row[kind] / rows[0][kind] for kind in ("wall", "cpu")}
    rows.append({"case": "the next grammar_rae.sample(100)", "cpu": _time_next(repeats)})
    return rows


def _time(code: str) -> tuple[float, float]:
    """Seconds on the clock and of CPU that a process with this code takes."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
    )
    _, _, usage = os.wait4(process.pid, 0)
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime


def _time_next(repeats: int) -> float:
    """CPU seconds of a second draw of 100 in the same process."""
    code = f"{_NEXT}; print(time.process_time() - t)"
    found = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(repeats)]
    return min(float(one.stdout) for one in found)
