"""The grammar VAE's data set of arithmetic expressions."""

from pathlib import Path
from typing import Annotated

import typer

from grammar_rae.cli import files, formats


def expressions(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The text file to write; - is the standard output.")
    ] = files.STDOUT,
    n: Annotated[int, typer.Option("-n", min=1, help="The number of expressions, the first of the set.")] = 100_000,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXPRESSION",
            help="An expression to leave out, with all that are the same function of x; may be repeated.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """The grammar VAE's data set of expressions, as a file."""
    from grammar_rae.expressions import are_equivalent, expression_set

    files.check_writable(output, formats=formats.TEXTS)
    every = expression_set()
    if n > len(every):
        raise typer.BadParameter(f"expected at most {len(every):,}, the size of the set, not {n:,}", param_hint="-n")
    texts = every[:n]
    for one in without or []:
        same = are_equivalent(texts, one)
        left_out = [text for text, gone in zip(texts, same, strict=True) if gone]
        texts = [text for text, gone in zip(texts, same, strict=True) if not gone]
        files.note(f"left out {len(left_out)} that equal {one}" + (f": {', '.join(left_out[:10])}" if left_out else ""))
    files.write_lines(output, texts)
    files.note(f"wrote {len(texts):,} expressions")
