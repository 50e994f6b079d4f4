"""What a command and a first draw import, and that slips are told before anything heavy is."""

import subprocess
import sys
from pathlib import Path

import pytest

from grammar_rae.cli.recipe_names import RECIPE_NAMES
from grammar_rae.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[2]

NEVER = {"lightning_fabric", "torch._dynamo", "sklearn", "scipy.stats", "pandas", "numba", "sympy"}
"""What no draw from a model needs, and what would take longer to import than the draw itself."""

HEAVY = {"torch", "rdkit", "numba", "pandas", "nltk"}

TELL = """
import sys
from typer.testing import CliRunner
from grammar_rae.cli import app
result = CliRunner().invoke(app, sys.argv[2:], prog_name="grammar-rae")
print(result.exit_code, " ".join(sorted(set(sys.argv[1].split(",")) & set(sys.modules))))
print(result.stderr)
"""


def imported(names: set[str], *words: str) -> tuple[int, set[str], str]:
    """A command in a process of its own: its exit code, which of the modules it imported, and what it said."""
    command = [sys.executable, "-c", TELL, ",".join(names), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    first, _, said = done.stdout.partition("\n")
    code, _, found = first.partition(" ")
    return int(code), set(found.split()), said


def test_a_draw_imports_no_more_than_it_needs() -> None:
    code, found, said = imported(NEVER, "sample", "-n", "3", "--seed", "1", "--scores", "qed")
    assert (code, found) == (0, set()), said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sample", "--scoress", "qed"], "--scores"),
        (["sample", "--scores", "qeed"], "'qed'"),
        (["sample", "-m", "nowhere"], "nowhere"),
        (["sample", "--constraint", "chemisty"], "'chemistry'"),
        (["sample", "--constraint", "max-heavy-atoms=many"], "max-heavy-atoms=38"),
        (["sample", "--property", "lopg=2"], "'logp'"),
        (["sample", "--new-to", "absent.smi"], "absent.smi"),
        (["train", "absent.smi", "-o", "run"], "absent.smi"),
        (["train", "absent.smi", "-o", "run", "--recipe", "molecule"], "'molecules'"),
        (["optimize", "--score", "qeed"], "'qed'"),
        (["evaluate", "--reference", "absent.smi"], "absent.smi"),
        (["encode", "absent.smi", "-o", "z.npy"], "absent.smi"),
        (["decorate", "C[*:1]", "-m", "nowhere"], "nowhere"),
        (["decorate", "C[*:1]", "--scores", "qeed"], "'qed'"),
        (["decorate", "C[*:1]", "--constraint", "chemisty"], "'chemistry'"),
        (["decorate", "C[*:1]", "--point", "1: max-heavy-atoms=many"], "max-heavy-atoms"),
        (["decorate", "C[*:1] | 1: optional | 1: closed"], "each point once"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_a_slip_is_told_before_anything_heavy_is_imported(words: list[str], told: str) -> None:
    code, found, said = imported(HEAVY, *words)
    assert code == 2 and told in said, said
    assert found == set()


def test_a_template_that_cannot_be_used_is_told_without_pytorch() -> None:
    code, found, said = imported({"torch", "numba"}, "decorate", "c1ccccc1.[*:1]N1CCOCC1")
    assert code == 2 and "template" in said, said
    assert found == set()


def test_the_names_of_recipes_are_those_of_the_table() -> None:
    assert tuple(RECIPES) == RECIPE_NAMES
