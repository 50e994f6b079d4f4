"""The commands of ``benchmark`` that train models and put them side by side, and go on where they were stopped."""

from pathlib import Path
from typing import Annotated

import typer

from grammar_rae.cli import arguments, files

StudyFolder = Annotated[Path, typer.Option("-o", "--output", help="The folder of the study.", show_default=False)]
Epochs = Annotated[int | None, typer.Option(help="Passes over the data; without it, the recipe's.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bars.")]


def images(
    output: StudyFolder,
    data: Annotated[str, typer.Option(help="mnist, fashion-mnist, cifar10, celeba or digits.")] = "mnist",
    source: Annotated[
        Path | None, typer.Option(help="The folder with the images' files, where they are not to be downloaded.")
    ] = None,
    net: Annotated[str, typer.Option(help="paper: the paper's nets and training; small: nets for a CPU.")] = "small",
    models: Annotated[
        str,
        typer.Option(
            help="Only these, for example vae,rae-l2; without it the ten of the table. Others: nc-0 to nc-100."
        ),
    ] = "",
    seeds: Annotated[str, typer.Option(help="Of weights, split and order; one run each.")] = "0",
    epochs: Epochs = None,
    n: Annotated[int, typer.Option("-n", help="Images that a distance is measured with.")] = 10_000,
    features: Annotated[str, typer.Option(help="classifier: a net trained here; inception: that of the FID.")] = (
        "classifier"
    ),
    inception_weights: Annotated[
        Path | None, typer.Option(help="The file of Inception's weights, where it is not to be downloaded.")
    ] = None,
    figure3: Annotated[
        bool, typer.Option("--figure3", help="In place of the table: VAEs by Monte-Carlo samples and by KL weight.")
    ] = False,
    figures: Annotated[bool, typer.Option(help="Draw PNG files too.")] = True,
    quiet: Quiet = False,
) -> None:
    """Table 1 of the paper: train ten models of images; distances of reconstructions, samples and interpolations.

    Run again with the same folder, it goes on where it was stopped.
    """
    from grammar_rae.benchmarks import image_figures, image_tables
    from grammar_rae.benchmarks.images import Study, classifier_accuracy, figure3_studies, run
    from grammar_rae.recipes import IMAGE_MODELS

    if figures:
        image_figures.check_matplotlib()
    study = Study(
        folder=output,
        data=data,
        source=source,
        net=net,
        seeds=arguments.whole_numbers(seeds),
        epochs=epochs,
        n=n,
        features=features,
        weights=inception_weights,
        progress=not quiet,
        models=arguments.names(models) or tuple(IMAGE_MODELS),
    )
    if figure3:
        rows = [row for one in figure3_studies(study) for row in run(one)]
        told = image_tables.figure3_markdown(rows)
    else:
        rows = run(study)
        told = image_tables.markdown(rows, classifier_accuracy(study))
    _tell(output / ("figure3.md" if figure3 else "table1.md"), told)
    drawn = [image_figures.draw_figure3(output / "figure3.png", rows)] if figures and figure3 else []
    drawn += image_figures.draw(study) if figures and not figure3 else []
    if drawn:
        files.note("drawn: " + ", ".join(map(str, drawn)))


def structured(
    output: StudyFolder,
    problem: Annotated[str, typer.Option(help="expressions or molecules.")] = "expressions",
    source: Annotated[
        Path | None, typer.Option(help="The molecules, one SMILES a row; the first 5,000 rows are not trained on.")
    ] = None,
    models: Annotated[str, typer.Option(help="Only some of the four models, for example grae,gvae.")] = "",
    fast: Annotated[
        bool, typer.Option("--fast", help="Short codes and an autoregressive decoder in place of the paper's nets.")
    ] = False,
    trials: Annotated[int, typer.Option(help="Searches of each model.")] = 5,
    iterations: Annotated[int, typer.Option(help="Of each search.")] = 5,
    batch: Annotated[int, typer.Option(help="Points of an iteration.")] = 50,
    strategy: Annotated[str, typer.Option(help="How a search chooses its points.")] = "paper",
    epochs: Epochs = None,
    rows: Annotated[int, typer.Option(help="Test rows that are reconstructed.")] = 5_000,
    samples: Annotated[int, typer.Option("-n", help="Draws of the density under each constraint.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the trainings; trials have the seeds 0, 1, ...")] = 0,
    quiet: Quiet = False,
) -> None:
    """Figure 2 of the paper: train four models of molecules or expressions; reconstruction, validity, searches.

    Run again with the same folder, it goes on where it was stopped.
    """
    from grammar_rae.benchmarks.structured import Study, run
    from grammar_rae.benchmarks.structured_tables import markdown
    from grammar_rae.recipes import STRUCTURED_MODELS

    study = Study(
        folder=output,
        problem=problem,
        source=source,
        models=arguments.names(models) or tuple(STRUCTURED_MODELS),
        fast=fast,
        trials=trials,
        iterations=iterations,
        batch=batch,
        strategy=strategy,
        epochs=epochs,
        seed=seed,
        rows=rows,
        samples=samples,
        progress=not quiet,
    )
    _tell(output / "figure2.md", markdown(list(run(study))))


def search(
    model: arguments.Trained,
    score: Annotated[str, typer.Option(help="What is optimised, by name.", show_default=False)],
    output: StudyFolder,
    data: Annotated[
        Path | None, typer.Option(help="Texts to begin with; without it those that the model was trained on.")
    ] = None,
    column: arguments.Column = None,
    strategies: Annotated[str, typer.Option(help="Side by side.")] = "paper,turbo,density",
    seeds: Annotated[str, typer.Option(help="One search each.")] = "0,1,2,3,4",
    iterations: Annotated[int, typer.Option(help="Of each search.")] = 5,
    batch: Annotated[int, typer.Option(help="Evaluations of an iteration.")] = 50,
    decodings: Annotated[int, typer.Option(help="Of each point.")] = 1,
    constraint: arguments.Constraint = None,
    reach: Annotated[float | None, typer.Option(help="Tell how many searches come as far as this value.")] = None,
    quiet: Quiet = False,
) -> None:
    """Searches of one model by several strategies, each with several seeds.

    Run again with the same folder, it goes on where it was stopped.
    """
    from grammar_rae.benchmarks.search import Searches, markdown, run
    from grammar_rae.cli.optimization import initial_texts
    from grammar_rae.model import TextModel

    study = Searches(
        folder=output,
        model=model,
        data=initial_texts(TextModel.load(model), model, data, column, 1000),
        score=score,
        strategies=arguments.names(strategies),
        seeds=arguments.whole_numbers(seeds),
        iterations=iterations,
        batch=batch,
        decodings=decodings,
        constraint=arguments.constraint_text(constraint),
        reach=reach,
        progress=not quiet,
    )
    _tell(output / "search.md", markdown(list(run(study))))


def latent_space(
    source: arguments.Texts,
    test: Annotated[Path, typer.Argument(help="Molecules that are not trained on.", show_default=False)],
    output: StudyFolder,
    models: Annotated[str, typer.Option(help="Only some of the study's models, for example rae,conditioned.")] = "",
    densities: Annotated[
        str,
        typer.Option(help="Fitted to the codes of each; gmm:100 has 100 components, two-stage:epochs=20 fewer passes."),
    ] = "gmm:10",
    smoothings: Annotated[str, typer.Option(help="Noise on draws, for decoders that know of it.")] = "0,1,2",
    temperatures: Annotated[str, typer.Option(help="Of the decoder.")] = "1,0.6",
    constraints: Annotated[str, typer.Option(help="Of the decoder, by name.")] = "grammar",
    rows: Annotated[int, typer.Option(help="Molecules to train on, at random.")] = 300_000,
    epochs: Annotated[int, typer.Option(help="Passes over them.")] = 5,
    n: Annotated[int, typer.Option("-n", help="Draws of each point, and test molecules beside them.")] = 5_000,
    seed: arguments.Seed = 0,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw frontier.png (matplotlib).")] = True,
    quiet: Quiet = False,
) -> None:
    """Reconstruction against what the density draws, for models, densities, smoothings and temperatures.

    Run again with the same folder, it goes on where it was stopped; points that are added need no training.
    """
    from grammar_rae.benchmarks.latent_space import MODELS, Study, run
    from grammar_rae.benchmarks.latent_space_tables import draw_frontier, markdown

    study = Study(
        folder=output,
        source=source,
        test=test,
        models=arguments.names(models) or tuple(MODELS),
        densities=arguments.names(densities),
        smoothings=arguments.numbers(smoothings),
        temperatures=arguments.numbers(temperatures),
        constraints=arguments.names(constraints),
        rows=rows,
        epochs=epochs,
        n=n,
        seed=seed,
        progress=not quiet,
    )
    found = list(run(study))
    _tell(output / "latent-space.md", markdown(found))
    if figures:
        files.note(f"drawn: {draw_frontier(output / 'frontier.png', found)}")


def _tell(table: Path, told: str) -> None:
    """Print a study's tables, and keep them in its folder."""
    files.write_text(table, told)
    files.note(f"written: {table}")
    typer.echo(told, nl=False)
