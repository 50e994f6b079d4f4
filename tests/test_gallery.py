"""Cards and tables of facts, as pages and notebooks show them."""

import json
import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import grammar_rae
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.gallery import facts_table, gallery, kind_of, show_number
from grammar_rae.model import TextModel
from grammar_rae.optimization import Optimization

TABLE = re.compile(r'<script type="application/json">(.*?)</script>', re.DOTALL)


def table(html: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TABLE.findall(html)[0])
    return found


def test_numbers_sort_and_filter_and_texts_are_shown() -> None:
    values = {"score": [1.5, math.nan, None], "source": ["a", "b", None], "count": np.array([3, 2, 1])}
    html = gallery(["C", "CC", "CCC"], values, columns=2)
    assert table(html) == {
        "texts": ["C", "CC", "CCC"],
        "columns": {"score": [1.5, None, None], "source": ["a", "b", ""], "count": [3.0, 2.0, 1.0]},
        "numeric": ["score", "count"],
    }
    assert html.count('<option value="+') == html.count('<option value="-') == 2
    assert html.count('data-end="low"') == 2
    assert "source, lowest first" not in html
    assert "<dt>score</dt><dd>1.5</dd>" in html and "<dt>score</dt><dd>none</dd>" in html
    assert html.count("<figure>") == html.count("<svg") == 3


def test_tools_wait_for_the_script() -> None:
    assert re.search(r'class="gr-tools"[^>]* hidden>', gallery(["C"]))
    assert 'gr-tools"' not in gallery([])


@given(text=st.text(max_size=30), name=st.text(min_size=1, max_size=10))
def test_no_text_breaks_out(text: str, name: str) -> None:
    hostile = f"{text}</script><img src=x onerror=alert(1)>"
    html = gallery([hostile], {name + "<b>": [1.0]}, legends=[hostile], kind="text")
    assert "<img" not in html and "<b>" not in html
    assert table(html)["texts"] == [hostile]
    assert html.count("</script>") == 2
    assert "<img" not in facts_table({hostile: hostile}, hostile)


def test_nothing_is_asked_of_any_host() -> None:
    html = gallery(["CCO"], {"x": [1]}) + facts_table({"x": 1})
    assert set(re.findall(r"https?://[^'\"]+", html)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(src|href|on\w+)=", TABLE.sub("", html).split("<script>")[0])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "none"),
        (math.nan, "none"),
        (3, "3"),
        (0.123456, "0.1235"),
        (1584663.0, "1,584,663"),
        ("a", "a"),
        (True, "True"),
    ],
)
def test_values_as_a_reader_wants_them(value: Any, shown: str) -> None:
    assert show_number(value) == shown


def test_kinds_of_texts() -> None:
    assert kind_of(["CCO", "c1ccccc1"]) == "molecules"
    assert kind_of(["CCO", "sin(x)"]) == "text"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"values": {"x": [1, 2]}}, InputError),
        ({"legends": []}, InputError),
        ({"columns": 0}, InputError),
        ({"kind": "pictures"}, UnknownNameError),
    ],
)
def test_what_does_not_fit(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        gallery(["C"], **arguments)


def test_results_models_and_recipes_show_themselves() -> None:
    model = grammar_rae.load("expressions")
    drawn = model.sample(3, seed=0)
    html = drawn._repr_html_()
    assert type(html) is str and table(html)["texts"] == list(dict.fromkeys(drawn.valid_texts)) and "<svg" not in html
    assert "raw validity" in html
    bundle = model._repr_mimebundle_()
    assert model.recipe_.description in bundle["text/html"] and bundle["text/plain"] == repr(model)
    assert "latent dimensions" in model._repr_html_()
    assert model.recipe_.objective in model.recipe_._repr_html_()
    assert "text/plain" in TextModel("tiny")._repr_mimebundle_()  # untrained: scikit-learn's view
    with pytest.raises(InputError, match="only molecules"):
        drawn.draw()


def test_draws_of_molecules_are_shown_by_how_easily_they_are_made() -> None:
    drawn = grammar_rae.load("moses").sample(6, seed=0)
    shown = table(drawn._repr_html_())
    assert sorted(shown["texts"]) == sorted(set(drawn.smiles))
    assert shown["columns"]["sa"] == sorted(shown["columns"]["sa"]) and "qed" in shown["numeric"]
    assert drawn.draw(2).texts == tuple(dict.fromkeys(drawn.smiles))[:2]


def test_a_search_shows_its_best() -> None:
    history = pd.DataFrame(
        {"iteration": [1, 1], "point": [0, 1], "text": ["CCO", "CCC"], "qed": [0.4, 0.3], "valid": True, "known": False}
    )
    initial = pd.DataFrame({"text": ["C"], "qed": [0.35]})
    run = Optimization(
        history,
        np.zeros((2, 1)),
        initial,
        np.zeros((1, 1)),
        {"qed": True},
        pd.DataFrame(),
        {},
        {},
        {"strategy": "turbo", "seed": 0},
    )
    assert table(run._repr_html_()) == {"texts": ["CCO", "CCC"], "columns": {"qed": [0.4, 0.3]}, "numeric": ["qed"]}
