"""How good a trained model of molecules is: ``evaluate``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from grammar_rae.cli import arguments, files, pages, preflight, run_files, terminal
from grammar_rae.resources import bundled_model, bundled_models

MOSES = "moses"  # the reference that is downloaded
RESULTS, TABLES, PAGE, DRAWS = "results.json", "evaluation.md", "evaluation.html", "draws.csv"


def evaluate(
    ctx: typer.Context,
    model: arguments.Model = arguments.IN_THE_BOX,
    reference: Annotated[
        str,
        typer.Option(help="The molecules to compare with: moses (downloaded), or a file that the model has not seen."),
    ] = "moses",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The folder to write; without it, evaluation/ in the model's folder, or here for a bundled model.",
            show_default=False,
        ),
    ] = None,
    training: Annotated[
        Path | None,
        typer.Option(
            help="A file of the molecules that the model was trained on; without it, the data in its folder.",
            show_default=False,
            callback=arguments.readable,
        ),
    ] = None,
    column: arguments.Column = None,
    n: Annotated[int, typer.Option("-n", min=10, help="The number of molecules to draw.")] = 30_000,
    rows: Annotated[
        int | None,
        typer.Option(min=10, help="The largest number of reference molecules, for a quick look.", show_default=False),
    ] = None,
    reconstruct: Annotated[int, typer.Option(min=0, help="The number of reference molecules to reconstruct.")] = 1_000,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Measure as many molecules of the training set, too.")
    ] = False,
    constraint: arguments.Constraint = None,
    temperature: arguments.Temperature = None,
    top_p: arguments.TopP = None,
    smoothing: arguments.Smoothing = None,
    seed: arguments.Seed = 0,
    cache: Annotated[
        Path | None,
        typer.Option(help="A folder that keeps downloads and what is computed of a reference.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="The device for metrics: cpu or cuda.")] = "cpu",
    jobs: arguments.Jobs = -1,
    cluster: arguments.Cluster = "local",
    config: run_files.Config = None,
) -> None:
    """Measure a model of molecules as MOSES and GuacaMol do."""
    preflight.check_constraint(constraint)
    preflight.check_file(training)
    preflight.check_file(None if reference == MOSES else Path(reference))
    preflight.check_model(model)
    from grammar_rae.evaluation import EvaluationSettings
    from grammar_rae.evaluation import evaluate as measure
    from grammar_rae.model import TextModel
    from grammar_rae.report.evaluation import evaluation_markdown, write_evaluation_page

    folder = _default_folder(model) if output is None else output
    settings = EvaluationSettings(
        reference=reference,
        training=training,
        run=model,
        column=column,
        n=n,
        rows=rows,
        reconstruct=reconstruct,
        baseline=baseline,
        constraint=arguments.constraint_text(constraint),
        temperature=temperature,
        top_p=top_p,
        smoothing=smoothing,
        seed=seed,
        cache=cache,
        jobs=jobs,
        device=device,
        progress=not terminal.is_quiet(),
    )
    if reference != MOSES:
        files.tell_column(Path(reference), column)
    with files.writable_folder(folder):
        found = measure(TextModel.load(model), settings)
        tables = evaluation_markdown(found.figures)
        files.write_text(folder / RESULTS, json.dumps(found.figures.to_dict(), indent=1) + "\n")
        files.write_text(folder / TABLES, tables)
        files.write_frame(folder / DRAWS, found.draws.to_frame())
        valid = [text for text, good in zip(found.draws.texts, found.draws.valid, strict=True) if good]
        write_evaluation_page(folder / PAGE, found.figures, valid, pages.command_line())
    run_files.record(ctx, folder / run_files.RUN, output=folder)
    for remark in found.figures.remarks:
        files.note(f"note: {remark}")
    files.note("written: " + ", ".join(str(folder / name) for name in (RESULTS, TABLES, PAGE, DRAWS)))
    terminal.hint(f"open {folder / PAGE} in a browser, or grammar-rae compare {folder} OTHER")
    terminal.say(tables, nl=False)
    terminal.report(figures=found.figures.to_dict(), output=folder)


def _default_folder(model: Path) -> Path:
    """The folder to write where none is named: never one where the package is installed."""
    in_the_box = model.resolve() in {bundled_model(name).resolve() for name in bundled_models()}
    return Path("evaluation") if in_the_box else model / "evaluation"
