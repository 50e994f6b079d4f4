"""Options that several benchmarks share, and the reading of their values."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from grammar_rae.cli.arguments import names

N = TypeVar("N", int, float)


def numbers(text: str, kind: type[N]) -> list[N]:
    """The numbers in a list such as ``0,0.5, 2``, each once.

    >>> numbers("0,0.5, 2,0", float), numbers("0,1, 2,1", int)
    ([0.0, 0.5, 2.0], [0, 1, 2])
    """
    try:
        return [kind(name) for name in names(text)]
    except ValueError as error:
        expected = "whole numbers such as 0,1,2" if kind is int else "numbers such as 0,0.5,2"
        raise typer.BadParameter(f"expected {expected}, not {text!r}") from error


StudyFolder = Annotated[
    Path, typer.Option("-o", "--output", help="The folder of the study; run again, it goes on.", show_default=False)
]
Results = Annotated[
    Path | None, typer.Option(help="A file that the rows are added to, as JSON lines.", show_default=False)
]
Figures = Annotated[bool, typer.Option("--figures/--no-figures", help="Draw PNG files too (matplotlib).")]
Threads = Annotated[
    int | None, typer.Option(help="The number of PyTorch's threads; without it, its own choice.", show_default=False)
]
Alone = Annotated[bool, typer.Option("--alone", help="Measure only this package.")]
Rounds = Annotated[int, typer.Option(help="The number of times that the sides take turns.")]
Iterations = Annotated[int, typer.Option(help="The number of iterations of each search.")]
SearchBatch = Annotated[int, typer.Option(help="The number of points of each iteration.")]
Codes = Annotated[
    Path | None,
    typer.Option(help="A .npy file of latent codes (N, D); without it, random ones.", show_default=False),
]
LatentSize = Annotated[int, typer.Option(min=1, help="The dimension of random codes.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bars.")]
