"""Molecules like a lead: ``analogues``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grammar_rae.cli import arguments, files, formats, preflight, terminal
from grammar_rae.errors import DataError, InputError

if TYPE_CHECKING:
    import pandas as pd

    from grammar_rae.codecs import Codec

_SHARES = {"valid": "valid", "duplicates": "repeated", "implausible": "implausible"}
"""Shares of the texts that a report tells, and their names; of no texts there are none."""


def analogues(
    leads: Annotated[
        list[str],
        typer.Argument(
            help="The SMILES of one lead or several, or a file of them, whose other columns are kept; - is the "
            "standard input.",
            show_default=False,
        ),
    ],
    model: arguments.Model = arguments.IN_THE_BOX,
    column: arguments.Column = None,
    n: Annotated[int, typer.Option("-n", help="The number of different analogues of each lead.")] = 100,
    similarity: Annotated[
        float, typer.Option(help="The Tanimoto similarity to the lead that is wanted, 0 to 1.")
    ] = 0.6,
    smoothing: arguments.Smoothing = None,
    keep: Annotated[
        str | None, typer.Option(help="A SMARTS that every analogue must have.", show_default=False)
    ] = None,
    wanted: arguments.Wanted = None,
    unwanted: arguments.Unwanted = None,
    fragments: arguments.Fragments = None,
    output: arguments.Output = files.STDOUT,
    scores: arguments.Scores = "",
    seed: arguments.OptionalSeed = None,
    constraint: arguments.Constraint = None,
) -> None:
    """Draw molecules like a lead, as like as wanted."""
    files.check_writable(output, formats=formats.TABLES)
    preflight.check_scores(arguments.names(scores))
    preflight.check_constraint(constraint)
    preflight.check_model(model)
    from grammar_rae.codecs import treat_fragments
    from grammar_rae.model import TextModel

    loaded = TextModel.load(model)
    frame = loaded.analogues(
        read_leads(leads, column, output, treat_fragments(loaded.codec, fragments)),
        n,
        similarity,
        smoothing=smoothing,
        keep=keep,
        wanted=wanted or (),
        unwanted=unwanted or (),
        fragments=fragments,
        scores=arguments.names(scores),
        seed=seed,
        constraint=arguments.constraint_text(constraint),
    )
    written = files.write_table(output, frame)
    for lead, found in frame.attrs["report"].items():
        shares = [f"{found[key]:.1%} {name}" for key, name in _SHARES.items() if found["attempts"]]
        told = ", ".join([f"{found['attempts']} texts", *shares, f"{found['hits']:.1%} as like as wanted"])
        files.note(f"{lead}: mean similarity {found['similarity']:.2f} at noise {found['smoothing']:.2f}; {told}")
    terminal.report(leads=frame.attrs["report"], n=len(frame), **written)


def read_leads(leads: list[str], column: str | None, output: Path, codec: "Codec") -> "list[str] | pd.DataFrame":
    """The leads as they are, or those of a file with the columns beside them, each molecule once.

    Rows of the file that are left out are listed and told.
    """
    path = Path(leads[0])
    if len(leads) > 1 or not (str(path) == "-" or path.is_file()):
        if column is not None:
            raise InputError("--column is for a file of leads", received=f"{len(leads)} SMILES")
        return leads
    from grammar_rae.datasets import Record, Rejected, join_columns, read_records, reject

    source = arguments.readable(path) or path
    files.tell_column(source, column)
    names, records = read_records(source, column, blocks=False)
    kept: list[Record] = []
    rejected: list[Rejected] = []
    seen: set[str | None] = set()
    for record in records:
        refused = [] if record.row.problem else codec.encode_batch([record.row.text]).rejected
        if record.row.problem or refused:
            rejected.append(reject(record.row, refused[0][1] if refused else None))
        elif (spelled := codec.canonical(codec.prepare(record.row.text))) in seen:
            rejected.append(reject(record.row._replace(problem="the same lead as an earlier one")))
        else:
            seen.add(spelled)
            kept.append(record)
    files.write_rejected(output, rejected)
    if not kept:
        raise DataError("the file holds no lead that can be used", where=str(path))
    return join_columns(names, [record.cells for record in kept], {"smiles": [one.row.text for one in kept]}, {})
