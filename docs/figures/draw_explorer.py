"""Take the pictures of the explorer: ``python docs/figures/draw_explorer.py`` (extra ``test-browser``, and Chromium).

The bundled model with the first 120 ligands of the kinase GSK3-beta that come with the package: 1,440 pixels wide and
light, coloured by weight, with the nearest neighbours of one ligand selected; and the same in the dark. Narrow windows
are ``draw_pages.py``'s.
"""

import csv
import gzip
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from explorer.browsing import Tab, chromium  # noqa: E402

LIGANDS = ROOT / "data" / "gsk3b_ligands.csv.gz"
ROWS, DRAWS, SHOWN = 120, 120, 12


def write_rows(path: Path) -> None:
    """The first ligands, with names to search for."""
    with gzip.open(LIGANDS, "rt", encoding="utf-8") as source:
        rows = list(csv.DictReader(source))[:ROWS]
    lines = [f"ligand {number},{row['smiles']}" for number, row in enumerate(rows, 1)]
    path.write_text("\n".join(["name,smiles", *lines]) + "\n", encoding="utf-8")


def shoot(browser: Tab, path: Path, colours: int = 256, width: int | None = None) -> None:
    """A picture with few colours, and narrower than the window where a width is given, so that it is small."""
    picture = Image.open(io.BytesIO(browser.driver.get_screenshot_as_png())).convert("RGB")
    if width is not None and width < picture.width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    picture.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)


@contextmanager
def explorer(folder: Path) -> Iterator[Tab]:
    """The explorer of the bundled model with the first ligands, some of them selected, coloured by weight."""
    file = folder / "ligands.csv"
    write_rows(file)
    command = [sys.executable, "-m", "grammar_rae", "explore", str(file), "--draws", str(DRAWS), "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stderr is not None
        address = next(line for line in server.stderr if "http://" in line).split()[-1]
        with chromium(folder, 1440, 1000) as browser:
            browser.driver.get(address)
            browser.wait_for_text("#work", "Ready")
            browser.fill("#query", "ligand 7")
            browser.click("#search button")
            browser.wait_for_text("#table tbody", "ligand 7")
            browser.fill("form[data-ask=nearest] input", str(SHOWN))
            browser.click("form[data-ask=nearest] button")
            browser.wait_for_text("#total", str(SHOWN))
            browser.fill("#colour", "weight")
            browser.wait(lambda: browser.find("#legend").is_displayed(), "the legend")
            browser.run("document.querySelector('#notices').replaceChildren(); scrollTo(0, 0)")
            yield browser
        server.terminate()


def main() -> None:
    """Serve, look, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder, explorer(Path(folder)) as browser:
        shoot(browser, HERE / "explorer-light.png")
        browser.set_scheme(True)
        browser.resize(1440, 1200)
        shoot(browser, HERE / "explorer-dark.png")


if __name__ == "__main__":
    main()
