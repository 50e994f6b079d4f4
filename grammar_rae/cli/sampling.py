"""New texts from a trained model: ``sample``, ``interpolate``."""

import math
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from grammar_rae.cli import arguments, files, formats, pages
from grammar_rae.errors import InputError


def sample(
    model: arguments.Model = arguments.IN_THE_BOX,
    n: Annotated[int, typer.Option("-n", help="The number of molecules.")] = 1000,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            help="The file to write: .csv, .tsv or, texts alone, .smi, .txt (each also .gz), .parquet; - is CSV on the "
            "standard output; a folder, such as draws/, gets Parquet files as they are drawn, and goes on with them.",
        ),
    ] = str(files.STDOUT),
    scores: arguments.Scores = "",
    html: arguments.Html = None,
    seed: arguments.OptionalSeed = None,
    temperature: arguments.Temperature = None,
    top_p: arguments.TopP = None,
    smoothing: arguments.Smoothing = None,
    constraint: arguments.Constraint = None,
    properties: arguments.Properties = None,
    guidance: Annotated[
        float | None, typer.Option(help="How much more than by itself the decoder follows properties.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help='A condition on scores, for example "250 <= weight <= 400 and alerts == 0".', show_default=False
        ),
    ] = None,
    wanted: arguments.Wanted = None,
    unwanted: arguments.Unwanted = None,
    diverse: Annotated[
        int | None,
        typer.Option(help="How many of the n molecules to keep: those most unlike each other.", show_default=False),
    ] = None,
    new_to: Annotated[
        Path | None,
        typer.Option(
            help="A file of molecules that are not to be drawn.", show_default=False, callback=arguments.readable
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Reject molecules without the properties.")] = False,
    valid_only: Annotated[
        bool, typer.Option("--valid-only/--raw", help="Draw until n are valid, or keep the first n, valid or not.")
    ] = True,
    distinct: Annotated[
        bool, typer.Option("--distinct", help="Into a folder: leave out molecules that came before.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(help="Into a folder: the number of processes; without it, one per core.", show_default=False),
    ] = None,
    cluster: arguments.Cluster = "local",
    quiet: arguments.Quiet = False,
) -> None:
    """Draw new molecules."""
    from grammar_rae.datasets import read_texts
    from grammar_rae.model import TextModel
    from grammar_rae.model.sampling import GUIDANCE
    from grammar_rae.scores import score

    named = arguments.names(scores)
    score([], named)  # so that an unknown name is refused before any work
    options: dict[str, Any] = {
        "valid_only": valid_only,
        "temperature": temperature,
        "top_p": top_p,
        "constraint": arguments.constraint_text(constraint),
        "smoothing": smoothing,
        "properties": arguments.read_properties(properties) or None,
        "strict": strict,
        "where": where,
        "wanted": wanted or (),
        "unwanted": unwanted or (),
        "diverse": diverse,
        "new_to": () if new_to is None else [text for _, text in read_texts(new_to)],
        "guidance": GUIDANCE if guidance is None else guidance,
    }
    of_folders = {"--distinct": distinct, "--jobs": jobs is not None, "--cluster": cluster != "local"}
    if output.endswith(("/", os.sep)) or Path(output).is_dir():
        if html is not None:
            raise InputError("a page shows what one file holds", received=f"--html with {output}")
        shards = {"distinct": distinct, "jobs": -1 if jobs is None else jobs, "progress": not quiet, "seed": seed}
        _sample_into_folder(n, Path(output), model, {"scores": named, **shards, **options})
        return
    if chosen := [name for name, is_chosen in of_folders.items() if is_chosen]:
        raise InputError(f"{chosen[0]} is for draws into a folder", remedy="Name one: -o draws/")
    path = Path(output)
    files.check_writable(path, formats=(*formats.TABLES, *formats.TEXTS))
    files.check_writable(html, formats=formats.PAGES)
    loaded = TextModel.load(model)
    result = loaded.sample(n, seed=seed, **options)
    frame = result.to_frame(scores=named)
    files.write_frame(path, frame)
    if html is not None:
        pages.write_samples_page(html, loaded, result, frame)
    files.note(
        f"{len(result)} texts out of {result.attempts} decoded: raw validity {result.validity:.1%} "
        f'under "{result.constraint}", uniqueness {result.uniqueness:.1%}, seed {result.seed}'
        + (
            f", {result.hit_rate:.1%} of the valid ones with what was asked for"
            if not math.isnan(result.hit_rate)
            else ""
        )
    )


def _sample_into_folder(n: int, folder: Path, model: Path, options: dict[str, Any]) -> None:
    """Draw into Parquet files of a folder, and say what came of it."""
    from grammar_rae.model.shards import draw_shards

    found = draw_shards(n, folder, model, **options)
    files.note(
        f"{len(found)} texts in {len(found.shards)} files of {folder}, out of {found.attempts} decoded: raw validity "
        f"{found.validity:.1%}, {found.repeated} left out, seed {found.seed}"
    )


def interpolate(
    a: Annotated[str, typer.Argument(help="The text to start from.", show_default=False)],
    b: Annotated[str, typer.Argument(help="The text to end at.", show_default=False)],
    model: arguments.Model = arguments.IN_THE_BOX,
    steps: Annotated[int, typer.Option(help="The number of texts, both ends included.")] = 9,
    constraint: arguments.Constraint = None,
    output: arguments.Output = files.STDOUT,
    html: arguments.Html = None,
) -> None:
    """Decode points between two texts."""
    import pandas as pd

    from grammar_rae.model import TextModel

    files.check_writable(output, formats=(*formats.TABLES, *formats.TEXTS))
    files.check_writable(html, formats=formats.PAGES)
    loaded = TextModel.load(model)
    texts = loaded.interpolate(a, b, steps=steps, constraint=arguments.constraint_text(constraint))
    files.write_frame(output, pd.DataFrame({"step": range(1, len(texts) + 1), "smiles": texts}))
    if html is not None:
        pages.write_path_page(html, loaded, texts)
