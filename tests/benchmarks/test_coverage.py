"""The benchmark of coverage, on a toy."""

import itertools
from pathlib import Path

import pytest

from benchmarks import coverage
from grammar_rae.model import TextModel


@pytest.fixture(scope="module")
def model() -> TextModel:
    texts = [f"{'C' * n}C(=O)N{b}" for n, b in itertools.product(range(1, 8), ["C", "CC", "CCO", "C1CC1", "CCCl"])]
    return TextModel("tiny", overrides={"epochs": 40}).fit(texts)


def test_what_is_read_and_what_comes_back(model: TextModel, tmp_path: Path) -> None:
    (tmp_path / "known.smi").write_text("CCC(=O)NC\nCCCC(=O)NCCO\n")
    (tmp_path / "mixed.smi").write_text("CCC(=O)NC.Cl\nC(\nC((\n" + "C" * 300 + "\n")
    first, second = coverage.run([tmp_path / "known.smi", tmp_path / "mixed.smi"], {"toy": model}, 10, 8, seed=0)
    assert first | {"exact": 0, "exact, nearest": 0} == {
        "file": "known.smi",
        "model": "toy",
        "rows": 2,
        "read": 1,
        "changed": 0,
        "exact": 0,
        "exact, nearest": 0,
        "refused": "",
    }
    assert 0 <= first["exact"] <= first["exact, nearest"] <= 1
    assert second["rows"] == 4
    assert second["read"] == second["changed"] == 0.25, "a salt loses its smaller part, the others are refused"
    assert second["refused"].count("(1)") + 2 * second["refused"].count("(2)") == 3


def test_rows_are_drawn_by_the_seed(model: TextModel, tmp_path: Path) -> None:
    (tmp_path / "many.smi").write_text("\n".join(["CCC(=O)NC"] * 20))
    (row,) = coverage.run([tmp_path / "many.smi"], {"toy": model}, 5, 0, seed=1)
    assert row["rows"] == 5
    assert "exact, nearest" not in row
