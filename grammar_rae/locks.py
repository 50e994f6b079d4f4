"""A folder that one process at a time works in.

The lock is the operating system's (``flock``, or ``msvcrt`` on Windows), so it ends with the process that holds it,
however that ends. Where a file system knows no such locks, the file itself is the lock, and one that a process of this
machine left behind is taken over when that process is gone.
"""

import contextlib
import errno
import json
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from grammar_rae.errors import DataError

if os.name == "nt":
    import msvcrt
else:
    import fcntl

LOCK = ".lock"
"""The name of the lock in a folder."""

_BEYOND = 2**20  # a byte behind all that is written
_POLL = 0.05  # seconds between two attempts
_UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


class _Held(NamedTuple):
    """An open file, and its path."""

    handle: int
    path: Path


class FolderLock:
    """A context in which no other process that asks for the same lock works in a folder, which is made when missing.

    Parameters
    ----------
    folder
        The folder.
    purpose
        What is done there, for the message that another process gets: "a training".
    name
        The lock's file.
    wait
        Seconds to wait for another process before giving up.

    Raises
    ------
    DataError
        On entry, when another process holds the lock; it says which, on what machine and since when.
    OSError
        When no file can be made in the folder.
    """

    def __init__(self, folder: str | os.PathLike[str], purpose: str, *, name: str = LOCK, wait: float = 0.0) -> None:
        self.path = Path(folder) / name
        self.purpose = purpose
        self.wait = wait
        self._held: _Held | None = None
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock, or raise as the class says."""
        made = [folder for folder in (self.path.parent, *self.path.parent.parents) if not folder.exists()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        end = time.monotonic() + self.wait
        while (held := self._attempt()) is None:
            if time.monotonic() >= end:
                raise self._refusal()
            time.sleep(_POLL)
        self._held, self._made = held, made
        told = {"pid": os.getpid(), "host": platform.node(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        with contextlib.suppress(OSError):  # a full disk: the lock holds, but cannot say whose it is
            os.ftruncate(held.handle, 0)
            os.lseek(held.handle, 0, os.SEEK_SET)
            os.write(held.handle, json.dumps(told | {"purpose": self.purpose}).encode())

    def release(self) -> None:
        """Give the lock back, and remove folders that were made for it and are empty; twice is no harm."""
        if self._held is None:
            return
        held, self._held = self._held, None
        if os.name == "nt":  # which removes no open file
            os.close(held.handle)
            _remove(held.path)
        else:
            # While it is held: whoever opened the file meanwhile finds that its name is gone, and tries again.
            _remove(held.path)
            os.close(held.handle)
        for folder in self._made:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _attempt(self) -> _Held | None:
        """The locked file, or None while another process has it."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(handle)
        except OSError as error:
            os.close(handle)
            return self._attempt_alone() if error.errno in _UNSUPPORTED else None
        try:
            if os.path.samestat(os.fstat(handle), os.stat(self.path)):
                return _Held(handle, self.path)
        except FileNotFoundError:
            pass
        os.close(handle)  # its last holder removed it in between
        return None

    def _attempt_alone(self) -> _Held | None:
        """The same without the system's locks: whoever makes the file has the lock."""
        path = self._alone
        try:
            return _Held(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), path)
        except FileExistsError:
            holder = _read(path)
        if holder.get("host") == platform.node() and not _is_alive(holder.get("pid")):
            with contextlib.suppress(OSError):  # of several who find it dead, one moves it away
                gone = path.with_name(f"{path.name}.{os.getpid()}")
                path.rename(gone)
                gone.unlink()
        return None

    @property
    def _alone(self) -> Path:
        return self.path.with_name(f"{self.path.name}.pid")

    def _refusal(self) -> DataError:
        holder = _read(self.path) or _read(self._alone)
        told = (
            f"process {holder.get('pid')} on {holder.get('host')}, since {holder.get('since')}: {holder.get('purpose')}"
            if holder
            else "another process"
        )
        return DataError(
            f"the folder is in use, {self.purpose} cannot work in it",
            where=str(self.path.parent),
            received=f"held by {told}"[:300],
            remedy="Wait until that has ended, or choose another folder.",
        )


def _lock(handle: int) -> None:
    if os.name == "nt":
        os.lseek(handle, _BEYOND, os.SEEK_SET)  # what is locked there cannot be read
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes()[:4096])
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _is_alive(pid: Any) -> bool:
    if type(pid) is not int or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
