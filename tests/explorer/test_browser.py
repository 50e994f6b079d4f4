"""The explorer in a real browser: ``pytest -m browser tests/explorer``. One server, one tab, one story."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from browsers import barriers
from explorer.browsing import chromium
from explorer.sessions import WRITTEN
from models import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MAP = "Bokeh.documents[0].get_model_by_name('map')"
SERVE = """
import sys
from grammar_rae.explorer import explore
explore(sys.argv[1], sys.argv[2], draws=40, open_browser=False, say=lambda line: print(line, flush=True))
"""


@pytest.fixture(scope="module")
def address(tiny, run_folder, tmp_path_factory):
    """A server in a process of its own, as the command starts it."""
    file = tmp_path_factory.mktemp("file") / "mine.csv"
    file.write_text(WRITTEN)
    command = [sys.executable, "-c", SERVE, str(run_folder), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        line = process.stdout.readline()
        yield line.split()[-1]
        process.terminate()


@pytest.fixture(scope="module")
def page(address, tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("saved")) as browser:
        browser.driver.get(address)
        browser.wait_for_text("#work", "Ready")
        yield browser


def points(page):
    return page.run(f"return {MAP}.renderers[0].data_source.get_length()")


def where(page, number):
    """The place of a point in the window."""
    code = f"""
        const map = {MAP}, view = Bokeh.index.find_one(map), source = map.renderers[0].data_source;
        const box = view.canvas_view.el.getBoundingClientRect(), [i] = arguments;
        return [box.left + view.frame.x_scale.compute(source.data.x[i]),
                box.top + view.frame.y_scale.compute(source.data.y[i])];
    """
    page.run("document.querySelector('#map').scrollIntoView({block: 'center'})")
    return page.run(code, number)


def move_to(page, place):
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    actions = ActionBuilder(page.driver, duration=50)
    actions.pointer_action.move_to_location(int(place[0]), int(place[1]))
    actions.perform()
    return actions


def test_the_page_loads_with_all_layers_and_asks_no_other_host(page):
    assert points(page) == 200 + 40 + 5
    for words in ("Training rows", "Draws", "Your rows", "unfamiliar"):
        assert words in page.text("#layers")
    assert "1 row of the file cannot be used" in page.text("#refused summary")
    assert page.hosts() == {"127.0.0.1"}
    assert page.faults() == []


def test_a_point_under_the_pointer_shows_its_structure(page):
    move_to(page, where(page, points(page) - 1))
    page.wait(lambda: page.find("#card").is_displayed() and page.find("#structure svg"), "the card")
    assert page.text("#card-text")


def test_a_lasso_fills_the_table_and_an_empty_one_says_so(page):
    page.drag([(0.1, 0.12), (0.98, 0.12), (0.98, 0.85), (0.1, 0.85), (0.1, 0.13)])
    page.wait_for_text("#total", "points")
    chosen = int(page.text("#total").split()[0].replace(",", ""))
    assert chosen > 20
    rows = page.run("return document.querySelectorAll('#table tbody tr').length")
    assert rows == min(chosen, 40) and page.run("return document.querySelectorAll('#table svg').length") == rows
    page.click("#clear")
    page.wait(lambda: page.text("#total") == "", "an empty table")
    page.drag([(0.92, 0.79), (0.97, 0.79), (0.97, 0.84), (0.92, 0.84), (0.92, 0.80)])  # where no card lies
    page.wait_for_text("#notices", "nothing is selected")


def test_search_by_name_and_sliders_and_an_error(page):
    page.fill("#query", "alpha")
    page.click("#search button")
    page.wait_for_text("#table tbody", "CCO")
    page.fill("form[data-ask=analogues] input[name=similarity]", "0.35")
    assert page.text("form[data-ask=analogues] output") == "0.35"
    page.click("form[data-ask=analogues] button")
    page.wait_for_text("#notices .error", "noise")  # this tiny model's decoder has none
    page.wait_for_text("#work", "Ready")


def test_work_adds_a_layer_and_the_table_is_saved(page):
    page.click("details:has([data-ask=around]) summary")
    page.fill("form[data-ask=around] input[name=n]", "3")
    page.click("form[data-ask=around] button")
    page.wait_for_text("#layers", "Draws around the selection")
    page.wait_for_text("#work", "Ready")
    page.click("[data-export=csv]")
    path = Path(page.wait(lambda: next(iter(page.folder.glob("*.csv")), None), "the file"))
    page.wait(lambda: path.stat().st_size, "what is in it")
    frame = pd.read_csv(path)
    assert "smiles" in frame and 1 <= len(frame) <= 3


def test_a_colour_and_the_keyboard(page):
    page.fill("#colour", "weight")
    page.wait(lambda: page.find("#legend").is_displayed(), "the legend")
    assert "weight from" in page.find("#ramp").get_attribute("aria-label")
    reached = page.run(
        "return [...document.querySelectorAll('button, input, select, summary')]"
        ".filter(one => one.offsetParent && !one.disabled && one.tabIndex < 0).length"
    )
    assert reached == 0


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1440, True)])
def test_nothing_is_wider_than_the_window_and_text_has_contrast(page, width, dark):
    page.resize(width, 900)
    page.set_scheme(dark)
    assert page.run("return document.documentElement.scrollWidth") <= width
    unnamed = page.run(
        "return [...document.querySelectorAll('button, input, select')].filter(one => one.offsetParent &&"
        "!(one.textContent.trim() || one.labels?.length || one.getAttribute('aria-label'))).length"
    )
    assert unnamed == 0
    colours = page.run("const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]")
    light, back = (sum(map(int, one[4:-1].split(","))) for one in colours)
    assert (light > back) == dark and abs(light - back) > 400
    page.resize(1440, 1000)
    page.set_scheme(False)


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_bars_a_reader(page, dark):
    page.set_scheme(dark)
    found = barriers(page.driver)
    page.set_scheme(False)
    assert found == []


def test_a_second_tab_and_the_first_one_go_on(page, address):
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.driver.get(address)
    page.wait_for_text("#work", "Ready")
    assert points(page) == 245
    page.driver.close()
    page.driver.switch_to.window(first)
    page.fill("#query", "beta")
    page.click("#search button")
    page.wait_for_text("#table tbody", "CNC(=O)c1ccccc1")
    assert page.hosts() <= {"127.0.0.1"}
