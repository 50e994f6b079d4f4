"""Between texts and latent codes: ``encode``, ``decode``, ``reconstruct``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grammar_rae.cli import arguments, files, formats
from grammar_rae.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grammar_rae.datasets import Row


def encode(
    texts: arguments.Texts,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The file to write: .npy or .npz (codes alone), .csv, .tsv or .parquet (with line and text); - is CSV "
            "on the standard output.",
        ),
    ],
    model: arguments.Model = arguments.IN_THE_BOX,
    column: arguments.Column = None,
) -> None:
    """Encode the texts of a file to latent codes."""
    from grammar_rae.model import TextModel

    files.check_writable(output, formats=(*formats.TABLES, *formats.ARRAYS))
    loaded = TextModel.load(model)
    rows, unusable = read_file(texts, column)
    encoded = loaded.encode([row.text for row in rows], errors="skip")
    rejected = join_rejected(texts, rows, unusable, encoded.rejected)
    files.write_codes(output, encoded.codes, [rows[index] for index in encoded.rows])
    files.write_rejected(output, rejected)
    files.note(f"encoded {len(encoded)} texts")


def decode(
    codes: Annotated[Path, typer.Argument(help="A file of latent codes as encode writes it.", show_default=False)],
    model: arguments.Model = arguments.IN_THE_BOX,
    output: arguments.Output = files.STDOUT,
    temperature: Annotated[
        float, typer.Option(help="The temperature of the decoder; at 0 it takes the likeliest token at each step.")
    ] = 0.0,
    top_p: Annotated[
        float, typer.Option(help="The share of probability that the likeliest tokens to draw from hold together.")
    ] = 1.0,
    beam: Annotated[
        int | None, typer.Option(help="The width of a search for the likeliest text.", show_default=False)
    ] = None,
    seed: arguments.OptionalSeed = None,
    smoothing: Annotated[
        float, typer.Option(help="The strength of the noise on the codes, for models that are trained with it.")
    ] = 0.0,
    constraint: arguments.Constraint = None,
) -> None:
    """Decode latent codes to texts."""
    import pandas as pd

    from grammar_rae.model import TextModel

    files.check_writable(output, formats=(*formats.TABLES, *formats.TEXTS))
    z = files.read_codes(codes)
    rules = arguments.constraint_text(constraint)
    texts = TextModel.load(model).decode(
        z, temperature=temperature, top_p=top_p, beam=beam, seed=seed, constraint=rules, smoothing=smoothing
    )
    files.write_frame(output, pd.DataFrame({"smiles": texts}))


def reconstruct(
    texts: arguments.Texts,
    model: arguments.Model = arguments.IN_THE_BOX,
    output: arguments.Output = files.STDOUT,
    column: arguments.Column = None,
    constraint: arguments.Constraint = None,
) -> None:
    """Encode and decode texts, and report how many come back."""
    import pandas as pd

    from grammar_rae.model import TextModel

    files.check_writable(output, formats=formats.TABLES)
    loaded = TextModel.load(model)
    rows, unusable = read_file(texts, column)
    found = loaded.reconstruction([row.text for row in rows], arguments.constraint_text(constraint))
    rejected = join_rejected(texts, rows, unusable, found.rejected)
    accepted = [index for index in range(len(rows)) if index not in found.rejected]
    columns = {
        "line": [rows[index].line for index in accepted],
        "smiles": [rows[index].text for index in accepted],
        "reconstruction": [found.texts[index] for index in accepted],
        "exact": found.exact[accepted],
    }
    files.write_frame(output, pd.DataFrame(columns))
    files.write_rejected(output, rejected)
    files.note(f"exactly reconstructed: {found}")


def read_file(source: Path, column: str | None) -> tuple[list["Row"], list["Row"]]:
    """The rows of a file that hold a text, and those that do not."""
    from grammar_rae.datasets import read_rows

    rows = list(read_rows(source, column))
    return [row for row in rows if row.problem is None], [row for row in rows if row.problem is not None]


def join_rejected(source: Path, rows: list["Row"], unusable: list["Row"], rejected: "Mapping[int, str]") -> list["Row"]:
    """The rows without a text and those that the model rejects, each with its problem, in the order of the file.

    Raises
    ------
    DataError
        If no row is left.
    """
    problems = sorted([*unusable, *(rows[index]._replace(problem=reason) for index, reason in rejected.items())])
    if len(rejected) == len(rows):
        raise DataError(
            f"none of the {len(problems)} rows can be used: {problems[0].problem} (line {problems[0].line})",
            where=str(source),
        )
    return problems
