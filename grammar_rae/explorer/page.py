"""The page of one tab, on Bokeh: a map, and a wire between the page's own script and a :class:`Session`.

All controls are plain HTML (``page.html``, ``page.css``, ``page.js``), so that keyboards and screen readers know them;
Bokeh draws the points and carries the messages.
"""

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from bokeh import __version__
from bokeh.document import Document
from bokeh.events import ClientReconnected, ConnectionLost, SelectionGeometry
from bokeh.models import ColumnDataSource, CustomJS, HoverTool
from bokeh.plotting import figure

from grammar_rae.explorer.session import Session
from grammar_rae.explorer.study import Study

GREY = "#7d8794"
"""Readable on light and dark: axes are drawn on a canvas that no style sheet reaches."""

_EMPTY: dict[str, list[Any]] = {"x": [], "y": [], "colour": [], "size": [], "marker": []}


@cache
def template() -> jinja2.Template:
    """The page around the map, with its style and script inside."""
    folder = files("grammar_rae.explorer")
    style, script, page = ((folder / f"page.{suffix}").read_text("utf-8") for suffix in ("css", "js", "html"))
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined)  # Bokeh escapes the title
    environment.globals |= {"style": style, "script": script, "version": __version__}
    return environment.from_string(page)


class Page:
    """A tab: what Bokeh shows and sends is passed on to a session, and the other way round.

    Parameters
    ----------
    document
        The document of the tab.
    study
        What all tabs share.
    """

    def __init__(self, document: Document, study: Study) -> None:
        self.document = document
        self.source = ColumnDataSource(dict(_EMPTY))
        self.asked, self.told = (ColumnDataSource({"json": []}, name=name) for name in ("asked", "told"))
        self.session = Session(study, self.tell, self.post)
        self._told = 0
        self._closed = False
        self._selecting = False
        self.map = draw_map(self.source, {"asked": self.asked, "told": self.told})
        document.config.notify_connection_status = False  # the page says it itself
        document.title = f"{study.title} · grammar_rae"
        document.template = template()
        self.map.on_event(SelectionGeometry, self._after_lasso)  # before it is in the document, which asks it once
        document.add_root(self.map)
        document.js_on_event(ConnectionLost, CustomJS(code="window.explorer.lost()"))
        document.js_on_event(ClientReconnected, CustomJS(code="window.explorer.found()"))
        document.on_session_destroyed(self._close)
        self.asked.on_change("data", self._ask)
        self.source.selected.on_change("indices", self._select)

    def post(self, call: Callable[[], None]) -> None:
        """Run a call in the server's thread; nothing where the tab is gone."""
        if not self._closed:
            self.document.add_next_tick_callback(call)

    def tell(self, event: dict[str, Any]) -> None:
        """Pass an event on: to the map, or to the page's script."""
        if self._closed:
            return
        if event["tell"] == "map":
            self._draw()
        elif event["tell"] == "selection":
            self._mark()
        else:
            self._told += 1
            self.told.data = {"json": [json.dumps({**event, "number": self._told}, allow_nan=False)]}

    def _draw(self) -> None:
        found = self.session.markers()
        self._selecting = True
        self.source.selected.indices = []
        self.source.data = {
            "x": found.x,
            "y": found.y,
            "colour": found.colour,
            "size": found.size,
            "marker": found.marker,
        }
        self.map.xaxis.axis_label, self.map.yaxis.axis_label = found.axes
        self._selecting = False
        self._mark()

    def _mark(self) -> None:
        self._selecting = True
        self.source.selected.indices = self.session.atlas.numbers(self.session.selected)
        self._selecting = False

    def _ask(self, _: str, __: Any, data: Any) -> None:
        try:
            message = json.loads(data["json"][0])
        except (ValueError, TypeError, LookupError):  # not what the page's script sends
            return
        if isinstance(message, dict):
            self.session.ask(message)

    def _select(self, _: str, __: list[int], chosen: list[int]) -> None:
        if not self._selecting:
            self.session.ask({"ask": "select", "points": list(chosen)})

    def _after_lasso(self, event: Any) -> None:
        # An empty selection after an empty one is no change, so that nobody would be told.
        def look() -> None:
            if not self.source.selected.indices:
                self.session.ask({"ask": "select", "points": [], "by": "lasso"})

        if event.final:
            self.document.add_timeout_callback(look, 300)

    def _close(self, _: Any) -> None:
        self._closed = True
        self.session.close()


def draw_map(source: ColumnDataSource, wire: dict[str, ColumnDataSource]) -> Any:
    """The figure: points of one source by WebGL, lasso, box, tap, wheel and hover; it holds the wire for the script."""
    found: Any = figure(
        output_backend="webgl",
        sizing_mode="stretch_both",
        tools="lasso_select,box_select,tap,pan,wheel_zoom,reset",
        active_drag="lasso_select",
        active_scroll="wheel_zoom",
        toolbar_location="above",
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        name="map",
        min_border=4,
        lod_threshold=None,
    )
    points = found.scatter(
        "x",
        "y",
        source=source,
        size="size",
        marker="marker",
        fill_color="colour",
        line_color="colour",
        line_width=1,
        nonselection_fill_alpha=0.3,
        nonselection_line_alpha=0.3,
        selection_line_color=GREY,
    )
    for glyph in (points.selection_glyph, points.nonselection_glyph):
        glyph.marker = "marker"  # else Bokeh draws circles
    code = "window.explorer.hover(cb_data.index.indices, cb_data.geometry)"
    found.add_tools(HoverTool(renderers=[points], tooltips=None, callback=CustomJS(args=wire, code=code)))
    found.toolbar.logo = None
    for axis in (found.xaxis, found.yaxis):
        axis.axis_label_text_color = axis.major_label_text_color = GREY
        axis.axis_line_color = axis.major_tick_line_color = GREY
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
    found.grid.grid_line_color = GREY
    found.grid.grid_line_alpha = 0.2
    return found
