"""Between texts and latent codes: ``encode``, ``decode``, ``reconstruct``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grammar_rae.cli import arguments, files
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
            help="The file to write: .npy, or .csv with line and text; - is the standard output.",
        ),
    ],
    model: arguments.Model = arguments.IN_THE_BOX,
    column: arguments.Column = None,
) -> None:
    """Encode the texts of a file to latent codes."""
    from grammar_rae.model import TextModel

    files.check_writable(output)
    loaded = TextModel.load(model)
    accepted, rejected = usable_rows(loaded.codec, texts, column)
    files.write_codes(output, loaded.encode([row.text for row in accepted]), accepted)
    files.write_rejected(output, rejected)
    files.note(f"encoded {len(accepted)} texts")


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

    files.check_writable(output)
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

    files.check_writable(output)
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
