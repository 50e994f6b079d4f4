"""What a decoder is told of the rows of a data set, computed where it is not known."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.codecs import Codec
from grammar_rae.conditions import CONDITIONS
from grammar_rae.datasets import TokenDataset, add_facts
from grammar_rae.facts import PROPERTY_NAMES, Facts

DESCRIBED = 20_000
"""Rows whose properties are computed, about; fingerprints are those of all rows."""

_RARE = {"qed": 1 / 8, "sa": 1 / 3}  # of these rows: the properties that take longest to compute


def describe_rows(
    data: TokenDataset,
    codec: Codec,
    recipe: Any,
    home: Path | None,
    seed: int,
    reordered: bool = False,
    jobs: int = 1,
) -> TokenDataset:
    """The data set with what a recipe's decoder is told of each row; as it is where that is nothing, or known.

    Parameters
    ----------
    home
        The folder of the run: a data set in it keeps what was computed, any other stays as it is on the disk.
    seed
        Seed of the rows whose properties are computed.
    reordered
        Whether the rows are written in other orders of atoms than the canonical one.
    jobs
        Processes.
    """
    if data.facts is not None or not CONDITIONS[recipe.condition].needs_facts:
        return data
    names = tuple(recipe.condition_options.get("names", PROPERTY_NAMES))
    facts = _gather_facts(data, codec, names, int(recipe.head_options.get("bits", 0)), seed, reordered, jobs)
    if home is None or data.folder is None or data.folder.parent != home.resolve():
        return data.with_facts(facts)
    add_facts(data.folder, facts)
    return TokenDataset.open(data.folder)


def _gather_facts(
    data: TokenDataset,
    codec: Codec,
    names: tuple[str, ...],
    n_bits: int,
    seed: int,
    reordered: bool = False,
    jobs: int = 1,
) -> Facts:
    """What is known of the rows of a data set: properties of some 20,000 of them, and the fingerprints of all."""
    from grammar_rae.chem.describing import describe
    from grammar_rae.chem.descriptors import forget_fragments

    n = len(data)
    share = np.random.default_rng(seed).random((n, 1)) * max(1.0, n / DESCRIBED)
    rare = np.array([_RARE.get(name, 1.0) if n > DESCRIBED // 4 else 1.0 for name in names])
    wanted: NDArray[np.bool_] = share < rare
    wanted[0] = True  # of each property, one is known
    found = describe(spell(data, codec), names, wanted, n_bits, jobs)
    forget_fragments()  # a training follows, which needs the memory
    return Facts.gather(names, found.properties, found.bits, np.full(n, reordered))


def spell(data: TokenDataset, codec: Codec) -> Iterator[str]:
    """The texts of the rows of a data set, in the codec's form."""
    for start in range(0, len(data), 4_096):
        batch = data.batch(np.arange(start, min(start + 4_096, len(data))))
        yield from (text or "" for text in codec.spell_batch(batch.numpy()))
