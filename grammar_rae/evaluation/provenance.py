"""Where a figure comes from: versions, machine, seeds, date and command."""

import os
import platform
import shlex
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grammar_rae import checkpoint
from grammar_rae.training import has_bfloat16


@dataclass(frozen=True)
class Provenance:
    """What a reader needs to measure a figure again.

    Attributes
    ----------
    date
        In UTC, as 2026-01-31.
    command
        The command line of the process.
    seeds
        The seeds that the caller names.
    processor, cores
        The processor's name, and how many cores this process may use.
    bfloat16
        Whether the processor computes in bfloat16, which decides how fast trainings and decoders are.
    system, versions
        The operating system, and the version of each library that matters.
    """

    date: str
    command: str
    seeds: tuple[int, ...]
    processor: str
    cores: int | None
    bfloat16: bool
    system: str
    versions: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        return asdict(self) | {"seeds": list(self.seeds)}


def provenance(*seeds: int) -> Provenance:
    """The provenance of what this process measures now with these seeds."""
    return Provenance(
        date=datetime.now(UTC).date().isoformat(),
        command=_command(),
        seeds=seeds,
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        bfloat16=has_bfloat16("cpu"),
        system=platform.system(),
        versions=checkpoint.versions(),
    )


def _command() -> str:
    """The command line without the folders that the program lies in."""
    program = Path(sys.argv[0])
    name = f"python -m {program.parent.name}" if program.name == "__main__.py" else program.name
    return f"{name} {shlex.join(sys.argv[1:])}".strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
