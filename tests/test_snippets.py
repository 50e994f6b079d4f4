"""README's and the documentation's examples run: every block of Python and of shell, in the order of its page.

Blocks of one page share one folder and one namespace. What takes long is made small in the same place for all pages
(``quicken_python``, ``quicken_command``); what cannot run here at all stands below a comment that gives the reason:
``<!-- not run: downloads MOSES -->``.
"""

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

import grammar_rae
from grammar_rae.cli import app
from grammar_rae.datasets import sample_texts
from grammar_rae.recipes import ImageRecipe, get_recipe
from grammar_rae.recipes.base import Recipe

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)
LANGUAGES = {"python", "shell"}
SCORE = 'def docking(smiles):\n    return -float(smiles.count("O"))\n'


class Block(NamedTuple):
    language: str
    code: str
    reason: str | None


def blocks_of(page: Path) -> list[Block]:
    return [Block(one["language"], one["code"], one["reason"]) for one in BLOCK.finditer(page.read_text("utf-8"))]


def quicken_python(code: str) -> str:
    """Fewer texts and evaluations; every call stays."""
    code = re.sub(r"\bsample\(\d+", "sample(3", code)
    code = re.sub(r"\bdiverse=\d+", "diverse=2", code)
    return re.sub(r"\bn_iterations=\d+, batch_size=\d+", "n_iterations=1, batch_size=2", code)


def quicken_command(words: list[str]) -> list[str]:
    """Fewer texts and evaluations, and a toy of a recipe."""
    small = {"-n": "10", "--diverse": "5", "--budget": "2", "--batch-size": "2", "--reconstruct": "5"}
    for option, value in small.items():
        if option in words:
            words[words.index(option) + 1] = value
    if words[0] == "train":
        if "--time-limit" in words:
            words[words.index("--time-limit") : words.index("--time-limit") + 2] = ["--epochs", "1"]
        words += ["--recipe", "tiny", "--quiet"]
    if words[0] in {"train", "evaluate"}:
        words += ["--jobs", "1"]
    return words


def run_shell(code: str) -> None:
    for line in code.splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        assert words[0] == "grammar-rae", f"only the package's own commands can be run here: {line!r}"
        done = CliRunner().invoke(app, quicken_command(words[1:]))
        assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A reader's folder with a file of molecules and a score, and the names that a page defines."""
    texts = sample_texts(ROOT / "data" / "moses_sample.smi.gz", 100, seed=0)
    (tmp_path / "molecules.smi").write_text("\n".join(texts))
    (tmp_path / "my_score.py").write_text(SCORE)
    monkeypatch.chdir(tmp_path)
    grammar_rae.load("molecules")  # the current model, whatever ran before
    train = grammar_rae.train

    def train_a_toy(source: Any, recipe: str | Recipe = "molecules", **options: Any) -> Any:
        if isinstance(get_recipe(recipe, Recipe), ImageRecipe):
            return train(source, recipe, **(options | {"epochs": 1, "progress": False}))
        recipe = "tiny" if recipe == "molecules" else recipe
        return train(source, recipe, **(options | {"epochs": 1, "progress": False, "jobs": 1, "start": None}))

    monkeypatch.setattr(grammar_rae, "train", train_a_toy)
    return {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_name_their_language(page: Path) -> None:
    assert {block.language for block in blocks_of(page)} <= LANGUAGES


@pytest.mark.filterwarnings("ignore:only .* of the .* asked:UserWarning")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks_of(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_examples_run(page: Path, reader: dict[str, Any]) -> None:
    for block in blocks_of(page):
        if block.reason is not None:
            continue
        if block.language == "python":
            exec(compile(quicken_python(block.code), str(page), "exec"), reader)
        else:
            run_shell(block.code)
