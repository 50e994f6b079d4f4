"""Files as chemists have them through the commands: columns stay, what is changed is told, nothing is lost."""

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from grammar_rae import chem
from grammar_rae.chem.changes import has_pattern
from grammar_rae.cli import app, files, formats
from grammar_rae.datasets import encode_chunks, read_records, read_table, writing_tables

SALT = "CC(C)Cc1ccc(cc1)C(C)C(=O)[O-].[Na+]"


def grammar_rae(*arguments: object, stdin: bytes = b"") -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def test_an_sdf_through_encode_and_reconstruct(tmp_path: Path) -> None:
    cells = {"name": "aspirin", "line": "7", "compound_id": "C-1", "pIC50": "5,3"}
    broken = chem.write_record("CCO", {"name": "odd"}).replace(" O  ", " Qq ")
    records = [chem.write_record("CC(=O)Oc1ccccc1C(=O)O", cells), broken, chem.write_record(SALT, {"name": "salt"})]
    (tmp_path / "in.sdf").write_text("".join(records))
    result = grammar_rae("encode", tmp_path / "in.sdf", "-o", tmp_path / "z.parquet", "--fragments", "largest")
    assert result.exit_code == 0, result.output
    assert "changed: 1 rows" in result.stderr and "smaller parts left out (1)" in result.stderr
    found = pd.read_parquet(tmp_path / "z.parquet")
    head = ["name", "compound_id", "line", "text", "line_in", "pIC50", "changed", "z0"]
    assert list(found.columns[:8]) == head
    assert found["line"].tolist() == [1, 3] and found["line_in"].fillna("").tolist() == ["7", ""]
    assert found["pIC50"].fillna("").tolist() == ["5,3", ""]
    assert found["changed"].fillna("").tolist() == ["", "smaller parts left out"]
    assert chem.canonical(found["text"][0]) == "CC(=O)Oc1ccccc1C(=O)O"
    assert np.isfinite(found.filter(regex=r"^z\d").to_numpy()).all()
    rejected = pd.read_csv(tmp_path / "z.rejected.csv")
    assert rejected["line"].tolist() == [2] and rejected["text"].tolist() == ["odd"]

    again = grammar_rae("reconstruct", tmp_path / "in.sdf", "-o", tmp_path / "r.sdf.gz", "--fragments", "largest")
    assert again.exit_code == 0, again.output
    names, records = read_records(tmp_path / "r.sdf.gz")
    assert set(names) >= {"name", "compound_id", "line_in", "pIC50", "reconstruction", "exact", "changed"}
    assert [record.cells[names.index("name")] for record in records] == ["aspirin", "salt"]


def test_the_standard_input_tells_its_format(tmp_path: Path) -> None:
    table = "Name;SMILES\r\nä;CCO\r\nb;[CH3:1]CN\r\nc;CC(\r\n".encode("latin-1")
    result = grammar_rae("reconstruct", "-", "-o", "-", stdin=table)
    assert result.exit_code == 0, result.output
    assert "reading the standard input as .csv" in result.stderr and "read as Latin-1" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "Name,line,smiles,reconstruction,exact,changed"
    assert lines[1].startswith("ä,2,CCO,") and lines[2].endswith(",atom maps left out") and len(lines) == 3
    assert "left out 1 rows" in result.stderr


def test_leads_from_a_file_keep_their_columns(tmp_path: Path) -> None:
    leads = "id,smiles,similarity\nx1,CC(=O)Nc1ccc(O)cc1,high\nx2,not one,low\nx3,OC1=CC=C(NC(C)=O)C=C1.Cl,again\n"
    (tmp_path / "leads.csv").write_text(leads)
    out = tmp_path / "out.csv"
    options = ["--similarity", "0.5", "--unwanted", "[F,Cl,Br,I]", "--seed", "0", "--fragments", "largest"]
    result = grammar_rae("analogues", tmp_path / "leads.csv", "-n", 3, *options, "-o", out)
    assert result.exit_code == 0, result.output
    found = pd.read_csv(out)
    assert list(found.columns[:5]) == ["id", "lead", "smiles", "similarity", "similarity_in"]
    assert set(found["id"]) == {"x1"} and set(found["similarity_in"]) == {"high"}
    assert not any(letter in text for text in found["smiles"] for letter in ("F", "Cl", "Br", "I"))
    assert pd.read_csv(tmp_path / "out.rejected.csv")["line"].tolist() == [3, 4], "a salt is the lead without its acid"


def test_draws_with_substructures_and_a_few_that_differ(tmp_path: Path) -> None:
    out = tmp_path / "out.sdf"
    words = ["--wanted", "c1ccccc1", "--unwanted", "Cl", "--diverse", "3", "--seed", "0"]
    result = grammar_rae("sample", "-n", 12, *words, "-o", out)
    assert result.exit_code == 0, result.output
    assert "with what was asked for" in result.stderr
    _, records = read_records(out, blocks=False)
    texts = [record.row.text for record in records]
    assert len(set(texts)) == 3 and all(has_pattern(text, "c1ccccc1") for text in texts)
    assert not any("Cl" in text for text in texts)
    assert "cannot read the SMARTS" in grammar_rae("sample", "-n", 2, "--wanted", "c1cc").stderr


def test_parts_make_one_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source of several parts gives what it gives in one, whatever the format; columns may be empty for a while."""
    rows = [
        "smiles,id,note",
        *(f"{'C' * (1 + number % 9)}O,{number}," for number in range(11)),
        "[CH3:1]CN,11,last",
        "no,12,",
    ]
    (tmp_path / "in.csv").write_text("\n".join(rows))
    found: dict[str, list[Any]] = {}
    for name, chunk in (("whole", 100), ("parts", 3)):
        monkeypatch.setattr("grammar_rae.model.streaming.encode_chunks", partial(encode_chunks, chunk=chunk))
        for suffix in (".csv", ".tsv.gz", ".csv.zip", ".csv.zst", ".parquet", ".feather", ".arrows", ".npy", ".npz"):
            out = tmp_path / f"{name}{suffix}"
            assert grammar_rae("encode", tmp_path / "in.csv", "-o", out, "--jobs", 1).exit_code == 0
            assert pd.read_csv(tmp_path / f"{name}.rejected.csv")["line"].tolist() == [14]
            found.setdefault(suffix, []).append(out)
    for suffix, (whole, parts) in found.items():
        if suffix in (".npy", ".npz"):
            assert np.allclose(formats.read_codes(whole), formats.read_codes(parts), atol=1e-5)
            assert formats.read_codes(parts).shape[0] == 12
            continue
        (names, columns), (_, others) = read_table(whole), read_table(parts)
        assert columns[:-1] and len(columns) == len(others)
        for name, column, other in zip(names, columns, others, strict=True):
            if name[:1] == "z" and name[1:].isdecimal():
                assert np.allclose(np.array(column, float), np.array(other, float), atol=1e-5)
            else:
                assert column == other, name
    parquet = pd.read_parquet(found[".parquet"][1])
    assert parquet["changed"].tolist()[-1] == "atom maps left out" and parquet["line"].dtype == np.int64


def test_a_source_that_breaks_off_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grammar_rae.model.streaming.encode_chunks", partial(encode_chunks, chunk=2))
    (tmp_path / "in.csv").write_text('smiles\nCCO\nnot one\nCCN\nCCC\nCCF\n"never closed\n')
    for name in ("z.csv", "z.parquet", "z.npy", "z.npz"):
        (tmp_path / name).write_text("before")
        assert grammar_rae("encode", tmp_path / "in.csv", "-o", tmp_path / name, "--jobs", 1).exit_code != 0
        assert (tmp_path / name).read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "z.csv", "z.npy", "z.npz", "z.parquet"]
    result = grammar_rae("reconstruct", tmp_path / "in.csv", "-o", "-", "--jobs", 1)
    assert result.exit_code != 0 and not result.stdout


def test_rows_without_codes_are_listed_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "in.smi").write_text("not\none\n")
    result = grammar_rae("encode", tmp_path / "in.smi", "-o", tmp_path / "z.npy")
    assert result.exit_code != 0 and "none of the 2 rows" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.smi", "z.rejected.csv"]


def test_an_array_in_parts_is_numpys_file(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).normal(size=(1000, 7)).astype(np.float32)
    np.save(tmp_path / "numpy.npy", codes)
    with files.writing_codes(tmp_path / "parts.npy") as write:
        for part in np.array_split(codes, 9):
            write(part)
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()


def test_tables_of_arrow_agree_on_types_at_the_end() -> None:
    buffer = io.BytesIO()
    parts = [pd.DataFrame({"a": pd.Series([value], dtype=object), "b": [1.5]}) for value in (None, 3, None, 4)]
    with writing_tables(buffer, ".parquet") as write:
        for part in parts:
            write(part)
    found = pd.read_parquet(buffer)
    assert found["a"].dropna().tolist() == [3, 4] and found["b"].tolist() == [1.5] * 4
