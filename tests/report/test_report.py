"""grammar_rae.report: one self-contained page, written whole or not at all."""

import errno
import json
import math
import os
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grammar_rae.errors import DataError, InputError, UnknownNameError
from grammar_rae.gallery import PICTURES
from grammar_rae.report import line_chart, write_report
from grammar_rae.report.charts import _tick_labels, _ticks

HOSTILE = "</title><script>alert('x')</script>\"&"
CURVES = {
    "loss": ([0, 1, 2], [3.0, 2.0, 1.5]),
    "exact": ([0, 1, 2], [0.1, 0.5, 0.9]),
    "validation_loss": ([0, 2], [3.1, math.nan]),
}


class Page(HTMLParser):
    """What a browser would find: tags, attributes, text by tag."""

    VOID = frozenset({"meta", "link", "img", "br", "input", "hr", "wbr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "wbr" and self._open[-1] == self.texts[-1][0]:
            name, before = self.texts.pop()
            self.texts.append((name, before + data))  # a place where a line may break parts no text
        elif data.strip() and self._open:
            self.texts.append((self._open[-1], data.strip()))

    def of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def written(path: Path, **changes: Any) -> Page:
    given: dict[str, Any] = {"title": "A run", "molecules": ["CCO"], "facts": {}, "curves": {}}
    write_report(path, **(given | changes))
    return Page(path.read_text(encoding="utf-8"))


def test_page_shows_molecules_facts_and_curves(tmp_path: Path) -> None:
    page = written(
        tmp_path / "run.html",
        molecules=["CCO", "c1ccccc1", "C1CC"],
        legends=["ethanol", "benzene", "broken"],
        facts={
            "recipe": "molecules",
            "seed": 0,
            "raw validity": 0.874321,
            "molecules read": 1584663.0,
            "rest": math.nan,
        },
        curves=CURVES,
    )
    assert page.of("h1") == ["A run"]
    assert page.of("dt") == ["recipe", "seed", "raw validity", "molecules read", "rest"]
    assert page.of("dd") == ["molecules", "0", "0.8743", "1,584,663", "none"]
    assert page.of("p")[:3] == ["ethanol", "benzene", "broken"]
    assert page.of("button")[1:4] == ["CCO", "c1ccccc1", "C1CC"]  # after the one that saves
    assert page.count("figure") == 3
    assert page.count("svg") == 3 + 2
    drawn = page.of("text")
    assert "not a molecule" in drawn
    assert drawn.count("Loss") == drawn.count("Exact") == 1
    assert drawn.count("loss") == drawn.count("validation loss") == drawn.count("exact") == 1


@pytest.mark.parametrize("kind", PICTURES)
def test_page_is_self_contained_and_escapes_everything(tmp_path: Path, kind: str) -> None:
    page = written(
        tmp_path / "run.html",
        kind=kind,
        title=HOSTILE,
        molecules=[HOSTILE, "C"],
        legends=[HOSTILE, ""],
        facts={HOSTILE: HOSTILE},
        curves={HOSTILE: ([0, 1], [0, 1])},
        x_label=HOSTILE,
    )
    assert page.of("title")[0] == page.of("h1")[0] == page.of("dt")[0] == page.of("dd")[0] == page.of("p")[0] == HOSTILE
    assert HOSTILE in page.of("code" if kind == "text" else "button")
    assert not {"link", "img", "iframe", "image", "use"} & {tag for tag, _ in page.tags}
    # Nobody's text is a script: there are the gallery's table and its own script.
    assert page.count("script") == 2
    table, script = page.of("script")
    assert json.loads(table)["texts"] == [HOSTILE, "C"] and "<" not in table
    assert script == files("grammar_rae.gallery").joinpath("gallery.js").read_text(encoding="utf-8").strip()
    for _, attributes in page.tags:
        assert not {"src", "href", "id"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    html = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^'\"]+", html)) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in html and "@import" not in html


def test_texts_are_shown_as_they_are(tmp_path: Path) -> None:
    page = written(tmp_path / "run.html", kind="text", molecules=["sin(x)+1", "1/3<x"])
    assert page.of("code") == ["sin(x)+1", "1/3<x"]
    assert page.count("svg") == 0
    assert page.count("figcaption") == 0


def test_page_of_nothing(tmp_path: Path) -> None:
    page = written(tmp_path / "run.html", molecules=[])
    assert page.of("p")[0] == "There is nothing to show."
    assert page.count("dl") == page.count("svg") == page.count("figure") == 0


def test_text_that_no_encoding_has_does_not_stop_the_report(tmp_path: Path) -> None:
    page = written(tmp_path / "run.html", kind="text", molecules=["a\udc80b", "naïve 𝛿"])
    assert page.of("code") == ["a?b", "naïve 𝛿"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"kind": "images"}, UnknownNameError),
        ({"legends": ["a", "b"]}, InputError),
        ({"columns": 0}, InputError),
        ({"curves": {"loss": ([1, 2], [1])}}, InputError),
    ],
)
def test_arguments_without_sense_are_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        written(tmp_path / "run.html", **changes)
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_and_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"folder of the report does not exist.*mkdir"):
        written(tmp_path / "no" / "run.html")
    with pytest.raises(DataError, match="that of a folder"):
        written(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        (tmp_path / "file").write_text("")
        written(tmp_path / "file" / "run.html")


@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_full_disk_keeps_the_old_report_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "run.html"
    path.write_text("old")

    def full(draft: Path, *_: object, **__: object) -> None:
        Path(draft).touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    owner: Any = Path if step == "write_bytes" else os
    monkeypatch.setattr(owner, step, full)
    with pytest.raises(DataError, match="No space left on device"):
        write_report(path, title="new", molecules=[], facts={}, curves={})
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_report_replaces_an_older_one_and_has_the_usual_permissions(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    written(tmp_path / "run.html", title="one")
    page = written(tmp_path / "run.html", title="two")
    assert page.of("h1") == ["two"]
    assert (tmp_path / "run.html").stat().st_mode == plain.stat().st_mode


# ---- charts


def parsed(curves: Mapping[str, Any], **changes: Any) -> ElementTree.Element:
    return ElementTree.fromstring(line_chart(curves, **({"title": "Loss", "x_label": "seconds"} | changes)))


def texts(chart: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in chart.iter() if element.tag.endswith("}text")]


def lines(chart: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """The points of every curve on the canvas, samples of the legend left out."""
    found = [e.get("d", "") for e in chart.iter() if e.get("stroke-width") == "2"]
    points = [[tuple(map(float, point.split())) for point in path[1:].split("L")] for path in found]
    return [path for path in points if path[0][1] != 38]  # type: ignore[misc]


def test_chart_puts_points_where_the_axes_say() -> None:
    chart = parsed({"loss": ([0, 5, 10], [0, 1, 4])}, size=(520, 300))
    assert texts(chart) == ["Loss", "loss", "0", "2", "4", "6", "8", "10", "0", "1", "2", "3", "4", "seconds"]
    (line,) = lines(chart)
    assert line == [(58, 256), (277, 206.5), (496, 58)]


def test_gaps_split_a_curve_and_a_lone_point_is_a_dot() -> None:
    chart = parsed({"loss": ([0, 1, 2, 3, 4, 5], [1, 2, math.nan, 3, math.inf, 2])})
    assert [len(line) for line in lines(chart)] == [2]
    assert sum(element.tag.endswith("}circle") for element in chart.iter()) == 2


@pytest.mark.parametrize("curves", [{}, {"loss": ([], [])}, {"loss": ([1, 2], [math.nan, math.nan])}])
def test_chart_without_values_says_so(curves: Mapping[str, Any]) -> None:
    assert "no values" in texts(parsed(curves))


def test_long_curves_are_thinned_but_keep_their_ends() -> None:
    xs = list(range(100_001))
    (line,) = lines(parsed({"loss": (xs, xs)}))
    assert len(line) <= 601
    assert line[0] == pytest.approx((58, 256))
    assert line[-1][0] > 400


def test_equal_values_have_an_axis_too() -> None:
    (line,) = lines(parsed({"loss": ([1, 2], [7, 7])}))
    assert line[0][1] == line[1][1]
    assert 58 < line[0][1] < 256


@given(st.floats(-1e8, 1e8), st.floats(1e-3, 1e8))
def test_ticks_are_few_even_and_cover_the_range(low: float, span: float) -> None:
    high = low + span
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return
    ticks = _ticks(low, high, 6)
    slack = 1e-6 * (ticks[-1] - ticks[0])
    assert 2 <= len(ticks) <= 6
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack
    steps = [b - a for a, b in pairwise(ticks)]
    assert max(steps) - min(steps) <= slack
    labels = _tick_labels(ticks)
    assert [float(label.replace(",", "")) for label in labels] == pytest.approx(ticks, rel=1e-6, abs=slack)
    assert len(set(labels)) == len(labels)
