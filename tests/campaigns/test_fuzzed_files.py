"""Fuzzed input files of all formats through reading and encoding: every row is encoded or rejected, or one sentence."""

import random
from functools import cache
from itertools import islice
from pathlib import Path

import pandas as pd
import pytest
from campaigns.ledger import Ledger
from packing import pack

from grammar_rae.codecs import GrammarCodec
from grammar_rae.compression import split_compression
from grammar_rae.datasets import encode, file_bytes, find_column, read_rows, read_texts
from grammar_rae.grammar import read_grammar
from grammar_rae.resources import bundled_file

FEW, MANY = 60, 10_000
FOUND = (239, 8129)
"""Seeds that found a fault once: a stream of Arrow whose damaged length asks for more memory than there is."""
SUFFIXES = (
    *(".smi", ".txt", ".csv", ".tsv", ".smi.gz", ".csv.gz", ".tsv.gz", ".parquet"),
    *(".sdf", ".smi.bz2", ".smi.xz", ".csv.zst", ".csv.zip", ".feather", ".arrows"),
)
ODD = [
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\n\n\n", b'"', b'""', b",", b"\t", b";", b"\x1f\x8b"),
    *("é".encode(), b"\xe9", b"|^1:1|", b"=1+1", b"C" * 6000, b"[", b"]", b"(", b")", b"%99", b".", b"->", b" " * 50),
]


@cache
def molecules() -> list[str]:
    return [text for _, text in islice(read_texts(bundled_file("data/moses_sample.smi.gz")), 200)]


def whole(suffix: str, chance: random.Random) -> bytes:
    """A file of some molecules as it should be."""
    texts = chance.sample(molecules(), chance.randint(1, 12))
    if suffix in (".parquet", ".feather", ".arrows", ".sdf"):
        pytest.importorskip("pyarrow")
        return file_bytes(pd.DataFrame({"id": range(len(texts)), "smiles": texts}), suffix)
    separator = {".csv": ",", ".tsv": "\t"}.get(split_compression(suffix)[0])
    if separator is None:
        return "".join(f"{text} name {n}\n" for n, text in enumerate(texts)).encode()
    rows = [("id", "smiles"), *((str(number), text) for number, text in enumerate(texts))]
    return "".join(separator.join(row) + "\n" for row in rows).encode()


def damaged(blob: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, cut out, doubled or put in, once or several times."""
    data = bytearray(blob)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        what = chance.randrange(6)
        if what == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            del data[at : at + chance.randint(1, 20)]
        elif what == 2:
            data[at:at] = data[at : at + 30]
        elif what == 3:
            data[at:at] = chance.choice(ODD)
        elif what == 4:
            data[at:at] = chance.randbytes(chance.randint(1, 8))
        else:
            del data[at:]
    return bytes(data)


@pytest.mark.parametrize("n", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_fuzzed_files(tmp_path: Path, n: int) -> None:
    codec = GrammarCodec(form="kekule", table=read_grammar("smiles"))
    ledger = Ledger("fuzzed files")
    for seed in [*range(n), *FOUND]:
        chance = random.Random(seed)
        suffix = SUFFIXES[seed % len(SUFFIXES)]
        path = tmp_path / f"{seed}{suffix}"
        content = whole(suffix, chance)
        zipped = split_compression(suffix)[1]
        inside = chance.random() < 0.5  # what is inside or the compressed file itself is damaged
        if zipped:
            content = pack(damaged(content, chance) if inside else content, zipped)
        path.write_bytes(content if zipped and inside else damaged(content, chance))

        def read(path: Path = path, seed: int = seed) -> None:
            find_column(path)
            rows = list(read_rows(path))
            folder = tmp_path / "set" if seed % 2 else None
            data = encode(path, codec, folder, duplicates=("keep", "drop")[seed % 3 > 0])
            assert data.n_read == len(rows) == data.n_accepted + data.n_rejected == len(data) + len(data.rejected)
            lines = sorted([*data.lines.tolist(), *(row.line for row in data.rejected)])
            assert lines == [row.line for row in rows]
            assert all(row.reason for row in data.rejected)

        ledger.ask(f"seed {seed} ({path.name})", read)
        path.unlink()
    ledger.tell()
    assert ledger.counts["done"] and ledger.counts["refused"]
