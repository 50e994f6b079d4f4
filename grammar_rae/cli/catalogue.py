"""What exists and what fits: ``recipes``, ``constraints``, ``grammar list``, ``grammar check``."""

import inspect
from typing import TYPE_CHECKING, Annotated

import typer

from grammar_rae.cli import arguments

if TYPE_CHECKING:
    from grammar_rae.datasets import Coverage

MOST_SHOWN = 20

grammar_app = typer.Typer(help="Look at grammars.", no_args_is_help=True, rich_markup_mode=None)


def recipes() -> None:
    """List the recipes that train knows."""
    from grammar_rae.recipes import RECIPES

    two_columns({name: recipe.description for name, recipe in RECIPES.items()})


def constraints() -> None:
    """List the constraints that sample, decode and train know."""
    from grammar_rae.decoding import CONSTRAINTS

    two_columns({name: (inspect.getdoc(row) or name).partition("\n")[0] for name, row in CONSTRAINTS.items()})


@grammar_app.command("list")
def list_grammars() -> None:
    """List the grammars that come with the package."""
    from grammar_rae.grammar import read_grammar
    from grammar_rae.resources import bundled_names

    told = {}
    for name in bundled_names("grammars", ".cfg"):
        grammar = read_grammar(name)
        told[name] = f"{grammar.size} productions, {len(grammar.terminals)} terminals"
    two_columns(told)


@grammar_app.command()
def check(
    texts: arguments.Texts,
    grammar: Annotated[str, typer.Option(help="One of the list, or the path of a file in NLTK's notation.")] = "smiles",
    form: Annotated[
        str, typer.Option(help="kekule or aromatic: the SMILES that RDKit writes; text: the texts as they stand.")
    ] = "kekule",
    column: arguments.Column = None,
    jobs: arguments.Jobs = 1,
) -> None:
    """Tell how much of a file a grammar covers, and what it does not."""
    from grammar_rae.codecs import GrammarCodec
    from grammar_rae.datasets import coverage
    from grammar_rae.grammar import read_grammar

    found = coverage(texts, GrammarCodec(form=form, table=read_grammar(grammar)), column, jobs)
    typer.echo(f"{found.accepted} of {found.read} rows are covered ({100 * found.share:.2f} %)")
    if found.lengths:
        told = ", ".join(f"{name} {value:g}" for name, value in found.lengths.items())
        typer.echo(f"productions a text: {told}")
    _show_what_is_missing(found)


def _show_what_is_missing(found: "Coverage") -> None:
    if found.reasons:
        typer.echo("\nreasons")
        for reason, count in found.reasons.most_common(MOST_SHOWN):
            typer.echo(f"  {count:>8}  {reason}")
    if found.unsupported:
        typer.echo("\nunsupported symbols")
        for symbol, count in found.unsupported.most_common(MOST_SHOWN):
            example = found.examples[symbol]
            typer.echo(f"  {count:>8}  {symbol}  for example line {example.line}: {example.text}")


def two_columns(rows: dict[str, str]) -> None:
    """Write names and what they mean."""
    width = max(map(len, rows), default=0)
    for name, text in rows.items():
        typer.echo(f"{name:<{width}}  {text}")
