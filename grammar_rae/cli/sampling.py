"""New texts from a trained model: ``sample``, ``interpolate``."""

import math
from pathlib import Path
from typing import Annotated

import typer

from grammar_rae.cli import arguments, files, formats, pages


def sample(
    model: arguments.Model = arguments.IN_THE_BOX,
    n: Annotated[int, typer.Option("-n", help="The number of molecules.")] = 1000,
    output: arguments.Output = files.STDOUT,
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
) -> None:
    """Draw new molecules."""
    from grammar_rae.datasets import read_texts
    from grammar_rae.model import TextModel
    from grammar_rae.model.sampling import GUIDANCE
    from grammar_rae.scores import score

    files.check_writable(output, formats=(*formats.TABLES, *formats.TEXTS))
    files.check_writable(html, formats=formats.PAGES)
    named = arguments.names(scores)
    score([], named)  # so that an unknown name is refused before any work
    loaded = TextModel.load(model)
    rules = arguments.constraint_text(constraint)
    result = loaded.sample(
        n,
        valid_only,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        constraint=rules,
        smoothing=smoothing,
        properties=arguments.read_properties(properties),
        strict=strict,
        where=where,
        wanted=wanted or (),
        unwanted=unwanted or (),
        diverse=diverse,
        new_to=[] if new_to is None else [text for _, text in read_texts(new_to)],
        guidance=GUIDANCE if guidance is None else guidance,
    )
    frame = result.to_frame(scores=named)
    files.write_frame(output, frame)
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
