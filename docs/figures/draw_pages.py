"""Take pictures of all pages that the package writes or serves: ``python docs/figures/draw_pages.py [FOLDER]``.

Needs the extras ``test-browser`` and ``explore``, and Chromium with chromedriver. The commands run in FOLDER, or in one
that is deleted afterwards; pages that are in FOLDER already are not made again. Each page is taken 390 and 1,440 pixels
wide, light and dark. The runs are small, so that all of it takes some minutes of a CPU: the pictures show pages, not
results.
"""

import csv
import gzip
import subprocess
import sys
import tempfile
from pathlib import Path

from draw_explorer import HERE, LIGANDS, ROOT, Tab, chromium, explorer, shoot

from grammar_rae.datasets import sample_texts

PICTURES = HERE / "pages"
WIDTHS = {390: 844, 1440: 1000}
"""The windows: width, and the height of a phone and of a screen."""

SHOWN = {390: 390, 1440: 960}
"""How wide the pictures are."""

COLOURS = 40
SHORT = "--time-limit 45s --jobs 1 --seed 0"

COMMANDS = {
    "sample": ("samples.html", ["sample -n 60 --scores qed,logp,sa --seed 0 -o samples.csv --html samples.html"]),
    "evaluation": (
        "evaluation/evaluation.html",
        ["evaluate --reference molecules.smi -n 200 --reconstruct 50 --jobs 1 --seed 0 -o evaluation"],
    ),
    "optimisation": (
        "search/report.html",
        ["optimize --score qed --data molecules.smi --budget 40 --batch-size 20 --seed 0 -o search"],
    ),
    "compare": (
        "compared.html",
        [
            f"train molecules.smi -o usual {SHORT}",
            f"train molecules.smi -o slow {SHORT} --set learning_rate=5e-5",
            "compare usual slow --html compared.html",
        ],
    ),
}
"""The page of each picture, and the commands that make it."""

ADAPT = """
import sys
from pathlib import Path
from grammar_rae.cli import demo
demo.SECONDS, demo.SAMPLES, demo.BEFORE = 20.0, 100, 50
sys.argv = ["grammar-rae", "demo"]
demo.demo(Path())
"""
"""``grammar-rae demo`` with less of everything."""


def write_molecules(path: Path) -> None:
    """Ligands for the searches and trainings: 400, one SMILES a line."""
    with gzip.open(LIGANDS, "rt", encoding="utf-8") as source:
        rows = [row["smiles"] for row in csv.DictReader(source)]
    few = sample_texts(ROOT / "data" / "moses_sample.smi.gz", 200, seed=0)
    path.write_text("\n".join([*rows[:200], *few]) + "\n", encoding="utf-8")


def make_pages(folder: Path) -> dict[str, Path]:
    """Run the commands in the folder, and return the pages by name."""
    write_molecules(folder / "molecules.smi")
    pages = {name: folder / page for name, (page, _) in COMMANDS.items()} | {"adapt": folder / "demo" / "samples.html"}
    for name, (_, commands) in COMMANDS.items():
        for command in commands if not pages[name].exists() else []:
            print(f"grammar-rae {command}", flush=True)
            subprocess.run([sys.executable, "-m", "grammar_rae", *command.split(), "--quiet"], cwd=folder, check=True)
    if not pages["adapt"].exists():
        print("grammar-rae demo, with less of everything", flush=True)
        (folder / "demo").mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-c", ADAPT], cwd=folder / "demo", check=True)
    return pages


def shoot_all(browser: Tab, name: str, colours: int = COLOURS) -> None:
    """The page as it is, in both widths and both schemes."""
    for width, height in WIDTHS.items():
        browser.resize(width, height)
        for dark in (False, True):
            browser.set_scheme(dark)
            browser.run("scrollTo(0, 0)")
            wide = browser.run("return document.documentElement.scrollWidth")
            assert wide <= width, f"the page {name} is {wide} pixels wide in a window of {width}"
            path = PICTURES / f"{name}-{width}-{'dark' if dark else 'light'}.png"
            shoot(browser, path, colours, SHOWN[width])


def main(folder: Path) -> None:
    """Make the pages, look at them, and take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    pages = make_pages(folder)
    with chromium(folder, 1440, 1000) as browser:
        for name, page in pages.items():
            browser.driver.get(page.resolve().as_uri())
            shoot_all(browser, name)
    with explorer(folder) as browser:
        shoot_all(browser, "explorer", 256)  # more, for the points have colours


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
