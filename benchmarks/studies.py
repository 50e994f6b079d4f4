"""The benchmarks that train models and put them side by side: grids that go on where they were stopped."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks import options
from grammar_rae.cli import arguments

if TYPE_CHECKING:
    from benchmarks.grid import Study


def images(
    output: options.StudyFolder,
    data: Annotated[str, typer.Option(help="The data set: mnist, fashion-mnist, cifar10, celeba or digits.")] = "mnist",
    source: Annotated[
        Path | None,
        typer.Option(help="The folder with the images' files; without it they are downloaded.", show_default=False),
    ] = None,
    net: Annotated[str, typer.Option(help="The nets: paper (with its training) or small (for a CPU).")] = "small",
    models: Annotated[
        str,
        typer.Option(
            help="The models, for example vae,rae-l2; without it the table's ten. Others: nc-0, nc-25, nc-50, nc-100.",
            show_default=False,
        ),
    ] = "",
    seeds: Annotated[str, typer.Option(help="The random seeds, one run each.")] = "0",
    epochs: arguments.Epochs = None,
    n: Annotated[int, typer.Option("-n", help="The number of images that a distance is measured with.")] = 10_000,
    features: Annotated[
        str, typer.Option(help="The feature net: classifier, trained here, or inception, that of the FID.")
    ] = "classifier",
    inception_weights: Annotated[
        Path | None,
        typer.Option(help="The file of Inception's weights; without it they are downloaded.", show_default=False),
    ] = None,
    figure3: Annotated[
        bool, typer.Option("--figure3", help="Figure 3 instead: VAEs by Monte-Carlo samples and by KL weight.")
    ] = False,
    figures: options.Figures = True,
    quiet: options.Quiet = False,
) -> None:
    """Table 1 of the paper (or Figure 3): models of images.

    Ten models are trained; their reconstructions, samples and interpolations are compared with test images.
    """
    from benchmarks.images import ImageStudy, figure3_studies
    from grammar_rae.recipes import IMAGE_MODELS

    study = ImageStudy(
        output,
        data=data,
        source=source,
        net=net,
        models=arguments.names(models) or tuple(IMAGE_MODELS),
        seeds=options.numbers(seeds, int),
        epochs=epochs,
        n=n,
        features=features,
        weights=inception_weights,
        progress=not quiet,
    )
    name, studies = ("figure3", figure3_studies(study)) if figure3 else ("table1", [study])
    _conclude(name, studies, figures)


def structured(
    output: options.StudyFolder,
    problem: Annotated[str, typer.Option(help="The problem: expressions or molecules.")] = "expressions",
    source: Annotated[
        Path | None,
        typer.Option(
            help="The file of molecules; its first 5,000 rows are tested and not trained on.", show_default=False
        ),
    ] = None,
    models: Annotated[
        str, typer.Option(help="The models, for example grae,gvae; without it all four.", show_default=False)
    ] = "",
    fast: Annotated[
        bool, typer.Option("--fast", help="Macros and an autoregressive decoder in place of the paper's nets.")
    ] = False,
    trials: Annotated[int, typer.Option(help="The number of searches of each model.")] = 5,
    iterations: options.Iterations = 5,
    batch: options.SearchBatch = 50,
    strategy: Annotated[str, typer.Option(help="The search strategy, from `grammar-rae list strategies`.")] = "paper",
    epochs: arguments.Epochs = None,
    rows: Annotated[int, typer.Option(help="The number of test rows that are reconstructed.")] = 5_000,
    n: Annotated[int, typer.Option("-n", help="The number of draws under each constraint.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="The random seed of the trainings; trials have 0, 1, ...")] = 0,
    quiet: options.Quiet = False,
) -> None:
    """Figure 2 of the paper: models of molecules or expressions.

    Four models are trained; reconstruction, validity and searches of their codes are put side by side.
    """
    from benchmarks.structured import StructuredStudy
    from grammar_rae.recipes import STRUCTURED_MODELS

    study = StructuredStudy(
        output,
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
        n_tested=rows,
        samples=n,
        progress=not quiet,
    )
    _conclude("figure2", [study])


def search(
    model: arguments.Trained,
    score: Annotated[str, typer.Option(help="A name from `grammar-rae list scores`.", show_default=False)],
    output: options.StudyFolder,
    data: arguments.StartTexts = None,
    column: arguments.Column = None,
    strategies: Annotated[str, typer.Option(help="The search strategies.")] = "paper,turbo,density",
    seeds: Annotated[str, typer.Option(help="The random seeds, one search each.")] = "0,1,2,3,4",
    iterations: options.Iterations = 5,
    batch: options.SearchBatch = 50,
    decodings: Annotated[int, typer.Option(help="The number of texts decoded from each point.")] = 1,
    constraint: arguments.Constraint = None,
    reach: Annotated[
        float | None, typer.Option(help="A value; the table counts the searches that reach it.", show_default=False)
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Searches of one model by several strategies and seeds."""
    from benchmarks.search import SearchStudy
    from grammar_rae.cli.optimization import initial_texts
    from grammar_rae.model import TextModel

    study = SearchStudy(
        output,
        model=model,
        data=initial_texts(TextModel.load(model), model, data, column, 1000),
        score=score,
        strategies=arguments.names(strategies),
        seeds=options.numbers(seeds, int),
        iterations=iterations,
        batch=batch,
        decodings=decodings,
        constraint=arguments.constraint_text(constraint),
        reach=reach,
        progress=not quiet,
    )
    _conclude("search", [study])


def goals(
    output: options.StudyFolder,
    model: arguments.Model = arguments.IN_THE_BOX,
    suite: Annotated[str, typer.Option(help="The suite of tasks: pmo or guacamol.")] = "pmo",
    tasks: Annotated[
        str, typer.Option(help="The tasks, for example qed,median1; without it, all of the suite.", show_default=False)
    ] = "",
    strategies: Annotated[
        str, typer.Option(help="The search strategies, and baselines: graph_ga, gp_bo.")
    ] = "analogues",
    seeds: Annotated[str, typer.Option(help="The random seeds, one search of each task each.")] = "0,1,2,3,4",
    calls: Annotated[int, typer.Option(help="The number of molecules that each search may evaluate.")] = 10_000,
    batch: options.SearchBatch = 50,
    initial: Annotated[int, typer.Option(help="The number of plain draws before the strategy begins.")] = 100,
    constraint: arguments.Constraint = None,
    quiet: options.Quiet = False,
) -> None:
    """The tasks of PMO or GuacaMol: what is found within a number of calls of the score."""
    from benchmarks.goals import GoalsStudy
    from benchmarks.outcomes import conclude

    study = GoalsStudy(
        output,
        model=model,
        suite=suite,
        tasks=arguments.names(tasks),
        strategies=arguments.names(strategies),
        seeds=options.numbers(seeds, int),
        calls=calls,
        batch=batch,
        initial=initial,
        constraint=arguments.constraint_text(constraint),
        progress=not quiet,
    )
    typer.echo(conclude("goals", [study]), nl=False)


def latent_space(
    source: arguments.Texts,
    test: Annotated[Path, typer.Argument(help="A file of molecules that are not trained on.", show_default=False)],
    output: options.StudyFolder,
    models: Annotated[
        str, typer.Option(help="The models, for example rae,conditioned; without it all.", show_default=False)
    ] = "",
    densities: Annotated[
        str,
        typer.Option(help="The densities; gmm:100 has 100 components, two-stage:epochs=20 is fitted in 20 passes."),
    ] = "gmm:10",
    smoothings: Annotated[str, typer.Option(help="Noise on draws, for decoders that know of it.")] = "0,1,2",
    temperatures: Annotated[str, typer.Option(help="Temperatures of the decoder.")] = "1,0.6",
    constraints: Annotated[str, typer.Option(help="Constraints of the decoder, by name.")] = "grammar",
    rows: Annotated[int, typer.Option(help="The number of molecules to train on, chosen at random.")] = 300_000,
    epochs: Annotated[int, typer.Option(help="The number of passes over the data.")] = 5,
    n: Annotated[int, typer.Option("-n", help="The number of draws of each point, and of test molecules.")] = 5_000,
    seed: arguments.Seed = 0,
    figures: options.Figures = True,
    quiet: options.Quiet = False,
) -> None:
    """Reconstruction against samples, in latent spaces.

    The grid is models times densities, smoothings, temperatures and constraints; points that are added need no
    training.
    """
    from benchmarks.latent_space import MODELS, LatentSpaceStudy

    study = LatentSpaceStudy(
        output,
        source=source,
        test=test,
        models=arguments.names(models) or tuple(MODELS),
        densities=arguments.names(densities),
        smoothings=options.numbers(smoothings, float),
        temperatures=options.numbers(temperatures, float),
        constraints=arguments.names(constraints),
        n_training=rows,
        epochs=epochs,
        n=n,
        seed=seed,
        progress=not quiet,
    )
    _conclude("latent-space", [study], figures)


def _conclude(name: str, studies: "Sequence[Study]", figures: bool = False) -> None:
    from benchmarks.outcomes import conclude

    typer.echo(conclude(name, studies, figures), nl=False)
