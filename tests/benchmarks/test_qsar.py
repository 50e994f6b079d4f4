"""The benchmark of features: what is compared, on toys."""

import itertools
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import qsar
from grammar_rae.errors import DataError
from grammar_rae.model import TextModel


def test_codes_stand_beside_fingerprints(tmp_path: Path) -> None:
    texts = [f"{'C' * n}C(=O)N{b}" for n, b in itertools.product(range(1, 8), ["C", "CC", "CCO", "C1CC1", "CCCl"])]
    model = TextModel("tiny", overrides={"epochs": 1}).fit(texts)
    table = tmp_path / "targets.tsv"
    affinities = [5.0 + 2 * ("Cl" in text) + 4 * ("C1" in text) for text in [*texts, "C"]]
    rows = pd.DataFrame({"smiles": [*texts, "C" * 300], "target": "T", "p": affinities})
    rows["split"] = ["test" if i % 4 == 0 else "train" for i in range(len(rows))]
    rows.to_csv(table, sep="\t", index=False)
    found = qsar.run(table, {"toy": model})
    assert [row["learner"] for row in found] == list(qsar.LEARNERS)
    for row in found:
        assert row["train"] + row["test"] == len(texts), "what a codec refuses is left out of all features"
        assert all(row[name] <= 1 for name in ("toy", "morgan", "toy + morgan"))
        assert "toy, fingerprint" not in row, "a model without a head reads none"
    assert max(row["morgan"] for row in found) > 0.6, "what hangs on an atom can be read from a fingerprint"
    table.write_text("smiles\tp\nC\t1\n")
    with pytest.raises(DataError, match="lacks columns"):
        qsar.run(table, {})
