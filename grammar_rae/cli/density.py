"""The density of a trained model: ``densities``, ``refit``."""

import inspect
import json
from typing import Annotated, Any

import typer

from grammar_rae.cli import arguments, catalogue, files


def densities() -> None:
    """List the densities that refit knows."""
    from grammar_rae.density import DENSITIES

    catalogue.two_columns(
        {name: " ".join((inspect.getdoc(row) or name).partition("\n\n")[0].split()) for name, row in DENSITIES.items()}
    )


def refit(
    density: Annotated[str, typer.Argument(help="One of `grammar-rae densities`.", show_default=False)],
    model: arguments.Trained,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of the density, for example n_components=20."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the fit; without it, the model's.")] = None,
) -> None:
    """Fit another density to the codes of a trained model, and save it in place of the old one."""
    from grammar_rae.model import load_model

    loaded = load_model(model)
    before = loaded.density_score
    loaded.refit_density(density, seed=seed, **dict(_option(text) for text in options or []))
    loaded.save(model)
    kind = loaded.density_.score_kind
    told = [f"{score:.4g}" if score is not None else "unknown" for score in (before, loaded.density_score)]
    files.note(f"{kind} of held-out codes, in nats a code: {told[0]} before, {told[1]} now; saved in {model}")


def _option(text: str) -> tuple[str, Any]:
    """A name and what JSON reads in the value; a value that it cannot read is a text.

    >>> _option("n_components=20"), _option("solver=torch")
    (('n_components', 20), ('solver', 'torch'))
    """
    name, sign, value = text.partition("=")
    if not sign or not name.strip().isidentifier():
        raise typer.BadParameter(f"{text!r} is no option; expected for example n_components=20")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value.strip()
