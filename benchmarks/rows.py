"""What the benchmarks share: rows of figures, and where they were measured."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grammar_rae import checkpoint

Row = dict[str, Any]


def machine() -> Row:
    """The machine, the date and the versions that a figure was measured with."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "versions": checkpoint.versions(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def peak_memory() -> float:
    """The most memory that this process has held, in megabytes; NaN where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return float("nan")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024 * 1024 if sys.platform == "darwin" else 1024)


def append(path: Path, rows: list[Row]) -> None:
    """Add rows to a file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def figures(rows: list[Row]) -> str:
    """Rows of unlike columns as Markdown: a line a figure."""

    def told(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.4g}"
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

    lines = []
    for row in rows:
        lines += [f"| {name} | {told(value)} |" for name, value in row.items()]
        lines.append("| | |")
    return "\n".join(["| figure | value |", "|---|---|", *lines[:-1]])
