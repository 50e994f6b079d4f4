"""Between texts and latent codes: ``encode``, ``decode``, ``reconstruct``."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grammar_rae.cli import arguments, files, formats
from grammar_rae.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grammar_rae.datasets import Rejected, Row
    from grammar_rae.errors import TextError


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
    unknown: Annotated[
        str,
        typer.Option(
            help="What to do about texts with atoms, marks or tokens that the model was not trained on: warn, "
            "refuse or ignore."
        ),
    ] = "warn",
) -> None:
    """Encode the texts of a file to latent codes."""
    from grammar_rae.model import TextModel

    files.check_writable(output, formats=(*formats.TABLES, *formats.ARRAYS))
    loaded = TextModel.load(model)
    rows, unusable = read_file(texts, column)
    encoded = loaded.encode([row.text for row in rows], errors="skip", unknown=unknown)
    files.write_rejected(output, list_rejected(rows, unusable, encoded.errors))
    check_any(texts, rows, unusable, encoded.errors)
    files.write_codes(output, encoded.codes, [rows[index] for index in encoded.rows])
    files.tell_changed(Counter(encoded.changed.values()))
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
    files.write_rejected(output, list_rejected(rows, unusable, found.errors))
    check_any(texts, rows, unusable, found.errors)
    accepted = [index for index in range(len(rows)) if index not in found.errors]
    columns = {
        "line": [rows[index].line for index in accepted],
        "smiles": [rows[index].text for index in accepted],
        "reconstruction": [found.texts[index] for index in accepted],
        "exact": found.exact[accepted],
    }
    files.write_frame(output, pd.DataFrame(columns))
    files.tell_changed(Counter(found.changed.values()))
    files.note(f"exactly reconstructed: {found}")


def read_file(source: Path, column: str | None) -> tuple[list["Row"], list["Row"]]:
    """The rows of a file that hold a text, and those that do not."""
    from grammar_rae.datasets import read_rows

    files.tell_column(source, column)
    rows = list(read_rows(source, column))
    return [row for row in rows if row.problem is None], [row for row in rows if row.problem is not None]


def list_rejected(rows: list["Row"], unusable: list["Row"], errors: "Mapping[int, TextError]") -> list["Rejected"]:
    """The rows without a text and those that the model rejects, each with its reason, in the order of the file."""
    from grammar_rae.datasets import reject

    found = [*map(reject, unusable), *(reject(rows[index], error) for index, error in errors.items())]
    return sorted(found, key=lambda row: row.line)


def check_any(source: Path, rows: list["Row"], unusable: list["Row"], errors: "Mapping[int, TextError]") -> None:
    """Raise DataError, with all reasons, if the model rejects every row that holds a text."""
    from grammar_rae.datasets import count_reasons, reject

    if len(errors) < len(rows):
        return
    kinds = [(row.problem or "", reject(row)) for row in unusable]
    kinds += [(error.message, reject(rows[index], error)) for index, error in errors.items()]
    examples = dict(reversed(kinds))
    raise DataError(
        f"none of the {len(kinds)} rows can be used: {count_reasons(Counter(kind for kind, _ in kinds), examples)}",
        where=str(source),
    )
