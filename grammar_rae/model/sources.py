"""Where a model's texts come from: files, encoded data sets, lists, and what is none of these."""

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from grammar_rae.codecs import FORMS
from grammar_rae.datasets import TokenDataset, comes_from, encode, sample_texts
from grammar_rae.errors import InputError, TrainingError
from grammar_rae.recipes import TextRecipe, learn_codec
from grammar_rae.training import is_main_process

DATA_FOLDER = "data"
"""Where a run keeps its encoded data set."""

PARALLEL_FROM = 4_000
"""Texts from which on it pays to start processes that encode."""


def encoded(
    source: Any, recipe: TextRecipe, column: str | None, home: Path | None, resume: bool, progress: bool, jobs: int
) -> TokenDataset:
    """The data set to train on: ``source`` itself where it is one, else encoded by a codec that is learned from it.

    Parameters
    ----------
    source, column, resume, progress, jobs
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
    if isinstance(source, TokenDataset):
        return source
    if isinstance(source, str | PathLike) and Path(source).is_dir():
        return TokenDataset.open(source)
    target = None if home is None else home / DATA_FOLDER
    # Under DDP the other processes start when the first one has encoded everything.
    if target is not None and target.is_dir() and (resume or not is_main_process()):
        data = TokenDataset.open(target)
        if isinstance(source, str | PathLike) and not comes_from(data, source):
            raise TrainingError(
                "the training to resume has other data",
                received=str(source),
                expected=str(data.meta["source"].get("name", "texts given in Python")),
                where=str(home),
                remedy="Resume with the same file, or train anew in another folder.",
            )
        return data
    if isinstance(source, Iterator):
        source = list(source)  # it is read twice
    fields = FORMS[recipe.form].fields
    texts = sample_texts(source, recipe.codec_texts, recipe.training.get("seed", 0), column, fields=fields)
    codec = learn_codec(recipe, texts)
    return encode(source, codec, target, column, jobs if len(texts) > PARALLEL_FROM else 1, progress, fields=fields)


def validation_set(source: Any, data: TokenDataset) -> TokenDataset:
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
    return found


def listed(texts: Any) -> list[str]:
    """Texts as a list; one text alone is a list of one.

    Raises
    ------
    InputError
        For what is no list, array or Series of texts.
    """
    if isinstance(texts, str):
        return [texts]
    if hasattr(texts, "columns") or isinstance(texts, Mapping) or not isinstance(texts, Iterable):
        raise InputError(
            "these are no texts",
            received=type(texts).__name__,
            expected="a list, array or Series of texts",
            remedy="Take one column of the table." if hasattr(texts, "columns") else None,
        )
    found = list(texts)
    for index, text in enumerate(found, start=1):
        if not isinstance(text, str):
            raise InputError(f"text {index} of {len(found)} is no text", received=type(text).__name__)
    return found
