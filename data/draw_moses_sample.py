"""Draw moses_sample.smi.gz: 50,000 molecules of the MOSES training split, in the order of that file.

It takes the path of the wheel that ``python -m pip download --no-deps molsets==0.3.1`` brings.
"""

import argparse
import csv
import gzip
import hashlib
import io
import random
import zipfile
from pathlib import Path

WHEEL_SHA256 = "7f4450e3ebecebe79c3a2a55950c93daddee071120daf64a163d03481e811d34"
TRAINING_SPLIT = "moses/dataset/data/train.csv.gz"
ROWS = 50_000
SEED = 2020


def read_training_split(wheel: Path) -> list[str]:
    """All SMILES of the training split, after the wheel's checksum was found right."""
    with wheel.open("rb") as stream:
        received = hashlib.file_digest(stream, "sha256").hexdigest()
    if received != WHEEL_SHA256:
        raise SystemExit(f"{wheel}: the sha256 is {received}, expected {WHEEL_SHA256}")
    with zipfile.ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read(TRAINING_SPLIT)).decode("ascii")
    return [row["SMILES"] for row in csv.DictReader(io.StringIO(text))]


def draw(rows: list[str], count: int, seed: int) -> list[str]:
    """``count`` rows, each equally likely, in their order in ``rows``."""
    # One key a row: Python promises that random() gives the same numbers in every version, and promises it of no
    # other method of the generator.
    generator = random.Random(seed)
    keys = [generator.random() for _ in rows]
    chosen = sorted(range(len(rows)), key=keys.__getitem__)[:count]
    return [rows[index] for index in sorted(chosen)]


def compress(text: bytes) -> bytes:
    """gzip without a file name or a time, so that the same text gives the same bytes (with the same zlib)."""
    return gzip.compress(text, compresslevel=9, mtime=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="molsets-0.3.1-py3-none-any.whl")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("moses_sample.smi.gz"))
    arguments = parser.parse_args()

    sample = draw(read_training_split(arguments.wheel), ROWS, SEED)
    text = "".join(f"{smiles}\n" for smiles in sample).encode("ascii")
    arguments.output.write_bytes(compress(text))
    print(f"{arguments.output}: {len(sample)} molecules")
    print(f"sha256 of the text: {hashlib.sha256(text).hexdigest()}")
    print(f"sha256 of the file: {hashlib.sha256(arguments.output.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
