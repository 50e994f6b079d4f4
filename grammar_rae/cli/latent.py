"""Between texts and latent codes: ``encode``, ``decode``, ``reconstruct``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grammar_rae.cli import arguments, files, formats
from grammar_rae.errors import DataError

if TYPE_CHECKING:
    from grammar_rae.datasets import Row


def encode(
    texts: arguments.Texts,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="z.npy, .npz (codes alone), .csv, .tsv, .parquet (with line and text); - for CSV.",
        ),
    ],
    model: arguments.Model = arguments.IN_THE_BOX,
    column: arguments.Column = None,
) -> None:
    """Write the latent code of every text of a file."""
    from grammar_rae.model import TextModel

    files.check_writable(output, formats=(*formats.TABLES, *formats.ARRAYS))
    loaded = TextModel.load(model)
    accepted, rejected = usable_rows(loaded.codec, texts, column)
    files.write_codes(output, loaded.encode([row.text for row in accepted]), accepted)
    files.write_rejected(output, rejected)
    files.note(f"encoded {len(accepted)} texts")


def decode(
    codes: Annotated[Path, typer.Argument(help="A file of codes as encode writes it.", show_default=False)],
    model: arguments.Model = arguments.IN_THE_BOX,
    output: arguments.Output = files.STDOUT,
    temperature: Annotated[
        float, typer.Option(help="0 takes the likeliest code at each step; above that, codes are drawn.")
    ] = 0.0,
    top_p: Annotated[
        float, typer.Option(help="Below 1, draw only from the likeliest codes that have this share of the probability.")
    ] = 1.0,
    beam: Annotated[int | None, typer.Option(help="Search for the likeliest text with so many beams instead.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same texts.")] = None,
    smoothing: Annotated[
        float, typer.Option(help="The noise on the codes, told to a decoder that was trained with it.")
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
    """Encode and decode a file; tell how much comes back."""
    import pandas as pd

    from grammar_rae.model import TextModel

    files.check_writable(output, formats=formats.TABLES)
    loaded = TextModel.load(model)
    accepted, rejected = usable_rows(loaded.codec, texts, column)
    originals = [row.text for row in accepted]
    reconstructions = loaded.reconstruct(originals, arguments.constraint_text(constraint))
    exact = are_exact(loaded.codec, originals, reconstructions)
    columns = {
        "line": [row.line for row in accepted],
        "smiles": originals,
        "reconstruction": reconstructions,
        "exact": exact,
    }
    files.write_frame(output, pd.DataFrame(columns))
    files.write_rejected(output, rejected)
    files.note(f"exactly reconstructed: {share(exact)}")


def usable_rows(codec: Any, source: Path, column: str | None) -> tuple[list["Row"], list["Row"]]:
    """The rows of a file that the codec takes, and the others with their problem.

    Raises
    ------
    DataError
        When no row is left.
    """
    from grammar_rae.datasets import read_rows

    rows = list(read_rows(source, column))
    candidates = [row for row in rows if row.problem is None]
    errors = dict(codec.encode_batch([row.text for row in candidates]).rejected)
    accepted = [row for index, row in enumerate(candidates) if index not in errors]
    refused = [candidates[index]._replace(problem=error.message) for index, error in errors.items()]
    rejected = sorted([row for row in rows if row.problem is not None] + refused)
    if not accepted:
        raise DataError(
            f"none of the {len(rows)} rows can be used: {rejected[0].problem} (line {rejected[0].line})",
            where=str(source),
        )
    return accepted, rejected


def are_exact(codec: Any, originals: list[str], reconstructions: list[str]) -> list[bool]:
    """Whether each reconstruction is the original: for molecules, whether their canonical SMILES are the same."""
    return [codec.canonical(one) == other for one, other in zip(originals, reconstructions, strict=True)]


def share(flags: list[bool]) -> str:
    """A share for people: ``93.4% (467 of 500)``."""
    return f"{sum(flags) / len(flags):.1%} ({sum(flags)} of {len(flags)})"
