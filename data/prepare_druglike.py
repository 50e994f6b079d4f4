"""Prepare the drug-like molecules that the broad model trains on: ``python data/prepare_druglike.py prepare --help``.

Three sources (``broad``, ZINC, a share of MOSES) are read in one random order, in pieces of 20,000 rows. Each row
becomes its canonical Kekulé SMILES, its properties and its Morgan fingerprint; some become a second row, the same
molecule in a random order of atoms. Several processes may run at once: each takes the next piece that nobody has begun.

Rows are held out by molecule without stereo: by a hash of the fingerprint and the weight, which stereo does not
change. What tests use (MOSES's test sets, the targets' molecules) is left out of training by the same hash.

``assemble`` then learns the codec from the first pieces and encodes all rows. Everything follows from the seed.
"""

import argparse
import gzip
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rdkit import Chem, RDLogger
from rdkit.Chem import rdMolDescriptors

from grammar_rae import checkpoint
from grammar_rae.chem.fingerprints import packed_morgan
from grammar_rae.chem.properties import PROPERTIES, properties_of
from grammar_rae.codecs import GrammarCodec, codec_from_dict
from grammar_rae.datasets import TokenDataset, add_facts, encode
from grammar_rae.facts import Facts

SEED = 20261129
PIECE = 20_000
BITS = 512
MOSES_ROWS = 300_000
SOURCES = ("broad", "zinc", "moses")
BEFORE_YARDSTICKS = 17  # pieces, so that a first comparison can begin early

# The properties that take longest are computed for fewer rows: training tells and asks for what is known.
DEAR = {"qed": 1 / 16, "sa": 1 / 6}
KNOWN = 1 / 2
MORE = {"qed": 1 / 8, "sa": 1 / 6}  # after ``complete``, which takes all others of every row
RANDOM = 0.12
REORDERED = 1 / 3  # of these are used: they take twice the tokens of a canonical row
TEST, VALIDATION = 0.00822, 0.00411  # 10,000 and 5,000 of the rows of broad


def lines(path: Path) -> list[str]:
    """The rows of a file of SMILES."""
    with gzip.open(path, "rt", encoding="ascii") as stream:
        return stream.read().split()


def column(path: Path, name: str, separator: str = ",") -> list[str]:
    """One column of a table."""
    found: list[str] = pd.read_csv(path, sep=separator)[name].tolist()
    return found


def work(arguments: argparse.Namespace) -> tuple[list[tuple[int, str]], list[str]]:
    """All rows with their source, in random order; and the molecules that must not be trained on."""
    rng = np.random.default_rng(SEED)
    moses = column(arguments.moses / "train.csv.gz", "SMILES")
    chosen = np.sort(rng.permutation(len(moses))[:MOSES_ROWS])
    rows = [(0, text) for text in lines(arguments.broad)] + [(1, text) for text in lines(arguments.zinc)]
    rows += [(2, moses[i]) for i in chosen]
    order = rng.permutation(len(rows))
    yardsticks = column(arguments.targets, "smiles", "\t")
    for name in ("test", "test_scaffolds"):
        yardsticks += column(arguments.moses / f"{name}.csv.gz", "SMILES")
    return [rows[i] for i in order], yardsticks


def key_of(found: Any, bits: np.ndarray) -> int:
    """A hash of the molecule without stereo; the same for all of its stereo forms."""
    weight = f"{rdMolDescriptors._CalcMolWt(found):.3f}"  # type: ignore[attr-defined]
    return int.from_bytes(hashlib.blake2b(bits.tobytes() + weight.encode(), digest_size=8).digest(), "little")


def keys(texts: list[str]) -> np.ndarray:
    """The hashes of molecules."""
    found = filter(None, map(Chem.MolFromSmiles, texts))
    return np.array([key_of(one, packed_morgan(one, BITS)) for one in found], dtype=np.uint64)


def piece(rows: list[tuple[int, str]], seed: int) -> dict[str, np.ndarray]:
    """Some rows: Kekulé texts, sources, hashes, properties (NaN where not computed), fingerprints, random texts."""
    rng = np.random.default_rng([SEED, seed])
    cheap = [name for name in PROPERTIES if name not in DEAR]
    where = {name: i for i, name in enumerate(PROPERTIES)}
    texts, spelled, sources, hashes, bits, random = [], [], [], [], [], []
    table = np.full((len(rows), len(PROPERTIES)), np.nan, dtype=np.float32)
    for source, text in rows:
        share, random_share, number = rng.random(), rng.random(), int(rng.integers(1 << 30))
        found = Chem.MolFromSmiles(text)
        if found is None:
            continue
        wanted = [*(cheap if share < KNOWN else []), *(name for name, part in DEAR.items() if share < part)]
        table[len(texts), [where[name] for name in wanted]] = properties_of(found, wanted)
        fingerprint = packed_morgan(found, BITS)
        hashes.append(key_of(found, fingerprint))
        Chem.Kekulize(found, clearAromaticFlags=True)
        texts.append(text)
        spelled.append(Chem.MolToSmiles(found))
        random.append(Chem.MolToRandomSmilesVect(found, 1, number)[0] if random_share < RANDOM else "")
        sources.append(source)
        bits.append(fingerprint)
    return {
        "texts": np.array("\n".join(texts)),
        "kekule": np.array("\n".join(spelled)),
        "random": np.array("\n".join(random)),
        "sources": np.array(sources, dtype=np.uint8),
        "keys": np.array(hashes, dtype=np.uint64),
        "properties": table[: len(texts)],
        "bits": np.stack(bits),
    }


def complete(arguments: argparse.Namespace) -> None:
    """Compute more properties of the rows of pieces that are there; several processes may do so at once."""
    RDLogger.DisableLog("rdApp.*")
    for path in sorted(arguments.folder.glob("rows-*.npz")):
        try:
            (arguments.folder / "begun" / f"more-{path.stem}").mkdir(parents=True)
        except FileExistsError:
            continue
        with np.load(path) as stored:
            table, texts = stored["properties"].copy(), str(stored["texts"]).split("\n")
        rng = np.random.default_rng([SEED, int(path.stem.split("-")[1]), 1])
        for row, (text, share) in enumerate(zip(texts, rng.random(len(texts)), strict=True)):
            wanted = [
                column
                for column, name in enumerate(PROPERTIES)
                if np.isnan(table[row, column]) and share < MORE.get(name, 1)
            ]
            if wanted:
                names = list(PROPERTIES)
                table[row, wanted] = properties_of(Chem.MolFromSmiles(text), [names[column] for column in wanted])
        np.save(arguments.folder / f".more-{path.stem}.part.npy", table)
        (arguments.folder / f".more-{path.stem}.part.npy").rename(arguments.folder / f"more-{path.stem}.npy")
        print(path.stem, flush=True)


def prepare(arguments: argparse.Namespace) -> None:
    """Make the pieces that nobody has begun."""
    RDLogger.DisableLog("rdApp.*")
    rows, yardsticks = work(arguments)
    tasks = [(f"rows-{i // PIECE:03d}", rows[i : i + PIECE], i // PIECE) for i in range(0, len(rows), PIECE)]
    others = [(f"yardsticks-{i // PIECE:03d}", yardsticks[i : i + PIECE]) for i in range(0, len(yardsticks), PIECE)]
    for name, some, *number in [*tasks[:BEFORE_YARDSTICKS], *others, *tasks[BEFORE_YARDSTICKS:]]:
        try:
            (arguments.folder / "begun" / name).mkdir(parents=True)
        except FileExistsError:
            continue
        made = piece(some, number[0]) if number else {"keys": keys(some)}
        part = arguments.folder / f".{name}.part.npz"
        np.savez(part, **made)
        part.rename(arguments.folder / f"{name}.npz")
        print(name, len(made["keys"]), flush=True)


class Pieces:
    """All rows of some pieces, end to end."""

    def __init__(self, folder: Path, most: int | None) -> None:
        paths = sorted(folder.glob("rows-*.npz"))[:most]
        pieces = [np.load(path) for path in paths]
        self.texts, self.kekule, self.random = (
            [text for piece in pieces for text in str(piece[name]).split("\n")]
            for name in ("texts", "kekule", "random")
        )
        self.sources, self.keys, self.bits = (
            np.concatenate([piece[name] for piece in pieces]) for name in ("sources", "keys", "bits")
        )
        more = [path.with_name(f"more-{path.stem}.npy") for path in paths]
        self.properties = np.concatenate(
            [np.load(full) if full.exists() else piece["properties"] for full, piece in zip(more, pieces, strict=True)]
        )
        excluded = [np.load(path)["keys"] for path in sorted(folder.glob("yardsticks-*.npz"))]
        level = self.keys / 2.0**64
        self.tested = level < TEST
        self.validating = ~self.tested & (level < TEST + VALIDATION)
        self.training = level >= TEST + VALIDATION
        if excluded:
            self.training &= ~np.isin(self.keys, np.concatenate(excluded))


def encode_pieces(pieces: Pieces, chosen: np.ndarray, codec: Any, folder: Path, reorder: bool) -> None:
    """Encode some rows, and those in a random order of atoms that belong to them, with all that is known of them."""
    rows = np.flatnonzero(chosen)
    share = np.random.default_rng(SEED).random(len(pieces.random)) < REORDERED
    again = np.array([i for i in rows if reorder and share[i] and pieces.random[i]], dtype=np.int64)
    every = np.concatenate([rows, again])
    marks = np.arange(len(every)) >= len(rows)
    texts = [pieces.random[i] if mark else pieces.kekule[i] for i, mark in zip(every, marks, strict=True)]
    data = encode(texts, codec, folder, prepared=True)
    accepted = np.asarray(data.lines) - 1
    kept = every[accepted]
    facts = Facts.gather(tuple(PROPERTIES), pieces.properties[kept], pieces.bits[kept], marks[accepted])
    add_facts(folder, facts)
    lengths = data.lengths
    told = f"{data.n_rejected} rejected, {lengths.mean():.2f} tokens a row, 99 %: {np.quantile(lengths, 0.99):.0f}"
    print(folder.name, f"{len(lengths)} rows, {marks[accepted].sum()} of them reordered,", told, flush=True)


def read_codec(folder: Path) -> Any:
    """The codec of a saved model or of an encoded data set."""
    if checkpoint.exists(folder):
        return codec_from_dict(checkpoint.load(folder)[0]["codec"])
    return codec_from_dict(TokenDataset.open(folder).codec_dict)


def assemble(arguments: argparse.Namespace) -> None:
    """Encode what was prepared, by a codec that is learned from it, and list the rows that test."""
    pieces = Pieces(arguments.folder, arguments.pieces)
    if arguments.codec:
        codec: Any = read_codec(arguments.codec)
    else:
        order = np.random.default_rng(SEED).permutation(np.flatnonzero(pieces.training))[: arguments.codec_rows]
        texts = [pieces.texts[i] for i in order]
        codec = GrammarCodec.learn(texts, form="kekule", n_macros=arguments.macros, max_length=arguments.max_length)
    arguments.output.mkdir(parents=True, exist_ok=True)
    encode_pieces(pieces, pieces.validating, codec, arguments.output / "validation", reorder=False)
    encode_pieces(pieces, pieces.training, codec, arguments.output / "train", reorder=True)
    for number, name in enumerate(SOURCES):
        texts = [pieces.texts[i] for i in np.flatnonzero(pieces.tested & (pieces.sources == number))]
        (arguments.output / f"test-{name}.smi").write_text("\n".join(texts) + "\n", encoding="ascii")
        print(f"test-{name}", len(texts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("prepare", help=prepare.__doc__)
    first.set_defaults(run=prepare)
    first.add_argument("folder", type=Path, help="where the pieces go")
    first.add_argument("--broad", type=Path, required=True, help="broad.smi.gz")
    first.add_argument("--zinc", type=Path, required=True, help="zinc250k.smi.gz")
    first.add_argument("--moses", type=Path, required=True, help="folder of train.csv.gz, test.csv.gz, ...")
    first.add_argument("--targets", type=Path, required=True, help="targets.tsv.gz")
    second = commands.add_parser("complete", help=complete.__doc__)
    second.set_defaults(run=complete)
    second.add_argument("folder", type=Path, help="where the pieces lie")
    then = commands.add_parser("assemble", help=assemble.__doc__)
    then.set_defaults(run=assemble)
    then.add_argument("folder", type=Path, help="where the pieces lie")
    then.add_argument("output", type=Path)
    then.add_argument("--macros", type=int, default=2048)
    then.add_argument("--max-length", type=int, default=96)
    then.add_argument("--codec-rows", type=int, default=40_000)
    then.add_argument("--codec", type=Path, default=None, help="a data set or a model whose codec is taken")
    then.add_argument("--pieces", type=int, default=None, help="only the first so many")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
