"""Rows of figures: how they are kept and shown."""

import json
import sys
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def peak_memory() -> float:
    """The most memory that this process has held, in megabytes; NaN where the system does not say (Windows)."""
    if (most_here := resident("VmHWM")) is not None:  # what getrusage says counts the parent's, up to exec
        return most_here
    try:
        import resource
    except ImportError:
        return float("nan")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024 * 1024 if sys.platform == "darwin" else 1024)


def resident(field: str, process: int | str = "self") -> float | None:
    """A field of Linux's ``/proc/PID/status`` in megabytes, such as ``VmHWM`` or ``RssAnon``; None elsewhere."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = dict(line.split(":", 1) for line in lines).get(field)
    return None if found is None else int(found.split()[0]) / 1024


def append(path: Path, rows: list[Row]) -> None:
    """Add rows to a file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def figures(rows: list[Row]) -> str:
    """Rows of unlike columns as Markdown: a line for each figure."""

    def show(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.4g}"
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

    lines = []
    for row in rows:
        lines += [f"| {name} | {show(value)} |" for name, value in row.items()]
        lines.append("| | |")
    return "\n".join(["| figure | value |", "|---|---|", *lines[:-1]])
