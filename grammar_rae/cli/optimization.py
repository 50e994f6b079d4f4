"""Texts with high scores from a trained model: ``optimize``."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grammar_rae.cli import arguments, files, pages, preflight, run_files, terminal
from grammar_rae.cli.beside import read_beside
from grammar_rae.cli.objectives import refuse_for_objectives, search_objectives
from grammar_rae.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from grammar_rae.optimization import Optimization

PAGE, BEST, DATA = "report.html", "best.csv", "data.csv"
SHOWN = 10
_FILE, _MODULE = ".py", "grammar_rae_score_of_the_user"


def optimize(
    ctx: typer.Context,
    score: Annotated[
        list[str] | None,
        typer.Option(
            help="The score to optimise: a name from `grammar-rae list scores`, or FILE.py:FUNCTION for a function of "
            "one text; may be repeated for a Pareto front.",
            show_default=False,
        ),
    ] = None,
    objectives: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file of objectives with transforms, limits and diversity, in place of scores.",
            show_default=False,
        ),
    ] = None,
    model: arguments.Model = arguments.IN_THE_BOX,
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")] = Path("optimization"),
    budget: Annotated[int, typer.Option(min=1, help="The number of evaluations, a multiple of the batch size.")] = 250,
    batch_size: Annotated[int, typer.Option(min=1, help="The number of evaluations in each iteration.")] = 50,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="The search strategy, from `grammar-rae list strategies`; without it, analogues for molecules and "
            "turbo for other texts.",
            show_default=False,
        ),
    ] = None,
    data: arguments.StartTexts = None,
    column: arguments.Column = None,
    maximize: Annotated[
        bool | None,
        typer.Option("--maximize/--minimize", help="The direction; without it, the score's own.", show_default=False),
    ] = None,
    constraint: arguments.Constraint = None,
    decodings: Annotated[
        int, typer.Option(min=1, help="The number of texts decoded from each code; the most frequent valid one counts.")
    ] = 1,
    n_initial: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="The number of texts to draw where there are no data, of which objectives count towards the budget; "
            "without it, 1000 for scores and 100 for objectives.",
            show_default=False,
        ),
    ] = None,
    seed: arguments.Seed = 0,
    jobs: arguments.Jobs = 1,
    cluster: arguments.Cluster = "local",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in this folder.")] = False,
    config: run_files.Config = None,
) -> None:
    """Search for high scores, or for several objectives."""
    batch_size = min(batch_size, budget)
    if (score is None) == (objectives is None):
        raise typer.BadParameter("expected --score or --objectives, one of the two", param_hint="--score")
    if objectives is not None:
        refuse_for_objectives(maximize=maximize is not None, column=column is not None, decodings=decodings != 1)
        search_objectives(
            objectives,
            model,
            output,
            budget,
            batch_size,
            data=data,
            constraint=arguments.constraint_text(constraint),
            strategy=strategy,
            n_initial=n_initial,
            seed=seed,
            jobs=jobs,
            resume=resume,
            progress=not terminal.is_quiet(),
        )
        return
    assert score is not None
    if budget % batch_size:
        raise typer.BadParameter(
            f"expected a multiple of the batch size {batch_size}, for example {budget - budget % batch_size}, "
            f"not {budget}",
            param_hint="--budget",
        )
    wanted = [load_scorer(name) for name in score]
    preflight.check_scores([one for one in wanted if isinstance(one, str)])
    preflight.check_constraint(constraint)
    preflight.check_file(data)
    preflight.check_model(model)
    from grammar_rae.codecs import FORMS
    from grammar_rae.datasets import join_columns
    from grammar_rae.model import TextModel
    from grammar_rae.optimization import STRATEGIES
    from grammar_rae.optimization import optimize as search
    from grammar_rae.report.optimization import write_optimization_report

    n_initial = n_initial or 1000
    if strategy is not None and strategy not in STRATEGIES:
        raise UnknownNameError("strategy", strategy, STRATEGIES, "`grammar-rae list strategies`")
    loaded = TextModel.load(model)
    before = loaded.score_constants_
    has_start = resume and data is None and has_data(output)
    texts = None if has_start else initial_texts(loaded, model, data, column, n_initial)
    options: dict[str, Any] = {"strategy": strategy, "maximize": maximize, "decodings": decodings, "seed": seed}
    options |= {"n_iterations": budget // batch_size, "batch_size": batch_size, "n_initial": n_initial}
    options |= {"constraint": arguments.constraint_text(constraint), "jobs": jobs, "progress": not terminal.is_quiet()}
    result = search(loaded, wanted, texts, folder=output, resume=resume, **options)
    files.write_frame(output / BEST, result.best(max(1, len(result.history))))
    if data is not None:
        initial = result.initial
        names, cells = read_beside(initial["text"].tolist(), data, column, loaded.codec.canonical)
        beside = join_columns(names, cells, {"text": initial["text"].tolist()}, dict(initial.drop(columns="text")))
        files.write_frame(output / DATA, beside)
    kind = "molecules" if FORMS[loaded.codec.form].molecules else "text"
    write_optimization_report(output / PAGE, result, kind=kind, model=loaded, command=pages.command_line())
    run_files.record(ctx, output / run_files.RUN)
    print_result(result, output)
    loaded.store_score_constants(result.constants)
    if loaded.score_constants_ != before:
        save_constants(loaded, model)


def load_scorer(text: str) -> str | Callable[[str], float]:
    """The name of a score as it is; for ``FILE.py:FUNCTION`` that function of the user's own code.

    Raises
    ------
    DataError
        If there is no such file or function, none is named, or the file cannot be run.
    """
    path, _, name = text.rpartition(":")
    if text.endswith(_FILE):
        raise DataError("a score from a file needs the name of its function", where=text, expected=f"{text}:FUNCTION")
    if not path.endswith(_FILE):
        return text
    if not Path(path).is_file():
        raise DataError("there is no such file", where=path)
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Known by its name while it runs, as dataclasses want it; not longer, or processes would look for it to import.
    sys.modules[_MODULE] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise DataError(f"the file cannot be run ({type(error).__name__}: {error})", where=path) from error
    finally:
        del sys.modules[_MODULE]
    function = getattr(module, name, None)
    if not callable(function):
        own = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
        raise DataError(
            "the file has no such function",
            received=repr(name),
            expected=f"one of {', '.join(own)}" if own else "a function of one text",
            where=path,
        )
    return function  # type: ignore[no-any-return]


def has_data(run: Path) -> bool:
    """Whether the run in this folder has read the texts that it starts from."""
    from grammar_rae.optimization.journal import TEXTS

    return (run / TEXTS).is_file()


def initial_texts(loaded: Any, model: Path, data: Path | None, column: str | None, n_initial: int) -> list[str] | None:
    """The texts to start from: a file's, or those that the model was trained on; None if they are to be drawn."""
    from grammar_rae.datasets import TokenDataset, read_rows
    from grammar_rae.model import DATA_FOLDER

    if data is not None:
        files.tell_column(data, column)
        rows = list(read_rows(data, column))
        if unusable := sum(row.problem is not None for row in rows):
            files.note(f"{unusable} of {len(rows)} rows of {data} hold no text")
        return [row.text for row in rows if row.problem is None]
    folder = model / DATA_FOLDER
    if not folder.is_dir():
        files.note(f"drawing {n_initial:,} texts from the model to begin with")
        return None
    encoded = TokenDataset.open(folder)
    files.note(f"beginning with the {len(encoded):,} texts that the model was trained on")
    texts: list[str] = []
    for first in range(0, len(encoded), 4096):
        rows_of = range(first, min(first + 4096, len(encoded)))
        texts += [text for text in loaded.codec.spell_batch(encoded.batch(rows_of).numpy()) if text is not None]
    return texts


def save_constants(loaded: Any, model: Path) -> None:
    """Save a model with the constants of its scores; a bundled model is left as it is for everyone."""
    from grammar_rae.resources import bundled_model, bundled_models

    if model.resolve() in [bundled_model(name).resolve() for name in bundled_models()]:
        return
    loaded.save(model)
    files.note(f"the constants that standardise {', '.join(loaded.score_constants_)} are saved in {model}")


def print_result(result: "Optimization", run: Path) -> None:
    """Print the best texts on the standard output, and what was found and written on stderr."""
    shown = result.best(SHOWN) if len(result.scores) == 1 else result.front()
    for row in shown[[*result.scores, "text"]].itertuples(index=False):
        terminal.say("\t".join([*(f"{value:.6g}" for value in row[:-1]), row[-1]]))
    if result.left_out:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in result.left_out.items())
        files.note(f"left out of the data: {reasons}")
    for name, (_, value) in result.initial_best.items():
        files.note(f"best {name} in the data {value:.6g}")
    valid = f"{result.validity:.1%} valid, " if len(result.history) else ""
    files.note(f"{len(result.history)} evaluations, {valid}{sum(result.failures.values())} without a value")
    files.note(f"written {run / 'history.csv'}, {run / BEST} and {run / PAGE}")
    terminal.hint(f"open {run / PAGE} in a browser, or go on with --resume and a larger --budget")
    best = [dict(zip([*result.scores, "text"], row, strict=True)) for row in shown[[*result.scores, "text"]].to_numpy()]
    terminal.report(best=best, evaluations=len(result.history), failures=result.failures, output=run)
