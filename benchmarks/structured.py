"""Figure 2 of the paper: the grammar RAE and its rivals on molecules and expressions, and searches of their codes.

Test rows are never trained on.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.grid import Cell, Run, Study, check_least, check_names, load_or_train
from benchmarks.rows import Row
from benchmarks.structured_problems import PROTOCOLS, RAW, Protocol, Texts
from grammar_rae.arrays import read_arrays
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
class StructuredStudy(Study):
    """A study of models of molecules or expressions.

    Attributes
    ----------
    problem, source
        A row of :data:`PROTOCOLS`, and the file of its rows where it needs one.
    models
        Rows of ``STRUCTURED_MODELS``.
    fast
        Whether the ``fast-`` recipes take the place of the paper's nets.
    trials
        The number of searches of each model, each with a seed of its own.
    iterations, batch, strategy
        The settings of each search.
    epochs, seed
        The settings of the trainings; None for the recipe's own epochs.
    n_tested
        The number of test rows that are reconstructed; a tenth of them by the grammar VAE's protocol too, which decodes
        each a thousand times.
    samples
        The number of draws of the density under each constraint.
    """

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
    n_tested: int = 5_000
    samples: int = 10_000

    def __post_init__(self) -> None:
        check_names("model of the study", self.models, STRUCTURED_MODELS)
        check_names("problem", [self.problem], PROTOCOLS)
        # Found now: searches come after hours of training.
        check_names("strategy", [self.strategy], STRATEGIES)
        if not self.models:
            raise InputError("a study needs a model", received=repr(self.models))
        check_least(self, trials=1, iterations=1, batch=1, n_tested=1, samples=1)
        assert PROTOCOLS.keys() == STRUCTURED_PROBLEMS.keys()

    @property
    def protocol(self) -> Protocol:
        """What is asked of the problem."""
        return PROTOCOLS[self.problem]

    @property
    def runs(self) -> list[Run]:
        """One run for each model."""
        return [self._run(model) for model in self.models]

    def recipe(self, model: str) -> TextRecipe:
        """The recipe of a model of the study."""
        chosen: dict[str, Any] = {"seed": self.seed} | ({} if self.epochs is None else {"epochs": self.epochs})
        return structured_recipe(model, self.problem, self.fast).replace(**chosen)

    def _run(self, model: str) -> Run:
        recipe = self.recipe(model)
        key = {
            "problem": self.problem,
            "recipe": recipe.name,
            "model": model,
            "seed": self.seed,
            "epochs": recipe.training.get("epochs"),
            "source": self.source.name if self.source else None,
        }
        search = {"strategy": self.strategy, "iterations": self.iterations, "batch": self.batch}
        cells = [
            Cell({"part": "reconstruction", "n": self.n_tested}, _reconstruction),
            Cell({"part": "draws", "n": self.samples}, _draws),
            *(Cell({"part": "search", "trial": n, **search}, partial(_search, n)) for n in range(self.trials)),
        ]
        folder = self.folder / "runs" / f"{recipe.name}-seed{self.seed}"
        return Run(recipe.name, folder, key, partial(self._train, recipe, folder), cells)

    def _train(self, recipe: TextRecipe, folder: Path) -> "_Trained":
        texts = self.texts.training
        model = load_or_train(TextModel, recipe, texts, folder, seed=self.seed, progress=self.progress)
        return _Trained(self, folder, model, [])

    @cached_property
    def texts(self) -> Texts:
        """The rows that train, and those that test."""
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
        score, found = score.fit_constants(self.texts.training, jobs=-1, progress=self.progress)
        if found.failures:
            row, reason = found.failures[0]
            raise InputError(f"a training row has no score ({reason})", received=repr(self.texts.training[row]))
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as draft:
            np.savez(draft, values=found.values, constants=json.dumps(dict(score.constants)))
        return score, found.values


class _Trained(NamedTuple):
    """A run's model, and the search that was made last, whose beginning serves the next one."""

    study: StructuredStudy
    folder: Path
    model: TextModel
    begun: list[Optimization]

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


def _reconstruction(one: _Trained) -> Row:
    """The share of test rows that come back: the likeliest text of each code, and by the grammar VAE's protocol."""
    study, model = one.study, one.model
    rows = _test_rows(one)
    found = {constraint: model.reconstruction(rows, constraint) for constraint in one.constraints}
    rejected = next(iter(found.values())).rejected
    test = [text for index, text in enumerate(rows) if index not in rejected]
    if not test:
        raise InputError("the model's codec takes none of the test rows", received=f"{len(rows)} rows")
    figures: Row = {"rows": len(rows), "refused": len(rejected), "validated": study.texts.test is None}
    figures |= {f"exact_{constraint}": again.share for constraint, again in found.items()}
    few = max(1, len(test) // 10)
    wanted = np.array([model.codec.canonical(text) for text in test[:few]])
    hits = 0
    for turn in range(ENCODINGS):
        z = np.repeat(model.encode(test[:few], noise=True, seed=turn), DECODINGS, axis=0)
        drawn = np.array(model.decode(z, temperature=1.0, constraint=RAW, seed=turn))
        hits += int((drawn == np.repeat(wanted, DECODINGS)).sum())
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


def _search(trial: int, one: _Trained) -> Row:
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
    with replacing(one.folder / f"search-{study.strategy}-{trial}.csv") as draft:
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
    """What a search came to: how many of its points gave a valid text, their mean score, and the three best texts.

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


def _test_rows(one: _Trained) -> list[str]:
    """Rows that the model was not trained on."""
    study, codec = one.study, one.model.codec
    texts = study.texts.test
    if texts is None:
        recipe = one.model.recipe_
        encoded = TokenDataset.open(one.folder / DATA_FOLDER)
        _, validation = encoded.split(recipe.validation_fraction, study.seed, recipe.validation_maximum)
        texts = codec.decode_batch(validation.batch(range(min(study.n_tested, len(validation)))).numpy())
    return list(texts[: study.n_tested])
