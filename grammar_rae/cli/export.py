"""A copy of a trained model to hand on: ``export``."""

from pathlib import Path
from typing import Annotated

import typer

from grammar_rae.cli import arguments, files, preflight, terminal
from grammar_rae.errors import InputError


def export(
    model: arguments.Trained,
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.", show_default=False)],
) -> None:
    """Write a small copy of a trained model.

    Its weights are in half precision; data, latent codes and training state stay behind.
    """
    preflight.check_model(model)
    from grammar_rae.model import load_model

    if output.resolve() == model.resolve():
        raise InputError(
            "the copy would replace the model",
            received=str(output),
            expected="another folder",
            remedy="Name another folder with -o.",
        )
    load_model(model).save(output, compact=True)
    size = sum(file.stat().st_size for file in output.iterdir() if file.is_file())
    files.note(f"wrote {output}: {size / 2**20:.1f} MiB")
    terminal.report(output=output, bytes=size)
