"""The sets of molecules that samples are compared with: references, described once, and what a model was trained on."""

import hashlib
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from grammar_rae import chem
from grammar_rae.arrays import read_arrays
from grammar_rae.codecs import Codec
from grammar_rae.datasets import TokenDataset, fetch, read_texts, sample_texts
from grammar_rae.errors import DataError, TextError
from grammar_rae.files import replacing
from grammar_rae.metrics import MoleculeSet, Moments, chemnet_moments, describe, fcd, subtract_moments
from grammar_rae.metrics.molecule_sets import PROPERTIES

MOSES = "moses"
"""The reference that is downloaded: MOSES's test set and its scaffold test set."""

PARTS = ("fingerprints", "fragments", "scaffolds", *PROPERTIES, "chemnet")

BASELINE, FLOOR, GUACAMOL, RECONSTRUCTED = 1, 2, 3, 4
"""The purposes that molecules are chosen for; each has a random stream of its own."""

_FEWEST = 4  # two halves, each with a covariance
_FORMAT = 1  # of what is kept, and of how it is computed: another number, and nothing that was kept is found
_NOT_FLAT = re.compile(r"[@/\\]|\[\d")  # stereochemistry, isotopes


def choose_texts(texts: Sequence[str], n: int, seed: int, purpose: int) -> list[str]:
    """Choose at most n of the texts at random, without replacement."""
    rows = np.random.default_rng([seed, purpose]).choice(len(texts), min(n, len(texts)), replace=False)
    return [texts[row] for row in rows]


@dataclass(frozen=True, eq=False)
class Reference:
    """Molecules that a model has not seen.

    Attributes
    ----------
    name
        The name that tables show.
    texts
        Canonical SMILES.
    unreadable
        How many texts of the source are not molecules.
    described
        What the metrics need to know of the molecules.
    kept
        The file in which all this is kept, or None.
    """

    name: str
    texts: list[str]
    unreadable: int
    described: MoleculeSet
    kept: Path | None = None
    _floors: dict[tuple[int, int], float] = field(default_factory=dict, init=False, repr=False)

    def fcd_floor(self, n: int, seed: int, device: str | torch.device = "cpu", progress: bool = False) -> float:
        """The Fréchet ChemNet distance of n of the molecules, drawn at random, from the rest: computed once.

        Raises
        ------
        InputError
            For n below two, or when fewer than two are left.
        """
        if (n, seed) not in self._floors:
            file = None if self.kept is None else self.kept.with_name(f"{self.kept.stem}-floor-{n}-{seed}.json")
            floor = None if file is None else _read_floor(file)
            if floor is None:
                every = self.described.chemnet
                assert every is not None
                part = chemnet_moments(choose_texts(self.texts, n, seed, FLOOR), device, progress=progress)
                floor = fcd(part, subtract_moments(every, part))
                if file is not None:
                    text = json.dumps({"fcd": floor})
                    _keep(file, self.name, lambda draft: draft.write_text(text, encoding="utf-8"))
            self._floors[n, seed] = floor
        return self._floors[n, seed]


def reference_files(reference: str | Path, cache: Path | None, progress: bool) -> dict[str, Path]:
    """The files of a reference by name; MOSES's are downloaded unless they are there.

    Raises
    ------
    DataError
        For a file that does not exist, or a download that fails.
    """
    if str(reference) == MOSES:
        home = fetch(MOSES, cache, progress=progress).parent
        return {"Test": home / "test.csv.gz", "TestSF": home / "test_scaffolds.csv.gz"}
    path = Path(reference)
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), expected=f"a file of molecules, or {MOSES!r}")
    return {"reference": path}


def load_reference(
    name: str,
    path: Path,
    column: str | None = None,
    rows: int | None = None,
    *,
    cache: Path | None = None,
    jobs: int = 1,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> Reference:
    """Read and describe the molecules of a file, or read what was kept of it.

    Parameters
    ----------
    name
        The name that tables show.
    path, column
        As :func:`grammar_rae.datasets.read_texts` takes them.
    rows
        The largest number of its texts, drawn at random (seed 0); None for all.
    cache
        The folder to keep what is computed in; None keeps nothing.
    jobs, device, progress
        As :func:`grammar_rae.metrics.describe` takes them.

    Raises
    ------
    DataError
        For a file that cannot be read, or with fewer than four molecules.
    MissingExtraError
        Without the package fcd_torch.
    """
    kept = None if cache is None else cache / f"reference-{_key(path, column, rows)}.npz"
    if kept is not None and (found := _read(kept, name)) is not None:
        return found
    given = [text for _, text in read_texts(path, column)] if rows is None else sample_texts(path, rows, 0, column)
    texts = [row[0] for row in chem.compute_traits(given, ["canonical"], jobs) if row is not None]
    unreadable = len(given) - len(texts)
    if len(texts) < _FEWEST:
        raise DataError(
            "there are too few molecules to compare with",
            where=str(path),
            received=f"{len(texts)} molecules in {len(given)} texts",
            expected=f"{_FEWEST} or more, and better some thousands",
        )
    described = describe(texts, PARTS, jobs=jobs, device=device, progress=progress)
    reference = Reference(name, texts, unreadable, described, kept)
    if kept is not None:
        _write(kept, reference)
    return reference


def _key(path: Path, column: str | None, rows: int | None) -> str:
    """A key of the file's bytes and of everything else that the computed values depend on."""
    with path.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    parts = [_FORMAT, content, column, rows, version("rdkit"), version("fcd_torch")]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _write(path: Path, reference: Reference) -> None:
    found = reference.described
    assert found.chemnet is not None and found.fingerprints is not None
    arrays: dict[str, NDArray[Any]] = {f"value_{name}": values for name, values in found.values.items()}
    for name, counts in (("fragments", found.fragments), ("scaffolds", found.scaffolds)):
        assert counts is not None
        arrays |= {name: _packed(counts), f"{name}_counts": np.array(list(counts.values()), np.int64)}
    arrays |= {
        "texts": _packed(reference.texts),
        "unreadable": np.array(reference.unreadable),
        "fingerprints": found.fingerprints,
        "mean": found.chemnet.mean,
        "covariance": found.chemnet.covariance,
    }
    _keep(path, reference.name, lambda draft: np.savez(draft, allow_pickle=False, **arrays))


def _keep(path: Path, name: str, write: Callable[[Path], object]) -> None:
    """Write a draft beside the path, which takes its place in one step; warn where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            write(draft)
    except OSError as error:  # minutes of work are not to be lost for this
        warnings.warn(f"the description of {name} cannot be kept: {error}", stacklevel=4)


def _read(path: Path, name: str) -> Reference | None:
    """Read what was kept; None where there is nothing, or a damaged file."""
    try:
        kept = read_arrays(path)
        texts = _unpacked(kept["texts"])
        counts = {
            part: Counter(dict(zip(_unpacked(kept[part]), kept[f"{part}_counts"].tolist(), strict=True)))
            for part in ("fragments", "scaffolds")
        }
        described = MoleculeSet(
            len(texts),
            fingerprints=kept["fingerprints"],
            fragments=counts["fragments"],
            scaffolds=counts["scaffolds"],
            values={part: kept[f"value_{part}"] for part in PROPERTIES},
            chemnet=Moments(len(texts), kept["mean"], kept["covariance"]),
        )
        return Reference(name, texts, int(kept["unreadable"]), described, path)
    except (DataError, ValueError, KeyError):
        return None


def _read_floor(path: Path) -> float | None:
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["fcd"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _packed(texts: Any) -> NDArray[np.uint8]:
    return np.frombuffer("\n".join(texts).encode(), np.uint8)


def _unpacked(packed: NDArray[np.uint8]) -> list[str]:
    text = packed.tobytes().decode()
    return text.split("\n") if text else []


class TrainingSet:
    """The molecules that a model was trained on: look-up, and random choices.

    Parameters
    ----------
    texts
        All molecules, spelled in one form.
    spell
        Turns canonical SMILES into that form; raises TextError for a molecule that cannot be in the set.
    jobs
        The number of processes; -1 for one per core.
    """

    def __init__(self, texts: Sequence[str], spell: Callable[[str], str], jobs: int = 1) -> None:
        self.texts = texts
        self._spell = spell
        self._jobs = jobs
        self._known = set(texts)

    @classmethod
    def of_run(cls, data: TokenDataset, codec: Codec, jobs: int = 1) -> "TrainingSet":
        """The molecules of an encoded data set, in the form of its codec; RDKit does not have to read them."""
        texts: list[str] = []
        for first in range(0, len(data), 4096):
            rows = range(first, min(first + 4096, len(data)))
            texts += [text for text in codec.spell_batch(data.batch(rows).numpy()) if text is not None]
        return cls(texts, codec.prepare, jobs)

    @classmethod
    def of_file(cls, path: Path, column: str | None = None, jobs: int = 1) -> "TrainingSet":
        """The molecules of a file, as canonical SMILES of this version of RDKit.

        Raises
        ------
        DataError
            For a file that cannot be read, or without a molecule.
        """
        given = [text for _, text in read_texts(path, column)]
        texts = [row[0] for row in chem.compute_traits(given, ["canonical"], jobs) if row is not None]
        if not texts:
            raise DataError("there is no molecule in the training file", where=str(path))
        return cls(texts, lambda text: text, jobs)

    def __len__(self) -> int:
        return len(self.texts)

    def has(self, canonical: str) -> bool:
        """Whether the set has a molecule, given as canonical SMILES."""
        return self._contains(canonical, self._known)

    def has_flat(self, flat: str) -> bool:
        """Whether the set has a molecule when stereochemistry and isotopes are ignored; ``flat`` has neither."""
        return self._contains(flat, self._flat)

    def _contains(self, text: str, among: set[str]) -> bool:
        return self._spell_or_none(text) in among

    def _spell_or_none(self, text: str) -> str | None:
        try:
            return self._spell(text)
        except TextError:
            return None

    @cached_property
    def _flat(self) -> set[str]:
        marked = [text for text in self._known if _NOT_FLAT.search(text)]
        if not marked:
            return self._known
        rows = chem.compute_traits(marked, ["flat"], self._jobs)
        spelled = {self._spell_or_none(row[0]) for row in rows if row is not None}
        return (self._known - set(marked)) | {text for text in spelled if text is not None}
