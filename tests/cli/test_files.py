"""Files as chemists have them through the commands: columns stay, what is changed is told, nothing is lost."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from grammar_rae import chem
from grammar_rae.chem.changes import has_pattern
from grammar_rae.cli import app
from grammar_rae.datasets import read_records

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
    leads = "id,smiles,similarity\nx1,CC(=O)Nc1ccc(O)cc1,high\nx2,not one,low\nx3,OC1=CC=C(NC(C)=O)C=C1,again\n"
    (tmp_path / "leads.csv").write_text(leads)
    out = tmp_path / "out.csv"
    options = ["--similarity", "0.5", "--unwanted", "[F,Cl,Br,I]", "--seed", "0"]
    result = grammar_rae("analogues", tmp_path / "leads.csv", "-n", 3, *options, "-o", out)
    assert result.exit_code == 0, result.output
    found = pd.read_csv(out)
    assert list(found.columns[:5]) == ["id", "lead", "smiles", "similarity", "similarity_in"]
    assert set(found["id"]) == {"x1"} and set(found["similarity_in"]) == {"high"}
    assert not any(letter in text for text in found["smiles"] for letter in ("F", "Cl", "Br", "I"))
    assert pd.read_csv(tmp_path / "out.rejected.csv")["line"].tolist() == [3, 4]


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
