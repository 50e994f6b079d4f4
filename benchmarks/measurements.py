"""Figures that anybody can measure again: the commands of ``benchmark`` that measure one thing."""

from pathlib import Path
from typing import Annotated, Any

import typer

from grammar_rae.cli import arguments, files

Results = Annotated[Path | None, typer.Option(help="Also add the rows to this file, as JSON lines.")]


def text(
    texts: arguments.Texts,
    column: arguments.Column = None,
    agreement: Annotated[int, typer.Option(help="How many texts NLTK's slow parser reads.")] = 1000,
    seed: arguments.Seed = 0,
    results: Results = None,
) -> None:
    """Text to codes: speed against RDKit, agreement with NLTK, round trips, lengths, random decoding."""
    from benchmarks.text import run

    _conclude(run(texts, column, seed, agreement), results)


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
    seed: arguments.Seed = 0,
) -> None:
    """A training: rate, memory, held-out reconstruction, raw validity and uniqueness of samples."""
    from benchmarks.training import run

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


def profile(
    data: Annotated[Path, typer.Argument(help="The folder of an encoded data set.", show_default=False)],
    recipe: Annotated[str, typer.Option(help="What is trained.")] = "molecules",
    steps: Annotated[int, typer.Option(help="How many steps are timed.")] = 60,
    seed: arguments.Seed = 0,
    results: Results = None,
) -> None:
    """Where the time of a training step goes, on the CPU."""
    from benchmarks.profile import run

    _conclude(run(data, recipe, steps, seed), results)


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
    seed: arguments.Seed = 0,
    results: Results = None,
) -> None:
    """A constraint: what it guarantees, whether it forbids real molecules, what it costs, what it does to samples."""
    from benchmarks.constraints import Setting, run
    from grammar_rae.model import TextModel

    trained = None if model is None else TextModel.load(model)
    setting = Setting(texts, column, constraint, trained, reference, draws, samples, seed)
    for rows in run(setting, arguments.names(parts)):
        _conclude(rows, results)


def iteration(
    strategies: Annotated[str, typer.Option(help="One after the other.")] = "paper,turbo,density",
    codes: Annotated[Path | None, typer.Option(help="A .npy file of codes (N, D); without it, codes are made.")] = None,
    n: Annotated[int, typer.Option("-n", min=2, help="How many codes.")] = 250_000,
    latent: Annotated[int, typer.Option(min=1, help="Dimensions of codes that are made.")] = 56,
    batch: Annotated[int, typer.Option(min=1, help="Points of the iteration.")] = 50,
    seeds: Annotated[str, typer.Option(help="One iteration each.")] = "0,1",
    results: Results = None,
) -> None:
    """The time of one iteration of a search: the surrogate's fit to all codes, and the codes to decode next."""
    from benchmarks.iteration import run

    rows = run(arguments.names(strategies), codes, n, latent, batch, arguments.whole_numbers(seeds))
    _conclude(rows, results)


def steps(
    models: Annotated[str, typer.Option(help="Of rae-l2, rae-gp and vae.")] = "rae-l2,rae-gp,vae",
    net: Annotated[str, typer.Option(help="paper or small.")] = "small",
    against: Annotated[str, typer.Option(help="The other library, which must be installed.")] = "pythae",
    alone: Annotated[bool, typer.Option("--alone", help="Only this package.")] = False,
    batch: Annotated[int, typer.Option(help="Images a step.")] = 100,
    threads: Annotated[int | None, typer.Option(help="Of PyTorch.")] = None,
    rounds: Annotated[int, typer.Option(help="How often the two take turns.")] = 10,
    turn: Annotated[int, typer.Option(help="Steps in each turn.")] = 10,
    seed: arguments.Seed = 0,
    results: Results = None,
) -> None:
    """One training step of image autoencoders, beside another library's on the same nets."""
    from benchmarks.steps import run

    rows = run(
        arguments.names(models),
        batch=batch,
        threads=threads,
        rounds=rounds,
        steps=turn,
        net=net,
        against=None if alone else against,
        seed=seed,
    )
    _conclude(rows, results)


def sampling(
    model: arguments.Model = arguments.IN_THE_BOX,
    rivals: Annotated[str, typer.Option(help="Models of molsets, which must be installed.")] = "char_rnn,vae",
    alone: Annotated[bool, typer.Option("--alone", help="Only this package.")] = False,
    n: Annotated[int, typer.Option("-n", help="Texts in each round.")] = 2_000,
    batch: Annotated[int, typer.Option(help="Texts that molsets draws at a time.")] = 500,
    rounds: Annotated[int, typer.Option(help="How often all take turns.")] = 3,
    threads: Annotated[int | None, typer.Option(help="Of PyTorch.")] = None,
    seed: arguments.Seed = 0,
    results: Results = None,
) -> None:
    """Molecules a second that a model draws, beside molsets' recurrent net and VAE of default sizes."""
    from benchmarks.sampling import run
    from grammar_rae.model import TextModel

    names = [] if alone else arguments.names(rivals)
    rows = run(TextModel.load(model), names, n=n, batch=batch, rounds=rounds, threads=threads, seed=seed)
    _conclude(rows, results)


def densities(
    codes: Annotated[
        Path | None, typer.Option(help="A .npy file of codes (N, D); without it, codes are made.", show_default=False)
    ] = None,
    n: Annotated[int, typer.Option("-n", help="How many codes are made.")] = 100_000,
    latent: Annotated[int, typer.Option(help="Their dimensions.")] = 56,
    n_components: Annotated[int, typer.Option(help="Components of the mixtures.")] = 10,
    seed: arguments.Seed = 0,
    results: Results = None,
) -> None:
    """Mixtures of Gaussians: this package's EM beside scikit-learn's, in time and held-out log-likelihood."""
    from benchmarks.densities import run

    _conclude(run(n, latent, n_components, seed, codes), results)


def _conclude(rows: list[dict[str, Any]], results: Path | None) -> None:
    """Print the figures, and keep them beside the machine that they were measured on."""
    from benchmarks import rows as common

    if results is not None:
        common.append(results, [{**row, **common.machine()} for row in rows])
        files.note(f"added to {results}")
    typer.echo(common.figures(rows))
