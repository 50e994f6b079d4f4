"""Figures that anybody can measure again: ``benchmark text``, ``training``, ``profile`` and ``constraints``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from grammar_rae.cli import arguments, files

benchmark_app = typer.Typer(help="Measure the package.", no_args_is_help=True, rich_markup_mode=None)

Results = Annotated[Path | None, typer.Option(help="Also add the rows to this file, as JSON lines.")]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.")]


@benchmark_app.command()
def text(
    texts: arguments.Texts,
    column: arguments.Column = None,
    agreement: Annotated[int, typer.Option(help="How many texts NLTK's slow parser reads.")] = 1000,
    seed: Seed = 0,
    results: Results = None,
) -> None:
    """Text to codes: speed against RDKit, agreement with NLTK, round trips, lengths, random decoding."""
    from grammar_rae.benchmarks.text import run

    _conclude(run(texts, column, seed, agreement), results)


@benchmark_app.command()
def training(
    texts: Annotated[Path, typer.Argument(help="A file, or the folder of an encoded data set.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder of the run.", show_default=False)],
    held_out: Annotated[Path | None, typer.Option(help="A file of molecules that are not trained on.")] = None,
    column: arguments.Column = None,
    recipe: Annotated[str, typer.Option(help="What to train.")] = "molecules",
    time_limit: arguments.TimeLimit = None,
    epochs: Annotated[int | None, typer.Option(help="Stop after so many passes over the data.")] = None,
    samples: Annotated[int, typer.Option(help="How many texts are sampled.")] = 10_000,
    test_rows: Annotated[int, typer.Option(help="How many held-out texts are reconstructed.")] = 5_000,
    seed: Seed = 0,
) -> None:
    """A training: rate, memory, held-out reconstruction, raw validity and uniqueness of samples."""
    from grammar_rae.benchmarks.training import run

    row = run(
        texts,
        held_out,
        output,
        recipe=recipe,
        time_limit=time_limit,
        epochs=epochs,
        samples=samples,
        test_rows=test_rows,
        seed=seed,
        column=column,
    )
    _conclude([row], output / "results.jsonl")


@benchmark_app.command()
def profile(
    data: Annotated[Path, typer.Argument(help="The folder of an encoded data set.", show_default=False)],
    recipe: Annotated[str, typer.Option(help="What is trained.")] = "molecules",
    steps: Annotated[int, typer.Option(help="How many steps are timed.")] = 60,
    seed: Seed = 0,
    results: Results = None,
) -> None:
    """Where the time of a training step goes, on the CPU."""
    from grammar_rae.benchmarks.profile import run

    _conclude(run(data, recipe, steps, seed), results)


@benchmark_app.command()
def constraints(
    texts: arguments.Texts,
    column: arguments.Column = None,
    constraint: Annotated[str, typer.Option(help="What is measured, against the grammar alone.")] = "chemistry",
    parts: Annotated[str, typer.Option(help="Only some of the parts, for example random-logits,cost.")] = "",
    model: Annotated[Path | None, typer.Option("-m", "--model", help="The folder of a trained model.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="A file of molecules that the model was not trained on; TEXTS are those it was.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Decodings of senseless logits.")] = 100_000,
    samples: Annotated[int, typer.Option(help="Samples of the model under each constraint.")] = 10_000,
    seed: Seed = 0,
    results: Results = None,
) -> None:
    """A constraint: what it guarantees, whether it forbids real molecules, what it costs, what it does to samples."""
    import grammar_rae
    from grammar_rae.benchmarks.constraints import Setting, run

    trained = None if model is None else grammar_rae.load(model)
    setting = Setting(texts, column, constraint, trained, reference, draws, samples, seed)
    for rows in run(setting, arguments.names(parts)):
        _conclude(rows, results)


def _conclude(rows: list[dict[str, Any]], results: Path | None) -> None:
    """Print the figures, and keep them beside the machine that they were measured on."""
    from grammar_rae.benchmarks import common

    if results is not None:
        common.append(results, [{**row, **common.machine()} for row in rows])
        files.note(f"added to {results}")
    typer.echo(common.figures(rows))
