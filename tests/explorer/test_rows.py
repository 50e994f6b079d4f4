"""Every row of a file is on the map, apart, or refused with line and reason; the counts add up."""

import gzip

import numpy as np
import pytest

from grammar_rae.errors import DataError
from grammar_rae.explorer.jobs import Progress
from grammar_rae.explorer.rows import TrainingRows, base_codes, encode_rows, read_file


def test_names_stand_behind_a_smiles_or_in_a_column(tmp_path):
    smi = tmp_path / "a.smi.gz"
    smi.write_bytes(gzip.compress(b"smiles name\nCCO first one\n\nCCN\n"))
    found = read_file(smi)
    assert (found.texts, found.names, found.lines) == (["CCO", "CCN"], ["first one", ""], [2, 4])
    table = tmp_path / "a.tsv"
    table.write_text("Compound ID\tsmiles\tother\nx-1\tCCO\t3\nx-2\tCCN\t4\n")
    assert read_file(table).names == ["x-1", "x-2"]
    assert read_file(table, column="smiles").texts == ["CCO", "CCN"]


def test_a_long_file_is_cut_and_the_rest_counted(tmp_path):
    path = tmp_path / "long.smi"
    path.write_text("CCO\n" * 30)
    found = read_file(path, most=12)
    assert len(found.texts) == 12 and found.left_out == 18


def test_what_the_model_does_not_know_stands_apart_and_the_counts_add_up(tiny, mine):
    rows = read_file(mine)
    parts = list(encode_rows(tiny, rows, Progress()))
    known, unfamiliar, refused = zip(*parts, strict=True)
    counts = [sum(map(len, one)) for one in (known, unfamiliar, refused)]
    assert sum(counts) == len(rows.texts) == 6 and all(counts)
    lines = [line for part in (*known, *unfamiliar) for line in part.columns["line"]]
    assert sorted([*lines, *(one.line for part in refused for one in part)]) == rows.lines
    assert [(one.line, one.text) for part in refused for one in part if one.text == "c1ccccc"] == [(6, "c1ccccc")]
    assert all("Si" in text for part in unfamiliar for text in part.texts if "[" in text)
    np.testing.assert_allclose(known[0].codes, tiny.encode(known[0].texts), atol=1e-5)


def test_training_rows_are_those_of_the_run_or_kept_codes_or_none(tiny, run_folder, tmp_path):
    rows = TrainingRows(tiny, run_folder, 50)
    (part,) = rows.parts(Progress())
    assert rows.source == "rows" and len(part) == 50 and rows.total == 200 and "50 of 200" in part.note
    np.testing.assert_allclose(part.codes, tiny.encode(part.texts), atol=1e-4)
    kept = TrainingRows(tiny, tmp_path, 50)
    (part,) = kept.parts(Progress())
    assert kept.source == "codes" and part.texts == [""] * 50 and kept.total == len(tiny.codes_)
    tiny.save(tmp_path, compact=True)
    compact = type(tiny).load(tmp_path)
    none = TrainingRows(compact, tmp_path, 50)
    assert none.source == "none" and not list(none.parts(Progress())) and "compact" in none.note
    assert base_codes(compact, 30).shape == (30, tiny.recipe_.latent)
    assert base_codes(tiny, 30).shape == (30, tiny.recipe_.latent)


def test_damaged_data_of_a_run_leave_the_model_usable(tiny, tmp_path):
    (tmp_path / "data").mkdir()
    assert TrainingRows(tiny, tmp_path, 5).source == "codes"


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError):
        read_file(tmp_path / "none.smi")
