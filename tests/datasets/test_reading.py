import csv
import gzip
import io
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grammar_rae.datasets import find_column, read_rows, read_texts, sample_texts
from grammar_rae.errors import DataError, InputError, MissingExtraError

TEXTS = ["CCO", "c1ccccc1", "C/C=C\\C", "[NH4+]"]


def problems(source, **options):
    return [(row.line, row.problem) for row in read_rows(source, **options) if row.problem]


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize(
    ("suffix", "content", "first_line"),
    [
        (".smi", "".join(f"{text} name of {text}\n" for text in TEXTS), 1),
        (".smiles", "".join(f"{text}\tname\n" for text in TEXTS), 1),
        (".txt", "\n".join(TEXTS), 1),
        (".SMI", "".join(f"  {text}  \n" for text in TEXTS), 1),
        (".csv", "id,smiles\n" + "".join(f"7,{text}\n" for text in TEXTS), 2),
        (".csv", "id;smiles\n" + "".join(f"7;{text}\n" for text in TEXTS), 2),
        (".tsv", "Canonical SMILES\tid\n" + "".join(f"{text}\t7\n" for text in TEXTS), 2),
    ],
)
def test_every_text_format_gives_the_texts_and_their_lines(tmp_path, suffix, content, first_line, zipped):
    path = write(tmp_path / f"molecules{suffix}{zipped}", content)
    assert list(read_texts(path)) == list(enumerate(TEXTS, start=first_line))
    assert list(read_texts(str(path))) == list(read_texts(path))


@pytest.mark.parametrize("text", ["CCO\r\nCCN\r\n", "CCO\rCCN\r", "\ufeffCCO\nCCN\n", "\ufeffCCO\r\nCCN"])
def test_line_ends_and_byte_order_marks_change_nothing(tmp_path, text):
    assert list(read_texts(write(tmp_path / "a.smi", text))) == [(1, "CCO"), (2, "CCN")]
    table = write(tmp_path / "a.csv", text.replace("CCO", "smiles"))
    assert list(read_texts(table)) == [(2, "CCN")]


def test_the_content_says_whether_a_file_is_compressed(tmp_path):
    (tmp_path / "unzipped.smi.gz").write_text("CCO\n")
    (tmp_path / "zipped.smi").write_bytes(gzip.compress(b"CCO\n"))
    assert list(read_texts(tmp_path / "unzipped.smi.gz")) == list(read_texts(tmp_path / "zipped.smi")) == [(1, "CCO")]


def test_a_whole_line_is_one_text_where_that_is_asked_for(tmp_path):
    path = write(tmp_path / "expressions.txt", "1 / 3 + x\nsin(x * x)\n")
    assert [text for _, text in read_texts(path, fields="line")] == ["1 / 3 + x", "sin(x * x)"]
    assert [text for _, text in read_texts(path)] == ["1", "sin(x"]
    with pytest.raises(InputError, match="'first' or 'line'"):
        read_texts(path, fields="all")


@pytest.mark.parametrize("header", ["smiles", "SMILES id", "canonical_smiles", "#smiles name", "Isomeric-SMILES"])
def test_header_and_blank_lines_are_rows_with_a_problem(tmp_path, header):
    path = write(tmp_path / "a.smi", f"{header}\n\nCCO\n  \nCCN\n")
    assert problems(path) == [(1, "header"), (2, "blank line"), (4, "blank line")]
    assert list(read_texts(path)) == [(3, "CCO"), (5, "CCN")]


def test_a_header_word_is_a_header_in_the_first_line_only(tmp_path):
    assert list(read_texts(write(tmp_path / "a.smi", "CCO\nsmiles\n"))) == [(1, "CCO"), (2, "smiles")]


def test_every_record_of_a_table_is_a_text_or_a_problem(tmp_path):
    path = write(tmp_path / "a.csv", 'id,smiles\n1,CCO\n\n2\n3,\n4,"C\nC\n"\n5,CCN\n')
    assert list(read_rows(path)) == [
        (2, "CCO", None),
        (3, "", "blank line"),
        (4, "2", "too few cells in the line"),
        (5, "", "blank line"),
        (6, "C\nC", None),
        (9, "CCN", None),
    ]


def test_an_unusual_name_of_the_only_column_is_listed(tmp_path):
    path = write(tmp_path / "no_header.csv", "CCO\nCCN\n")
    assert list(read_rows(path)) == [(1, "CCO", "header"), (2, "CCN", None)]
    assert problems(path, column="CCO") == []


@pytest.mark.parametrize(
    ("header", "column", "chosen"),
    [
        ("a,b", "b", 1),
        ("canonical_smiles,smiles", None, 1),
        ("smiles,canonical_smiles", "canonical_smiles", 1),
        ("name, SMILES ", None, 1),
    ],
)
def test_the_column(tmp_path, header, column, chosen):
    path = write(tmp_path / "a.csv", f"{header}\nleft,right\n")
    assert list(read_texts(path, column)) == [(2, ("left", "right")[chosen])]


def test_an_unclear_or_unknown_column_lists_the_columns(tmp_path):
    path = write(tmp_path / "a.csv", "name,weight\nx,1\n")
    with pytest.raises(DataError, match=r"'name', 'weight'.*--column"):
        read_texts(path)
    with pytest.raises(DataError, match=r"'name', 'weight'. Did you mean 'weight'"):
        read_texts(path, "wieght")
    wide = write(tmp_path / "wide.csv", ",".join(f"c{i}" for i in range(100)) + "\n")
    with pytest.raises(DataError, match="'c19' and 80 more"):
        read_texts(wide, "x")
    with pytest.raises(InputError, match="no named columns"):
        read_texts(write(tmp_path / "a.smi", "CCO\n"), "smiles")
    with pytest.raises(InputError, match="column applies only to tables"):
        read_texts(["CCO"], "smiles")


class TestParquet:
    def test_rows_and_problems(self, tmp_path):
        path = tmp_path / "a.parquet"
        pd.DataFrame({"id": [1, 2, 3, 4], "smiles": ["CCO", None, " ", "CCN\n"]}).to_parquet(path)
        assert list(read_rows(path)) == [
            (1, "CCO", None),
            (2, "", "missing value"),
            (3, "", "blank line"),
            (4, "CCN", None),
        ]
        assert problems(path, column="id")[0] == (1, "not a string but int")
        with pytest.raises(DataError, match="'id', 'smiles'"):
            read_texts(path, "mol")

    @pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"x" * 99])
    def test_damaged(self, tmp_path, damage):
        path = tmp_path / "a.parquet"
        pd.DataFrame({"smiles": TEXTS}).to_parquet(path)
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(DataError, match="Parquet file cannot be read"):
            list(read_texts(path))

    def test_without_rows(self, tmp_path):
        pd.DataFrame({"smiles": []}).to_parquet(tmp_path / "a.parquet")
        with pytest.raises(DataError, match="no row"):
            read_texts(tmp_path / "a.parquet")

    def test_without_pyarrow(self, tmp_path, monkeypatch):
        pd.DataFrame({"smiles": TEXTS}).to_parquet(tmp_path / "a.parquet")
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(MissingExtraError, match=r"grammar_rae\[parquet\]"):
            read_texts(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["a.smi", "a.smi.gz", "a.csv", "a.txt"])
def test_an_empty_file(tmp_path, name):
    with pytest.raises(DataError, match="no row"):
        read_texts(write(tmp_path / name, ""))


@pytest.mark.parametrize("name", ["a.smi.gz", "a.csv.gz"])
def test_a_truncated_or_garbled_gzip(tmp_path, name):
    path = tmp_path / name
    # Not compressible, so that many rows come out before the end is missed.
    numbers = random.Random(0)
    rows = "".join(f"{numbers.getrandbits(99)}\n" for _ in range(5000))
    whole = gzip.compress(("smiles\n" + rows).encode())
    for damaged in (whole[:-9], whole[: len(whole) // 2], whole[:20000] + b"\0" * 99 + whole[20099:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="too early or is damaged") as caught:
            list(read_texts(path))
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["a.smi", "a.csv", "a.tsv.gz"])
def test_what_is_not_utf8_is_latin_1_and_said(tmp_path, name):
    path = write(tmp_path / name, b"smiles\nCCO\nC\xe9\nCCN\n")
    with pytest.warns(UserWarning, match=r"not UTF-8 \(byte 0xe9 at position 1 of line 3\): read as Latin-1"):
        assert list(read_texts(path)) == [(2, "CCO"), (3, "C\xe9"), (4, "CCN")]
    path = write(tmp_path / name, "smiles\nC\xf6\n".encode() + b"C\xe9\n")
    with pytest.raises(DataError, match="line 3: the file is neither UTF-8 nor Latin-1; received byte 0xe9"):
        list(read_texts(path))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("block", [3, 2**18])
def test_a_byte_order_mark_tells_utf16(tmp_path, monkeypatch, encoding, block):
    monkeypatch.setattr("grammar_rae.datasets.lines._BLOCK", block)
    mark = "" if encoding == "utf-16" else "\ufeff"
    path = write(tmp_path / "a.csv", f"{mark}name;smiles\r\n\xe4\u4e00;CCO\r\n".encode(encoding))
    assert list(read_texts(path)) == [(2, "CCO")]
    with pytest.raises(DataError, match=r"many of its bytes are 0.*byte order mark"):
        list(read_texts(write(tmp_path / "b.csv", "smiles\nCCO\n".encode("utf-16-le"))))


def test_an_unclosed_quotation_mark_swallows_no_rows(tmp_path):
    path = write(tmp_path / "a.csv", 'smiles\nCCO\n"CCN\nCCC\nCCCC\n')
    with pytest.raises(DataError, match=r"line 3.*quotation mark"):
        list(read_texts(path))


def test_no_file_of_this_name(tmp_path):
    write(tmp_path / "molecules.smi", "CCO\n")
    with pytest.raises(DataError, match=r"Similar names in that folder: molecules\.smi"):
        read_texts(tmp_path / "molecule.smi")
    with pytest.raises(DataError, match="themselves as a list"):
        read_texts("c1ccccc1")
    with pytest.raises(DataError, match="folder does not exist"):
        read_texts(tmp_path / "nowhere" / "molecules.smi")


def test_a_folder_or_an_unknown_suffix(tmp_path):
    with pytest.raises(DataError, match=r"a folder.*Pass the path of one file"):
        read_texts(tmp_path)
    for name in ("a.pdf", "a.tar.gz", "a.parquet.gz", "a"):
        with pytest.raises(DataError, match=r"\.csv, .*\.parquet.*\.smi, .*also with \.gz"):
            read_texts(write(tmp_path / name, "CCO\n"))
    with pytest.raises(DataError, match="sheet of a workbook as CSV"):
        read_texts(write(tmp_path / "a.xlsx", "CCO\n"))


@pytest.mark.parametrize(
    "make",
    [list, tuple, iter, np.array, pd.Series, lambda texts: np.array(texts, object), lambda texts: (t for t in texts)],
)
def test_iterables(make):
    assert list(read_texts(make(TEXTS))) == list(enumerate(TEXTS, start=1))


def test_iterables_of_other_things_too():
    values = ["CCO", None, float("nan"), pd.NA, 7, "", b"CC"]
    assert problems(values) == [
        (2, "missing value"),
        (3, "missing value"),
        (4, "missing value"),
        (5, "not a string but int"),
        (6, "blank line"),
        (7, "not a string but bytes"),
    ]
    assert problems(pd.Series(["CCO", None])) == [(2, "missing value")]


def test_frames():
    frame = pd.DataFrame({"id": [1, 2], "SMILES": ["CCO", "CCN"], "text": ["a", "b"]})
    assert list(read_texts(frame)) == [(1, "CCO"), (2, "CCN")]
    assert list(read_texts(frame, "text")) == [(1, "a"), (2, "b")]
    with pytest.raises(DataError, match="'id', 'SMILES', 'text'"):
        read_texts(frame, "molecule")


@pytest.mark.parametrize("source", [b"CCO", {"smiles": TEXTS}, 7, None, np.array([TEXTS])])
def test_what_is_no_source(source):
    with pytest.raises(InputError):
        read_texts(source)


def test_no_texts_at_all():
    with pytest.raises(DataError, match="no row"):
        read_texts([])


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1), st.sampled_from([",", "\t"]))
def test_any_table_that_the_csv_module_writes_is_read_back(tmp_path_factory, texts, separator):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator)
    starts = []
    for record in (["id", "smiles"], *([str(i), text] for i, text in enumerate(texts))):
        starts.append(len(buffer.getvalue().encode().splitlines()) + 1)
        writer.writerow(record)
    path = tmp_path_factory.mktemp("table") / "a.csv"
    path.write_bytes(buffer.getvalue().encode())
    rows = list(read_rows(path))
    assert [row.text for row in rows] == [text.strip() for text in texts]
    assert [row.line for row in rows] == starts[1:]


class TestSample:
    def test_draws_without_replacement_in_the_order_of_the_source(self):
        texts = [f"{i:05}" for i in range(1000)]
        drawn = sample_texts(iter(texts), 100, seed=3)
        assert len(set(drawn)) == 100
        assert drawn == sorted(drawn)
        assert drawn == sample_texts(texts, 100, seed=3)
        assert drawn != sample_texts(texts, 100, seed=4)

    def test_gives_all_where_there_are_fewer(self):
        assert sample_texts(["C", "", "CC"], 5, seed=0) == ["C", "CC"]

    def test_each_text_is_equally_likely(self):
        texts = [str(i) for i in range(10)]
        counts = Counter(text for seed in range(2000) for text in sample_texts(texts, 3, seed))
        # 600 expected, with a standard deviation of 20.
        assert all(500 < counts[text] < 700 for text in texts)

    @pytest.mark.parametrize("n", [0, -1])
    def test_refuses_to_draw_nothing(self, n):
        with pytest.raises(InputError, match="n >= 1"):
            sample_texts(TEXTS, n, seed=0)

    def test_the_errors_of_reading_come_through(self, tmp_path):
        with pytest.raises(DataError, match="no such file"):
            sample_texts(tmp_path / "a.smi", 1, seed=0)


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_cell_that_is_too_long_rejects_its_row_only(tmp_path, quote):
    path = tmp_path / "long.csv"
    path.write_text(f"smiles,name\nCCO,a\nCC,{quote}{'x' * 200_000}{quote}\nCCN,c\n")
    rows = list(read_rows(path))
    assert [row.text for row in rows if row.problem is None] == ["CCO", "CCN"]
    [rejected] = [row for row in rows if row.problem is not None]
    assert rejected.line == 3 and "longer than 131,072" in rejected.problem and len(rejected.text) <= 200


def test_the_extension_of_a_cxsmiles_stays_with_its_text(tmp_path):
    path = tmp_path / "a.smi"
    path.write_text("CCC |^1:1|\nCCO name\nCCN |a name\nCC\t|&1:0| name\n")
    assert [row.text for row in read_rows(path)] == ["CCC |^1:1|", "CCO", "CCN", "CC\t|&1:0|"]
    assert all(row.problem is None for row in read_rows(path, fields="line"))


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_the_column_that_is_read(tmp_path, suffix, separator):
    path = tmp_path / f"a{suffix}"
    path.write_text("id,canonical_smiles,smiles\n1,C,CC\n".replace(",", separator))
    assert find_column(path) == ("smiles", ["id", "canonical_smiles", "smiles"])
    assert find_column(path, "id") == ("id", ["id", "canonical_smiles", "smiles"])


@pytest.mark.parametrize("name", ["a.smi", "a.npy", "a.png"])
def test_other_files_have_no_columns(tmp_path, name):
    (tmp_path / name).write_bytes(b"C\n")
    assert find_column(tmp_path / name) is None


@pytest.mark.parametrize("block", [1, 2, 3, 7, 2**18])
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("closed", [True, False])
def test_lines_do_not_depend_on_blocks(tmp_path, monkeypatch, block, end, closed):
    monkeypatch.setattr("grammar_rae.datasets.lines._BLOCK", block)
    lines = ["CCO", "", "C" * 20, "é", "", "", "N"]
    path = tmp_path / "a.smi"
    path.write_bytes((end.join(lines) + (end if closed else "")).encode())
    assert [(row.line, row.text) for row in read_rows(path)] == [*enumerate(lines, start=1)]


def test_blank_lines_are_read_in_blocks(tmp_path, monkeypatch):
    """Four million of them in a gzip took more than 100 s: reading must not ask the stream for each line."""
    reads = []
    original = gzip.GzipFile.read

    def read(self, size=-1):
        reads.append(size)
        return original(self, size)

    monkeypatch.setattr(gzip.GzipFile, "read", read)
    path = write(tmp_path / "a.smi.gz", b"C\n" + b"\n" * 100_000)
    assert sum(1 for _ in read_rows(path)) == 100_001
    assert len(reads) < 20
