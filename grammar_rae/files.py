"""Output files: whole or not at all, at the place that the caller means.

Every writer of the package goes through :func:`replacing`. A symbolic link is followed, so that the file it points to
is replaced; a FIFO, a device or a socket is written into and never replaced; a folder is refused; and a file that
exists keeps its mode and, where the system allows it, its owner and group.
"""

import os
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EISDIR, ENOENT
from pathlib import Path
from typing import IO, NamedTuple

from grammar_rae.errors import DataError

DRAFT = r"\.[0-9a-f]{12}\.tmp(?:\.[A-Za-z0-9]{1,16})?"
"""A regular expression of the names of drafts; only a killed process leaves one behind."""

_DESCRIPTORS = ("/dev/fd/", "/proc/", "/dev/stdin", "/dev/stdout", "/dev/stderr")


class _Target(NamedTuple):
    """Where output goes: the path with links followed, what is there now, and whether that is no regular file."""

    path: Path
    found: os.stat_result | None
    special: bool


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise OSError now, rather than after minutes of work, when a file of this name cannot be written."""
    target = _target(Path(path))
    if target.special:
        return
    if not target.path.parent.is_dir():
        raise FileNotFoundError(ENOENT, "the folder to write in does not exist", str(target.path.parent))
    if not os.access(target.path.parent, os.W_OK | os.X_OK):
        raise PermissionError(EACCES, "the folder cannot be written in", str(target.path.parent))


def is_special(path: str | os.PathLike[str]) -> bool:
    """Whether the path leads to a FIFO, a device, a socket or an open descriptor, which is written straight into."""
    try:
        return _target(Path(path)).special
    except OSError:
        return False


@contextmanager
def replacing(path: str | os.PathLike[str], *, sync: bool = False, follow: bool = True) -> Iterator[Path]:
    """Give the path of a draft to write; it takes the place of ``path`` when the block ends well, and else vanishes.

    Parameters
    ----------
    path
        The file to write. Symbolic links are followed. Into a FIFO, device or socket the finished draft is poured.
    sync
        Wait until the bytes and the new name are on the disk.
    follow
        False replaces a symbolic link itself: for files that belong to one folder and name others in it.

    Raises
    ------
    IsADirectoryError
        For a folder.
    PermissionError
        For a file that is there and may not be written, or a folder in which no file may be made.
    OSError
        For what else the file system refuses; the error names ``path``, not the draft.
    """
    path = Path(path)
    target = _target(path)
    if not follow and path.is_symlink():
        target = _Target(path, None, False)
    if target.special:
        with tempfile.TemporaryDirectory(prefix="grammar_rae-") as folder:
            draft = Path(folder) / (path.name or "draft")
            yield draft
            _pour(draft, target.path)
        return
    draft = target.path.with_name(f".{secrets.token_hex(6)}.tmp{_plain_suffix(target.path)}")
    try:
        # Nobody but its owner may read a draft of a file that others may not read.
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if target.found is None else 0o600))
        yield draft
        if target.found is not None:
            keep_owner(draft, target.found)
        if sync:
            _sync(draft, os.O_RDWR)
        os.replace(draft, target.path)
        if sync:
            # The new name, too, must survive a power cut. Not every system lets a folder be opened for that.
            with suppress(OSError):
                _sync(target.path.parent, os.O_RDONLY)
    except OSError as error:
        if error.filename is None or str(error.filename) == str(draft):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        _discard(draft)


def write_bytes(path: str | os.PathLike[str], blob: bytes, *, sync: bool = False) -> None:
    """Put bytes into a file, all of them or none; see :func:`replacing`."""
    with replacing(path, sync=sync) as draft:
        draft.write_bytes(blob)


def write_text(path: str | os.PathLike[str], text: str, *, errors: str = "strict") -> None:
    """Put a text into a file as UTF-8, all of it or nothing, line ends as they are; see :func:`replacing`."""
    write_bytes(path, text.encode("utf-8", errors))


def scratch_beside(stream: IO[bytes]) -> IO[bytes]:
    """A file without a name on the disk of the one that a stream writes; it is gone when it is closed."""
    name = getattr(stream, "name", None)
    return tempfile.TemporaryFile(dir=Path(name).parent if isinstance(name, str | os.PathLike) else None)


@contextmanager
def explain_write_errors(what: str, **parts: str) -> Iterator[None]:
    """Turn an OSError into a DataError which says that ``what`` cannot be written, with these parts."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{what} cannot be written ({error.strerror or error})", **parts) from error


def _target(path: Path) -> _Target:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return _Target(Path(os.path.realpath(path)), None, False)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(EISDIR, "this is a folder, not a file to write", str(path))
    # An open descriptor may be of a regular file, but whoever opened it would go on writing to the old one.
    if not stat.S_ISREG(found.st_mode) or str(path.absolute()).startswith(_DESCRIPTORS):
        return _Target(path, found, True)
    if not os.access(path, os.W_OK):
        raise PermissionError(EACCES, "the file is there and must not be written", str(path))
    return _Target(Path(os.path.realpath(path)), found, False)


def _plain_suffix(path: Path) -> str:
    # Writers such as np.save look at the suffix. A long one might make the draft's name too long.
    suffix = path.suffix
    return suffix if len(suffix) <= 16 and suffix[1:].isalnum() and suffix.isascii() else ""


def keep_owner(draft: Path, found: os.stat_result) -> None:
    """Give the draft the mode of the file that it replaces, and its owner and group where that is allowed."""
    mode = stat.S_IMODE(found.st_mode) & 0o777
    made = draft.stat()
    if hasattr(os, "chown") and (made.st_uid, made.st_gid) != (found.st_uid, found.st_gid):
        try:
            os.chown(draft, found.st_uid, found.st_gid)
        except OSError:
            try:
                os.chown(draft, -1, found.st_gid)
            except OSError:
                mode &= ~0o070  # what was for one group is not for another
    os.chmod(draft, mode)


def _pour(draft: Path, target: Path) -> None:
    with draft.open("rb") as source:
        if stat.S_ISSOCK(os.stat(target).st_mode):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(target))
                connection.sendfile(source)
            return
        with open(target, "wb") as sink:
            shutil.copyfileobj(source, sink)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _discard(draft: Path) -> None:
    with suppress(OSError):
        draft.unlink()
