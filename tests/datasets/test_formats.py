"""Files as chemists have them: every format, every compression, and what stands beside the texts."""

import io
import random
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from packing import pack

from grammar_rae import chem, compression
from grammar_rae.codecs import GrammarCodec
from grammar_rae.compression import COMPRESSIONS
from grammar_rae.datasets import coverage, encode, find_column, read_records, read_rows, read_texts
from grammar_rae.datasets.formats import KINDS, guess_suffix
from grammar_rae.errors import DataError, InputError, MissingExtraError
from grammar_rae.formats import FORMATS
from grammar_rae.grammar import read_grammar

TEXTS = ["CCO", "Oc1ccccc1", "C/C=C/C", "C[NH3+]", "C[C@H](F)Cl"]
CELLS = [("a1", "0.5"), ("a2", None), ("a3", "1,5"), ("a4", "x y"), ("a5", "")]


def sdf(texts: list[str] = TEXTS) -> str:
    values = [dict(zip(("name", "logp"), cells, strict=True)) for cells in CELLS]
    return "".join(chem.write_record(text, cells) for text, cells in zip(texts, values, strict=False))


def content(suffix: str) -> bytes:
    frame = pd.DataFrame({"name": [a for a, _ in CELLS], "smiles": TEXTS, "logp": [b for _, b in CELLS]})
    if suffix == ".parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer)
        return buffer.getvalue()
    if suffix in (".feather", ".arrow", ".arrows"):
        import pyarrow

        table, sink = pyarrow.Table.from_pandas(frame), io.BytesIO()
        new = pyarrow.ipc.new_stream if suffix == ".arrows" else pyarrow.ipc.new_file
        with new(sink, table.schema) as writer:
            writer.write_table(table, 2)
        return sink.getvalue()
    if suffix in (".sdf", ".sd"):
        return sdf().encode()
    if suffix in (".csv", ".tsv"):
        return frame.to_csv(index=False, sep="\t" if suffix == ".tsv" else ";").encode()
    return "".join(f"{text}\t{name}\n" for text, (name, _) in zip(TEXTS, CELLS, strict=True)).encode()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("packed", ["", *COMPRESSIONS])
def test_every_format_under_every_compression(tmp_path: Path, suffix: str, packed: str) -> None:
    path = tmp_path / f"molecules{suffix}{packed}"
    blob = content(suffix)
    path.write_bytes(pack(blob, packed, f"molecules{suffix}") if packed else blob)
    if packed and not FORMATS[suffix].compresses:
        with pytest.raises(DataError, match="unsupported file suffix"):
            read_texts(path)
        return
    assert [text for _, text in read_texts(path)] == TEXTS
    names, records = read_records(path)
    found = [record.cells for record in records]
    if suffix in (".smi", ".smiles", ".txt"):
        assert names == ("name",) and [cells[0] for cells in found] == [name for name, _ in CELLS]
        return
    assert names == ("name", "logp")
    assert [tuple(cell or None for cell in cells) for cells in found] == [(a, b or None) for a, b in CELLS]


def test_first_bytes_tell_a_format() -> None:
    for suffix in FORMATS:
        found = guess_suffix(content(suffix)[:4096])
        assert KINDS[FORMATS[found].kind].read is KINDS[FORMATS[suffix].kind].read
    assert guess_suffix(b"") == ".smi"


class TestCompression:
    @pytest.mark.parametrize("packed", COMPRESSIONS)
    def test_damage_is_one_sentence(self, tmp_path: Path, packed: str) -> None:
        numbers = random.Random(0)
        rows = "".join(f"{numbers.getrandbits(99)}\n" for _ in range(5000)).encode()
        whole = pack(b"smiles\n" + rows, packed, "a.smi")
        path = tmp_path / f"a.smi{packed}"
        for damaged in (whole[: len(whole) // 2], whole[:20000] + b"\0" * 99 + whole[20099:]):
            path.write_bytes(damaged)
            with pytest.raises(DataError, match="too early or is damaged") as caught:
                list(read_texts(path))
            assert str(path) in str(caught.value)

    @pytest.mark.parametrize("packed", COMPRESSIONS)
    def test_a_bomb_is_not_unpacked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: str) -> None:
        monkeypatch.setattr(compression, "FREE_BYTES", 2**16)
        path = tmp_path / f"a.smi{packed}"
        path.write_bytes(pack(b"C\n" * 2**21, packed, "a.smi"))
        with pytest.raises(DataError, match="far more than it holds"):
            for _ in read_rows(path):
                pass

    def test_two_streams_in_one_file(self, tmp_path: Path) -> None:
        for packed in (".gz", ".bz2", ".xz", ".zst"):
            path = tmp_path / f"a.smi{packed}"
            path.write_bytes(b"".join(pack(part, packed) for part in (b"C\nCC", b"O\nN\n")))
            assert [text for _, text in read_texts(path)] == ["C", "CCO", "N"]

    def test_a_zip_of_several_files_or_with_odd_names(self, tmp_path: Path) -> None:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../../outside.csv", "smiles\nCCO\n")
            archive.writestr("__MACOSX/._outside.csv", "x")
        assert [text for _, text in read_texts(path)] == ["CCO"]
        assert [one.name for one in tmp_path.iterdir()] == ["a.zip"]
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("b.csv", "smiles\nCCN\n")
        with pytest.raises(DataError, match=r"must hold one file; received 2: \.\./\.\./outside.csv, b.csv"):
            list(read_texts(path))
        with zipfile.ZipFile(tmp_path / "empty.csv.zip", "w") as archive:
            archive.mkdir("folder")
        with pytest.raises(DataError, match="must hold one file"):
            list(read_texts(tmp_path / "empty.csv.zip"))

    def test_zstandard_is_an_extra(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.smi.zst").write_bytes(pack(b"C\n", ".zst"))
        monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
        with pytest.raises(MissingExtraError, match=r"grammar_rae\[zstd\]"):
            list(read_texts(tmp_path / "a.smi.zst"))

    def test_a_line_without_an_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("grammar_rae.datasets.lines.LONGEST_LINE", 2**19)
        (tmp_path / "a.smi").write_bytes(b"C" * 2**20)
        with pytest.raises(DataError, match="line is too long"):
            list(read_texts(tmp_path / "a.smi"))


class TestSdf:
    def test_records_are_numbered_and_a_broken_one_is_rejected(self, tmp_path: Path) -> None:
        records = sdf().split("$$$$\n")
        records[1] = records[1].replace("M  END", "M END")
        records[2] = records[2].replace(" C  ", " Qq ")
        path = tmp_path / "a.sdf"
        path.write_text("$$$$\n".join(records))
        rows = list(read_rows(path))
        assert [row.line for row in rows] == [1, 2, 3, 4, 5]
        assert [row.text for row in rows if row.problem is None] == [TEXTS[0], *TEXTS[3:]]
        assert "no molecule" in rows[1].problem and "RDKit cannot read this record" in rows[2].problem
        assert rows[2].text == "a3"
        codec = GrammarCodec(form="kekule", table=read_grammar("smiles"))
        data = encode(path, codec)
        assert data.lines.tolist() == [1, 4, 5] and [row.line for row in data.rejected] == [2, 3]

    @pytest.mark.parametrize("text", ["CCO\nCCN\n", "\n\n\n\n$$$$\n", "title\n$$$$\n"])
    def test_without_molecules(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "a.sdf").write_text(text)
        with pytest.raises(DataError, match="SDF holds no molecule"):
            list(read_rows(tmp_path / "a.sdf"))

    def test_each_molecule_is_read_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from rdkit import Chem

        from grammar_rae.chem import blocks, smiles

        calls = []

        class Counting:
            def __getattr__(self, name: str) -> object:
                if name in ("MolFromMolBlock", "MolFromSmiles"):
                    calls.append(name)
                return getattr(Chem, name)

        (tmp_path / "a.sdf").write_text(sdf())
        for module in (blocks, smiles):
            monkeypatch.setattr(module, "Chem", Counting())
        coverage(tmp_path / "a.sdf", GrammarCodec(form="kekule", table=read_grammar("smiles")))
        assert calls == ["MolFromMolBlock"] * len(TEXTS)

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("block", [5, 64, 2**18])
    def test_records_do_not_depend_on_blocks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, block: int
    ) -> None:
        monkeypatch.setattr("grammar_rae.datasets.lines._BLOCK", block)
        (tmp_path / "a.sdf").write_bytes(sdf().replace("\n", end).removesuffix(f"$$$${end}").encode())
        assert [text for _, text in read_texts(tmp_path / "a.sdf")] == TEXTS
        names, records = read_records(tmp_path / "a.sdf")
        assert names == ("name", "logp") and [record.cells[0] for record in records] == ["a1", "a2", "a3", "a4", "a5"]

    def test_a_column_of_texts_is_read_where_one_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.sdf").write_text(sdf())
        assert [text for _, text in read_texts(tmp_path / "a.sdf", "name")] == [name for name, _ in CELLS]
        assert find_column(tmp_path / "a.sdf") is None
        with pytest.raises(DataError, match="Did you mean 'logp'"):
            read_texts(tmp_path / "a.sdf", "logpp")

    def test_values_of_several_lines_and_odd_ones(self, tmp_path: Path) -> None:
        values = {"name": "x", "note": "two\n\nlines", "sign": "> 5", "none": None}
        (tmp_path / "a.sdf").write_text(chem.write_record("CCO", values) * 2)
        names, records = read_records(tmp_path / "a.sdf")
        assert names == ("name", "note", "sign")
        assert [record.cells for record in records] == [("x", "two\n \nlines", "> 5")] * 2
        for odd in ({"a>b": 1}, {"a": "x\n$$$$"}):
            with pytest.raises(InputError, match="an SDF cannot have a value"):
                chem.write_record("CCO", odd)


def test_repeated_columns_are_all_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,smiles,x\n1,CCO,2\n3,CCN\n5,CCC,6,7\n")
    names, records = read_records(tmp_path / "a.csv")
    rows = list(records)
    assert names == ("x", "x.1")
    assert [row.cells for row in rows[:2]] == [("1", "2"), ("3", None)]
    assert rows[2].row.problem == "more cells in the line than columns"


def test_frames_of_pandas_have_columns_beside() -> None:
    names, records = read_records(pd.DataFrame({"id": [7, 8], "smiles": ["CCO", None]}))
    assert names == ("id",)
    assert [(record.row.text, record.cells) for record in records] == [("CCO", (7,)), ("", (8,))]
