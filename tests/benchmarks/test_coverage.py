"""The benchmark of coverage, on a toy."""

import itertools
from pathlib import Path

import pytest

from benchmarks import coverage
from grammar_rae.model import TextModel


@pytest.fixture(scope="module")
def model() -> TextModel:
    texts = [f"{'C' * n}C(=O)N{b}" for n, b in itertools.product(range(1, 8), ["C", "CC", "CCO", "C1CC1", "CCCl"])]
    return TextModel("tiny", overrides={"epochs": 40, "polish": 4}).fit(texts)


def test_what_is_accepted_and_what_comes_back(model: TextModel, tmp_path: Path) -> None:
    (tmp_path / "known.smi").write_text("CCC(=O)NC\nCCCC(=O)NCCO\n")
    (tmp_path / "mixed.smi").write_text("CCC(=O)NC.Cl\nC(\nC((\n" + "C" * 300 + "\n")
    first, second = coverage.run([tmp_path / "known.smi", tmp_path / "mixed.smi"], {"toy": model}, 10, seed=0)
    assert (first["rows"], first["accepted"], first["changed"], first["rejected"]) == (2, 1, 0, "")
    assert 0 <= first["encoder alone"] <= first["exact"] <= 1
    assert (second["rows"], second["decoded"]) == (4, 4)
    assert second["accepted"] == second["changed"] == 0.25, "a salt loses its smaller part, the others are rejected"
    assert sum(int(part.rsplit(": ", 1)[1]) for part in second["rejected"].split("; ")) == 3


def test_some_rows_are_decoded(model: TextModel, tmp_path: Path) -> None:
    (tmp_path / "many.smi").write_text("\n".join(["CCC(=O)NC"] * 20))
    (row,) = coverage.run([tmp_path / "many.smi"], {"toy": model}, 5, seed=1)
    assert (row["rows"], row["decoded"]) == (20, 5)
    assert row["exact"] in (0, 1)
