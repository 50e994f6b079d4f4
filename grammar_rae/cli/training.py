"""New models: ``train``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grammar_rae.cli import arguments, files, preflight, run_files, terminal
from grammar_rae.cli.failures import INTERRUPTED
from grammar_rae.cli.recipe_names import RECIPE_NAMES
from grammar_rae.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from grammar_rae.model import LatentModel

NOTHING = "none"  # the start of a training that begins with no model
STATE = "state"  # where in its folder a training keeps what --resume needs


def train(
    ctx: typer.Context,
    texts: arguments.Texts,
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.", show_default=False)],
    column: arguments.Column = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="A name from `grammar-rae list recipes`, or a file FILE.toml.",
            autocompletion=arguments.completing(lambda: RECIPE_NAMES),
        ),
    ] = "molecules",
    start: Annotated[
        str,
        typer.Option(
            help="The model to begin with: a bundled one, a folder, none, or auto: the bundled molecules for molecules."
        ),
    ] = "auto",
    time_limit: arguments.TimeLimit = None,
    epochs: arguments.Epochs = None,
    seed: arguments.Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the training in this folder.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model in this folder.")] = False,
    constraint: arguments.Constraint = None,
    duplicates: Annotated[
        str, typer.Option(help="Whether to keep or drop rows that are the same molecule as an earlier one.")
    ] = "keep",
    fragments: arguments.Fragments = None,
    jobs: arguments.Jobs = -1,
    cluster: arguments.Cluster = "local",
    device: Annotated[str | None, typer.Option(help="The device: auto, cpu or cuda.", show_default=False)] = None,
    devices: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The number of devices of a node that train the model together, each with a process; without it, what "
            "torchrun or srun started, else 1.",
            show_default=False,
        ),
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(min=1, help="The number of nodes; without it, as devices.", show_default=False)
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(help="How several devices train together: auto, ddp, ddp_fork or ddp_spawn.", show_default=False),
    ] = None,
    threads: arguments.Threads = None,
    precision: Annotated[
        str | None, typer.Option(help="The precision: auto, 32-true or bf16-mixed.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Another choice than the recipe's, for example latent=32 or learning_rate=1e-3; may be repeated.",
            show_default=False,
        ),
    ] = None,
    logger: Annotated[
        list[str] | None,
        typer.Option(
            help="Where to write the course of the training besides history.csv: tensorboard or wandb; may be "
            "repeated.",
            show_default=False,
        ),
    ] = None,
    config: run_files.Config = None,
) -> None:
    """Train a model on a file of molecules or on images."""
    check_run(output, resume=resume, overwrite=overwrite)
    preflight.limit_threads(threads, devices)
    preflight.check_recipe(recipe)
    preflight.check_constraint(constraint)
    if texts.suffix and not recipe.endswith(
        preflight.RECIPE_FILE
    ):  # else it may be a set by its name, or the recipe is wrong first
        preflight.check_file(texts)
    files.tell_column(texts, column)
    import grammar_rae
    from grammar_rae.model import TextModel
    from grammar_rae.training import is_main_process

    chosen: dict[str, Any] = {
        "column": column,
        "epochs": epochs,
        "time_limit": time_limit,
        "fragments": fragments,
        "duplicates": None if duplicates == "keep" else duplicates,
        "constraint": arguments.constraint_text(constraint),
        "accelerator": device,
        "devices": devices,
        "nodes": nodes,
        "strategy": strategy,
        "precision": precision,
        "loggers": logger or None,
    }
    chosen = {name: value for name, value in chosen.items() if value is not None}
    own = arguments.read_settings(settings)
    if twice := sorted(own.keys() & {*chosen, "seed"}):
        raise InputError("--set repeats an option", received=", ".join(twice), remedy="Say it once.")
    model = grammar_rae.train(
        texts,
        recipe=recipe,
        start=None if start == NOTHING else start,
        folder=output,
        seed=seed,
        resume=resume,
        progress=not terminal.is_quiet(),
        jobs=jobs,
        **chosen,
        **own,
    )
    if not is_main_process():
        return  # the first one says how it ended
    run_files.record(ctx, output / run_files.RUN)
    is_of_texts = isinstance(model, TextModel)
    if is_of_texts:
        tell_rejected(texts, output)
    then = f"grammar-rae sample -m {shlex.quote(str(output))} -n 1000 -o out.csv"
    conclude(model, output, then if is_of_texts else f"grammar_rae.load({str(output)!r}).sample(100) in Python")


def check_run(run: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise before any work when there is nothing to resume, or something that nobody said to replace.

    Raises
    ------
    CheckpointError
        See above.
    InputError
        For both.
    """
    from grammar_rae import checkpoint

    if resume and overwrite:
        raise InputError("a training is continued or replaced, not both", received="--resume and --overwrite")
    begun = checkpoint.exists(run / STATE)
    if resume and not begun:
        raise CheckpointError("there is no training to resume", where=str(run), remedy="Train without --resume first.")
    if not (resume or overwrite) and (begun or checkpoint.exists(run)):
        raise CheckpointError(
            "the folder holds a model or a training already",
            where=str(run),
            remedy="Continue it with --resume, replace it with --overwrite, or choose another folder.",
        )


def tell_rejected(texts: Path, run: Path) -> None:
    """Say how many rows of a file were left out."""
    from grammar_rae.datasets import TokenDataset
    from grammar_rae.datasets.encoded import REJECTED
    from grammar_rae.model import DATA_FOLDER

    if texts.is_dir():
        return  # encoded before, and reported then
    folder = run / DATA_FOLDER
    data = TokenDataset.open(folder)
    if data.n_rejected:
        files.note(f"{data.n_rejected} of {data.n_read} rows were left out; {folder / REJECTED} says why")
    files.tell_changed(data.changed)
    if data.n_duplicates:
        files.note(
            f"{data.n_duplicates} of {len(data)} rows repeat a molecule; all rows of one molecule train, or all of "
            "them validate (--duplicates drop leaves repeated ones out)"
        )


def conclude(model: "LatentModel[Any]", run: Path, then: str) -> None:
    """Say what the training came to, and what to do next."""
    stop_if_interrupted(model, run)
    best: dict[str, Any] = model.history.best or {}
    figures = "".join(
        f", {name} {best[key]:.4g}"
        for name, key in (("validation loss", "validation_loss"), ("exact", "validation_exact"))
        if best.get(key) is not None
    )
    files.note(f"trained (stopped by {model.history.stopped}){figures}; the model is in {run}")
    terminal.hint(then)
    terminal.report(model=run, stopped=model.history.stopped, best=best, density_score=model.density_score)


def stop_if_interrupted(model: "LatentModel[Any]", run: Path) -> None:
    """After Ctrl-C the model is saved; the exit code still says that the training was cut short."""
    if model.history.stopped == "interrupted":
        files.note(f"interrupted; the model so far is in {run}, and --resume continues the training")
        raise typer.Exit(INTERRUPTED)
