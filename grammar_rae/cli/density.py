"""Another density for a trained model: ``refit``."""

from typing import Annotated

import typer

from grammar_rae.cli import arguments, files, preflight, terminal
from grammar_rae.seeds import LARGEST_SEED


def refit(
    density: Annotated[
        str, typer.Argument(help="The new density; `grammar-rae list densities` shows all.", show_default=False)
    ],
    model: arguments.Trained,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of the density, for example n_components=20."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=LARGEST_SEED, help="The random seed of the fit; without it, the model's.", show_default=False
        ),
    ] = None,
) -> None:
    """Fit another density to a trained model, and save it.

    The new density takes the place of the old one; the nets stay as they are.
    """
    preflight.check_model(model)
    from grammar_rae.model import load_model

    loaded = load_model(model)
    before = loaded.density_score
    loaded.refit_density(density, seed=seed, **arguments.read_settings(options))
    loaded.save(model)
    kind = loaded.density_.score_kind
    scores = [f"{score:.4g}" if score is not None else "unknown" for score in (before, loaded.density_score)]
    files.note(f"{kind} of held-out codes, in nats per code: {scores[0]} before, {scores[1]} now; saved in {model}")
    terminal.report(score_kind=kind, before=before, after=loaded.density_score, model=model)
