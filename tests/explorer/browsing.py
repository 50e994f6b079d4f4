"""What a person sees of the explorer, and does to it, in the Chromium of ``browsers``."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browsers import browser

WAIT = 300.0
"""Seconds to wait for what a page shall do, on the slowest machine."""


@contextmanager
def chromium(folder: Path, width: int = 1440, height: int = 1000) -> Iterator["Tab"]:
    """A tab; what it saves goes to a folder. The test is skipped where there is no Chromium, driver or selenium."""
    with browser(folder, width, height) as driver:
        driver.command_executor.client_config.timeout = int(WAIT)
        driver.set_page_load_timeout(WAIT)
        driver.set_script_timeout(WAIT)
        yield Tab(driver, folder)


class Tab:
    """One tab."""

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver, self.folder = driver, folder

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def set_scheme(self, dark: bool) -> None:
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def run(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        """What an element says, whether it is in sight or not; "" where it is not there yet."""
        return str(self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def click(self, selector: str) -> None:
        """A click where nothing may lie above the element."""
        self.run("arguments[0].scrollIntoView({block: 'center'})", self.find(selector))
        self.find(selector).click()

    def fill(self, selector: str, value: str) -> None:
        """Set a field, a slider or a choice, and tell the page as a person's hand would."""
        code = (
            "const one = document.querySelector(arguments[0]); one.value = arguments[1];"
            "one.dispatchEvent(new Event('input', {bubbles: true}));"
            "one.dispatchEvent(new Event('change', {bubbles: true}));"
        )
        self.run(code, selector, value)

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.2)
        raise AssertionError(f"{what} did not come; the page says {self.text('#status')!r}, {self.text('#notices')!r}")

    def wait_for_text(self, selector: str, part: str) -> str:
        return str(self.wait(lambda: part in self.text(selector) and self.text(selector), f"{part!r} in {selector}"))

    def drag(self, fractions: list[tuple[float, float]]) -> None:
        """Press, move and release the mouse over the map, by shares of its width and height."""
        from selenium.webdriver.common.action_chains import ActionChains

        self.run("document.querySelector('#map').scrollIntoView({block: 'center'})")
        area = self.find("#map")
        size = area.size
        places = [(int((x - 0.5) * size["width"]), int((y - 0.5) * size["height"])) for x, y in fractions]
        chain = ActionChains(self.driver, duration=50).move_to_element_with_offset(area, *places[0]).click_and_hold()
        for (x, y), (before_x, before_y) in zip(places[1:], places, strict=False):
            chain.move_by_offset(x - before_x, y - before_y)
        chain.release().perform()

    def hosts(self) -> set[str]:
        """The hosts of all that the page has loaded; its content policy allows no socket elsewhere."""
        names = self.run("return performance.getEntriesByType('resource').map(one => new URL(one.name).hostname)")
        return set(names)

    def faults(self) -> list[str]:
        """What the browser's console calls severe."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
