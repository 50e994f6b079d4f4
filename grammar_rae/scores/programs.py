"""A score that another program computes: SMILES on its standard input, one JSON object a line back.

Whatever the program does, the molecules that it gave values for have them, and each of the others has a reason.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any

from grammar_rae.errors import InputError, shorten
from grammar_rae.scores.evaluation import Batched, to_number

LONGEST = 1_000_000
"""Bytes of a line that is read as one."""

_PATIENCE = 2.0  # seconds to end, for a program that has answered


@dataclass(frozen=True)
class Program(Batched):
    """A program that is started for up to ``at_once`` molecules.

    It reads one SMILES a line to the end of its input, and writes for each, in any order, a line such as ``{"smiles":
    "CCO", "value": -7.2}``, or ``{"smiles": "CCO", "reason": "no conformer"}``. Lines that are no such object are
    noise. Molecules without a line, because the program ended, was too slow or forgot them, have no value.

    Parameters
    ----------
    command
        The program and its arguments; no shell reads them.
    field
        The key of the value.
    time_limit
        Seconds that it may take for one input; it is ended then.
    at_once
        Molecules of one input.

    Raises
    ------
    InputError
        For a command that cannot be used, or that is not there.
    """

    command: Sequence[str]
    field: str = "value"
    time_limit: float = 600.0
    at_once: int = 50

    def __post_init__(self) -> None:
        command = self.command
        if isinstance(command, str) or not command or not all(isinstance(part, str) and part for part in command):
            raise InputError(
                "the command cannot be used", received=repr(command), expected='a list such as ["python", "dock.py"]'
            )
        object.__setattr__(self, "command", tuple(command))
        if shutil.which(command[0]) is None:
            raise InputError("there is no such program", received=command[0], expected="a file that can be run")
        if not self.time_limit > 0:
            raise InputError("time_limit cannot be used", received=self.time_limit, expected="seconds above 0")

    def many(self, texts: Sequence[str]) -> list[float | str]:
        """The value of each text, or the reason why it has none."""
        found: dict[str, float | str] = {}
        deadline = time.monotonic() + self.time_limit
        try:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return [f"the program cannot be started ({error.strerror})"] * len(texts)
        lines: Queue[bytes | None] = Queue(maxsize=16)
        last: list[str] = []
        reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reader.start()
        threading.Thread(target=_write, args=(process.stdin, list(texts)), daemon=True).start()
        listener = threading.Thread(target=_remember, args=(process.stderr, last), daemon=True)
        listener.start()
        wanted = set(texts)
        try:
            end = self._collect(lines, wanted, found, deadline)
            code = _wait(process, min(deadline, time.monotonic() + _PATIENCE) if end else time.monotonic())
        finally:
            _kill(process)
            while reader.is_alive():  # it may wait for somebody to take a line
                try:
                    lines.get(timeout=0.1)
                except Empty:
                    continue
        listener.join(_PATIENCE)  # the program has ended, but what it said last may not have been read yet
        if not end:
            reason = f"the program gave no value within {self.time_limit:g} s"
        else:
            said = f": {shorten(last[-1], 120)}" if last else ""
            reason = f"the program gave no value (exit code {'unknown' if code is None else code}{said})"
        return [found.get(text, reason) for text in texts]

    def _collect(
        self, lines: "Queue[bytes | None]", wanted: set[str], found: dict[str, float | str], deadline: float
    ) -> bool:
        """Read answers until the output ends or all are there; False when the time is over."""
        while len(found) < len(wanted):
            try:
                line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                return False
            if line is None:
                return True
            if (answer := self._parse(line)) is not None and answer[0] in wanted:
                found[answer[0]] = answer[1]
        return True

    def _parse(self, line: bytes) -> tuple[str, float | str] | None:
        """The molecule and the value, or reason, of a line; None for noise."""
        try:
            answer: Any = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(answer, dict) or not isinstance(answer.get("smiles"), str):
            return None
        text = answer["smiles"]
        if isinstance(answer.get("reason"), str) and answer["reason"].strip():
            return text, answer["reason"]
        value = answer.get(self.field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return text, f"the program gave {shorten(repr(value), 60)} as {self.field}, where a number was expected"
        try:
            return text, to_number(value)
        except Exception as error:  # too large, infinite or nan
            return text, str(error)


def _write(pipe: IO[bytes], texts: Sequence[str]) -> None:
    try:
        with pipe:
            pipe.write("".join(f"{text}\n" for text in texts).encode())
    except OSError:  # it does not read to the end; what it answers counts
        return


def _read(pipe: IO[bytes], lines: "Queue[bytes | None]") -> None:
    try:
        with pipe:
            while line := pipe.readline(LONGEST):
                lines.put(line)
    except (OSError, ValueError):  # the process was ended
        pass
    lines.put(None)


def _remember(pipe: IO[bytes], last: list[str]) -> None:
    try:
        with pipe:
            while line := pipe.readline(LONGEST):
                if text := " ".join(line.decode(errors="replace").split()):
                    last[:] = [text]
    except (OSError, ValueError):
        return


def _wait(process: "subprocess.Popen[bytes]", until: float) -> int | None:
    try:
        return process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End the program and what it started."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except OSError:  # it has ended
        pass
    process.wait()


def resolve(command: Sequence[str], folder: Path) -> tuple[str, ...]:
    """A command whose parts that are files in a folder are these files' paths."""
    return tuple(
        str(folder / part) if not Path(part).is_absolute() and (folder / part).is_file() else part for part in command
    )
