"""What an optimisation found."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.gallery import facts_table, gallery, kind_of
from grammar_rae.optimization.journal import HISTORY, INITIAL, Journal
from grammar_rae.optimization.pareto import is_on_front

MOST_SHOWN = 24
"""Cards that a notebook shows."""


@dataclass(frozen=True, eq=False)
class Optimization:
    """What :func:`grammar_rae.optimization.optimize` found.

    Attributes
    ----------
    history
        One row a point, in the order of evaluation: ``iteration`` (from 1), ``point`` (from 0 in each iteration),
        ``text``, a column for each score (nan where there is no value), ``valid``, ``known`` (the text was in the data
        or came up before, and was not scored again), ``valid_share`` (of the point's decodings), ``reason`` (why there
        is no value, else "").
    latent
        float32 (N, D): the codes of the points.
    initial, initial_codes
        The texts of the data that have codes and their scores, nan where a text has none, and these codes, float32
        (K, D). The search learns from those that have all scores.
    maximize
        By score, whether larger is better.
    decoded
        One row an iteration: ``iteration``, ``points``, and how many codes were ``decoded`` for them, how many of those
        decoded to nothing valid (``invalid``) and how many to a text that was seen before (``seen``).
    surrogate
        By score, how well a surrogate fitted to nine tenths of the data (the local ones, where the strategy's is local)
        predicts the others: ``rmse``, ``log_likelihood`` (mean, in nats), ``n``. Empty for fewer than 20 data.
    left_out
        Texts of the data that the search could not learn from, those without a value included, counted by reason.
    settings
        How the run was made.
    constants
        By the name of a score, the means and standard deviations that it was standardised by, where these were learned
        from data rather than published: store them with the model to keep other searches in the same units.
    """

    history: pd.DataFrame
    latent: NDArray[np.float32]
    initial: pd.DataFrame
    initial_codes: NDArray[np.float32]
    maximize: dict[str, bool]
    decoded: pd.DataFrame
    surrogate: dict[str, dict[str, float]]
    left_out: dict[str, int]
    settings: dict[str, Any]
    constants: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def scores(self) -> list[str]:
        """The names of the scores."""
        return list(self.maximize)

    @property
    def validity(self) -> float:
        """The share of points that decoded to a valid text; nan for no point."""
        return float(self.history["valid"].mean()) if len(self.history) else float("nan")

    @property
    def failures(self) -> dict[str, int]:
        """Points without a value, counted by reason, the most frequent first."""
        return dict(Counter(reason for reason in self.history["reason"] if reason).most_common())

    @property
    def initial_best(self) -> dict[str, tuple[str, float]]:
        """By score, the best text of the data and its value."""
        found = {}
        for name, up in self.maximize.items():
            values = self.initial[name].to_numpy(np.float64)
            index = int(np.nanargmax(values) if up else np.nanargmin(values))
            found[name] = (str(self.initial["text"].iloc[index]), float(values[index]))
        return found

    def best(self, n: int = 10, by: str | None = None) -> pd.DataFrame:
        """The n best points of the run, the best first, each text once, by one of the scores; None for the first.

        Raises
        ------
        InputError
            For a number below 1 or a score that the run has not.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputError("the number of points cannot be used", received=repr(n), expected="1 or more")
        name = self._named(by)
        known = self._complete().sort_values(name, ascending=not self.maximize[name], kind="stable")
        return known.head(n).reset_index(drop=True)

    def front(self) -> pd.DataFrame:
        """The points of the run that no other one beats in every score, each text once, sorted by the first score."""
        known = self._complete()
        signs = [1 if up else -1 for up in self.maximize.values()]
        found = known[is_on_front(known[self.scores].to_numpy(np.float64) * signs)]
        name = self.scores[0]
        return found.sort_values(name, ascending=not self.maximize[name], kind="stable").reset_index(drop=True)

    def curve(self, name: str | None = None) -> NDArray[np.float64]:
        """The best value so far: (N + 1,), that of the data first, then after each point.

        Raises
        ------
        UnknownNameError
            For a score that the run has not.
        """
        name = self._named(name)
        sign = 1 if self.maximize[name] else -1
        values = sign * np.concatenate([[self.initial_best[name][1]], self.history[name].to_numpy(np.float64)])
        return np.asarray(sign * np.fmax.accumulate(values))

    def _named(self, name: str | None) -> str:
        if name is None:
            return self.scores[0]
        if name not in self.maximize:
            raise UnknownNameError("score in this run", name, self.scores)
        return name

    def _complete(self) -> pd.DataFrame:
        return self.history.dropna(subset=self.scores).drop_duplicates("text")

    def _repr_html_(self) -> str:
        best = self.best(MOST_SHOWN) if len(self.scores) == 1 else self.front().head(MOST_SHOWN)
        facts: dict[str, Any] = {}
        for name in self.scores:
            found = self.best(1, name)
            facts[f"best {name}"] = float(found[name].iloc[0]) if len(found) else None
            facts[f"best {name} of the data"] = self.initial_best[name][1]
        facts |= {"evaluations": len(self.history), "valid": f"{self.validity:.1%}" if len(self.history) else None}
        facts |= {name: self.settings[name] for name in ("strategy", "seed")}
        values = {name: best[name].tolist() for name in self.scores}
        texts = best["text"].astype(str).tolist()
        title = f"Optimisation of {' and '.join(self.scores)}"
        return "".join([facts_table(facts, title), gallery(texts, values, kind=kind_of(texts))])

    def __repr__(self) -> str:
        shown = []
        for name in self.scores:
            first = self.best(1, name)
            found = f"{first[name].iloc[0]:.4g}" if len(first) else "none"
            shown.append(f"{name} {found} (data {self.initial_best[name][1]:.4g})")
        return f"<Optimization: {len(self.history)} points, validity {self.validity:.1%}, best {', '.join(shown)}>"


def outcome(
    journal: Journal, surrogate: dict[str, dict[str, float]], constants: dict[str, dict[str, float]]
) -> Optimization:
    """The result of what a journal holds."""
    assert journal.initial is not None
    names = list(journal.settings["scores"])
    initial = [(journal.text_of(row), *row.values) for row in journal.rows[INITIAL]]
    known = {row[0] for row in initial}
    rows, latent = [], []
    for row in journal.rows[HISTORY]:
        proposals = journal.proposals[row.iteration]
        text, valid, share = proposals.decoded[row.point][:3]
        rows.append((row.iteration, row.point, text, *row.values, valid, valid and text in known, share, row.reason))
        latent.append(proposals.latent[row.point])
        known.add(text)
    dimensions = journal.initial.codes.shape[1]
    counts = [
        (iteration, len(found.decoded), *(found.counts[name] for name in ("decoded", "invalid", "seen")))
        for iteration, found in sorted(journal.proposals.items())
    ]
    left_out = Counter(journal.initial.left_out)
    left_out.update(row.reason for row in journal.rows[INITIAL] if row.reason)
    columns = ["iteration", "point", "text", *names, "valid", "known", "valid_share", "reason"]
    types: Any = {"iteration": int, "point": int, **dict.fromkeys(names, float)}
    types |= {"valid": bool, "known": bool, "valid_share": float}
    return Optimization(
        history=pd.DataFrame(rows, columns=columns).astype(types),
        latent=np.stack(latent) if latent else np.zeros((0, dimensions), np.float32),
        initial=pd.DataFrame(initial, columns=["text", *names]).astype(dict.fromkeys(names, float)),
        initial_codes=journal.initial.codes[[row.point for row in journal.rows[INITIAL]]],
        maximize=dict(zip(names, journal.settings["maximize"], strict=True)),
        decoded=pd.DataFrame(counts, columns=["iteration", "points", "decoded", "invalid", "seen"]),
        surrogate=surrogate,
        left_out=dict(left_out),
        settings=dict(journal.settings),
        constants=constants,
    )
