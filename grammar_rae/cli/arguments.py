"""Arguments that several commands share, and the reading of their values."""

import math
import re
from pathlib import Path
from typing import Annotated

import typer

from grammar_rae.resources import DEFAULT_MODEL, model_folder

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(s|m|min|h|)\s*", re.IGNORECASE)


def seconds(text: str) -> float:
    """A duration such as ``90``, ``90s``, ``10m`` or ``2h`` in seconds.

    >>> seconds("10m"), seconds("1.5h"), seconds("90")
    (600.0, 5400.0, 90.0)
    """
    match = _DURATION.fullmatch(text)
    value = float(match[1]) * _UNITS[match[2].lower()] if match else math.nan
    if not 0 < value < math.inf:
        raise typer.BadParameter(f"{text!r} is no duration; expected for example 90, 90s, 10m or 2h")
    return value


def names(text: str) -> list[str]:
    """The names of a list such as ``qed,logp, sa``, each once.

    >>> names("qed,logp, sa,qed")
    ['qed', 'logp', 'sa']
    """
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def whole_numbers(text: str) -> list[int]:
    """The numbers of a list such as ``0,1, 2``, each once.

    >>> whole_numbers("0,1, 2,1")
    [0, 1, 2]
    """
    try:
        return [int(name) for name in names(text)]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of whole numbers; expected for example 0,1,2") from error


def numbers(text: str) -> list[float]:
    """The numbers of a list such as ``0,0.5, 2``, each once.

    >>> numbers("0,0.5, 2,0")
    [0.0, 0.5, 2.0]
    """
    try:
        return [float(name) for name in names(text)]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of numbers; expected for example 0,0.5,2") from error


def constraint_text(rules: list[str] | None) -> str | None:
    """The rules of a constraint, each given for itself or several in one text, as one text.

    >>> constraint_text(["chemistry", "max-heavy-atoms=38; elements=CNO"])
    'chemistry; max-heavy-atoms=38; elements=CNO'
    """
    return "; ".join(rules) if rules else None


Trained = Annotated[Path, typer.Option("-m", "--model", help="The folder of a trained model.", show_default=False)]
Model = Annotated[
    Path,
    typer.Option(
        "-m",
        "--model",
        help="The folder of a trained model, or the name of one in the box: molecules, expressions.",
        callback=model_folder,
    ),
]
IN_THE_BOX = Path(DEFAULT_MODEL)
"""The default of :data:`Model`."""
Texts = Annotated[Path, typer.Argument(help=".smi, .txt, .csv, .tsv (each also .gz) or .parquet.", show_default=False)]
Column = Annotated[
    str | None, typer.Option(help="The column of a table that holds the texts; SMILES columns are found by themselves.")
]
Html = Annotated[Path | None, typer.Option(help="Also write a page with the drawn molecules.")]
Constraint = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RULES",
        help='What every step of the decoder must obey, for example "chemistry; max-heavy-atoms=38"; may be given once '
        "for each rule; `grammar-rae constraints` lists them. Without it, what the model was trained with.",
        show_default=False,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(help="Below 1 the decoder is bolder, above 1 more varied; without it, the model's own."),
]
TopP = Annotated[
    float | None,
    typer.Option(
        help="Below 1, draw only from the likeliest codes that have this share of the probability; "
        "without it, the model's own."
    ),
]
Smoothing = Annotated[
    float | None,
    typer.Option(
        help="The noise on the codes, told to a decoder that was trained with it; without it, the model's own."
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        help="The file to write, in the format of its suffix: .csv, .tsv or, texts alone, .smi, .txt (each also .gz), "
        ".parquet; - is CSV on the standard output.",
    ),
]
Jobs = Annotated[int, typer.Option(help="Processes that parse the texts; -1 for one per core.")]
TimeLimit = Annotated[
    float | None, typer.Option(parser=seconds, metavar="DURATION", help="Stop after 90, 90s, 10m or 2h.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")]
