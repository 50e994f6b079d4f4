"""Headless Chromium for tests that work a page as a reader does."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

QUIET = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)


@contextmanager
def browser(profile: Path, width: int = 1440, height: int = 1000) -> Iterator[Any]:
    """A driver of Chromium that keeps its files, downloads too, in a folder; skips the test where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver")
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
    if driver is None or chromium is None:
        pytest.skip("Chromium and its driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for choice in (*QUIET, f"--window-size={width},{height}", f"--user-data-dir={profile / 'profile'}"):
        options.add_argument(choice)
    options.add_experimental_option("prefs", {"download.default_directory": str(profile)})
    service = webdriver.ChromeService(driver, env=os.environ | {"no_proxy": "localhost,127.0.0.1"})
    opened = webdriver.Chrome(options=options, service=service)
    try:
        yield opened
    finally:
        opened.quit()


RULES = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(found => done(found.violations
  .filter(one => ["serious", "critical"].includes(one.impact))
  .flatMap(one => one.nodes.map(node => one.id + ": " + node.target.join(" ") + ", " + node.failureSummary))));
"""


def barriers(driver: Any) -> list[str]:
    """What axe-core calls serious or critical of the page, a line each.

    Skips the test unless the environment variable ``AXE_CORE`` has the path of its ``axe.min.js``.
    """
    path = os.environ.get("AXE_CORE")
    if not path:
        pytest.skip("AXE_CORE does not name the file axe.min.js")
    driver.execute_script(Path(path).read_text(encoding="utf-8"))
    driver.set_script_timeout(300)
    found: list[str] = driver.execute_async_script(RULES)
    return found
