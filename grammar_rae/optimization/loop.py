"""The entry point: it checks what a user asks for, and runs the search."""

import hashlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np

from grammar_rae.checks import check_jobs
from grammar_rae.errors import InputError, MissingExtraError, UnknownNameError
from grammar_rae.optimization import start
from grammar_rae.optimization.adapt import AdaptStrategy
from grammar_rae.optimization.analogues import AnaloguesStrategy
from grammar_rae.optimization.base import Strategy, check_number
from grammar_rae.optimization.executors import Evaluating
from grammar_rae.optimization.journal import Journal, one_search
from grammar_rae.optimization.paper import PaperStrategy
from grammar_rae.optimization.proposals import Decoder
from grammar_rae.optimization.result import Optimization, outcome
from grammar_rae.optimization.run import Run
from grammar_rae.optimization.scaffolds import ScaffoldsStrategy
from grammar_rae.optimization.tilted import DensityStrategy
from grammar_rae.optimization.turbo import TurboStrategy
from grammar_rae.scores import Score, get_score
from grammar_rae.seeds import resolve_seed

STRATEGIES: dict[str, type[Strategy]] = {
    "paper": PaperStrategy,
    "turbo": TurboStrategy,
    "density": DensityStrategy,
    "analogues": AnaloguesStrategy,
    "scaffolds": ScaffoldsStrategy,
    "adapt": AdaptStrategy,
}
"""Strategies: ``Strategy(**options)``."""

RESERVED = ("iteration", "point", "text", "valid", "known", "valid_share", "reason")

AnyScore = str | Score | Callable[[str], float]


def optimize(
    model: Any,
    score: AnyScore | Sequence[AnyScore],
    data: Any = None,
    *,
    n_iterations: int = 5,
    batch_size: int = 50,
    strategy: str | None = None,
    maximize: bool | Sequence[bool] | None = None,
    constraint: Any = None,
    decodings: int = 1,
    n_initial: int = 1000,
    distinct: bool | None = None,
    seed: int | None = 0,
    folder: str | PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = False,
    jobs: int = 1,
    executor: Executor | None = None,
    time_limit: float | None = None,
    retries: int = 0,
    **options: Any,
) -> Optimization:
    """Search a model's latent space for texts with high scores.

    Each iteration proposes ``batch_size`` codes by what is known so far, decodes them and evaluates the texts: the
    budget is ``n_iterations * batch_size`` evaluations, beside those of the data. A text whose value is known is not
    scored again.

    Parameters
    ----------
    model
        A trained model of texts, or any object with ``encode(texts, errors="skip")`` (which returns an object with
        ``codes`` and ``rows``), ``decode_batch(z, temperature=, constraint=, seed=)`` (an object with ``texts`` and
        ``valid``) and ``codec.canonical(text)`` (None for what is not valid); to draw its own data also ``sample(n,
        seed=, constraint=)`` (``texts``), and for strategies that draw, with ``valid_only=False`` (``valid`` and
        ``latent`` beside the texts). The density strategy uses its ``density_``, or a Gaussian of the data's codes if
        that has no ``log_prob``. The model is not changed.
    score
        Whatever :func:`grammar_rae.scores.get_score` accepts; or a list of these, for the Pareto front of several. A
        score that standardises and is named takes the model's ``score_constants_``; if that has none, those of data
        without values. They are in the result's ``constants``, to be stored with the model:
        ``model.store_score_constants(result.constants)``.
    data
        Texts to start from: a list, array or Series; ``(texts, values)`` or a DataFrame with a column for each score if
        the values are known (nan for none); or the result of another run with this model, to start where that one
        started, with its constants, without reading, encoding and scoring again. None draws ``n_initial`` texts from
        the model.
    n_iterations, batch_size
        The budget.
    strategy
        A row of :data:`STRATEGIES`; None for that of :func:`choose_strategy`.
    maximize
        Whether larger is better, for each score or for all; None as the scores say.
    constraint
        Constraint of the decoding: see the model's ``decode``.
    decodings
        1 takes the likeliest text of a code. With more, that many are drawn, and the most frequent valid one counts.
    n_initial
        Texts to draw if there are no data.
    distinct
        Whether only valid texts that were not seen before are evaluated; None as the strategy has it: all but
        ``paper`` do so.
    seed
        Seed of everything random, from 0 to 2**64 - 1; None draws one, or takes that of the run to resume. It is among
        the result's ``settings``.
    folder
        Where to keep all that is found, as it is found; without one it is in memory only.
    resume
        Continue the run in ``folder``: the result is that of a run that was never stopped. The data may be left out
        once they were read. ``n_iterations`` may be another number.
    progress
        Whether to show a progress bar.
    jobs
        Processes that evaluate the score; -1 for one a core.
    executor
        Who evaluates the score in their place: any ``concurrent.futures.Executor``, such as Dask's
        ``client.get_executor()``. All evaluations of an iteration are handed over at once, and each is on the disk when
        it ends, in whatever order they do. It is the caller's to shut down.
    time_limit, retries
        Of an evaluation by an executor, see :class:`Evaluating`: the seconds that it may take, and how often it is
        tried again when it failed or took longer. One that failed to the end is a point without a value, with its
        reason.
    options
        The strategy's.

    Warns
    -----
    UserWarning
        When an iteration finds fewer new valid texts than it may evaluate; it then has fewer points.

    Raises
    ------
    InputError
        For settings that cannot be used, or a score that fewer than two texts of the data have.
    DataError
        When the data leave fewer than two texts, or the folder holds another run, or is damaged.
    MissingExtraError
        For several scores without BoTorch.
    WorkerError
        When the executor breaks or takes no more work; what was evaluated is kept.
    """
    if isinstance(model, str | PathLike):
        raise InputError(
            "a search needs the model itself",
            received=repr(model),
            expected="a trained model",
            remedy="Load it: grammar_rae.load(folder).",
        )
    asked: list[AnyScore] = list(score) if isinstance(score, list | tuple) else [cast(AnyScore, score)]
    constants = dict(getattr(model, "score_constants_", None) or {})
    if isinstance(data, Optimization):
        constants |= data.settings.get("constants", {})  # its values are in these units
    scores = _find_scores(asked, constants)
    maximized = _check_directions(maximize, scores)
    decoder = Decoder(model, decodings, constraint)
    strategy = choose_strategy(decoder) if strategy is None else strategy
    chosen = build_strategy(strategy, options, several=len(scores) > 1)
    texts = None if data is None else start.parse_data(data, scores)
    settings = {
        "scores": [one.name for one in scores],
        "maximize": maximized,
        "strategy": strategy,
        "options": {name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()},
        "n_iterations": check_number("n_iterations", n_iterations, 1),
        "batch_size": check_number("batch_size", batch_size, 1),
        "decodings": check_number("decodings", decodings, 1),
        "constraint": None if constraint is None else str(constraint),
        "distinct": chosen.distinct if distinct is None else bool(distinct),
        "seed": None if seed is None and resume else resolve_seed(seed),
        "data": None if texts is None else _digest(texts),
        "n_initial": check_number("n_initial", n_initial, 2) if texts is None else None,
    }
    if resume and folder is None:
        raise InputError("there is nothing to resume without a folder", remedy="Pass the folder of the run.")
    check_jobs(jobs)
    if executor is None and (time_limit is not None or retries):
        raise InputError("time_limit and retries are of an executor's evaluations", remedy="Pass an executor.")
    evaluating = None if executor is None else Evaluating(executor, time_limit, retries)
    with one_search(folder):
        journal = Journal(None if folder is None else Path(folder), settings, resume)
        run = Run(model, scores, chosen, decoder, journal, jobs, evaluating)
        run.begin(texts, [isinstance(one, str) for one in asked], progress)
        run.search(n_iterations, progress)
        named = [one for what, one in zip(asked, run.scores, strict=True) if isinstance(what, str) and one.standardizes]
        learned = {one.name: one.constants for one in named if one.constants != get_score(one.name).constants}
        return outcome(journal, run.quality(), learned)


def _find_scores(asked: Sequence[AnyScore], constants: Any) -> list[Score]:
    # A score that is passed as an object has its constants already.
    scores = [get_score(one, constants if isinstance(one, str) else None) for one in asked]
    names = [one.name for one in scores]
    if not names:
        raise InputError("a search needs a score", received="none")
    if wrong := [name for name in names if name in RESERVED or names.count(name) > 1]:
        raise InputError(
            f"the score's name {wrong[0]!r} is taken",
            remedy="Wrap it: grammar_rae.scores.Score(name, function, higher_is_better, description).",
        )
    return scores


def _check_directions(maximize: bool | Sequence[bool] | None, scores: Sequence[Score]) -> list[bool]:
    if maximize is None:
        return [one.higher_is_better for one in scores]
    found = [maximize] * len(scores) if isinstance(maximize, bool) else maximize
    if (
        not isinstance(found, list | tuple)
        or len(found) != len(scores)
        or not all(isinstance(one, bool) for one in found)
    ):
        raise InputError("maximize is True or False, for all scores or for each", received=repr(maximize))
    return list(found)


def choose_strategy(decoder: Decoder) -> str:
    """The strategy of whoever names none: ``analogues`` for molecules, ``turbo`` for other texts.

    ``analogues`` found more than ``turbo`` and ``adapt`` on the tasks that choose (docs/results/goals.md). It decodes
    each code once, so ``turbo`` it is where several decodings vote.
    """
    return "analogues" if decoder.writes_molecules and decoder.decodings == 1 else "turbo"


def build_strategy(name: str, options: dict[str, Any], several: bool = False) -> Strategy:
    """The strategy of a name, with its options, for one score or several.

    Raises
    ------
    InputError
        For a name or an option that does not exist, or a value that an option cannot have.
    MissingExtraError
        For several scores, of a strategy that needs BoTorch for them, without it.
    """
    if name not in STRATEGIES:
        raise UnknownNameError("strategy", name, STRATEGIES, "`grammar-rae list strategies`")
    known = inspect.signature(STRATEGIES[name]).parameters
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of the strategy {name!r}", option, known)
    chosen = STRATEGIES[name](**options)
    if several and chosen.needs_botorch and importlib.util.find_spec("botorch") is None:
        raise MissingExtraError("botorch", "bo", f"a search for several scores by the strategy {name}")
    return chosen


def _digest(what: start.StartTexts) -> str:
    """A digest that tells data apart."""
    digest = hashlib.sha256(json.dumps(what.texts).encode())
    if what.values is not None:
        digest.update(what.values.tobytes())
    return digest.hexdigest()
