"""What exists and what fits: ``list``, ``check``."""

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grammar_rae.cli import arguments, files, preflight, terminal
from grammar_rae.errors import UnknownNameError

if TYPE_CHECKING:
    from grammar_rae.datasets import Coverage
    from grammar_rae.model import TextModel

MOST_SHOWN = 20

Sections = dict[str, dict[str, str]]
"""Heading -> name -> what it is; the heading of a list without sections is empty."""


def list_names(
    kind: Annotated[
        str,
        typer.Argument(
            help="What to list: recipes, models, constraints, densities, scores, strategies, grammars, objectives or "
            "regularizers.",
            show_default=False,
            autocompletion=arguments.completing(lambda: KINDS),
        ),
    ],
    show: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A recipe to print as TOML; edit it, and train with `--recipe FILE.toml`.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List recipes, models, constraints and so on."""
    if kind not in KINDS:
        raise UnknownNameError("kind of list", kind, KINDS, "`grammar-rae list --help`")
    if show is not None:
        if kind != "recipes":
            raise typer.BadParameter("only recipes can be shown", param_hint="--show")
        typer.echo(_recipe_text(show), nl=False)
        return
    sections = KINDS[kind]()
    terminal.report(**{kind: {name: text for rows in sections.values() for name, text in rows.items()}})
    if terminal.wants_json():
        return
    for number, (heading, rows) in enumerate(sections.items()):
        if heading:
            typer.echo(f"{chr(10) if number else ''}{heading}")
        width = max(map(len, rows), default=0)
        for name, text in rows.items():
            typer.echo(f"{'  ' if heading else ''}{name:<{width}}  {text}")


def check(
    texts: arguments.Texts,
    grammar: Annotated[
        str | None,
        typer.Option(
            help="A name from `grammar-rae list grammars`, or the path of a file in NLTK's notation; without it, "
            "smiles.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            help="The form of the texts: kekule or aromatic SMILES as RDKit writes them, or text as is; without it, "
            "kekule.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            metavar="PATH",
            help="A trained model, to count how much of the file it covers and knows, instead of a grammar.",
            show_default=False,
        ),
    ] = None,
    column: arguments.Column = None,
    jobs: arguments.Jobs = 1,
) -> None:
    """Count how much of a file a grammar or a model covers."""
    preflight.check_file(texts)
    from grammar_rae.codecs import FORMS, Codec, GrammarCodec
    from grammar_rae.datasets import coverage
    from grammar_rae.grammar import read_grammar

    if model is not None and (grammar or form):
        raise typer.BadParameter("a model has its own grammar and form", param_hint="--model")
    files.tell_column(texts, column)
    loaded = None if model is None else _load(model)
    codec: Codec = (
        GrammarCodec(form=form or "kekule", table=read_grammar(grammar or "smiles")) if loaded is None else loaded.codec
    )
    found = coverage(texts, codec, column, jobs, fields=FORMS[codec.form].fields)
    terminal.say(f"{found.accepted} of {found.read} rows are covered ({100 * found.share:.2f} %)")
    if found.lengths:
        lengths = ", ".join(f"{name} {value:g}" for name, value in found.lengths.items())
        terminal.say(f"{'productions' if loaded is None else 'tokens'} per text: {lengths}")
    if loaded is not None:
        _show_what_is_known(loaded, texts, column, found)
    _show_what_is_missing(found)
    terminal.report(
        rows=found.read,
        covered=found.accepted,
        share=found.share,
        lengths=found.lengths,
        reasons=found.reasons,
        changed=found.changed,
        unsupported=found.unsupported,
    )


def _load(model: str) -> "TextModel":
    from grammar_rae.model import TextModel
    from grammar_rae.resources import model_folder

    return TextModel.load(model_folder(arguments.folder(model)))


def _show_what_is_known(model: "TextModel", texts: Path, column: str | None, found: "Coverage") -> None:
    from grammar_rae.codecs import FORMS
    from grammar_rae.datasets import read_texts
    from grammar_rae.model.known import survey

    if model.known_ is None:
        terminal.say("what this model knows was not counted when it was trained")
        return
    rows = read_texts(texts, column, fields=FORMS[model.codec.form].fields)
    unknown = survey(model.known_, model.codec, (text for _, text in rows))
    known = found.accepted - unknown.texts
    terminal.say(
        f"{known} of {found.read} rows have only what the model was trained on ({100 * known / found.read:.2f} %)"
    )
    if unknown.symbols:
        terminal.say("\nnot trained on")
        for symbol, count in unknown.symbols.most_common(MOST_SHOWN):
            terminal.say(f"  {count:>8}  {symbol}  for example {unknown.examples[symbol]}")


def _show_what_is_missing(found: "Coverage") -> None:
    if found.reasons:
        terminal.say("\nreasons")
        for reason, count in found.reasons.most_common(MOST_SHOWN):
            terminal.say(f"  {count:>8}  {reason}")
    if found.changed:
        terminal.say("\nchanged by RDKit")
        for what, count in found.changed.most_common(MOST_SHOWN):
            terminal.say(f"  {count:>8}  {what}  for example line {found.changed_lines[what]}")
    if found.unsupported:
        terminal.say("\nunsupported symbols")
        for symbol, count in found.unsupported.most_common(MOST_SHOWN):
            example = found.examples[symbol]
            terminal.say(f"  {count:>8}  {symbol}  for example line {example.line}: {example.text}")


def _recipes() -> Sections:
    from grammar_rae.recipes import RECIPES, ImageRecipe

    sections: Sections = {"molecules and other texts": {}, "images": {}}
    for name, recipe in RECIPES.items():
        heading = "images" if isinstance(recipe, ImageRecipe) else "molecules and other texts"
        sections[heading][name] = recipe.description
    return sections


def _recipe_text(name: str) -> str:
    from grammar_rae.recipes import RECIPES, recipe_toml

    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES, "`grammar-rae list recipes`")
    return recipe_toml(RECIPES[name])


def _models() -> Sections:
    from grammar_rae import checkpoint
    from grammar_rae.resources import bundled_model, bundled_models

    names = bundled_models()
    return {"": {name: checkpoint.read_meta(bundled_model(name))["recipe"]["description"] for name in names}}


def _constraints() -> Sections:
    from grammar_rae.decoding import CONSTRAINTS

    return _documented(CONSTRAINTS)


def _densities() -> Sections:
    from grammar_rae.density import DENSITIES

    return _documented(DENSITIES)


def _scores() -> Sections:
    from grammar_rae.scores import SCORES

    return {"": {name: score.description for name, score in SCORES.items()}}


def _strategies() -> Sections:
    from grammar_rae.optimization import STRATEGIES

    return _documented(STRATEGIES)


def _grammars() -> Sections:
    from grammar_rae.grammar import read_grammar
    from grammar_rae.resources import bundled_names

    rows = {}
    for name in bundled_names("grammars", ".cfg"):
        grammar = read_grammar(name)
        rows[name] = f"{grammar.size} productions, {len(grammar.terminals)} terminals"
    return {"": rows}


def _objectives() -> Sections:
    from grammar_rae.objectives import OBJECTIVES

    return _documented(OBJECTIVES)


def _regularizers() -> Sections:
    from grammar_rae.regularizers import REGULARIZERS

    return _documented(REGULARIZERS)


KINDS: dict[str, Callable[[], Sections]] = {
    "recipes": _recipes,
    "models": _models,
    "constraints": _constraints,
    "densities": _densities,
    "scores": _scores,
    "strategies": _strategies,
    "grammars": _grammars,
    "objectives": _objectives,
    "regularizers": _regularizers,
}
"""What ``list`` can list."""


def _documented(table: Mapping[str, Any]) -> Sections:
    return {"": {name: first_words(inspect.getdoc(row) or name) for name, row in table.items()}}


def first_words(text: str) -> str:
    r"""The first paragraph of a docstring on one line, up to its first formula.

    >>> first_words("The plain one: z = h, at no cost.\n\nMore about it.")
    'The plain one: z = h, at no cost.'
    """
    paragraph = re.sub(r":math:`([^`\\]*)`", r"\1", " ".join(text.partition("\n\n")[0].split()))
    before, formula, _ = paragraph.partition(":math:")
    if not formula:
        return paragraph
    end = max(map(before.rfind, ",:;("))
    return before[: end if end >= 0 else None].rstrip(" ,:;(") + "."
