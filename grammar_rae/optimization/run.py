"""One run: what it begins with, and its iterations."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from grammar_rae.errors import DataError, InputError
from grammar_rae.optimization import start
from grammar_rae.optimization.base import Array, Observations, Question, Strategy
from grammar_rae.optimization.executors import Evaluating, Row, evaluate_as_they_come
from grammar_rae.optimization.journal import HISTORY, INITIAL, Evaluation, Initial, Journal
from grammar_rae.optimization.profile import Objective, Profile
from grammar_rae.optimization.proposals import Decoder, Proposals, density_of_codes, propose
from grammar_rae.optimization.surrogate import held_out_quality
from grammar_rae.optimization.wishes import find_wishes
from grammar_rae.precision import in_single_precision
from grammar_rae.scores import Score
from grammar_rae.scores.evaluation import LARGEST

_DIRECTION = {True: "maximize", False: "minimize"}

LEAST_HELD_OUT = 20
"""The fewest data that the surrogate's predictions are measured on."""


@dataclass
class Run:
    """A search for scores in a model's latent space; the journal holds all that happens."""

    model: Any
    scores: list[Score]
    strategy: Strategy
    decoder: Decoder
    journal: Journal
    jobs: int = 1
    evaluating: Evaluating | None = None

    # -- the beginning ------------------------------------------------------------------------------------------

    def begin(self, data: start.StartTexts | None, by_name: Sequence[bool], progress: bool) -> None:
        """Read, encode and score what the run begins with, or what of it is still missing.

        Parameters
        ----------
        data
            The texts to start from; None to draw them from the model.
        by_name
            Whether each score was named: its constants are then not chosen yet.
        progress
            Whether to show a bar.
        """
        self._resume_constants()
        if self.journal.initial is None:
            self._read(data, by_name, progress)
        else:
            self._check_model(self.journal.initial)
        self._score_initial(progress)
        known = len(self.observations(0).values)
        if known < 2:
            total = len(self.journal.rows[INITIAL])
            reason = next((row.reason for row in self.journal.rows[INITIAL] if row.reason), "no value is finite")
            raise InputError(
                "too few texts of the data have the score",
                received=f"{known} of {total} texts ({reason})",
                expected="2 or more with a value",
                remedy=None if self.journal.folder is None else "Fix that, and begin in another folder.",
            )

    def _read(self, data: start.StartTexts | None, by_name: Sequence[bool], progress: bool) -> None:
        """Keep what the run begins with, and those of its values that are known by then."""
        settings = self.journal.settings
        fit = data is not None and data.values is None
        if data is None:
            if settings["data"] is not None:
                raise InputError("the data were not read before the run ended", remedy="Pass them again.")
            data = start.sample_data(self.model, settings["n_initial"], settings["seed"], self.decoder.constraint)
        found, values = start.encode_data(self.decoder, data)
        if data.codes is not None:
            self._check_model(found)
        self.decoder(found.codes[:1], settings["seed"])  # a model that cannot decode fails before anything is scored
        scored = self._fit_constants(found.texts, by_name, progress) if fit else []
        self.journal.set(constants={one.name: one.constants for one in self.scores if one.standardizes})
        self.journal.begin(found)
        if values is not None:
            self._add_known(values)
        self.journal.add(INITIAL, [Evaluation(0, index, *row) for index, row in enumerate(scored)])

    def _resume_constants(self) -> None:
        """Standardise scores by the constants of the run that is resumed."""
        constants = self.journal.settings.get("constants", {})
        for index, score in enumerate(self.scores):
            if constants.get(score.name, score.constants) != score.constants:
                self.scores[index] = score.with_constants(constants[score.name])

    def _fit_constants(
        self, texts: list[str], by_name: Sequence[bool], progress: bool
    ) -> list[tuple[tuple[float, ...], str]]:
        """Choose the constants of scores that standardise, by these texts, where the model has none.

        The values of the texts, if that gave them for all scores; else an empty list.
        """
        kept = getattr(self.model, "score_constants_", {})
        found = []
        for index, score in enumerate(self.scores):
            if by_name[index] and score.standardizes and score.name not in kept:
                self.scores[index], values = score.fit_constants(texts, self.jobs, progress)
                found.append(values)
        if len(found) < len(self.scores):
            return []
        return start.join_reasons([one.values for one in found], [dict(one.failures) for one in found], self.scores)

    def _add_known(self, values: Array) -> None:
        rows = []
        for index, row in enumerate(values):
            usable = np.abs(row) <= LARGEST  # False for what is not a number
            missing = "its value is too large" if np.isfinite(row).all() else "its value is missing"
            reason = "" if usable.all() else missing
            rows.append(Evaluation(0, index, tuple(np.where(usable, row, np.nan).tolist()), reason))
        self.journal.add(INITIAL, rows)

    def _check_model(self, initial: Initial) -> None:
        few = slice(0, 16)
        codes, _ = self.decoder.encode(initial.texts[few])
        if codes.shape != initial.codes[few].shape or not np.allclose(
            codes, initial.codes[few], rtol=1e-2, atol=1e-2 * float(initial.codes.std() + 1e-12)
        ):
            raise DataError(
                "the run was made with another model",
                where=None if self.journal.folder is None else str(self.journal.folder),
                remedy="Resume with that model, or start a new run.",
            )

    def _score_initial(self, progress: bool) -> None:
        assert self.journal.initial is not None
        texts, done = self.journal.initial.texts, len(self.journal.rows[INITIAL])
        with _bar(len(texts) - done, "scoring the data", progress and len(texts) > done) as bar:
            if self.evaluating is None:
                for index, row in enumerate(start.values_of(self.scores, texts[done:], self.jobs), start=done):
                    self.journal.add(INITIAL, [Evaluation(0, index, *row)])
                    bar.update(1)
                return
            known = dict(self.journal.arrived)
            for text, row in self._evaluations([text for text in dict.fromkeys(texts[done:]) if text not in known]):
                known[text] = row
                bar.update(1)
            self.journal.add(INITIAL, [Evaluation(0, index, *known[texts[index]]) for index in range(done, len(texts))])

    # -- the iterations -----------------------------------------------------------------------------------------

    def search(self, n_iterations: int, progress: bool) -> None:
        """All iterations, or those that are still missing."""
        size = self.journal.settings["batch_size"]
        done = len(self.journal.rows[HISTORY])
        with _bar(n_iterations * size, "evaluating", progress, done) as bar:
            for iteration in range(1, n_iterations + 1):
                if iteration not in self.journal.proposals:
                    self.journal.propose(iteration, self._proposals(iteration, size))
                self._evaluate(iteration, bar)

    @in_single_precision
    def _proposals(self, iteration: int, size: int) -> Proposals:
        settings = self.journal.settings
        rng = np.random.default_rng([settings["seed"], iteration])
        asked = Question(size, int(rng.integers(2**62)), self._log_density, self.decoder.decodings, wishes=self._wishes)
        seen = self.observations(iteration - 1)
        found = propose(self.strategy, self.decoder, seen, self._known(), asked, settings["distinct"])
        if len(found.decoded) < size:
            counts = found.counts
            warnings.warn(
                f"iteration {iteration} has {len(found.decoded)} of {size} points: of {counts['decoded']} codes, "
                f"{counts['invalid']} decoded to nothing valid and {counts['seen']} to a text that was seen before",
                stacklevel=4,
            )
        elif not any(one.valid for one in found.decoded):
            warnings.warn(f"no point of iteration {iteration} decoded to a valid text", stacklevel=4)
        return found

    def _evaluate(self, iteration: int, bar: Any) -> None:
        """Evaluate the points that have no row yet, and write each as soon as it is known."""
        points = self.journal.proposals[iteration].decoded
        done = sum(row.iteration == iteration for row in self.journal.rows[HISTORY])
        values = self._known()
        waiting = {point.text: None for point in points[done:] if point.valid and point.text not in values}
        done = self._keep(iteration, done, values, bar)
        for text, row in self._evaluations(list(waiting)):
            values[text] = row
            done = self._keep(iteration, done, values, bar)

    def _evaluations(self, texts: list[str]) -> Iterator[tuple[str, Row]]:
        """Each text with its values: in order, or as an executor ends them, and then kept at once."""
        if self.evaluating is None:
            # The answers come first, so that they are asked to the end: processes are stopped by that.
            for row, text in zip(start.values_of(self.scores, texts, self.jobs), texts, strict=True):
                yield text, row
            return
        for text, row in evaluate_as_they_come(self.scores, texts, self.evaluating):
            self.journal.arrive(text, *row)
            yield text, row

    def _keep(self, iteration: int, index: int, values: Mapping[str, tuple[tuple[float, ...], str]], bar: Any) -> int:
        """Write the points from this one on, up to the first that waits for its values; which one that is."""
        points = self.journal.proposals[iteration].decoded
        while index < len(points) and (not points[index].valid or points[index].text in values):
            text, valid = points[index][:2]
            row = values[text] if valid else ((np.nan,) * len(self.scores), start.NOT_VALID)
            self.journal.add(HISTORY, [Evaluation(iteration, index, *row)])
            bar.update(1)
            index += 1
        return index

    def _known(self) -> dict[str, tuple[tuple[float, ...], str]]:
        """The texts that were evaluated, and what came of it."""
        points = self.journal.proposals
        evaluated = (row for row in self.journal.rows[HISTORY] if points[row.iteration].decoded[row.point].valid)
        rows = [*self.journal.rows[INITIAL], *evaluated]
        return self.journal.arrived | {self.journal.text_of(row): (row.values, row.reason) for row in rows}

    def observations(self, until: int) -> Observations:
        """What was known after an iteration; 0 for the data alone, of which only texts with values count."""
        journal = self.journal
        assert journal.initial is not None
        first = np.array([row.values for row in journal.rows[INITIAL]])
        complete = np.isfinite(first).all(axis=1)
        rows = [row for row in journal.rows[HISTORY] if row.iteration <= until]
        codes = [journal.initial.codes[complete], *(journal.proposals[r.iteration].codes[r.point][None] for r in rows)]
        values = [first[complete], *(np.array([row.values]) for row in rows)]
        iterations = np.array([0] * int(complete.sum()) + [row.iteration for row in rows])
        signs = np.where(journal.settings["maximize"], 1.0, -1.0)
        texts = [text for text, whole in zip(journal.initial.texts, complete, strict=True) if whole]
        return Observations(
            np.concatenate(codes).astype(np.float64),
            signs * np.concatenate(values),
            iterations,
            [*texts, *(journal.text_of(row) for row in rows)],
            [""] * len(texts) + [journal.proposals[row.iteration].decoded[row.point].origin for row in rows],
        )

    # -- beside the search --------------------------------------------------------------------------------------

    @cached_property
    def _log_density(self) -> Callable[[Array], Array]:
        """The model's density of codes; a Gaussian of the data's codes where it has none that can be computed."""
        assert self.journal.initial is not None
        return density_of_codes(self.model, self.journal.initial.codes)

    @cached_property
    def _wishes(self) -> dict[str, tuple[float, float]]:
        """The properties in which the scores are best."""
        ways = zip(self.scores, self.journal.settings["maximize"], strict=True)
        objectives = [Objective(one.name, _DIRECTION[up], one.function, one.name) for one, up in ways]
        return find_wishes(Profile(tuple(objectives)), getattr(self.model, "property_ranges_", None) or {})

    @in_single_precision
    def quality(self) -> dict[str, dict[str, float]]:
        """How well the strategy's surrogate predicts a held-out tenth of the data that it is fitted on, by score."""
        seen = self.observations(0)
        rows = self.strategy.surrogate_rows(seen)
        if len(rows) < LEAST_HELD_OUT:
            return {}
        inducing, seed = self.strategy.n_inducing, self.journal.settings["seed"]
        return {
            score.name: held_out_quality(seen.codes[rows], seen.values[rows, i], seed, n_inducing=inducing)
            for i, score in enumerate(self.scores)
        }


def _bar(total: int, what: str, progress: bool, done: int = 0) -> Any:
    from grammar_rae.bars import bar_type

    tqdm = bar_type()

    return tqdm(total=total, desc=what, unit="text", initial=done, disable=not progress)
