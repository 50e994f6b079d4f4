"""Molecules like a lead: ``analogues``."""

from typing import Annotated

import typer

from grammar_rae.cli import arguments, files, formats


def analogues(
    leads: Annotated[list[str], typer.Argument(help="The SMILES of one lead or several.", show_default=False)],
    model: arguments.Model = arguments.IN_THE_BOX,
    n: Annotated[int, typer.Option("-n", help="The number of different analogues of each lead.")] = 100,
    similarity: Annotated[
        float, typer.Option(help="The Tanimoto similarity to the lead that is wanted, 0 to 1.")
    ] = 0.6,
    smoothing: arguments.Smoothing = None,
    keep: Annotated[
        str | None, typer.Option(help="A SMARTS that every analogue must have.", show_default=False)
    ] = None,
    output: arguments.Output = files.STDOUT,
    scores: arguments.Scores = "",
    seed: arguments.OptionalSeed = None,
    constraint: arguments.Constraint = None,
) -> None:
    """Draw molecules like a lead, as like as wanted."""
    from grammar_rae.model import TextModel

    files.check_writable(output, formats=formats.TABLES)
    frame = TextModel.load(model).analogues(
        leads,
        n,
        similarity,
        smoothing=smoothing,
        keep=keep,
        scores=arguments.names(scores),
        seed=seed,
        constraint=arguments.constraint_text(constraint),
    )
    files.write_frame(output, frame)
    for lead, found in frame.attrs["report"].items():
        files.note(
            f"{lead}: mean similarity {found['similarity']:.2f} at noise {found['smoothing']:.2f}; "
            f"{found['attempts']} texts, {found['valid']:.1%} valid, {found['duplicates']:.1%} repeated, "
            f"{found['hits']:.1%} of the analogues as like as wanted"
        )
