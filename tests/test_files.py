"""Output goes where the caller means it to go, whole or not at all."""

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from grammar_rae.files import DRAFT, check_target, is_special, replacing, write_bytes, write_text

posix = pytest.mark.skipif(os.name == "nt", reason="FIFOs, owners and modes are POSIX's")
superuser = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_and_its_mode(tmp_path: Path) -> None:
    write_text(tmp_path / "new.txt", "é\r\n")
    assert (tmp_path / "new.txt").read_bytes() == "é\r\n".encode()
    (tmp_path / "plain").touch()
    assert (tmp_path / "new.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert names(tmp_path) == ["new.txt", "plain"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError])
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as draft:
        draft.write_text("half")
        raise error
    assert path.read_text() == "old" and names(tmp_path) == ["out.csv"]


def test_a_draft_has_the_suffix_that_writers_look_at(tmp_path: Path) -> None:
    import re

    for name, suffix in (("z.npy", ".npy"), ("a.csv.gz", ".gz"), ("plain", ""), ("odd." + "x" * 40, "")):
        with replacing(tmp_path / name) as draft:
            assert draft.suffix == suffix or (draft.suffix, suffix) == (".tmp", "")
            assert re.fullmatch(DRAFT, draft.name) and draft.parent == tmp_path


def test_a_long_name(tmp_path: Path) -> None:
    write_bytes(tmp_path / ("n" * 250 + ".csv"), b"x")
    assert names(tmp_path) == ["n" * 250 + ".csv"]


@posix
@pytest.mark.parametrize("existing", [True, False])
def test_a_link_is_followed(tmp_path: Path, existing: bool) -> None:
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "target.csv"
    if existing:
        target.write_text("old")
    (tmp_path / "middle").symlink_to("there/target.csv")
    (tmp_path / "link").symlink_to(tmp_path / "middle")
    with pytest.raises(ValueError), replacing(tmp_path / "link") as draft:
        draft.write_text("half")
        raise ValueError
    assert target.exists() == existing
    write_text(tmp_path / "link", "new")
    assert target.read_text() == "new"
    assert (tmp_path / "link").is_symlink() and (tmp_path / "middle").is_symlink()
    assert names(tmp_path / "there") == ["target.csv"]


@posix
def test_a_link_itself_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    with replacing(tmp_path / "link", follow=False) as draft:
        draft.write_text("new")
    assert (tmp_path / "target").read_text() == "old"
    assert not (tmp_path / "link").is_symlink() and (tmp_path / "link").read_text() == "new"


@posix
def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for attempt in (check_target, lambda path: write_text(path, "x")):
        with pytest.raises(OSError):
            attempt(tmp_path / "a")
    assert names(tmp_path) == ["a", "b"]


@posix
def test_a_fifo_is_written_into(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert is_special(fifo)
    check_target(fifo)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(fifo.read_bytes()))
    reader.start()
    write_bytes(fifo, b"x" * 200_000)
    reader.join(30)
    assert found == [b"x" * 200_000]
    assert stat.S_ISFIFO(fifo.stat().st_mode) and names(tmp_path) == ["fifo"]


@posix
def test_a_write_that_fails_puts_nothing_into_a_fifo(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(ValueError), replacing(fifo) as draft:  # it would hang if it opened the FIFO
        draft.write_text("half")
        raise ValueError
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@posix
@superuser
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    full = tmp_path / "full"
    try:
        os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))  # as /dev/full
        full.open("rb").close()
    except OSError:
        pytest.skip("no devices can be made here")
    with pytest.raises(OSError, match="space"):
        write_text(full, "x")
    assert stat.S_ISCHR(full.stat().st_mode) and names(tmp_path) == ["full"]


@posix
def test_a_socket_is_written_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        server.listen()
        found: list[bytes] = []

        def receive() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as stream:
                found.append(stream.read())

        reader = threading.Thread(target=receive)
        reader.start()
        write_bytes("socket", b"some bytes")
        reader.join(30)
    assert found == [b"some bytes"]
    assert stat.S_ISSOCK(Path("socket").stat().st_mode)


@posix
def test_an_open_descriptor_is_written_into(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("w") as stream:
        place = f"/proc/self/fd/{stream.fileno()}"
        if not os.path.exists(place):
            pytest.skip("no /proc here")
        inode = path.stat().st_ino
        write_text(place, "new")
    assert path.stat().st_ino == inode and path.read_text() == "new"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    for attempt in (check_target, lambda path: write_text(path, "x")):
        with pytest.raises(IsADirectoryError):
            attempt(tmp_path)
    with pytest.raises(OSError):
        check_target(tmp_path / "absent" / "out.csv")
    assert names(tmp_path) == []


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_the_mode_is_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret.csv"
    path.write_text("old")
    path.chmod(mode)
    with replacing(path) as draft:
        draft.write_text("new")
        assert draft.stat().st_mode & 0o077 == 0  # nor can a draft be read by others
    assert stat.S_IMODE(path.stat().st_mode) == mode and path.read_text() == "new"


@posix
@superuser
def test_the_owner_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text("old")
    os.chown(path, 1234, 2345)
    path.chmod(0o600)
    write_text(path, "new")
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 2345, 0o600)


@posix
def test_a_group_that_cannot_be_kept_loses_its_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shared.csv"
    path.write_text("old")
    path.chmod(0o664)
    stranger = os.stat_result((*path.stat()[:4], 1234, 2345, *path.stat()[6:]))

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda one, **kw: stranger if Path(one) == path else real(one, **kw))
    write_text(path, "new")
    monkeypatch.undo()
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_what_may_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "fixed.csv"
    path.write_text("old")
    path.chmod(0o444)
    for attempt in (check_target, lambda one: write_text(one, "x")):
        with pytest.raises(PermissionError):
            attempt(path)
    assert path.read_text() == "old"
