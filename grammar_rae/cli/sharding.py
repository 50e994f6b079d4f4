"""Texts of many files as a data set of shards, for ``encode`` into a folder."""

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from grammar_rae.cli import files, preflight, terminal
from grammar_rae.errors import InputError
from grammar_rae.resources import bundled_model

OF_FOLDERS = ("--recipe", "--rows", "--duplicates")
"""Options of ``encode`` that mean something for a folder alone."""


def names_folder(output: str) -> bool:
    """Whether an output is a folder: by its last character, or because it is there."""
    return output.endswith(("/", os.sep)) or Path(output).is_dir()


def encode_folder(
    sources: list[Path],
    folder: Path,
    model: Path,
    recipe: str | None,
    column: str | None,
    fragments: str | None,
    duplicates: str,
    rows: int | None,
    jobs: int,
) -> None:
    """Encode files as a data set of shards, or go on with one, and say what came of it."""
    if any(str(source) == "-" for source in sources):
        raise InputError("shards are made of files, which can be read again", received="the standard input")
    if recipe is None:
        preflight.check_model(model)
    else:
        preflight.check_recipe(recipe)
    from grammar_rae.codecs import FORMS
    from grammar_rae.datasets import encode_shards
    from grammar_rae.datasets.sharding import find_sources

    paths = find_sources(sources)
    files.tell_column(paths[0], column)
    codec = _choose_codec(paths, folder, model, recipe, column)
    if fragments is not None and codec.fragments != fragments:
        codec = replace(codec, fragments=fragments)
    options: dict[str, Any] = {"rows": rows, "column": column, "fields": FORMS[codec.form].fields, "jobs": jobs}
    options |= {"duplicates": duplicates, "progress": not terminal.is_quiet()}
    data = encode_shards(paths, codec, folder, **options)
    shards = len(data.manifest.shards)
    files.note(f"{len(data)} of {data.n_read} rows are encoded, in {shards} shards of {folder}")
    terminal.hint(f"grammar-rae train {shlex.quote(str(folder))} -o run/ --recipe {recipe or 'moses'}")
    terminal.report(encoded=len(data), left_out=data.n_rejected, shards=shards, output=folder)


def _choose_codec(paths: list[Path], folder: Path, model: Path, recipe: str | None, column: str | None) -> Any:
    """The codec of a model, or the one that a recipe learns; where none is named, that of the shards already there."""
    if recipe is None:
        from grammar_rae import checkpoint
        from grammar_rae.codecs import codec_from_dict
        from grammar_rae.datasets.sharded import SHARDS, Manifest

        if model == bundled_model() and (folder / SHARDS).is_file():
            return codec_from_dict(Manifest.read(folder).codec)
        return codec_from_dict(checkpoint.read_meta(model)["codec"])
    from grammar_rae.model.sources import codec_for_shards
    from grammar_rae.recipes import TextRecipe, get_recipe

    return codec_for_shards(paths, folder, get_recipe(recipe, TextRecipe), column)
