"""The benchmark of adapting: what is counted, on toys."""

import itertools
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import adapting
from grammar_rae.errors import DataError
from grammar_rae.model import TextModel

TEXTS = [f"{'C' * n}C(=O)N{b}" for n, b in itertools.product(range(1, 8), ["C", "CC", "CCO", "C1CC1", "CCCl", "CBr"])]


@pytest.fixture(scope="module")
def start() -> TextModel:
    return TextModel("tiny", overrides={"epochs": 2}).fit(TEXTS)


def test_actives_of_a_target(start: TextModel, tmp_path: Path) -> None:
    table = tmp_path / "targets.tsv"
    pd.DataFrame({"smiles": [*TEXTS, "CCO"], "target": "T", "p": [7.5] * len(TEXTS) + [5.0]}).to_csv(table, sep="\t")
    rows = adapting.run_targets(table, start=start, actives=25, draws=20, seeds=1, epochs=1)  # type: ignore[arg-type]
    before, after = rows
    assert (before["actives"], before["held_out"]) == (25, len(TEXTS) - 25), "what is not active is left out"
    assert after["model"] == "adapted" and after["minutes"] > 0 and after["stopped"] == "epochs"
    for row in rows:
        assert row["draws"] == 20 and all(0 <= row[name] <= 1 for name in ("unique", "new", "near_held_out"))
    table.write_text("smiles\nCCO\n")
    with pytest.raises(DataError, match="lacks columns"):
        adapting.run_targets(table)


def test_hits_are_counted_once(start: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = start.sample(1, seed=0)
    row = adapting.hits(start, [], drawn.texts, 1, 0)
    assert row["held_out_found"] == 1 and row["near_held_out"] == row["mean_similarity"] == 1.0
    assert adapting.hits(start, drawn.texts, ["CCCCCCCCCCCO"], 1, 0)["new"] == 0.0


def test_a_file_beside_a_training_from_nothing(start: TextModel, tmp_path: Path) -> None:
    source, others = tmp_path / "rows.smi", tmp_path / "others.smi"
    source.write_text("\n".join(TEXTS[:-4]))
    others.write_text("\n".join(TEXTS[-4:]))
    rows = adapting.run_file(
        source,
        others,
        start=start,
        rows=30,
        time_limit=2.0,
        test_rows=3,
        draws=10,
        nothing="tiny",  # type: ignore[arg-type]
    )
    assert [row["model"] for row in rows[1:]] == ["adapted", "tiny"]
    assert all(row["rows"] == 30 and row["held_out"] == 3 and row["samples"] == 10 for row in rows)
