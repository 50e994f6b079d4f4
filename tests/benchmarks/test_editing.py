"""The jobs of chemists, measured with the bundled model at the smallest sizes: the figures say what was found."""

import numpy as np
import pytest

import grammar_rae
from benchmarks import editing
from grammar_rae.model import TextModel


@pytest.fixture(scope="module")
def model() -> TextModel:
    return grammar_rae.load("molecules")


def test_analogues(model: TextModel) -> None:
    (row,) = editing.run_analogues(model, ["COc1ccc(NC(=O)C2CCCCC2)cc1", "CC(=O)Nc1ccc(O)cc1"], similarities=[0.6], n=4)
    assert row["leads"] == 2 and 0 < row["distinct"] <= 4 and 0 < row["reached"] < 1
    assert row["distinct_within_a_tenth"] == pytest.approx(row["within_a_tenth"] * row["distinct"], abs=1.0)


@pytest.mark.slow
def test_decorations_and_windows(model: TextModel) -> None:
    free, decorated = editing.run_decoration(model, pairs=3, each=2)
    assert free["n"] == 3 and 3 <= decorated["n"] <= 6
    assert all(np.isfinite([row["nll"], row["sa"], row["qed"]]).all() for row in (free, decorated))
    (row,) = editing.run_windows(model, n=3, windows=["200 <= weight <= 500"])
    assert row["n"] == 3 and 0 < row["rejection"] <= 1 and row["ratio"] == row["told"] / row["rejection"]
