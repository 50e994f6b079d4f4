"""Add to a saved model what its training rows contained: ``python data/count_known.py MODEL ROWS``.

For example ``python data/count_known.py data/models/molecules DATA/train``. The rows are an encoded data set of the
model's codec, or a file of texts, which is encoded. A model that was trained by this version of the package has counted
them itself. The weights stay as they are.
"""

import argparse
import json
from pathlib import Path

from grammar_rae import checkpoint
from grammar_rae.datasets import TokenDataset, encode
from grammar_rae.files import replacing
from grammar_rae.model import TextModel
from grammar_rae.model.known import Known


def count(folder: Path, rows: Path) -> Known:
    codec = TextModel.load(folder).codec
    data = TokenDataset.open(rows) if rows.is_dir() else encode(rows, codec)
    if not data.matches(codec):
        raise SystemExit(f"{rows} was encoded by another codec than that of {folder}")
    return Known.of(data, codec)


def add(folder: Path, known: Known) -> None:
    path = folder / checkpoint.INDEX
    index = json.loads(path.read_text(encoding="utf-8"))
    index["meta"]["known"] = known.to_dict()
    index["format_version"] = checkpoint.FORMAT_VERSION
    index["sha256"] = checkpoint.index_digest(index)
    with replacing(path) as draft:
        draft.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    TextModel.load(folder)  # it must still be whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("rows", type=Path)
    arguments = parser.parse_args()
    known = count(arguments.model, arguments.rows)
    add(arguments.model, known)
    print(f"{known.rows:,} rows, {len(known.symbols)} symbols, {len(known.rare_tokens)} rare tokens")


if __name__ == "__main__":
    main()
