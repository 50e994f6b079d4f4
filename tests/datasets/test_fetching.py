import gzip
import hashlib
import os
import threading
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from grammar_rae.datasets import SOURCES, fetch, fetching, read_texts
from grammar_rae.errors import DataError, UnknownNameError

# As in ZINC250k: every cell of SMILES ends with a line break inside its quotation marks.
TABLE = b'smiles,logP\n"CCO\n",0.5\n"c1ccccc1\n",1.5\n'
MEMBERS = {
    f"moses/dataset/data/{name}.csv.gz": gzip.compress(b"SMILES\n" + smiles, mtime=0)
    for name, smiles in [("train", b"CCO\nCCN\n"), ("test", b"CCC\n"), ("test_scaffolds", b"CCS\n")]
}
NAMES = ["test.csv.gz", "test_scaffolds.csv.gz", "train.csv.gz"]


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def server(tmp_path):
    """A server of the files in ``server.root``; ``server.asked`` are the paths that it was asked for."""
    root = tmp_path / "served"
    root.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root)) as running:
        running.root, running.asked = root, []
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_other_network(monkeypatch):
    """Neither a proxy nor a configured package index comes in."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_the_table_of_sources():
    for source in SOURCES.values():
        assert source.description and source.licence
    zinc = SOURCES["zinc250k"]
    assert zinc.checksum.startswith("sha256:") and len(zinc.checksum) == len("sha256:") + 64
    assert zinc.base_url.startswith("https://")


@pytest.mark.parametrize("name", ["mosses", "", None])
def test_an_unknown_name_lists_what_there_is(name):
    with pytest.raises(UnknownNameError, match="one of cifar10, fashion-mnist, mnist, moses, zinc250k") as caught:
        fetch(name)
    assert name != "mosses" or "Did you mean 'moses'" in str(caught.value)


class TestFile:
    @pytest.fixture
    def zinc(self, server, monkeypatch):
        row = replace(SOURCES["zinc250k"], checksum=f"sha256:{hashlib.sha256(TABLE).hexdigest()}")
        monkeypatch.setitem(SOURCES, "zinc250k", row)
        (server.root / row.file).write_bytes(TABLE)
        return row

    def test_comes_once_and_can_be_read(self, zinc, server, tmp_path):
        for _ in range(2):
            path = fetch("zinc250k", tmp_path / "new" / "data", base_url=server.url, progress=False)
            assert path == tmp_path / "new" / "data" / zinc.file
            assert [text for _, text in read_texts(path)] == ["CCO", "c1ccccc1"]
        assert server.asked == ["/" + zinc.file]

    def test_goes_to_the_cache_without_a_folder(self, zinc, server, tmp_path, monkeypatch):
        monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
        path = fetch("zinc250k", base_url=server.url + "/", progress=False)
        assert path == tmp_path / "cache" / "grammar_rae" / "zinc250k" / zinc.file

    def test_shows_its_progress(self, zinc, server, tmp_path, capsys):
        fetch("zinc250k", tmp_path / "data", base_url=server.url)
        shown = capsys.readouterr()
        assert "100%" in shown.err and not shown.out

    def test_a_wrong_checksum_leaves_nothing(self, zinc, server, tmp_path):
        (server.root / zinc.file).write_bytes(TABLE + b"CCC,1\n")
        with pytest.raises(DataError, match="wrong checksum and was removed") as caught:
            fetch("zinc250k", tmp_path / "data", base_url=server.url, progress=False)
        assert zinc.checksum in str(caught.value) and server.url in str(caught.value)
        assert os.listdir(tmp_path / "data") == []

    def test_a_damaged_copy_is_fetched_again(self, zinc, server, tmp_path):
        (tmp_path / zinc.file).write_bytes(TABLE[:9])
        assert fetch("zinc250k", tmp_path, base_url=server.url, progress=False).read_bytes() == TABLE

    def test_nothing_at_the_address(self, zinc, server, tmp_path):
        (server.root / zinc.file).unlink()
        with pytest.raises(DataError, match=r"404.*by hand to .*\.csv"):
            fetch("zinc250k", tmp_path / "data", base_url=server.url, progress=False)
        assert os.listdir(tmp_path / "data") == []

    @pytest.mark.parametrize("url", ["http://127.0.0.1:1", "no address"])
    def test_no_way_to_the_address(self, zinc, tmp_path, url):
        with pytest.raises(DataError, match="download failed"):
            fetch("zinc250k", tmp_path / "data", base_url=url, progress=False)

    def test_no_place_to_write(self, zinc, server, tmp_path):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(DataError):
            fetch("zinc250k", tmp_path / "file", base_url=server.url, progress=False)


class TestWheel:
    @pytest.fixture
    def moses(self, server, monkeypatch):
        """Serves ``members`` as the wheel of a package index, and makes SOURCES expect that wheel."""

        def serve(members):
            row = SOURCES["moses"]
            folder = server.root / "simple" / "molsets"
            folder.mkdir(parents=True)
            with zipfile.ZipFile(folder / row.wheel, "w") as wheel:
                for member, content in members.items():
                    wheel.writestr(member, content)
                wheel.writestr(
                    "molsets-0.3.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: molsets\nVersion: 0.3.1\n"
                )
                wheel.writestr("molsets-0.3.1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
                wheel.writestr("molsets-0.3.1.dist-info/RECORD", "")
            (folder / "index.html").write_text(f'<!DOCTYPE html><a href="{row.wheel}">{row.wheel}</a>')
            sums = {member: sha256(content) for member, content in MEMBERS.items()}
            row = replace(row, sha256=sha256((folder / row.wheel).read_bytes()), members=sums)
            monkeypatch.setitem(SOURCES, "moses", row)
            return server.url + "/simple/"

        return serve

    def test_the_wanted_files_come_once_and_can_be_read(self, moses, server, tmp_path):
        index = moses(MEMBERS)
        path = fetch("moses", tmp_path / "data", base_url=index, progress=False)
        assert path == tmp_path / "data" / "train.csv.gz"
        assert [text for _, text in read_texts(path)] == ["CCO", "CCN"]
        assert sorted(os.listdir(tmp_path / "data")) == NAMES
        asked = len(server.asked)
        assert fetch("moses", tmp_path / "data", base_url=index, progress=False) == path
        assert len(server.asked) == asked
        (tmp_path / "data" / "test.csv.gz").write_bytes(b"damaged")
        fetch("moses", tmp_path / "data", base_url=index, progress=False)
        assert len(server.asked) > asked
        assert (tmp_path / "data" / "test.csv.gz").read_bytes() == MEMBERS["moses/dataset/data/test.csv.gz"]

    def test_no_path_of_the_archive_is_followed(self, moses, tmp_path):
        index = moses({"../../evil.csv.gz": b"evil", "/evil": b"evil", "moses/dataset/../../evil": b"evil", **MEMBERS})
        fetch("moses", tmp_path / "a" / "b" / "data", base_url=index, progress=False)
        assert sorted(os.listdir(tmp_path / "a" / "b" / "data")) == NAMES
        assert not [path for path in tmp_path.rglob("*evil*")]

    def test_a_wrong_checksum_leaves_nothing(self, moses, tmp_path, monkeypatch):
        index = moses(MEMBERS)
        monkeypatch.setitem(SOURCES, "moses", replace(SOURCES["moses"], sha256="0" * 64))
        with pytest.raises(DataError, match=r"wrong checksum and was removed.*0{64}"):
            fetch("moses", tmp_path / "data", base_url=index, progress=False)
        assert os.listdir(tmp_path / "data") == []

    def test_a_wheel_without_the_files(self, moses, tmp_path):
        index = moses({"moses/dataset/data/train.csv.gz": b"other"})
        with pytest.raises(DataError, match="in the wheel has the wrong checksum"):
            fetch("moses", tmp_path / "data", base_url=index, progress=False)
        assert os.listdir(tmp_path / "data") == []

    def test_nothing_at_the_address(self, server, tmp_path):
        with pytest.raises(DataError, match=r"pip could not download molsets==0\.3\.1 \(No matching distribution"):
            fetch("moses", tmp_path / "data", base_url=server.url + "/simple/", progress=False)
        assert os.listdir(tmp_path / "data") == []

    def test_without_pip(self, tmp_path, monkeypatch):
        python = tmp_path / "python"
        python.write_text("#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n")
        python.chmod(0o755)
        monkeypatch.setattr(fetching.sys, "executable", str(python))
        with pytest.raises(DataError, match="No module named pip"):
            fetch("moses", tmp_path / "data", progress=False)

    def test_no_place_to_write(self, tmp_path):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(DataError, match="cannot be stored"):
            fetch("moses", tmp_path / "file" / "data", progress=False)
