"""Pages that everybody can read: axe-core (``AXE_CORE``) finds nothing serious, on a phone and in the dark either."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import barriers, browser

from grammar_rae.report import Table, line_chart, write_page
from grammar_rae.report.comparison import compare_runs, write_comparison
from grammar_rae.resources import model_folder

pytestmark = pytest.mark.browser
MOLECULES = ["CCO", "c1ccccc1", "CC(=O)O", "CCCCCC"]


def write_all_parts(path: Path) -> None:
    """A page with all that a page can have."""
    curves = {"loss": ([0.0, 1.0, 2.0], [3.0, 2.0, 1.5]), "validation loss": ([0.0, 1.0, 2.0], [3.2, 2.5, 2.1])}
    write_page(
        path,
        title="All parts",
        molecules=MOLECULES,
        legends=["first", "second", "third", "fourth"],
        values={"logp": [-0.1, 1.7, None, 2.6], "sa": [1.0, 1.2, 1.4, 1.6]},
        facts={"draws": 4, "seed": 0},
        remarks=["Four molecules say little."],
        tables=[Table("Draws", ["", "asked", "found"], [["logp", "1", "1.4"], ["sa", "2", "1.3"]], "A note.")],
        charts=[line_chart(curves, title="Loss", x_label="seconds")],
        command="grammar-rae sample -n 4 --html a-page-whose-command-is-longer-than-a-phone-is-wide.html",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    write_all_parts(folder / "all-parts.html")
    found = compare_runs([model_folder("molecules"), model_folder("moses")])
    write_comparison(folder / "comparison.html", found, "grammar-rae compare molecules moses")
    return folder


@pytest.fixture(scope="module")
def driver(folder: Path) -> Iterator[Any]:
    with browser(folder) as opened:
        yield opened


@pytest.mark.parametrize("name", ["all-parts", "comparison"])
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_nothing_bars_a_reader(driver: Any, folder: Path, name: str, width: int, scheme: str) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    driver.get((folder / f"{name}.html").as_uri())
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert barriers(driver) == []
