"""Figure 2 of the paper: the grammar RAE and its rivals on molecules and expressions, and searches of their codes.

A study lies in a folder: one trained model a run, the scores of the training rows, and ``results.jsonl`` with one row a
cell, so that a study that was stopped goes on where it was. The rows that are tested are never trained on.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.arrays import read_arrays
from grammar_rae.benchmarks import common
from grammar_rae.benchmarks.common import Row
from grammar_rae.benchmarks.structured_problems import PROTOCOLS, RAW, Protocol, Texts
from grammar_rae.benchmarks.study import check_names, latest, read_rows, trained
from grammar_rae.datasets import TokenDataset
from grammar_rae.errors import GrammarRAEError, InputError
from grammar_rae.files import replacing
from grammar_rae.model import DATA_FOLDER, TextModel
from grammar_rae.optimization import STRATEGIES, Optimization, optimize
from grammar_rae.optimization.proposals import Decoded, Decoder
from grammar_rae.recipes import STRUCTURED_MODELS, STRUCTURED_PROBLEMS, TextRecipe, structured_recipe
from grammar_rae.scores import Score, evaluate, get_score

ENCODINGS, DECODINGS = 10, 100
"""The grammar VAE's protocol of reconstruction: so many encodings of a text, and decodings of each."""

PRIOR_POINTS = 1_000
"""Points of the density, each decoded :data:`DECODINGS` times, in the grammar VAE's protocol of validity."""


@dataclass(frozen=True)
class Study:
    """What to train and measure, and where.

    Attributes
    ----------
    folder
        Of the study.
    problem, source
        A row of :data:`PROTOCOLS`, and the file of its rows where it needs one.
    models
        Rows of ``STRUCTURED_MODELS``.
    fast
        The ``fast-`` recipes in place of the paper's nets.
    trials
        Searches of each model, each with a seed of its own.
    iterations, batch, strategy
        Of each search.
    epochs, seed
        Of the trainings; None for the recipe's own epochs.
    rows
        Test rows that are reconstructed; a tenth of them by the grammar VAE's protocol too, which decodes each a
        thousand times.
    samples
        Draws of the density under each constraint.
    progress
        Whether to show progress bars.
    """

    folder: Path
    problem: str = "expressions"
    source: Path | None = None
    models: Sequence[str] = tuple(STRUCTURED_MODELS)
    fast: bool = False
    trials: int = 5
    iterations: int = 5
    batch: int = 50
    strategy: str = "paper"
    epochs: int | None = None
    seed: int = 0
    rows: int = 5_000
    samples: int = 10_000
    progress: bool = True

    def __post_init__(self) -> None:
        check_names("model of the study", self.models, STRUCTURED_MODELS)
        check_names("problem", [self.problem], PROTOCOLS)
        # Found now: searches come after hours of training.
        check_names("strategy", [self.strategy], STRATEGIES)
        if not self.models:
            raise InputError("a study needs a model", received=repr(self.models))
        for name in ("trials", "iterations", "batch", "rows", "samples"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} cannot be used", received=getattr(self, name), expected="1 or more")
        assert PROTOCOLS.keys() == STRUCTURED_PROBLEMS.keys()

    @property
    def protocol(self) -> Protocol:
        return PROTOCOLS[self.problem]

    @property
    def results(self) -> Path:
        return self.folder / "results.jsonl"

    @cached_property
    def texts(self) -> Texts:
        return self.protocol.texts(self.source)

    @cached_property
    def scored(self) -> "tuple[Score, NDArray[np.float64]]":
        """The score, standardised on the training rows where it is a score of that kind, and their values."""
        kept = self.folder / f"{self.protocol.score}.npz"
        score = get_score(self.protocol.score)
        if kept.is_file():
            file = read_arrays(kept)
            values, constants = file["values"], json.loads(str(file["constants"]))
            if len(values) == len(self.texts.training):
                return score.with_constants(constants) if constants else score, values
        score, found = score.fitted(self.texts.training, jobs=-1, progress=self.progress)
        if found.failures:
            row, reason = found.failures[0]
            raise InputError(f"a training row has no score ({reason})", received=repr(self.texts.training[row]))
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as draft:
            np.savez(draft, values=found.values, constants=json.dumps(dict(score.constants)))
        return score, found.values


@dataclass(frozen=True)
class Run:
    """One model of a study, and its cells."""

    study: Study
    model: str

    @property
    def recipe(self) -> TextRecipe:
        recipe = structured_recipe(self.model, self.study.problem, self.study.fast)
        chosen: dict[str, Any] = {"seed": self.study.seed}
        if self.study.epochs is not None:
            chosen["epochs"] = self.study.epochs
        return recipe.replaced(**chosen)

    @property
    def folder(self) -> Path:
        return self.study.folder / "runs" / f"{self.recipe.name}-seed{self.study.seed}"

    @property
    def key(self) -> Row:
        """What tells a run's rows from others'."""
        study = self.study
        return {
            "problem": study.problem,
            "recipe": self.recipe.name,
            "model": self.model,
            "seed": study.seed,
            "epochs": self.recipe.training.get("epochs"),
            "source": study.source.name if study.source else None,
        }

    @property
    def cells(self) -> dict[str, tuple[Row, Callable[["_Trained"], Row]]]:
        """By name, what tells a cell's row from others', and what measures it."""
        study = self.study
        cells: dict[str, tuple[Row, Callable[[_Trained], Row]]] = {
            "reconstruction": ({"part": "reconstruction", "n": study.rows}, _reconstruction),
            "draws": ({"part": "draws", "n": study.samples}, _draws),
        }
        for trial in range(study.trials):
            about = {
                "part": "search",
                "trial": trial,
                "strategy": study.strategy,
                "iterations": study.iterations,
                "batch": study.batch,
            }
            cells[f"search {trial}"] = (about, partial(_search, trial=trial))
        return cells


class _Trained(NamedTuple):
    """A run's model, and the search that was made last, whose beginning serves the next one."""

    run: Run
    model: TextModel
    begun: list[Optimization]

    @property
    def study(self) -> Study:
        return self.run.study

    def serves(self, constraint: str) -> bool:
        """Whether the model can decode under a constraint: chemistry needs molecules in Kekulé form, for example."""
        try:
            self.model.decode(np.zeros((1, self.model.recipe_.latent)), constraint=constraint)
        except GrammarRAEError:
            return False
        return True

    @property
    def constraints(self) -> list[str]:
        return [name for name in (RAW, *self.study.protocol.constraints) if self.serves(name)]


def run(study: Study) -> Iterator[Row]:
    """Train and measure what is missing; the rows of the study's cells, as they are ready."""
    from tqdm.auto import tqdm

    runs = [Run(study, model) for model in study.models]
    bar = tqdm(runs, disable=not study.progress, unit="model", desc=f"{study.problem}")
    for one in bar:
        bar.set_postfix_str(one.recipe.name)
        ready: _Trained | None = None
        for about, measure in one.cells.values():
            row = latest(read_rows(study.results), {**one.key, **about})
            if row is None:
                ready = _Trained(one, _model(one), []) if ready is None else ready
                row = {**one.key, **about, **measure(ready), **common.machine()}
                common.append(study.results, [row])
            yield row


def _model(one: Run) -> TextModel:
    study = one.study
    return trained(TextModel, one.recipe, study.texts.training, one.folder, seed=study.seed, progress=study.progress)


def _reconstruction(one: _Trained) -> Row:
    """The share of test rows that come back: the likeliest text of each code, and by the grammar VAE's protocol."""
    study, model = one.study, one.model
    test, refused = _test_rows(one)
    if not test:
        raise InputError("the model's codec takes none of the test rows", received=f"{refused} rows")
    wanted = np.array([model.codec.canonical(text) for text in test])
    figures: Row = {"rows": len(test), "refused": refused, "validated": study.texts.test is None}
    for constraint in one.constraints:
        found = np.array(model.decode(model.encode(test), constraint=constraint))
        figures[f"exact_{constraint}"] = float((found == wanted).mean())
    few = max(1, len(test) // 10)
    hits = 0
    for turn in range(ENCODINGS):
        z = np.repeat(model.encode(test[:few], noise=True, seed=turn), DECODINGS, axis=0)
        found = np.array(model.decode(z, temperature=1.0, constraint=RAW, seed=turn))
        hits += int((found == np.repeat(wanted[:few], DECODINGS)).sum())
    return {**figures, "drawn_rows": few, "exact_drawn": hits / (few * ENCODINGS * DECODINGS)}


def _draws(one: _Trained) -> Row:
    """Draws of the density, one text each under each constraint; and a thousand points decoded a hundred times."""
    study, model = one.study, one.model
    training = {model.codec.canonical(text) for text in study.texts.training}
    figures: Row = {"density": model.recipe_.density}
    for constraint in one.constraints:
        drawn = model.sample(study.samples, valid_only=False, seed=study.seed, temperature=1.0, constraint=constraint)
        valid = [text for text, good in zip(drawn.texts, drawn.valid, strict=True) if good]
        different = set(valid)
        figures |= {
            f"valid_{constraint}": drawn.validity,
            f"unique_{constraint}": drawn.uniqueness if valid else None,
            f"novel_{constraint}": len(different - training) / len(different) if valid else None,
        }
    points = model.sample(PRIOR_POINTS, valid_only=False, seed=study.seed, constraint=RAW).latent
    found = Decoder(model, DECODINGS, RAW)(points, study.seed)
    return {**figures, "valid_drawn": _mean([one.share for one in found])}


def _search(one: _Trained, trial: int) -> Row:
    """One search by the paper's decoding; its points are decoded again under each of our constraints."""
    study, model = one.study, one.model
    protocol = study.protocol
    score, known = study.scored
    begun = time.perf_counter()
    found = optimize(
        model,
        score,
        one.begun[-1] if one.begun else (study.texts.training, known),
        n_iterations=study.iterations,
        batch_size=study.batch,
        strategy=study.strategy,
        constraint=RAW,
        decodings=protocol.decodings,
        seed=trial,
        progress=study.progress,
    )
    one.begun[:] = [found]
    elapsed = time.perf_counter() - begun
    with replacing(one.run.folder / f"search-{study.strategy}-{trial}.csv") as draft:
        found.history.to_csv(draft, index=False)
    name, history = found.scores[0], found.history
    outcome = partial(_outcome, up=found.maximize[name])
    points = [Decoded(*point) for point in zip(history["text"], history["valid"], history["valid_share"], strict=True)]
    figures = outcome(RAW, points, history[name].to_numpy(np.float64))
    for constraint in [other for other in one.constraints if other != RAW]:
        again = Decoder(model, protocol.again, constraint)(found.latent, trial)
        values = np.full(len(again), np.nan)
        valid = np.flatnonzero([point.valid for point in again])
        values[valid] = evaluate(score, [again[i].text for i in valid]).values
        figures |= outcome(constraint, again, values)
    return {
        "score": name,
        "decodings": protocol.decodings,
        "again": protocol.again,
        **figures,
        "different": int(history.loc[history["valid"], "text"].nunique()),
        "new": int((history["valid"] & ~history["known"]).sum()),
        "initial_best": found.initial_best[name][1],
        **{f"surrogate_{figure}": value for figure, value in found.surrogate.get(name, {}).items()},
        "seconds": elapsed,
    }


def _outcome(constraint: str, points: Sequence[Decoded], values: NDArray[np.float64], up: bool) -> Row:
    """Of the points of a search: how many came to a valid text, their mean score, and the three best texts.

    ``values`` (N,) are those of the points' texts, nan where there is none. A text counts in the mean as often as it
    came up, and among the best once.
    """
    known = [(point.text, float(value)) for point, value in zip(points, values, strict=True) if np.isfinite(value)]
    best = sorted(dict(known).items(), key=lambda one: one[1], reverse=up)[:3]
    return {
        f"valid_{constraint}": _mean([point.valid for point in points]),
        f"share_{constraint}": _mean([point.share for point in points]),
        f"average_{constraint}": _mean([value for _, value in known]),
        f"best_{constraint}": [value for _, value in best],
        texts_of(constraint): [text for text, _ in best],
    }


def texts_of(constraint: str) -> str:
    """The entry of a search's row that holds the texts of ``best_``."""
    return "texts" if constraint == RAW else f"texts_{constraint}"


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _test_rows(one: _Trained) -> tuple[list[str], int]:
    """Rows that the model was not trained on and that its codec takes, and how many it refuses."""
    study, codec = one.study, one.model.codec
    texts = study.texts.test
    if texts is None:
        recipe = one.model.recipe_
        encoded = TokenDataset.open(one.run.folder / DATA_FOLDER)
        _, validation = encoded.split(recipe.validation_fraction, study.seed, recipe.validation_maximum)
        texts = codec.decode_batch(validation.batch(range(min(study.rows, len(validation)))).numpy())
    texts = texts[: study.rows]
    refused = {index for index, _ in codec.encode_batch(texts).rejected}
    return [text for index, text in enumerate(texts) if index not in refused], len(refused)
