"""The suffix of a file is its format, in writing as in reading; a FIFO gets the first format of the command."""

import gzip
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.__main__ import app as benchmarks
from grammar_rae import chem
from grammar_rae.cli import app, files, formats
from grammar_rae.compression import COMPRESSIONS
from grammar_rae.datasets import read_records, read_texts
from grammar_rae.errors import DataError, MissingExtraError

FRAME = pd.DataFrame({"smiles": ["CCO", "c1ccccc1", "=x*é"], "valid": [True, False, True], "qed": [0.5, np.nan, 1e-7]})


def grammar_rae(*arguments: object, within: typer.Typer = app) -> Any:
    return CliRunner().invoke(within, [str(argument) for argument in arguments])


@pytest.mark.parametrize("suffix", [one for one in (*formats.TABLES, *formats.TEXTS) if ".sd" not in one])
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    for name in (f"out{suffix}", f"OUT{suffix.upper()}"):
        files.write_frame(tmp_path / name, FRAME)
        assert [text for _, text in read_texts(tmp_path / name)] == FRAME["smiles"].tolist()
        magic = {packed: row.magic for packed, row in COMPRESSIONS.items()}.get(Path(suffix).suffix, b"")
        assert (tmp_path / name).read_bytes().startswith(magic)


@pytest.mark.parametrize("suffix", [one for one in formats.TABLES if ".sd" not in one])
def test_tables_keep_their_columns(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    files.write_frame(path, FRAME)
    names, records = read_records(path)
    assert names == ("valid", "qed")
    for record, (text, valid, qed) in zip(records, FRAME.itertuples(index=False, name=None), strict=True):
        found_valid, found_qed = record.cells
        assert record.row.text == text and str(found_valid) == str(valid)
        assert np.isnan(qed) if found_qed in (None, "") else float(found_qed) == qed


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz"])
def test_an_sdf_has_a_layout_and_the_columns_as_values(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"name": ["one", None], "smiles": ["Oc1ccccc1", "C/C=C/F"], "qed": [0.5, np.nan]})
    files.write_frame(tmp_path / f"out{suffix}", frame)
    names, records = read_records(tmp_path / f"out{suffix}")
    rows = list(records)
    assert names == ("name", "qed")
    assert [row.cells for row in rows] == [("one", "0.5"), (None, None)]
    assert [chem.canonical(row.row.text) for row in rows] == frame["smiles"].tolist()
    for row in rows:
        atoms = [line.split() for line in row.row.text.splitlines() if len(line.split()) == 16]
        places = np.array([[float(number) for number in atom[:2]] for atom in atoms])
        assert np.linalg.norm(places[:, None] - places[None], axis=2)[~np.eye(len(places), dtype=bool)].min() > 0.5


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    for packed in COMPRESSIONS:
        for name in ("a.csv", "b.csv"):
            files.write_frame(tmp_path / f"{name}{packed}", FRAME)
        assert (tmp_path / f"a.csv{packed}").read_bytes() == (tmp_path / f"b.csv{packed}").read_bytes()


def test_columns_that_have_no_place_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files.write_frame(tmp_path / "out.smi", FRAME)
    assert "left out valid, qed" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["out", "out.xlsx", "out.csv.rar", "out.gz", ".csv.", "out.html", "out.npy"])
def test_an_unknown_suffix_is_refused_before_any_work(tmp_path: Path, name: str) -> None:
    for within, *arguments in (
        (app, "sample", "-n", 2),
        (app, "interpolate", "CCO", "CCN"),
        (benchmarks, "expressions", "-n", 2),
    ):
        result = grammar_rae(*arguments, "-o", tmp_path / name, within=within)
        assert result.exit_code == 2 and "suffix" in result.output
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"one of \.csv"):
        formats.output_format(tmp_path / name, formats.TABLES)


def test_parquet_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="parquet"):
        files.check_writable(tmp_path / "out.parquet", formats=formats.TABLES)


def test_codes_of_every_format_decode_to_the_same(tmp_path: Path) -> None:
    (tmp_path / "in.smi").write_text("x*x\nsin(x)\n1+\n")
    decoded = set()
    for suffix in (*formats.ARRAYS, ".csv", ".tsv.gz", ".csv.zst", ".parquet", ".arrows"):
        codes, texts = tmp_path / f"z{suffix}", tmp_path / f"texts{suffix}.smi"
        assert grammar_rae("encode", "-m", "expressions", tmp_path / "in.smi", "-o", codes).exit_code == 0
        assert (tmp_path / "z.rejected.csv").is_file()
        assert grammar_rae("decode", "-m", "expressions", codes, "-o", texts).exit_code == 0
        decoded.add(texts.read_text())
    assert len(decoded) == 1


def test_an_output_named_html_needs_its_suffix(tmp_path: Path) -> None:
    result = grammar_rae("sample", "-m", "expressions", "-n", 2, "--html", tmp_path / "page.txt")
    assert result.exit_code == 2 and ".html" in result.output


def test_expressions_are_lines(tmp_path: Path) -> None:
    assert grammar_rae("expressions", "-n", 3, "-o", tmp_path / "out.txt.gz", within=benchmarks).exit_code == 0
    assert len(gzip.decompress((tmp_path / "out.txt.gz").read_bytes()).splitlines()) == 3


@pytest.mark.skipif(os.name == "nt", reason="FIFOs are POSIX's")
def test_a_fifo_gets_csv_and_stays(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(fifo.read_text()))
    reader.start()
    assert grammar_rae("sample", "-m", "expressions", "-n", 2, "-o", fifo).exit_code == 0
    reader.join(30)
    assert found[0].splitlines()[0] == "smiles,valid" and len(found[0].splitlines()) == 3
    assert fifo.is_fifo()
    files.write_rejected(fifo, [])  # no list beside it, and no FIFO opened
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_linked_page_and_a_linked_data_set(tmp_path: Path) -> None:
    from grammar_rae.datasets.writing import building_folder
    from grammar_rae.report import write_report

    (tmp_path / "there").mkdir()
    (tmp_path / "page.html").symlink_to("there/page.html")
    write_report(tmp_path / "page.html", title="t", molecules=[], facts={}, curves={}, kind="text")
    assert (tmp_path / "page.html").is_symlink() and (tmp_path / "there" / "page.html").is_file()
    (tmp_path / "there" / "data").mkdir(mode=0o700)
    (tmp_path / "data").symlink_to("there/data")
    with building_folder(tmp_path / "data") as building:
        (building / "meta.json").write_text("{}")
    assert (tmp_path / "data").is_symlink() and (tmp_path / "there" / "data" / "meta.json").is_file()
    assert (tmp_path / "there" / "data").stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["data", "page.html"]
