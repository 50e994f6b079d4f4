"""New texts from a trained model: ``sample``, ``interpolate``."""

import math
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from grammar_rae.cli import arguments, files, formats, pages, preflight, run_files, terminal
from grammar_rae.errors import InputError

PROGRESS_FROM = 1000
"""Texts from which on a bar shows how many are drawn."""


def sample(
    ctx: typer.Context,
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
    tries: Annotated[
        int | None,
        typer.Option(
            help="Texts of each code, of which the one nearest to the properties is given; without it, 4, or 1 where "
            "molecules are rejected.",
            show_default=False,
        ),
    ] = None,
    echo: Annotated[
        str | None,
        typer.Option(
            help="Properties that are read from each code and told to the decoder, such as weight,logp, or '' for "
            "none; without it, the model's own.",
            show_default=False,
        ),
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
    int8: Annotated[
        bool, typer.Option("--int8", help="Draw faster, by weights rounded to eight bits; other molecules come.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(help="Into a folder: the number of processes; without it, one per core.", show_default=False),
    ] = None,
    cluster: arguments.Cluster = "local",
    threads: arguments.Threads = None,
    config: run_files.Config = None,
) -> None:
    """Draw new molecules."""
    preflight.limit_threads(threads)
    into_folder = output.endswith(("/", os.sep)) or Path(output).is_dir()
    of_folders = {"--distinct": distinct, "--jobs": jobs is not None, "--cluster": cluster != "local"}
    if into_folder and html is not None:
        raise InputError("a page shows what one file holds", received=f"--html with {output}")
    if not into_folder:
        if chosen := [name for name, is_chosen in of_folders.items() if is_chosen]:
            raise InputError(f"{chosen[0]} is for draws into a folder", remedy="Name one: -o draws/")
        files.check_writable(Path(output), formats=(*formats.TABLES, *formats.TEXTS))
    files.check_writable(html, formats=formats.PAGES)
    named, asked = arguments.names(scores), arguments.read_properties(properties)
    preflight.check_scores(named)
    preflight.check_constraint(constraint)
    preflight.check_window(where)
    preflight.check_file(new_to)
    preflight.check_model(model, asked)
    from grammar_rae.datasets import read_texts
    from grammar_rae.model import TextModel
    from grammar_rae.model.sampling import GUIDANCE

    options: dict[str, Any] = {
        "valid_only": valid_only,
        "temperature": temperature,
        "top_p": top_p,
        "constraint": arguments.constraint_text(constraint),
        "smoothing": smoothing,
        "properties": asked or None,
        "strict": strict,
        "where": where,
        "wanted": wanted or (),
        "unwanted": unwanted or (),
        "diverse": diverse,
        "new_to": () if new_to is None else [text for _, text in read_texts(new_to)],
        "guidance": GUIDANCE if guidance is None else guidance,
        "tries": tries,
        "echo": None if echo is None else arguments.names(echo),
    }
    if into_folder:
        shards = {"distinct": distinct, "int8": int8, "jobs": -1 if jobs is None else jobs, "seed": seed}
        shards["progress"] = not terminal.is_quiet()
        _sample_into_folder(n, Path(output), model, {"scores": named, **shards, **options})
        return
    path = Path(output)
    loaded = TextModel.load(model)
    loaded = loaded.quantized() if int8 else loaded
    progress = n >= PROGRESS_FROM and not terminal.is_quiet()
    result = loaded.sample(n, seed=seed, progress=progress, **options)
    columns = result.columns(named)
    written = files.write_result(path, columns)
    if html is not None:
        pages.write_samples_page(html, loaded, result, columns)
    if path != files.STDOUT:
        run_files.record(ctx, path.with_name(f"{path.name}.{run_files.RUN}"), seed=result.seed)
    files.note(
        f"{len(result)} texts out of {result.attempts} decoded: raw validity {result.validity:.1%} "
        f'under "{result.constraint}", uniqueness {result.uniqueness:.1%}, seed {result.seed}'
        + (
            f", {result.hit_rate:.1%} of the valid ones with what was asked for"
            if not math.isnan(result.hit_rate)
            else ""
        )
    )
    if path != files.STDOUT and html is None:
        terminal.hint("--html page.html shows them as a page, --scores qed,sa adds what to rank them by")
    terminal.report(
        n=len(result),
        decoded=result.attempts,
        validity=result.validity,
        uniqueness=result.uniqueness,
        hit_rate=result.hit_rate,
        constraint=result.constraint,
        temperature=result.temperature,
        top_p=result.top_p,
        smoothing=result.smoothing,
        echo=list(result.echo),
        tries=result.tries,
        seed=result.seed,
        **written,
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
    fragments: arguments.Fragments = None,
    constraint: arguments.Constraint = None,
    output: arguments.Output = files.STDOUT,
    html: arguments.Html = None,
) -> None:
    """Decode points between two texts."""
    files.check_writable(output, formats=(*formats.TABLES, *formats.TEXTS))
    files.check_writable(html, formats=formats.PAGES)
    preflight.check_constraint(constraint)
    preflight.check_model(model)
    from grammar_rae.model import TextModel

    loaded = TextModel.load(model)
    texts = loaded.interpolate(a, b, steps=steps, fragments=fragments, constraint=arguments.constraint_text(constraint))
    terminal.report(**files.write_result(output, {"step": list(range(1, len(texts) + 1)), "smiles": texts}))
    if html is not None:
        pages.write_path_page(html, loaded, texts)
