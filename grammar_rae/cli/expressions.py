"""The set of arithmetic expressions as a file: ``expressions``."""

from pathlib import Path
from typing import Annotated

import typer

from grammar_rae.cli import files, formats


def expressions(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The text file to write; - is the standard output.")
    ] = files.STDOUT,
    n: Annotated[int, typer.Option("-n", min=1, help="The first so many of the set.")] = 100_000,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXPRESSION", help="Leave out what is the same function of x; may be given several times."
        ),
    ] = None,
) -> None:
    """Write the expressions that the grammar VAE was tried on, one a line."""
    from grammar_rae.expressions import equivalents, expression_set

    files.check_writable(output, formats=formats.TEXTS)
    every = expression_set()
    if n > len(every):
        raise typer.BadParameter(f"the set has {len(every):,} expressions, not {n:,}", param_hint="-n")
    texts = every[:n]
    for one in without or []:
        same = equivalents(texts, one)
        left_out = [text for text, gone in zip(texts, same, strict=True) if gone]
        texts = [text for text, gone in zip(texts, same, strict=True) if not gone]
        files.note(f"left out {len(left_out)} that equal {one}" + (f": {', '.join(left_out[:10])}" if left_out else ""))
    files.write_lines(output, texts)
    files.note(f"written {len(texts):,} expressions")
