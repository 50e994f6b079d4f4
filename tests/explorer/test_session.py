"""A tab without a browser: whatever it is asked, it answers, and never with anything but a sentence."""

import json

import numpy as np
import pytest
from explorer.sessions import Asked, begin, told
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import grammar_rae
from grammar_rae.errors import InputError
from grammar_rae.explorer.jobs import run_here
from grammar_rae.explorer.session import ASKS, PAGE
from grammar_rae.explorer.study import Study
from grammar_rae.resources import model_folder


def keys(session):
    return list(session.atlas.layers)


def test_a_page_begins_with_all_layers_and_lists_what_was_refused(session):
    assert keys(session) == ["training", "draws", "rows", "unfamiliar"]
    layers = {one["key"]: one for one in told(session.events, "layers")["layers"]}
    assert layers["draws"]["count"] == 20 and layers["training"]["count"] == 200
    assert layers["rows"]["count"] + layers["unfamiliar"]["count"] + told(session.events, "refused")["count"] == 6
    controls = told(session.events, "controls")
    assert {"logp", "tpsa", "qed"} <= set(controls["values"]) and "tpsa" not in controls["scores"]
    assert told(session.events, "work")["state"] == "idle"
    json.dumps(session.events, allow_nan=False)


def test_the_map_has_a_place_a_colour_and_a_shape_for_every_point(session):
    found = session.markers()
    n = len(session.atlas.points())
    assert {len(one) for one in found[:5]} == {n} and np.isfinite(found.x).all() and np.isfinite(found.y).all()
    assert len(set(found.colour.tolist())) == 4 and set(found.marker) == {"circle", "x"}
    session.hear("show", layer="training", on=False)
    assert len(session.markers().x) == n - 200
    assert "no such layer" in session.error("show", layer="nowhere", on=True)


def test_a_lasso_fills_the_table_which_is_sorted_and_paged(session):
    rows = told(session.hear("select", points=list(range(60))), "rows")
    assert (rows["total"], len(rows["rows"]), rows["start"]) == (60, PAGE, 0)
    assert all(one.startswith("<svg") for one in rows["pictures"])
    rest = told(session.hear("rows", start=PAGE), "rows")
    assert len(rest["rows"]) == 60 - PAGE
    session.hear("colour", by="weight")
    up = told(session.hear("rows", start=0, sort="weight", descending=False), "rows")
    column = up["columns"].index("weight")
    weights = [row[column] for row in up["rows"]]
    assert weights == sorted(weights)
    (chosen,) = session.selected if session.hear("choose", row=0) and len(session.selected) == 1 else [None]
    assert session.atlas.text(chosen) == up["rows"][0][up["columns"].index("smiles")]


def test_a_lasso_of_nothing_says_so(session):
    session.hear("select", points=[1, 2])
    assert session.notices("select", points=[], by="lasso") == [
        ("note", "There is no point in that area; nothing is selected.")
    ]
    for ask, more in [("export", {"format": "csv"}), ("analogues", {"similarity": 0.5, "n": 3}), ("nearest", {"n": 3})]:
        assert "selected" in session.error(ask, **more)
    assert "2" in session.error("path", steps=5)


def test_a_point_has_a_card_with_its_structure(session):
    number = session.atlas.numbers([p for p, _ in session.atlas.walk() if p.layer == "rows"])[0]
    card = told(session.hear("card", point=number), "card")
    assert card["picture"].startswith("<svg") and card["layer"] == "Your rows" and card["name"]
    assert "Point cannot be used" in session.error("card", point=10**6)


@pytest.mark.parametrize("query", ["OCC", "alph", "ALPHA"])
def test_a_molecule_is_found_in_any_spelling_and_by_its_name(session, query):
    session.hear("show", layer="rows", on=False)
    session.hear("search", text=query)
    assert "CCO" in {session.atlas.text(point) for point in session.selected}
    assert "rows" not in session.atlas.hidden


def test_a_molecule_that_is_not_there_is_added_and_nonsense_is_refused(session):
    ((kind, text),) = session.notices("search", text="CCCCCCO")
    assert kind == "note" and "not on the map" in text and keys(session)[-1] == "result-1"
    assert "is no molecule" in session.error("search", text="hello there")
    assert "no molecule or name" in session.error("search", text=" ")


def test_the_nearest_points_are_those_of_the_codes(session):
    session.hear("select", points=[3])
    session.hear("nearest", n=5)
    z = session.atlas.all_codes()
    expected = np.argsort(((z - z[3]) ** 2).sum(1), kind="stable")[:5]
    assert session.atlas.numbers(session.selected) == expected.tolist()


def test_colours_by_a_property_have_a_legend(session):
    layers = told(session.hear("colour", by="logp"), "layers")
    low, high = layers["legend"]["span"]
    assert low < high and layers["legend"]["name"] == "logp"
    assert len(set(session.markers().colour.tolist())) > 10
    assert told(session.hear("colour", by=""), "layers")["legend"] is None
    assert "unknown property or score" in session.error("colour", by="beauty").lower()


def test_another_map_and_back(session):
    before = session.markers().x
    session.hear("project", by="t-SNE")
    assert session.markers().axes[0] == "t-SNE 1"
    session.hear("project", by="PCA")
    np.testing.assert_array_equal(session.markers().x, before)
    assert "projection" in session.error("project", by="LDA")


def test_a_selection_is_saved_with_names_and_layers(session):
    session.hear("search", text="alpha")
    file = told(session.hear("export", format="csv"), "file")
    assert "CCO" in file["text"] and "alpha" in file["text"] and "Your rows" in file["text"]
    assert told(session.hear("export", format="sdf"), "file")["text"].count("$$$$") == len(session.selected)
    assert "unknown format" in session.error("export", format="exe").lower()


def test_points_without_texts_are_decoded_when_they_are_looked_at(tiny, tmp_path):
    session = begin(tiny, tmp_path, draws=2)
    layer = session.atlas.layers["training"]
    assert not any(layer.texts)
    card = told(session.hear("card", point=0), "card")
    assert card["text"] == layer.texts[0] == tiny.decode(layer.codes[:1])[0]
    session.hear("select", points=[0, 1, 2])
    file = told(session.hear("export", format="csv"), "file")
    assert all(text in file["text"] for text in layer.texts[:3])


def test_a_file_of_one_row_and_no_file_at_all(tiny, run_folder, tmp_path):
    path = tmp_path / "one.smi"
    path.write_text("CCO only\n")
    one = begin(tiny, run_folder, path, draws=0, most=0)
    assert keys(one) == ["rows"] and len(one.markers().x) == 1
    nothing = begin(tiny, run_folder, draws=0, most=0)
    assert keys(nothing) == [] and len(nothing.markers().x) == 0
    assert "No points are selected" in nothing.error("nearest", n=1)


def test_draws_around_and_a_path_are_layers_of_their_own(session):
    session.hear("search", text="alpha")
    session.hear("search", text="beta")
    session.hear("around", radius=0.5, n=5)
    layer = session.atlas.layers[keys(session)[-1]]
    assert layer.kind == "result" and 1 <= len(layer) <= 5
    assert {point.layer for point in session.selected} == {keys(session)[-1]}
    points = session.atlas.numbers(
        [point for point, text in session.atlas.walk() if text in ("CCO", "CNC(=O)c1ccccc1")]
    )
    session.hear("select", points=points[:2])
    session.hear("path", steps=4)
    assert list(session.atlas.layers[keys(session)[-1]].columns) == ["step"]
    removed = keys(session)[-1]
    session.hear("remove", layer=removed)
    assert removed not in session.atlas.layers and not session.selected


def test_a_decoder_without_noise_has_no_analogues_and_says_so(session):
    session.hear("search", text="alpha")
    assert "noise" in session.error("analogues", similarity=0.5, n=2)


def test_a_search_goes_on_from_the_selection(session):
    session.hear("select", points=list(range(5)))
    events = session.hear("optimise", score="qed", n=4)
    layer = session.atlas.layers[keys(session)[-1]]
    values = layer.columns["qed"]
    assert values == sorted(values, reverse=True) and layer.note.startswith("4 molecules evaluated")
    assert any(one["tell"] == "work" and "best qed" in one.get("what", "") for one in events)
    assert "unknown score" in session.error("optimise", score="beauty", n=4).lower()


def test_a_search_that_is_stopped_keeps_what_it_found(session):
    session.hear("select", points=list(range(4)))
    session._tell = lambda event: (
        session.events.append(event),
        "best" in event.get("what", "") and session.jobs.stop(),
    )
    session.jobs._tell = session._tell
    session.hear("optimise", score="logp", n=1000)
    assert len(session.atlas.layers[keys(session)[-1]]) < 100


def test_properties_are_not_told_to_a_model_that_knows_none(session):
    assert told(session.events, "controls")["properties"] == []
    assert "No property is told" in session.error("told", values={}, n=2)
    assert "values cannot be used" in session.error("told", values={"logp": 1}, n=2)


def test_two_tabs_share_what_was_loaded_and_select_for_themselves(session):
    other = Asked(session.study)
    other.hear("begin")
    assert other.atlas.layers["draws"] is session.atlas.layers["draws"]
    other.hear("select", points=[0])
    assert not session.selected and len(other.selected) == 1


def test_work_that_is_asked_for_while_other_work_runs_is_refused(session):
    waiting = []
    session.jobs._run = waiting.append
    session.hear("project", by="t-SNE")
    assert "still running" in session.error("colour", by="logp")
    session.hear("card", point=0)  # looking goes on
    session.hear("stop")
    waiting.pop()()
    assert not session.jobs.busy


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=3,
)
NAMES = ["layer", "on", "by", "point", "points", "row", "text", "n", "sort", "start", "format", "values", "steps"]
QUICK = sorted(set(ASKS) - {"begin", "project", "template", "told", "around", "optimise", "search"})


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.sampled_from([*QUICK, "nonsense"]), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
def test_no_message_breaks_a_page(session, ask, more):
    events = session.hear(ask, **more)
    assert all("This did not work" not in one["text"] for one in events if one["tell"] == "notice"), events
    assert not session.jobs.busy


def test_a_model_of_images_is_refused():
    class Pictures:
        makes = "images"

    with pytest.raises(InputError, match="a model of images"):
        Study(Pictures(), model_folder("molecules"))


def test_expressions_are_shown_as_texts():
    session = begin(grammar_rae.load("expressions"), model_folder("expressions"), draws=8)
    assert told(session.events, "controls")["values"] == ["expression_error"]
    card = told(session.hear("card", point=0), "card")
    assert card["picture"].startswith("<code>")


def test_the_bundled_model_draws_analogues_templates_and_properties():
    session = begin(grammar_rae.load("molecules"), model_folder("molecules"), draws=30)
    assert keys(session) == ["draws"] and "compact" in told(session.events, "controls")["training"]
    session.hear("search", text="COc1ccc(NC(=O)C2CCCCC2)cc1")
    session.hear("analogues", similarity=0.5, n=4)
    found = session.atlas.layers[keys(session)[-1]]
    assert len(found) == 4 and all(abs(one - 0.5) < 0.35 for one in found.columns["similarity"])
    session.hear("template", text="c1cc([*:1])ccc1C(=O)N[*:2]", n=3)
    assert session.atlas.layers[keys(session)[-1]].title.startswith("Template")
    assert session.notices("template", text="c1ccccc1", n=3)[0][0] == "error"
    near = told(session.hear("near", values={"weight": 350}), "near")
    assert "of 30 draws of the model are near" in near["text"]
    far = told(session.hear("near", values={"weight": 350, "charge": 2}), "near")
    assert int(far["text"].split()[0]) <= int(near["text"].split()[0])
    session.jobs._run = lambda work: None  # something that does not end
    session.hear("project", by="t-SNE")
    moved = told(session.hear("near", values={"weight": 300}), "near")
    assert "are near" in moved["text"]
    session.jobs = type(session.jobs)(session._tell, session._post, run_here)
    session.hear("told", values={"weight": 300}, n=3)
    assert session.atlas.layers[keys(session)[-1]].title == "Told weight 300"
