"""How good a trained model of molecules is: ``evaluate``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from grammar_rae.cli import arguments, files
from grammar_rae.resources import bundled_model, bundled_models

RESULTS, TABLES, PAGE, DRAWS = "results.json", "evaluation.md", "evaluation.html", "draws.csv"


def evaluate(
    model: arguments.Model = arguments.IN_THE_BOX,
    reference: Annotated[
        str,
        typer.Option(help="moses (its test sets, downloaded), or a file of molecules that the model has not seen."),
    ] = "moses",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The folder to write; without it, evaluation/ in the model's, and here for a model in the box.",
        ),
    ] = None,
    training: Annotated[
        Path | None,
        typer.Option(help="A file of the molecules that the model has seen; without it, the data in its folder."),
    ] = None,
    column: arguments.Column = None,
    n: Annotated[int, typer.Option("-n", min=10, help="How many texts are drawn.")] = 30_000,
    rows: Annotated[
        int | None, typer.Option(min=10, help="At most so many molecules of each reference, for a quick look.")
    ] = None,
    reconstruct: Annotated[
        int, typer.Option(min=0, help="How many reference molecules are encoded and decoded.")
    ] = 1_000,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="The same figures for as many molecules of the training set, too.")
    ] = False,
    constraint: arguments.Constraint = None,
    temperature: arguments.Temperature = None,
    top_p: arguments.TopP = None,
    smoothing: arguments.Smoothing = None,
    seed: arguments.Seed = 0,
    cache: Annotated[
        Path | None,
        typer.Option(help="A folder for MOSES's files, and for what is computed of a reference: it is used again."),
    ] = None,
    device: Annotated[str, typer.Option(help="Of ChemNet and of similarities: cpu or cuda.")] = "cpu",
    jobs: Annotated[int, typer.Option(help="Processes that read molecules; -1 for one per core.")] = -1,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bars.")] = False,
) -> None:
    """Compare a model's molecules with others: MOSES's and GuacaMol's figures, and reconstruction."""
    from grammar_rae.evaluation.molecules import Evaluation
    from grammar_rae.evaluation.molecules import evaluate as evaluated
    from grammar_rae.model import TextModel
    from grammar_rae.report.evaluation import evaluation_markdown, write_evaluation_page

    folder = _default_folder(model) if output is None else output
    what = Evaluation(
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
        progress=not quiet,
    )
    with files.writable_folder(folder):
        found = evaluated(TextModel.load(model), what)
        told = evaluation_markdown(found.figures)
        files.write_text(folder / RESULTS, json.dumps(found.figures, indent=1) + "\n")
        files.write_text(folder / TABLES, told)
        files.write_frame(folder / DRAWS, found.draws.to_frame())
        valid = [text for text, good in zip(found.draws.texts, found.draws.valid, strict=True) if good]
        write_evaluation_page(folder / PAGE, found.figures, valid)
    for remark in found.figures["remarks"]:
        files.note(f"note: {remark}")
    files.note("written: " + ", ".join(str(folder / name) for name in (RESULTS, TABLES, PAGE, DRAWS)))
    typer.echo(told, nl=False)


def _default_folder(model: Path) -> Path:
    """Nothing is written where the package is installed."""
    in_the_box = model.resolve() in {bundled_model(name).resolve() for name in bundled_models()}
    return Path("evaluation") if in_the_box else model / "evaluation"
