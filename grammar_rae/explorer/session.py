"""One tab: what is shown and selected, and what it answers to each thing that a person does.

A session knows nothing of browsers. It is asked by messages, ``{"ask": "analogues", "similarity": 0.6, ...}``, and
tells events, ``{"tell": "notice", "kind": "error", "text": "..."}``; whatever goes wrong is a sentence in one of them.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from grammar_rae.errors import GrammarRAEError, InputError
from grammar_rae.explorer import actions
from grammar_rae.explorer.jobs import MODEL, Jobs, Post, Progress, Tell, run_in_thread, sentence
from grammar_rae.explorer.layers import Atlas, Layer, Point
from grammar_rae.explorer.messages import read_count, read_text
from grammar_rae.explorer.pictures import Markers, mark_points, picture
from grammar_rae.explorer.projections import PROJECTIONS, Projection, available, fit_projection
from grammar_rae.explorer.study import Study
from grammar_rae.explorer.tables import sort_rows, tabulate, write_file
from grammar_rae.explorer.values import RAMP, extremes
from grammar_rae.explorer.work import WorkMixin
from grammar_rae.scores import SCORES

PAGE = 40
"""Rows of the table that are sent at once, with their structures."""

MOST_TABLE = 20_000
"""The most points that a table is made of."""


class Session(WorkMixin):
    """A tab of the explorer.

    Parameters
    ----------
    study
        What all tabs share.
    tell
        Gets each event. ``{"tell": "map"}`` says that :meth:`markers` has changed, ``{"tell": "selection"}`` that
        :attr:`selected` has.
    post
        Runs a call in the thread that asks.
    run
        How long work is run.
    """

    def __init__(
        self, study: Study, tell: Tell, post: Post, run: Callable[[Callable[[], None]], None] = run_in_thread
    ) -> None:
        self.study, self._tell, self._post = study, tell, post
        self.atlas = Atlas()
        self.projection: Projection = study.principal
        self.colour_by = ""
        self.selected: list[Point] = []
        self.wanted: dict[str, float] = {}
        self.jobs = Jobs(tell, post, run)
        self._seed = study.seed
        self._order: tuple[str | None, bool] = (None, False)

    def ask(self, message: Mapping[str, Any]) -> None:
        """Do what a message asks for; what cannot be done is told as a sentence."""
        try:
            what = message.get("ask")
            if not isinstance(what, str) or what not in ASKS:
                raise InputError("the page asks for what nobody knows", received=repr(what))
            ASKS[what](self, message)
        except Exception as error:  # whatever it was, the page lives on and says it
            if not isinstance(error, GrammarRAEError | OSError):
                logging.getLogger(__name__).exception("the page's request failed")
            self._tell({"tell": "notice", "kind": "error", "text": sentence(error)})

    def close(self) -> None:
        """The tab is gone: what runs for it ends."""
        self.jobs.stop()

    # -- the map ------------------------------------------------------------------------------------------------

    def begin(self, _: Mapping[str, Any]) -> None:
        """Tell what there is to ask for, and load the layers."""
        study = self.study
        names = study.values.names
        self._tell(
            {
                "tell": "controls",
                "title": study.title,
                "molecules": study.molecules,
                "projections": available(),
                "values": names,
                "scores": [name for name in names if name in SCORES],
                "properties": [
                    {"name": name, "low": low, "high": high, "mean": study.means[name], "step": _step(name, low, high)}
                    for name, (low, high) in study.properties.items()
                ],
                "training": study.training.note,
            }
        )
        self._show_layers()
        self.jobs.start("Loading", lambda progress: study.load(progress, self._grown), lambda _: self._loaded())

    def _grown(self, layer: Layer) -> None:
        def take() -> None:
            self.atlas.put(layer)
            self._show_layers()

        self._post(take)

    def _loaded(self) -> None:
        rows = self.study.rows
        if rows is None:
            return
        refused = self.study.refused
        if refused:
            shown = [{"line": one.line, "text": one.text[:200], "reason": one.reason} for one in refused[:100]]
            self._tell({"tell": "refused", "count": len(refused), "rows": shown})
        if rows.left_out:
            text = f"The file is long: its first {len(rows.texts):,} rows are shown, {rows.left_out:,} are not."
            self._tell({"tell": "notice", "kind": "note", "text": text})

    def _show_layers(self) -> None:
        atlas, values = self.atlas, self.study.values
        told = [
            {
                "key": key,
                "title": layer.title,
                "count": len(layer),
                "note": layer.note,
                "colour": atlas.looks[key].colour,
                "shown": key not in atlas.hidden,
                "removable": layer.kind == "result",
            }
            for key, layer in atlas.layers.items()
        ]
        legend = None
        if self.colour_by:
            texts = [text for layer in atlas.shown.values() for text in layer.texts]
            span = extremes(values.known(self.colour_by, texts))
            legend = {"name": self.colour_by, "ramp": RAMP, "span": span}
        total = sum(len(layer) for layer in atlas.shown.values())
        self._tell({"tell": "layers", "layers": told, "legend": legend, "total": total, "note": self.projection.note})
        self._tell({"tell": "map"})

    def markers(self) -> Markers:
        """Places, colours, sizes and markers of all points that are shown."""
        return mark_points(self.atlas, self.projection, self.study.values, self.colour_by)

    def show(self, message: Mapping[str, Any]) -> None:
        """Show a layer or hide it."""
        self.atlas.show(read_text(message, "layer", "layer"), bool(message.get("on")))
        self._show_layers()
        self._tell({"tell": "selection"})

    def remove(self, message: Mapping[str, Any]) -> None:
        """Take a layer of results away."""
        key = read_text(message, "layer", "layer")
        self.atlas.remove(key)
        self._show_layers()
        self._select([point for point in self.selected if point.layer != key])

    def colour(self, message: Mapping[str, Any]) -> None:
        """Colour the points by a property or score, or by their layers for an empty name."""
        by = str(message.get("by") or "")
        if not by:
            self.colour_by = ""
            self._show_layers()
            return
        layers = list(self.atlas.shown.values())

        def work(progress: Progress) -> None:
            for layer in layers:
                self.study.decode(layer, list(range(len(layer))), progress)
            self.study.values.compute(by, [text for layer in layers for text in layer.texts], progress)

        def done(_: None) -> None:
            self.colour_by = by
            self._show_layers()
            self._show_rows(0)

        self.jobs.start(f"Colouring by {by}", work, done)

    def project(self, message: Mapping[str, Any]) -> None:
        """Lay the points out by another projection."""
        name = read_text(message, "by", "projection")

        def done(found: Projection) -> None:
            self.projection = found
            self._show_layers()
            self._tell({"tell": "selection"})

        if name == "PCA":
            done(self.study.principal)
            return
        if name not in PROJECTIONS:
            fit_projection(name, self.study.base)  # which says what there is
        shown = self.atlas.all_codes()
        codes = self.study.base if shown is None else shown
        self.jobs.start(f"Map by {name}", lambda _: fit_projection(name, codes), done)

    def card(self, message: Mapping[str, Any]) -> None:
        """The structure and the values of one point."""
        points = self.atlas.points()
        number = read_count(message, "point", 0, max(len(points) - 1, 0))
        if not points:
            return
        point = points[number]
        self._fill([point])
        layer = self.atlas.layers[point.layer]
        text = layer.texts[point.row]
        facts = {name: values[point.row] for name, values in layer.columns.items()} | self.study.values.computed(text)
        self._tell(
            {
                "tell": "card",
                "point": number,
                "text": text,
                "name": layer.name(point.row),
                "layer": layer.title,
                "picture": picture(text, self.study.molecules),
                "facts": {name: _plain(value) for name, value in facts.items()},
            }
        )

    def _fill(self, points: Sequence[Point]) -> None:
        """Decode what has no text yet, of few points, unless the model is busy: then they are shown without one."""
        if all(self.atlas.text(point) for point in points) or not MODEL.acquire(blocking=False):
            return
        try:
            self._decode(points, Progress())
        finally:
            MODEL.release()

    def _decode(self, points: Sequence[Point], progress: Progress) -> None:
        for key in {point.layer for point in points}:
            self.study.decode(self.atlas.layers[key], [p.row for p in points if p.layer == key], progress)

    # -- the selection ------------------------------------------------------------------------------------------

    def select(self, message: Mapping[str, Any]) -> None:
        """Select points by their numbers on the map."""
        points = self.atlas.points()
        wanted = message.get("points")
        numbers = [one for one in wanted if isinstance(one, int)] if isinstance(wanted, list) else []
        self._select([points[one] for one in numbers if 0 <= one < len(points)], told=False)
        if not self.selected and message.get("by") == "lasso":
            self._notice("note", "There is no point in that area; nothing is selected.")

    def choose(self, message: Mapping[str, Any]) -> None:
        """Select one row of the table alone."""
        frame = self._sorted()
        row = read_count(message, "row", 0, max(len(frame) - 1, 0))
        if len(frame):
            self._select([self.selected[int(frame.index[row])]])

    def search(self, message: Mapping[str, Any]) -> None:
        """Select the points of a molecule, or those whose name contains a text; encode a molecule that is not there."""
        asked = read_text(message, "text", "molecule or name")
        spelled = self.study.model.codec.canonical(asked)
        low = asked.lower()
        found = [
            point
            for point, text in self.atlas.walk()
            if (spelled is not None and text == spelled)
            or low in self.atlas.layers[point.layer].name(point.row).lower()
            or text == asked
        ]
        if found:
            for key in {point.layer for point in found}:
                self.atlas.show(key, True)
            self._show_layers()
            self._select(found)
            self._notice("note", f"{len(found)} found.")
        elif spelled is None:
            self._notice("error", f"No name contains {asked[:80]!r}, and it is no molecule that the model reads.")
        else:
            self._add_typed(spelled)

    def _add_typed(self, text: str) -> None:
        model = self.study.model

        def work(_: Progress) -> Layer:
            note = "You typed it; it is in none of the other layers."
            encoded = model.encode([text], errors="skip", unknown="refuse")
            if encoded.errors:
                encoded = model.encode([text], errors="skip", unknown="ignore")
                note = "The model was not trained on anything like it: its place on the map says little."
            if encoded.errors:
                raise encoded.errors[0]
            return Layer("result", f"Typed: {text[:24]}", [text], encoded.codes, note=note)

        def done(layer: Layer) -> None:
            self._take(layer)
            self._notice("note", f"It was not on the map and is added as a layer of its own. {layer.note}")

        self.jobs.start("Encoding", work, done)

    def nearest(self, message: Mapping[str, Any]) -> None:
        """Select the points whose codes are nearest to the first one that is selected."""
        n = read_count(message, "n", 1, 1000)
        self._require(1, None)
        points = self.atlas.points()
        codes = self.atlas.all_codes()
        if codes is None:
            raise InputError("no layer is shown", remedy="Show a layer first.")
        distances = np.linalg.norm(codes - self.atlas.codes(self.selected[:1]), axis=1)
        self._select([points[one] for one in np.argsort(distances, kind="stable")[:n]])

    def clear(self, _: Mapping[str, Any]) -> None:
        """Select nothing."""
        self._select([])

    def _select(self, points: Sequence[Point], told: bool = True) -> None:
        self.selected = list(points)[:MOST_TABLE]
        if len(points) > MOST_TABLE:
            self._notice("note", f"{len(points):,} points are selected; the first {MOST_TABLE:,} count.")
        if told:
            self._tell({"tell": "selection"})
        self._show_rows(0)
        if len(self.selected) == 1 and (numbers := self.atlas.numbers(self.selected)):
            self.card({"point": numbers[0]})

    def rows(self, message: Mapping[str, Any]) -> None:
        """A part of the table, in another order if the message has one."""
        if "sort" in message:
            by = message.get("sort")
            self._order = (str(by) if by else None, bool(message.get("descending")))
        self._show_rows(read_count(message, "start", 0, MOST_TABLE))

    def _sorted(self) -> pd.DataFrame:
        frame = tabulate(self.atlas, self.selected, self.study.values)
        by, descending = self._order
        return sort_rows(frame, by if by in frame else None, descending)

    def _show_rows(self, start: int) -> None:
        frame = self._sorted()
        shown = frame.iloc[start : start + PAGE]
        points = [self.selected[int(one)] for one in shown.index]
        self._fill(points)
        pictures = [picture(self.atlas.text(point), self.study.molecules, (150, 100)) for point in points]
        if any(not text for text in shown.get("smiles", [])):
            shown = shown.assign(smiles=[self.atlas.text(point) for point in points])
        self._tell(
            {
                "tell": "rows",
                "start": start,
                "total": len(frame),
                "columns": list(map(str, frame.columns)),
                "rows": [[_plain(value) for value in row] for row in shown.itertuples(index=False)],
                "pictures": pictures,
                "sort": self._order[0],
                "descending": self._order[1],
            }
        )

    def export(self, message: Mapping[str, Any]) -> None:
        """The selection as the text of a file."""
        kind = str(message.get("format"))
        chosen = list(self.selected)

        def done(_: None) -> None:
            file = write_file(self._sorted(), kind)
            self._tell({"tell": "file", "name": file.name, "media": file.media, "text": file.text})
            self._notice("note", file.note)

        self.jobs.start("Saving", lambda progress: self._decode(chosen, progress), done)

    def _require(self, least: int, most: int | None) -> list[str]:
        """The texts of the selection, if it has so many points."""
        count = len(self.selected)
        if count < least or (most is not None and count > most):
            many = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            raise InputError(
                f"{count or 'no'} points are selected" if count != 1 else "one point is selected",
                expected=many,
                remedy="Select on the map with the lasso, by a tap, or by searching for a molecule.",
            )
        if count <= actions.MOST_LEADS:
            self._fill(self.selected)
        texts = list(dict.fromkeys(self.atlas.text(point) for point in self.selected))
        if count <= actions.MOST_LEADS and "" in texts:
            raise InputError("these points are not decoded yet", remedy="Try again when another tab's work has ended.")
        return texts

    def _next_seed(self) -> int:
        self._seed += 1
        return self._seed

    def _take(self, layer: Layer) -> None:
        key = self.atlas.put(layer)
        self._show_layers()
        self._select([Point(key, row) for row in range(len(layer))])

    def stop(self, _: Mapping[str, Any]) -> None:
        """Ask what runs to stop."""
        self.jobs.stop()

    def _notice(self, kind: str, text: str) -> None:
        self._tell({"tell": "notice", "kind": kind, "text": text})


ASKS: dict[str, Callable[[Session, Mapping[str, Any]], None]] = {
    "begin": Session.begin,
    "show": Session.show,
    "remove": Session.remove,
    "colour": Session.colour,
    "project": Session.project,
    "card": Session.card,
    "select": Session.select,
    "choose": Session.choose,
    "search": Session.search,
    "nearest": Session.nearest,
    "clear": Session.clear,
    "rows": Session.rows,
    "export": Session.export,
    "analogues": Session.analogues,
    "around": Session.around,
    "path": Session.path,
    "template": Session.template,
    "told": Session.told,
    "near": Session.near,
    "optimise": Session.optimise,
    "stop": Session.stop,
}
"""What a page may ask for."""


def _plain(value: Any) -> Any:
    """A value as JSON has it: a number short enough to read, a text, or None."""
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    return float(f"{float(value):.4g}") if isinstance(value, float | np.floating) else str(value)


_COUNTS = frozenset({"donors", "acceptors", "rotatable_bonds", "rings", "aromatic_rings", "stereo_centres", "charge"})


def _step(name: str, low: float, high: float) -> float:
    """The step of a property's slider: 1 for numbers of something, else about a hundredth of the range."""
    if name in _COUNTS:
        return 1.0
    return float(10.0 ** np.floor(np.log10(max(high - low, 1e-9) / 100)) * 2)
