"""A page of molecules, worked by a reader: sorted, filtered, enlarged, copied and saved."""

import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import browser

from grammar_rae.report import write_report

pytestmark = pytest.mark.browser
MOLECULES = ["CCO", "c1ccccc1", "CC(=O)O", "CCCCCC"]
LOGP = [-0.1, 1.7, None, 2.6]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Any]:
    write_report(folder / "a.html", title="Four", molecules=MOLECULES, values={"logp": LOGP}, facts={}, curves={})
    with browser(folder) as driver:
        driver.get((folder / "a.html").as_uri())
        yield driver


def shown(page: Any) -> list[str]:
    cards = page.find_elements("css selector", ".gr figure")
    return [card.find_element("css selector", ".gr-copy").text for card in cards if card.is_displayed()]


def eventually(true: Callable[[], bool]) -> None:
    for _ in range(50):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come")


def choose(page: Any, value: str) -> None:
    page.find_element("css selector", f"option[value='{value}']").click()


def test_sorting_puts_what_has_no_value_last(page: Any) -> None:
    choose(page, "+logp")
    assert shown(page) == ["CCO", "c1ccccc1", "CCCCCC", "CC(=O)O"]
    choose(page, "-logp")
    assert shown(page) == ["CCCCCC", "c1ccccc1", "CCO", "CC(=O)O"]
    choose(page, "")
    assert shown(page) == MOLECULES


def test_filtering_and_what_is_saved(page: Any, folder: Path) -> None:
    page.find_element("css selector", "summary").click()
    low, high = page.find_elements("css selector", ".gr-ranges input")
    low.send_keys("0")
    choose(page, "-logp")
    assert shown(page) == ["CCCCCC", "c1ccccc1"]
    assert page.find_element("css selector", ".gr-count").text == "2 of 4 shown"
    page.find_element("css selector", ".gr-save").click()
    eventually((folder / "shown.csv").exists)
    with open(folder / "shown.csv", newline="") as stream:
        assert list(csv.reader(stream)) == [["smiles", "logp"], ["CCCCCC", "2.6"], ["c1ccccc1", "1.7"]]
    high.send_keys("-5")
    assert shown(page) == []
    low.clear()
    high.clear()
    choose(page, "")
    assert shown(page) == MOLECULES


def test_a_card_opens_by_keyboard_and_closes(page: Any) -> None:
    card = page.find_elements("css selector", ".gr-open")[2]
    card.send_keys("\ue007")  # enter
    dialog = page.find_element("css selector", "dialog")
    assert dialog.is_displayed() and "CC(=O)O" in dialog.text
    dialog.find_element("css selector", "button").click()
    assert not dialog.is_displayed()


def test_a_click_copies(page: Any) -> None:
    button = page.find_elements("css selector", ".gr-copy")[1]
    button.click()
    eventually(lambda: button.text == "copied")
    eventually(lambda: button.text == "c1ccccc1")


def test_the_page_asks_no_host(page: Any) -> None:
    asked = page.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in asked if not name.startswith(("data:", "blob:"))] == []
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
