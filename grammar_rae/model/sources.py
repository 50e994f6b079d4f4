"""Where a model's texts come from: files, encoded data sets and lists."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from grammar_rae.checks import check_path
from grammar_rae.codecs import FORMS, Codec, codec_from_dict
from grammar_rae.conditions import CONDITIONS
from grammar_rae.datasets import (
    ShardedDataset,
    TokenDataset,
    comes_from,
    encode,
    is_frame,
    open_data,
    read_rows,
    read_texts,
    sample_texts,
)
from grammar_rae.datasets.duplicates import Duplicates, check_duplicates
from grammar_rae.datasets.reading import Fields
from grammar_rae.datasets.sharded import SHARDS, Manifest
from grammar_rae.errors import DataError, InputError, TrainingError
from grammar_rae.files import is_special
from grammar_rae.recipes import TextRecipe, learn_codec
from grammar_rae.training import is_main_process

DATA_FOLDER = "data"
"""Where a run keeps its encoded data set."""

ASKED = 8
"""Files, of many, that a codec is learned from."""

PARALLEL_FROM = 4_000
"""Texts from which on it pays to start processes that encode."""


def encode_source(
    source: Any,
    recipe: TextRecipe,
    column: str | None,
    home: Path | None,
    resume: bool,
    progress: bool,
    jobs: int,
    duplicates: Duplicates = "keep",
) -> tuple[TokenDataset | ShardedDataset, Codec]:
    """The data set to train on and its codec, which is learned from the source unless that is encoded already.

    Parameters
    ----------
    source, column, resume, progress, jobs, duplicates
        As for :meth:`TextModel.fit`.
    recipe
        How the codec is learned, and the seed of the texts that it learns from.
    home
        The folder of the run, or None.

    Raises
    ------
    DataError, InputError
        For a source that cannot be used.
    TrainingError
        When a training is resumed with another file.
    """
    check_duplicates(duplicates)
    if (data := open_encoded(source, home, resume)) is not None:
        if isinstance(data, ShardedDataset):
            _check_shards(recipe, duplicates)
            return data, codec_from_dict(data.codec_dict)
        data = data.without_duplicates() if duplicates == "drop" else data
        return data, codec_from_dict(data.codec_dict)
    fields = FORMS[recipe.form].fields
    source, column = readable_twice(source, column, fields)
    texts = sample_texts(source, recipe.codec_texts, recipe.training.get("seed", 0), column, fields=fields, blocks=True)
    codec = learn_codec(recipe, texts)
    target = None if home is None else home / DATA_FOLDER
    jobs = jobs if len(texts) > PARALLEL_FROM else 1
    return encode(source, codec, target, column, jobs, progress, fields=fields, duplicates=duplicates), codec


def codec_for_shards(sources: list[Path], folder: Path, recipe: TextRecipe, column: str | None = None) -> Codec:
    """The codec of a data set of shards: the one that it was begun with, else what a recipe learns from its sources.

    Parameters
    ----------
    sources
        The files, as :func:`find_sources` finds them; of many, some are read.
    folder
        Where the shards are, or will be.
    recipe, column
        As for :func:`encode_source`.

    Raises
    ------
    DataError, InputError
        As :func:`sample_texts`, and for a folder that cannot be read.
    """
    if (folder / SHARDS).is_file():
        begun = codec_from_dict(Manifest.read(folder).codec)
        if (begun.kind, begun.form) != (recipe.codec, recipe.form):
            raise DataError(
                "the shards there were encoded by another codec",
                where=str(folder),
                received=f"recipe {recipe.name}, codec {recipe.codec}, form {recipe.form}",
                expected=f"codec {begun.kind}, form {begun.form}",
            )
        return begun
    asked = sources[:: -(-len(sources) // ASKED)]
    seed, fields = recipe.training.get("seed") or 0, FORMS[recipe.form].fields
    share = -(-recipe.codec_texts // len(asked))
    texts = [sample_texts(path, share, seed, column, fields=fields, blocks=True) for path in asked]
    return learn_codec(recipe, [text for some in texts for text in some])


def _check_shards(recipe: TextRecipe, duplicates: Duplicates) -> None:
    """Raise InputError for what a training from a data set of shards cannot do."""
    if duplicates == "drop":
        raise InputError(
            "a data set of shards is not compared with itself while it trains",
            remedy="Encode it with duplicates='drop'.",
        )
    if CONDITIONS[recipe.condition].needs_facts:
        raise InputError(
            "a data set of shards has no properties to tell a decoder",
            received=f"condition {recipe.condition}",
            remedy="Train with condition='none', or from one folder.",
        )


def readable_twice(source: Any, column: str | None, fields: Fields) -> tuple[Any, str | None]:
    """A source that may be read twice, and its column: a list of the texts of an iterator or a FIFO, else as it is."""
    if isinstance(source, Iterator):
        return list(source), column
    if isinstance(source, str | PathLike) and is_special(source):
        return [text for _, text in read_texts(source, column, fields=fields, blocks=True)], None
    return source, column


def validation_set(source: Any, data: TokenDataset | ShardedDataset) -> TokenDataset:
    """The rows that validate: a data set, or the folder of one, of the same codec as ``data``.

    Raises
    ------
    DataError
        For a folder without an encoded data set.
    InputError
        For anything else, or another codec.
    """
    found = TokenDataset.open(source) if isinstance(source, str | PathLike) else source
    if not isinstance(found, TokenDataset):
        raise InputError("rows that validate are an encoded data set", received=type(source).__name__)
    if found.meta["fingerprint"] != data.meta["fingerprint"]:
        raise InputError(
            "the rows that validate were encoded by another codec",
            remedy="Encode them with the codec of the rows that train.",
        )
    known = data.contains(found.keys) if isinstance(data, ShardedDataset) else np.isin(found.keys, data.keys)
    if known.any():
        warnings.warn(
            f"{known.sum()} of the {len(found)} rows that validate are molecules or texts that train, too; validate on "
            "others, or leave validation out",
            stacklevel=4,
        )
    return found


def open_encoded(source: Any, home: Path | None, resume: bool) -> TokenDataset | ShardedDataset | None:
    """The data set that the source or the run's folder holds, if there is one."""
    if isinstance(source, TokenDataset | ShardedDataset):
        return source
    if isinstance(source, str | PathLike) and check_path(source).is_dir():
        return open_data(source)
    # Under DDP the other processes start when the first one has encoded everything.
    if home is None or not (home / DATA_FOLDER).is_dir() or not (resume or not is_main_process()):
        return None
    data = TokenDataset.open(home / DATA_FOLDER)
    if isinstance(source, str | PathLike) and not comes_from(data, source):
        raise TrainingError(
            "the training to resume used other data",
            received=str(source),
            expected=str(data.meta["source"].get("name", "texts given in Python")),
            where=str(home),
            remedy="Resume with the same file, or train anew in another folder.",
        )
    return data


def as_texts(texts: Any) -> list[str]:
    """Texts as a list: those of a frame's column, as files have one; a single text becomes a list of one.

    Raises
    ------
    InputError
        If ``texts`` is not a list, array, Series or frame of texts.
    DataError
        For a frame without such a column.
    """
    if isinstance(texts, str):
        return [texts]
    if is_frame(texts):
        texts = [row.text if row.problem is None else None for row in read_rows(texts)] if len(texts) else []
    single = getattr(texts, "ndim", 1) == 0  # an array without dimensions
    if isinstance(texts, Mapping) or not isinstance(texts, Iterable) or single:
        raise InputError(
            "the argument is not a list of texts",
            received=type(texts).__name__,
            expected="a list, array, Series or frame of texts",
        )
    found = list(texts)
    for index, text in enumerate(found, start=1):
        if not isinstance(text, str):
            raise InputError(f"item {index} of {len(found)} is not a text", received=type(text).__name__)
    return found
