"""What a tab asks the model for: analogues, draws, paths, templates, properties and searches, each in a thread."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from grammar_rae.errors import InputError
from grammar_rae.explorer import actions
from grammar_rae.explorer.jobs import Progress
from grammar_rae.explorer.layers import Layer
from grammar_rae.explorer.messages import read_count, read_number, read_numbers, read_text
from grammar_rae.explorer.values import count_near


class WorkMixin:
    """The part of a session that makes layers of results."""

    def analogues(self: Any, message: Mapping[str, Any]) -> None:
        """Analogues of the selected molecules."""
        similarity = read_number(message, "similarity", 0.0, 0.99)
        n = read_count(message, "n", 1, 500)
        leads, seed = self._require(1, actions.MOST_LEADS), self._next_seed()
        model = self.study.model
        self.jobs.start("Analogues", lambda p: actions.find_analogues(model, leads, n, similarity, seed, p), self._take)

    def around(self: Any, message: Mapping[str, Any]) -> None:
        """Draws around the selected points."""
        radius = read_number(message, "radius", 0.01, 3.0)
        n = read_count(message, "n", 1, 1000)
        self._require(1, None)
        codes, seed = self.atlas.codes(self.selected), self._next_seed()
        model, base = self.study.model, self.study.base
        self.jobs.start("Draws", lambda p: actions.draw_around(model, codes, base, radius, n, seed, p), self._take)

    def path(self: Any, message: Mapping[str, Any]) -> None:
        """The texts between two selected ones."""
        steps = read_count(message, "steps", 2, 50)
        ends = self._require(2, 2)
        if len(ends) < 2:
            raise InputError("the two selected points have the same text", received=ends[0], expected="two texts")
        model = self.study.model
        self.jobs.start("Path", lambda p: actions.find_path(model, ends[0], ends[1], steps, p), self._take)

    def template(self: Any, message: Mapping[str, Any]) -> None:
        """Molecules that contain a template."""
        text = read_text(message, "text", "template")
        n, seed = read_count(message, "n", 1, 1000), self._next_seed()
        model = self.study.model
        self.jobs.start("Template", lambda p: actions.draw_template(model, text, n, seed, p), self._take)

    def told(self: Any, message: Mapping[str, Any]) -> None:
        """Molecules with properties."""
        wanted = self._wanted(message)
        if not wanted:
            raise InputError("no property is told", remedy="Tick one and set its value.")
        n, seed = read_count(message, "n", 1, 1000), self._next_seed()
        model = self.study.model
        self.jobs.start("Draws", lambda p: actions.draw_told(model, wanted, n, seed, p), self._take)

    def near(self: Any, message: Mapping[str, Any]) -> None:
        """How many training rows are near to the properties that would be told."""
        self.wanted = self._wanted(message)
        text = self._count_near() if self.wanted else "Tick a property to tell it."
        if text or self.jobs.busy:
            self._tell({"tell": "near", "text": text or "The rows near are counted when the present work has ended."})
            return

        def done(_: None) -> None:  # a slider may have moved meanwhile
            self._tell({"tell": "near", "text": self._count_near() or "There are no rows to count among."})

        self.jobs.start("Reading properties", self.study.describe_references, done)

    def _count_near(self: Any) -> str:
        """How many rows are near to what was asked last, or "" where no row's properties are known."""
        columns, what = self.study.references()
        total = int(np.isfinite(np.stack([columns[name] for name in self.wanted])).all(axis=0).sum())
        if not total:
            return ""
        count = count_near(columns, self.wanted, self.study.deviations)
        return f"{count:,} of {total:,} {what} are near."

    def _wanted(self: Any, message: Mapping[str, Any]) -> dict[str, float]:
        return read_numbers(message, "values", list(self.study.properties))

    def optimise(self: Any, message: Mapping[str, Any]) -> None:
        """A search for a score that begins with the selected molecules."""
        score = read_text(message, "score", "score")
        budget = read_count(message, "n", 1, 10_000)
        self._require(1, 1000)
        chosen, seed = list(self.selected), self._next_seed()

        def work(progress: Progress) -> Layer:
            self._decode(chosen, progress)
            start = list(dict.fromkeys(self.atlas.text(point) for point in chosen))
            return actions.optimise(self.study.model, start, score, budget, seed, progress)

        self.jobs.start(f"Search for {score}", work, self._take)
