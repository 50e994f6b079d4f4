"""The benchmarks that measure one thing, as commands."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import options
from grammar_rae.cli import arguments, files


def text(
    texts: arguments.Texts,
    column: arguments.Column = None,
    agreement: Annotated[int, typer.Option(help="The number of texts that NLTK's slow parser reads.")] = 1000,
    seed: arguments.Seed = 0,
    results: options.Results = None,
) -> None:
    """Parsing and encoding: speed, agreement, round trips.

    Text to tokens beside RDKit's parser, derivations beside NLTK's, what comes back, lengths, and random decoding.
    """
    from benchmarks.text import run

    _conclude(run(texts, column, seed, agreement), results, seed)


def training(
    texts: Annotated[Path, typer.Argument(help="A file, or the folder of an encoded data set.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.", show_default=False)],
    held_out: Annotated[
        Path | None, typer.Option(help="A file of molecules that are not trained on.", show_default=False)
    ] = None,
    column: arguments.Column = None,
    recipe: Annotated[str, typer.Option(help="A name from `grammar-rae list recipes`.")] = "moses",
    time_limit: arguments.TimeLimit = None,
    epochs: arguments.Epochs = None,
    n: Annotated[int, typer.Option("-n", help="The number of texts to draw.")] = 10_000,
    rows: Annotated[int, typer.Option(help="The number of held-out texts to reconstruct.")] = 5_000,
    seed: arguments.Seed = 0,
) -> None:
    """A training: rate, memory, reconstruction, validity."""
    from benchmarks.training import run

    row = run(
        texts,
        held_out,
        output,
        recipe=recipe,
        time_limit=time_limit,
        epochs=epochs,
        samples=n,
        test_rows=rows,
        seed=seed,
        column=column,
    )
    _conclude([row], output / "results.jsonl", seed)


def adapting(
    source: Annotated[
        Path,
        typer.Argument(help="A table with smiles, target and p; or, with --held-out, a file.", show_default=False),
    ],
    start: Annotated[str, typer.Option(help="The model to begin with.")] = "molecules",
    held_out: Annotated[
        Path | None, typer.Option(help="A file of molecules that are not trained on.", show_default=False)
    ] = None,
    targets: Annotated[
        str, typer.Option(help="The targets, separated by commas; without it all.", show_default=False)
    ] = "",
    rows: Annotated[int, typer.Option(help="The number of actives, or of rows of a file.")] = 200,
    n: Annotated[int, typer.Option("-n", help="The number of texts to draw.")] = 2_000,
    seeds: Annotated[int, typer.Option(help="The number of seeds, for targets.")] = 3,
    time_limit: arguments.TimeLimit = None,
    results: options.Results = None,
) -> None:
    """Adapting to actives of targets, or to a file.

    With --held-out, a training from nothing for the same time stands beside it.
    """
    from benchmarks.adapting import run_file, run_targets

    if held_out is None:
        chosen = tuple(arguments.names(targets))
        limit = {} if time_limit is None else {"time_limit": time_limit}
        found = run_targets(source, start=start, actives=rows, draws=n, seeds=seeds, targets=chosen, **limit)
        _conclude(found, results, *range(seeds))
        return
    _conclude(run_file(source, held_out, start=start, rows=rows, draws=n, time_limit=time_limit or 300.0), results, 0)


def qsar(
    table: Annotated[Path, typer.Argument(help="A table with smiles, target, p and split.", show_default=False)],
    models: Annotated[str, typer.Option(help="The models, separated by commas.")] = "moses,molecules",
    results: options.Results = None,
) -> None:
    """What codes say of affinities, beside Morgan fingerprints."""
    from benchmarks.qsar import run
    from grammar_rae.model.current import find_model

    _conclude(run(table, {name: find_model(name) for name in arguments.names(models)}), results, 0)


def coverage(
    texts: Annotated[list[Path], typer.Argument(help="Files of molecules.", show_default=False)],
    models: Annotated[str, typer.Option(help="The models, separated by commas.")] = "moses,molecules",
    column: arguments.Column = None,
    rows: Annotated[int, typer.Option(help="The number of rows of each file that are decoded, at most.")] = 1_000,
    seed: arguments.Seed = 0,
    results: options.Results = None,
) -> None:
    """What models make of files: what they accept, why not the rest, and what comes back."""
    from benchmarks.coverage import run
    from grammar_rae.model.current import find_model

    found = run(texts, {name: find_model(name) for name in arguments.names(models)}, rows, seed, column)
    _conclude(found, results, seed)


def device(
    name: Annotated[str, typer.Argument(help="The device, as PyTorch names it.")] = "cuda",
    rows: Annotated[int, typer.Option(help="The number of texts that are compared.")] = 200,
    seconds: Annotated[float, typer.Option(help="How long each batch size trains; 0 for no rates.")] = 20.0,
    results: options.Results = None,
) -> None:
    """An accelerator beside the CPU: the same results, and its rate."""
    from benchmarks.device import run

    _conclude(run(name, rows, seconds), results, 0)


def profile(
    data: Annotated[Path, typer.Argument(help="The folder of an encoded data set.", show_default=False)],
    recipe: Annotated[str, typer.Option(help="A name from `grammar-rae list recipes`.")] = "moses",
    steps: Annotated[int, typer.Option(help="The number of steps that are timed.")] = 60,
    seed: arguments.Seed = 0,
    results: options.Results = None,
) -> None:
    """Where the time of a training step goes, on the CPU."""
    from benchmarks.profile import run

    _conclude(run(data, recipe, steps, seed), results, seed)


def constraints(
    texts: arguments.Texts,
    column: arguments.Column = None,
    constraint: Annotated[str, typer.Option(help="The constraint, measured beside the grammar alone.")] = "chemistry",
    parts: Annotated[
        str, typer.Option(help="The parts, for example random-logits,cost; without it all.", show_default=False)
    ] = "",
    model: Annotated[
        Path | None, typer.Option("-m", "--model", help="The folder of a trained model.", show_default=False)
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="A file of molecules that the model was not trained on.", show_default=False),
    ] = None,
    draws: Annotated[int, typer.Option(help="The number of decodings of random logits.")] = 100_000,
    n: Annotated[int, typer.Option("-n", help="The number of samples under each constraint.")] = 10_000,
    seed: arguments.Seed = 0,
    results: options.Results = None,
) -> None:
    """A constraint: guarantees, refusals, cost, samples.

    What it guarantees, whether it forbids real molecules, what it costs, and, with a model and a reference, what it
    does to samples. TEXTS are the molecules that the model was trained on.
    """
    from benchmarks.constraints import Setting, run
    from grammar_rae.model import TextModel

    trained = None if model is None else TextModel.load(model)
    setting = Setting(texts, column, constraint, trained, reference, draws, n, seed)
    for rows in run(setting, arguments.names(parts)):
        _conclude(rows, results, seed)


def iteration(
    strategies: Annotated[str, typer.Option(help="The search strategies.")] = "paper,turbo,density",
    codes: options.Codes = None,
    n: Annotated[int, typer.Option("-n", min=2, help="The number of codes.")] = 250_000,
    latent: options.LatentSize = 56,
    batch: options.SearchBatch = 50,
    seeds: Annotated[str, typer.Option(help="The random seeds, one iteration each.")] = "0,1",
    results: options.Results = None,
) -> None:
    """The time of one iteration of a search.

    The surrogate's fit to all codes, and the choice of the codes to decode next.
    """
    from benchmarks.iteration import run

    chosen = options.numbers(seeds, int)
    _conclude(run(arguments.names(strategies), codes, n, latent, batch, chosen), results, *chosen)


def steps(
    models: Annotated[str, typer.Option(help="The models: some of rae-l2, rae-gp and vae.")] = "rae-l2,rae-gp,vae",
    net: Annotated[str, typer.Option(help="The nets: paper or small.")] = "small",
    against: Annotated[str, typer.Option(help="The other library, which must be installed.")] = "pythae",
    alone: options.Alone = False,
    batch: Annotated[int, typer.Option(help="The number of images in a step.")] = 100,
    threads: options.Threads = None,
    rounds: options.Rounds = 10,
    turn: Annotated[int, typer.Option(help="The number of steps in each turn.")] = 10,
    seed: arguments.Seed = 0,
    results: options.Results = None,
) -> None:
    """Training steps of image models, beside another library's."""
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
    _conclude(rows, results, seed)


def sampling(
    model: arguments.Model = arguments.IN_THE_BOX,
    rivals: Annotated[str, typer.Option(help="Models of molsets, which must be installed.")] = "char_rnn,vae",
    alone: options.Alone = False,
    n: Annotated[int, typer.Option("-n", help="The number of texts in each round.")] = 2_000,
    batch: Annotated[int, typer.Option(help="The number of texts that molsets draws at a time.")] = 500,
    rounds: options.Rounds = 3,
    threads: options.Threads = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="The model with weights of eight bits takes turns, too.")
    ] = False,
    seed: arguments.Seed = 0,
    results: options.Results = None,
) -> None:
    """Molecules per second, beside the models of molsets."""
    from benchmarks.sampling import run
    from grammar_rae.model import TextModel

    names = [] if alone else arguments.names(rivals)
    rows = run(TextModel.load(model), names, n=n, batch=batch, rounds=rounds, threads=threads, seed=seed, int8=int8)
    _conclude(rows, results, seed)


def encode_file(
    source: Annotated[Path, typer.Argument(help="An SDF.", show_default=False)],
    model: arguments.Model = arguments.IN_THE_BOX,
    n: Annotated[int, typer.Option("-n", help="The number of records.")] = 100_000,
    jobs: arguments.Jobs = 1,
    rounds: options.Rounds = 3,
    results: options.Results = None,
) -> None:
    """An SDF through encode to Parquet, beside RDKit's own reading."""
    from benchmarks.files import run
    from grammar_rae.model import TextModel

    _conclude(run(source, TextModel.load(model), n, jobs, rounds), results)


def densities(
    codes: options.Codes = None,
    n: Annotated[int, typer.Option("-n", help="The number of codes.")] = 100_000,
    latent: options.LatentSize = 56,
    n_components: Annotated[int, typer.Option(help="The number of components of the mixtures.")] = 10,
    seed: arguments.Seed = 0,
    results: options.Results = None,
) -> None:
    """Mixtures of Gaussians, beside scikit-learn's.

    This package's EM and scikit-learn's, in time and held-out log-likelihood.
    """
    from benchmarks.densities import run

    _conclude(run(n, latent, n_components, seed, codes), results, seed)


def scale(
    source: Annotated[Path, typer.Argument(help="A file of molecules.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.", show_default=False)],
    rows: Annotated[str, typer.Option(help="Numbers of rows to encode; empty for none.")] = "100000,1000000",
    repeated: Annotated[int, typer.Option(help="Rows that the last of them is repeated to; 0 for none.")] = 10_000_000,
    draws: Annotated[int, typer.Option(help="The number of texts to draw; 0 for none.")] = 100_000,
    model: Annotated[str, typer.Option(help="The model that draws, and whose codec encodes.")] = "molecules",
    jobs: Annotated[int, typer.Option(help="The number of processes.")] = 1,
    clusters: Annotated[bool, typer.Option("--clusters", help="Compare Dask and Ray with two processes.")] = False,
    results: options.Results = None,
) -> None:
    """Data sets by their number of rows: rate and memory of encoding, training and drawing.

    With --clusters, two workers of Dask and of Ray encode the first of these numbers of rows beside two processes.
    """
    from benchmarks.scale import run, run_clusters

    numbers = [int(number) for number in arguments.names(rows)]
    if clusters:
        _conclude(run_clusters(source, output, rows=numbers[0], model=model), results, 0)
        return
    found = run(source, output, rows=numbers, repeated=repeated, draws=draws, model=model, jobs=jobs)
    _conclude(found, results, 0)


def analogues(
    leads: arguments.Texts,
    model: Annotated[str, typer.Option("-m", "--model", help="The model that draws.")] = "molecules",
    rows: Annotated[int, typer.Option(help="The number of leads.")] = 200,
    n: Annotated[int, typer.Option("-n", help="The number of analogues of each.")] = 100,
    seed: arguments.Seed = 0,
    results: options.Results = None,
) -> None:
    """Analogues of leads that the model was not trained on: similarity reached, distinct ones, seconds."""
    from benchmarks.editing import run_analogues
    from grammar_rae.datasets import read_texts
    from grammar_rae.model.current import find_model

    texts = [text for _, text in islice(read_texts(leads), rows)]
    _conclude(run_analogues(find_model(model), texts, n=n, seed=seed), results, seed)


def editing(
    model: Annotated[str, typer.Option("-m", "--model", help="The model that draws.")] = "molecules",
    rows: Annotated[int, typer.Option(help="The number of scaffolds that are decorated.")] = 200,
    n: Annotated[int, typer.Option("-n", help="The number of texts in each window.")] = 200,
    seed: arguments.Seed = 0,
    results: options.Results = None,
) -> None:
    """Decorations beside free draws with their scaffolds; windows beside rejection alone."""
    from benchmarks.editing import run_decoration, run_windows
    from grammar_rae.model.current import find_model

    chosen = find_model(model)
    _conclude([*run_decoration(chosen, pairs=rows, seed=seed), *run_windows(chosen, n=n, seed=seed)], results, seed)


def fragments(
    model: Annotated[str, typer.Option("-m", "--model", help="The model that draws.")] = "molecules",
    n: Annotated[int, typer.Option("-n", help="The number of molecules of each drug and job.")] = 100,
    pool: Annotated[
        int | None,
        typer.Option(help="How many times as many are drawn, of which the likeliest are kept; 1 keeps what is drawn."),
    ] = None,
    seed: arguments.Seed = 0,
    results: options.Results = None,
) -> None:
    """Fragments of ten drugs, completed: the share that is unique, drug-like and easy to make."""
    from benchmarks.fragments import run
    from grammar_rae.model.current import find_model

    _conclude(run(find_model(model), n=n, pool=pool, seed=seed), results, seed)


def threads(
    seconds: Annotated[float, typer.Option(help="How long each training lasts.")] = 20.0,
    rounds: options.Rounds = 3,
    results: options.Results = None,
) -> None:
    """Two threads beside two processes, alone and beside other work.

    Rows that a training reads a second on two cores, with and without another process that keeps one of them busy.
    """
    from benchmarks.threads import run

    _conclude(run(seconds, rounds), results, 0)


def startup(
    rounds: options.Rounds = 5,
    results: options.Results = None,
) -> None:
    """The time to a first draw and to an error.

    Commands and calls in processes of their own, beside the imports that none can avoid, in turn.
    """
    from benchmarks.startup import run

    _conclude(run(rounds), results)


def _conclude(rows: list[dict[str, Any]], results: Path | None, *seeds: int) -> None:
    """Print the figures, and keep them with their provenance."""
    from benchmarks.rows import append, figures
    from grammar_rae.evaluation import provenance

    if results is not None:
        about = provenance(*seeds).to_dict()
        append(results, [{**row, **about} for row in rows])
        files.note(f"added to {results}")
    typer.echo(figures(rows))
