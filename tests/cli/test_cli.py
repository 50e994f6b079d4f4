"""The command line: what it prints, writes and refuses. Models are tiny; what they draw is not looked at."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command
from typer.testing import CliRunner, Result

from grammar_rae import chem
from grammar_rae.cli import JOBS, app, arguments, files
from grammar_rae.cli.catalogue import KINDS, first_words
from grammar_rae.datasets import sample_texts
from grammar_rae.decoding import CONSTRAINTS
from grammar_rae.errors import DataError
from grammar_rae.files import replacing
from grammar_rae.model import TextModel
from grammar_rae.recipes import RECIPES, Recipe, read_recipe, recipe_toml
from grammar_rae.resources import bundled_file, bundled_model

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def grammar_rae(*words: str | Path) -> Result:
    """A command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="grammar-rae")


def outside(*words: str | Path, code: str = "") -> "subprocess.CompletedProcess[str]":
    """A command (or code) in a process of its own."""
    how = ["-c", code] if code else ["-m", "grammar_rae"]
    command = [sys.executable, *how, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)


def refused(*words: str | Path) -> str:
    """The one line that a refused command leaves on stderr."""
    result = grammar_rae(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    first = result.stderr.splitlines()[0]
    assert first.startswith("error: ")
    return first


@pytest.fixture
def smiles(tmp_path: Path) -> Path:
    path = tmp_path / "molecules.smi"
    path.write_text("CCO\nc1ccccc1\nCC(C)N\n")
    return path


# --- without a model -------------------------------------------------------------------------------------------------


COMMANDS = [
    *("demo", "train", "sample", "analogues", "decorate", "interpolate", "explore"),
    *(
        "encode",
        "decode",
        "reconstruct",
        "evaluate",
        "optimize",
        "ask",
        "tell",
        "refit",
        "export",
        "compare",
        "check",
        "list",
    ),
]


@pytest.mark.parametrize("words", [[], *([command] for command in COMMANDS), ["grammar", "check"]])
def test_help(words: list[str]) -> None:
    result = grammar_rae(*words, "--help")
    assert result.exit_code == 0
    assert "Usage: grammar-rae" in result.stdout


def names_of(jobs: Iterable[tuple[object, str]]) -> list[str]:
    return [example.split()[1] for _, example in jobs]


def test_help_names_every_command() -> None:
    shown = grammar_rae("--help").stdout.partition("Train and adapt:")[2].splitlines()
    assert {line.split()[0] for line in shown if re.match(r"  \S", line)} == set(COMMANDS)  # and no hidden alias
    assert not [line for line in shown if line.endswith("...")]
    examples = [line.split()[1:3] for line in shown if line.strip().startswith("$ ")]
    assert examples == [["grammar-rae", command] for jobs in JOBS.values() for command in names_of(jobs)]


def test_every_option_has_a_help_text_and_one_meaning() -> None:
    """Options of one short name have one long name, and every help text is a phrase."""
    long_names: dict[str, set[str]] = {}
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        for one in getattr(command, "commands", {name: command}).values():
            for parameter in one.params:
                words = getattr(parameter, "help", None)
                assert words and words[0].isupper() and words[-1] == ".", (name, parameter.name, words)
                assert not words.startswith("Of "), (name, parameter.name, words)
                for short in [option for option in parameter.opts if len(option) == 2]:
                    others = [option for option in parameter.opts if len(option) > 2]
                    long_names.setdefault(short, set()).update(others or [short])
    assert {short: len(names) for short, names in long_names.items()} == dict.fromkeys(long_names, 1)


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from typer.testing import CliRunner
from grammar_rae.cli import app
assert CliRunner().invoke(app, ["train", "--help"]).exit_code == 0
print({"torch", "numpy", "pandas", "rdkit", "nltk", "numba"} & set(sys.modules))
"""
    assert outside(code=code).stdout == "set()\n"


def test_version() -> None:
    result = grammar_rae("--version")
    assert result.exit_code == 0
    name, version = result.stdout.split()
    assert name == "grammar-rae"
    assert version[0].isdigit()


def test_no_command_shows_the_help() -> None:
    assert "Usage: grammar-rae" in grammar_rae().output


@pytest.mark.parametrize(
    "words",
    [
        ["dance"],
        ["refit", "gaussian"],
        ["train", "x.smi"],
        ["sample", "-m", "run", "-n", "many"],
        ["train", "x.smi", "-o", "run", "--time-limit", "soon"],
        ["train", "x.smi", "-o", "run", "--time-limit", "0"],
    ],
)
def test_wrong_usage(words: list[str]) -> None:
    result = grammar_rae(*words)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize("kind", KINDS)
def test_list(kind: str) -> None:
    result = grammar_rae("list", kind)
    assert result.exit_code == 0, result.output
    table = KINDS[kind]()
    shown = result.stdout.splitlines()
    names = [line.split()[0] for line in shown if line and line not in table]
    assert names == [name for rows in table.values() for name in rows]
    assert all(len(line.split()) > 2 for line in shown if line and line not in table)
    assert ":math:" not in result.stdout and "\\" not in result.stdout


def test_lists_hold_what_commands_take() -> None:
    rows = {kind: {name for section in make().values() for name in section} for kind, make in KINDS.items()}
    assert rows["recipes"] == set(RECIPES) and rows["constraints"] == set(CONSTRAINTS)
    assert rows["models"] == {"molecules", "moses", "expressions"}
    assert {"smiles", "zinc", "expressions"} <= rows["grammars"]


def test_recipes_of_molecules_come_before_those_of_images() -> None:
    shown = grammar_rae("list", "recipes").stdout
    assert shown.index("  molecules ") < shown.index("\nimages\n") < shown.index("  image-rae ")


def test_recipes_come_back_from_their_files(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    for recipe in RECIPES.values():
        path.write_text(recipe_toml(recipe), encoding="utf-8")
        found = read_recipe(str(path))
        assert isinstance(found, Recipe) and type(found) is type(recipe)
        assert json.dumps(found.to_dict()) == json.dumps(recipe.to_dict())


def test_a_recipe_is_shown_edited_and_read(tmp_path: Path) -> None:
    shown = grammar_rae("list", "recipes", "--show", "tiny").stdout
    path = tmp_path / "own.toml"
    path.write_text(shown.replace('form = "kekule"', 'form = "kekul"'))
    assert "Did you mean 'kekule'?" in refused("train", "x.smi", "-o", tmp_path / "run", "--recipe", path)
    path.write_text("latent = = 3")
    assert "cannot be read as TOML" in refused("train", "x.smi", "-o", tmp_path / "run", "--recipe", path)
    assert "no such file" in refused("train", "x.smi", "-o", tmp_path / "run", "--recipe", tmp_path / "absent.toml")
    assert "Did you mean 'tiny'?" in refused("list", "recipes", "--show", "tinny")
    assert grammar_rae("list", "scores", "--show", "qed").exit_code == 2


def test_lists_stop_before_the_first_formula() -> None:
    told = first_words("The paper's: z = h,\nat the cost :math:`\\beta h` (equation 1).\n\nMore.")
    assert told == "The paper's: z = h."
    assert first_words("Kept in :math:`[-c, c]`, all.") == "Kept in [-c, c], all."


def test_an_unknown_list_suggests_the_nearest() -> None:
    assert "Did you mean 'constraints'?" in refused("list", "constraint")


@pytest.mark.parametrize(
    ("rules", "text"),
    [(None, None), ([], None), (["grammar"], "grammar"), (["chemistry", "elements=CNO"], "chemistry; elements=CNO")],
)
def test_rules_are_one_text(rules: list[str] | None, text: str | None) -> None:
    assert arguments.constraint_text(rules) == text


def test_check_counts_what_is_not_covered(tmp_path: Path) -> None:
    path = tmp_path / "expressions.txt"
    path.write_text("1+x\nsin(x)/3\n1+y\n2*y\n1+4\n")
    result = grammar_rae("check", path, "--grammar", "expressions", "--form", "text")
    assert result.exit_code == 0, result.output
    assert "2 of 5 rows" in result.stdout
    counts = {line.split()[1]: line for line in result.stdout.partition("unsupported symbols")[2].splitlines() if line}
    assert counts["y"].split()[0] == "2"
    assert "line 3: 1+y" in counts["y"]
    assert counts["4"].split()[0] == "1"
    assert grammar_rae("grammar", "check", path, "--grammar", "expressions", "--form", "text").stdout == result.stdout


def test_check_takes_a_grammar_file(tmp_path: Path) -> None:
    (tmp_path / "own.cfg").write_text("S -> 'a' S | 'b'\n")
    (tmp_path / "words.txt").write_text("ab\naab\nba\n")
    result = grammar_rae("check", tmp_path / "words.txt", "--grammar", tmp_path / "own.cfg", "--form", "text")
    assert "2 of 3 rows" in result.stdout


def test_unknown_names_list_what_exists(smiles: Path) -> None:
    assert "expressions" in refused("check", smiles, "--grammar", "expresions")
    assert "kekule" in refused("check", smiles, "--form", "kekul")
    assert "molecules" in refused("train", smiles, "-o", smiles.parent / "run", "--recipe", "molecule")
    assert "qed" in refused("sample", "-m", smiles.parent, "--scores", "qde")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "absent.smi" in refused("check", tmp_path / "absent.smi")
    assert "absent.smi" in refused("train", tmp_path / "absent.smi", "-o", tmp_path / "run", "--epochs", "1")
    assert not (tmp_path / "run" / "model.json").exists()


def test_there_must_be_something_to_resume(smiles: Path) -> None:
    assert "no training to resume" in refused("train", smiles, "-o", smiles.parent / "run", "--resume")
    assert not (smiles.parent / "run").exists()


def test_a_wrong_column_lists_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("name,structure\nethanol,CCO\n")
    told = refused("check", path, "--column", "smile")
    assert "'structure'" in told


@pytest.mark.parametrize("content", ["", "\n\n", "CC(\nC1CC\n"])
def test_a_file_without_a_usable_row(content: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.smi"
    path.write_text(content)
    assert "bad.smi" in refused("train", path, "-o", tmp_path / "run", "--epochs", "1", "-q")
    assert not (tmp_path / "run" / "model.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "-n", "3"],
        ["encode", "molecules.smi", "-o", "z.csv"],
        ["reconstruct", "molecules.smi"],
        ["interpolate", "C", "CC"],
    ],
)
def test_no_model_in_the_folder(words: list[str], smiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(smiles.parent)
    assert "nowhere" in refused(*words, "-m", "nowhere")
    assert sorted(path.name for path in smiles.parent.iterdir()) == ["molecules.smi"]


def test_outputs_that_cannot_be_written_are_refused_before_any_work(tmp_path: Path) -> None:
    assert str(tmp_path / "absent") in refused("sample", "-m", "run", "-o", tmp_path / "absent" / "out.csv")
    assert str(tmp_path) in refused("sample", "-m", "run", "--html", tmp_path)


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    plain = outside("check", tmp_path / "absent.smi")
    shown = outside("--debug", "check", tmp_path / "absent.smi")
    assert plain.returncode == 2
    assert "Traceback" not in plain.stderr
    assert shown.returncode != 0
    assert "Traceback" in shown.stderr


def test_a_closed_pipe_ends_quietly() -> None:
    # The shell's `| true` would race; a pipe whose reading end is closed from the start does not.
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "grammar_rae", "list", "grammars"]
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 1
    assert done.stderr == ""


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> list[str]:
        raise KeyboardInterrupt

    import_module("grammar_rae.grammar")  # or it would keep the patched function for good
    monkeypatch.setattr("grammar_rae.resources.bundled_names", interrupt)
    result = grammar_rae("list", "grammars")
    assert result.exit_code == 130
    assert result.stderr == "interrupted\n"


# --- arguments and files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("0.5h", 1800), (" 3 min ", 180)]
)
def test_durations(text: str, value: float) -> None:
    assert arguments.seconds(text) == value


@given(st.text(alphabet="0123456789.smhd-+e ", max_size=6))
def test_what_is_no_duration_is_refused(text: str) -> None:
    try:
        assert arguments.seconds(text) > 0
    except typer.BadParameter as error:
        assert repr(text) in str(error)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named_by_the_file_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"out\.csv"), replacing(tmp_path / "out.csv"):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("name", ["z.npy", "z.npz", "z.csv", "z.csv.gz", "z.tsv", "z.parquet"])
def test_codes_come_back(name: str, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("x+1\nsin(x)\nexp(x)/2\n")
    result = grammar_rae("encode", tmp_path / "some.txt", "-m", bundled_model("expressions"), "-o", tmp_path / name)
    assert result.exit_code == 0, result.output
    codes = TextModel.load(bundled_model("expressions")).encode(["x+1", "sin(x)", "exp(x)/2"])
    np.testing.assert_allclose(files.read_codes(tmp_path / name), codes, rtol=1e-6)


def test_pickles_and_other_files_are_no_codes(tmp_path: Path) -> None:
    pickled = np.empty(1, dtype=object)
    pickled[0] = {"a": 1}
    np.save(tmp_path / "pickle.npy", pickled, allow_pickle=True)
    np.save(tmp_path / "flat.npy", np.zeros(3))
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "names.csv").write_text("a,b\n1,2\n")
    (tmp_path / "words.csv").write_text("z0,z1\n1,two\n")
    for path in [*sorted(tmp_path.iterdir()), tmp_path / "absent.npy"]:
        with pytest.raises(DataError, match=path.name):
            files.read_codes(path)


# --- with a model ----------------------------------------------------------------------------------------------------

TINY = ["--recipe", "tiny", "--epochs", "2", "--quiet"]


@pytest.fixture(scope="module")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 200 molecules, a header, a blank line and a text that is no molecule."""
    path = tmp_path_factory.mktemp("data") / "molecules.csv"
    texts = sample_texts(bundled_file("data/moses_sample.smi.gz"), 200, seed=0)
    rows = [f"m{i},{text}" for i, text in enumerate(texts)]
    path.write_text("\n".join(["name,structure", *rows, "", "bad,C1CC", ""]))
    return path


@pytest.fixture(scope="module")
def run(molecules: Path) -> Path:
    folder = molecules.parent / "run"
    result = grammar_rae("train", molecules, "-o", folder, "--column", "structure", *TINY)
    assert result.exit_code == 0, result.output
    assert f"2 of 202 rows were left out; {folder / 'data' / 'rejected.csv'} says why" in result.stderr
    assert result.stdout == ""
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_train_lists_what_it_rejected(run: Path) -> None:
    rejected = table(run / "data" / "rejected.csv")
    assert [row["line"] for row in rejected] == ["202", "203"]


def test_train_does_not_replace_a_model_by_accident(run: Path, molecules: Path) -> None:
    before = (run / "model.json").read_bytes()
    assert "--overwrite" in refused("train", molecules, "-o", run, "--column", "structure", *TINY)
    assert (run / "model.json").read_bytes() == before


def test_train_overwrites_when_it_is_told_to(run: Path, molecules: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    other = ["--column", "structure", "--seed", "1", "--overwrite"]
    assert grammar_rae("train", molecules, "-o", copy, *other, *TINY).exit_code == 0
    assert (copy / "model.json").read_bytes() != (run / "model.json").read_bytes()
    assert grammar_rae("sample", "-m", copy, "-n", "2", "--raw").exit_code == 0


def test_train_resumes(run: Path, molecules: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    more = ["--column", "structure", "--recipe", "tiny", "--epochs", "3", "--resume", "-q"]
    assert grammar_rae("train", molecules, "-o", copy, *more).exit_code == 0
    assert max(row["epoch"] for row in history(copy)) > max(row["epoch"] for row in history(run))


def history(folder: Path) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = json.loads((folder / "model.json").read_text())["meta"]["history"]["rows"]
    return rows


def test_sample_writes_a_table_and_a_page(run: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "out.csv", tmp_path / "grid.html"
    words = ["sample", "-m", run, "-n", "20", "--raw", "--seed", "3", "--scores", "qed,logp", "--html", page]
    result = grammar_rae(*words, "-o", out)
    assert result.exit_code == 0, result.output
    assert re.search(r'20 texts out of 20 decoded: raw validity [0-9.]+% under "grammar"', result.stderr)
    rows = table(out)
    assert list(rows[0]) == ["smiles", "valid", "qed", "logp"]
    assert len(rows) == 20
    assert "<svg" in page.read_text(encoding="utf-8")
    # The same seed draws the same; the standard output is the table and nothing else.
    again = grammar_rae(*words[:-2], "-o", "-")
    assert again.stdout == out.read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grid.html", "out.csv"]


def test_samples_by_int8_weights_follow_the_seed(run: Path, tmp_path: Path) -> None:
    words = ["sample", "-m", run, "-n", "5", "--raw", "--seed", "3", "--int8", "-o"]
    for out in ("one.smi", "other.smi"):
        result = grammar_rae(*words, tmp_path / out)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "one.smi").read_text() == (tmp_path / "other.smi").read_text()


def test_samples_are_valid_unless_raw(run: Path) -> None:
    result = grammar_rae("sample", "-m", run, "-n", "2", "--seed", "0")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert all(row["valid"] == "True" for row in rows)
    assert len(rows) == 2 or "warning: only" in result.stderr


@pytest.mark.parametrize("name", ["z.npy", "z.csv"])
def test_encode_then_decode_is_reconstruct(name: str, run: Path, molecules: Path, tmp_path: Path) -> None:
    z, decoded, reconstructed = tmp_path / name, tmp_path / "decoded.csv", tmp_path / "reconstructed.csv"
    column = ["--column", "structure"]
    encoded = grammar_rae("encode", molecules, "-m", run, "-o", z, *column)
    assert encoded.exit_code == 0, encoded.output
    assert grammar_rae("decode", z, "-m", run, "-o", decoded).exit_code == 0
    told = grammar_rae("reconstruct", molecules, "-m", run, "-o", reconstructed, *column)
    rows = table(reconstructed)
    assert len(rows) == 200
    assert [row["smiles"] for row in table(decoded)] == [row["reconstruction"] for row in rows]
    share = re.search(r"\((\d+) of 201; the codec rejects 1\)", told.stderr)
    assert share is not None
    assert int(share[1]) == sum(row["exact"] == "True" for row in rows)
    # Every row is in the result or among the rejected ones.
    assert [row["line"] for row in table(z.with_suffix(".rejected.csv"))] == ["202", "203"]
    assert {int(row["line"]) for row in rows} == set(range(2, 202))


REFUSED = ["N->[Fe]", "CC(", "CC(", "C" * 6000]


@pytest.mark.parametrize("command", ["encode", "reconstruct"])
def test_when_all_rows_are_refused_the_list_is_there_and_all_reasons_are_told(command: str, tmp_path: Path) -> None:
    source, output = tmp_path / "bad.csv", tmp_path / "z.csv"
    source.write_text("id,smiles\n" + "".join(f"{n},{text}\n" for n, text in enumerate(REFUSED)))
    result = grammar_rae(command, source, "-o", output)
    assert result.exit_code == 2 and not output.exists()
    lines = result.stderr.splitlines()
    assert lines[0].startswith("reading column 'smiles', 'N->[Fe]' in line 2 to begin with")
    assert "none of the 4 rows" in lines[2] and "(2 rows, e.g. 'CC(' in line 3)" in lines[2]
    rows = table(tmp_path / "z.rejected.csv")
    assert [row["line"] for row in rows] == ["2", "3", "4", "5"]
    assert "which RDKit writes for it" in rows[0]["reason"] and rows[0]["position"] == ""
    assert rows[1]["position"] == "2"
    assert rows[3]["reason"].endswith("received 6000 characters; expected at most 5000")


def test_interpolate_goes_from_one_end_to_the_other(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "path.html"
    result = grammar_rae("interpolate", "-m", run, "CCO", "c1ccccc1", "--steps", "4", "--html", page)
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert page.stat().st_size > 0
    salt = ("interpolate", "-m", run, "CCO.Cl", "c1ccccc1", "--steps", "4")
    assert refused(*salt)
    assert grammar_rae(*salt, "--fragments", "largest").stdout == result.stdout


def test_constrained_samples_are_valid_as_they_come(run: Path) -> None:
    rules = ["--constraint", "chemistry", "--constraint", "max-heavy-atoms=9; elements=CNO"]
    result = grammar_rae("sample", "-m", run, "-n", "30", "--raw", "--scores", "heavy_atoms", "--top-p", "0.9", *rules)
    assert result.exit_code == 0, result.output
    assert 'raw validity 100.0% under "chemistry; max-heavy-atoms=9; elements=CNO"' in result.stderr
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert len(rows) == 30
    assert all(row["valid"] == "True" and float(row["heavy_atoms"]) <= 9 for row in rows)


def test_decode_takes_what_the_model_takes(run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32))

    def decoded(*words: str) -> list[str]:
        result = grammar_rae("decode", tmp_path / "z.npy", "-m", run, *words)
        assert result.exit_code == 0, result.output
        return [row["smiles"] for row in csv.DictReader(result.stdout.splitlines())]

    greedy = decoded()
    assert decoded("--beam", "1") == greedy != decoded("--beam", "6")
    nearest = decoded("--nearest", "5", "--seed", "1")
    assert decoded("--nearest", "5", "--seed", "1") == nearest != greedy
    drawn = decoded("--temperature", "1", "--seed", "1")
    assert decoded("--temperature", "1", "--seed", "1") == drawn != decoded("--temperature", "1", "--seed", "2")
    assert decoded("--temperature", "1", "--seed", "1", "--top-p", "1e-9") == greedy
    hot = ["--temperature", "3", "--seed", "1", "--constraint"]
    assert not all(chem.is_valid(text) for text in decoded(*hot, "grammar"))
    assert all(chem.is_valid(text) for text in decoded(*hot, "chemistry"))
    assert "draws nothing" in refused("decode", tmp_path / "z.npy", "-m", run, "--beam", "3", "--temperature", "1")


def test_constraints_of_other_commands(run: Path, molecules: Path) -> None:
    path = grammar_rae("interpolate", "-m", run, "CCO", "c1ccccc1", "--constraint", "chemistry")
    texts = [row["smiles"] for row in csv.DictReader(path.stdout.splitlines())]
    assert len(texts) == 9 and all(map(chem.is_valid, texts))
    again = grammar_rae("reconstruct", molecules, "-m", run, "--column", "structure", "--constraint", "chemistry")
    texts = [row["reconstruction"] for row in csv.DictReader(again.stdout.splitlines())]
    assert len(texts) == 200 and all(map(chem.is_valid, texts))


def test_train_keeps_a_constraint(run: Path, tmp_path: Path) -> None:
    rules = ["--constraint", "chemistry", "--constraint", "max-heavy-atoms=20"]
    result = grammar_rae("train", run / "data", "-o", tmp_path / "run", *TINY, *rules)
    assert result.exit_code == 0, result.output
    sampled = grammar_rae("sample", "-m", tmp_path / "run", "-n", "10", "--raw")
    assert 'raw validity 100.0% under "chemistry; max-heavy-atoms=20"' in sampled.stderr
    assert "unknown constraint" in refused(
        "train", run / "data", "-o", tmp_path / "no", *TINY, "--constraint", "chemisty"
    )


def test_errors_of_a_model(run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.zeros((2, 3), dtype=np.float32))
    assert "(N, 8)" in refused("decode", tmp_path / "wide.npy", "-m", run)
    assert "no properties to echo" in refused("sample", "-m", run, "-n", "2", "--echo", "weight")
    assert "1 or more" in refused("sample", "-m", run, "-n", "0")
    assert "grammar" in refused("sample", "-m", run, "--constraint", "gramar")
    assert refused("interpolate", "-m", run, "CCO", "C", "--steps", "1")
    assert "tiny" in refused("train", run / "data", "-o", tmp_path / "run", "--recipe", "tinny")


def test_a_text_error_points_at_the_place(run: Path) -> None:
    result = grammar_rae("interpolate", "-m", run, "CC(=O", "C")
    assert result.exit_code == 2
    assert "CC(=O" in result.stderr.splitlines()[0]
    assert result.stderr.splitlines()[-1].strip() == "^"


def test_a_damaged_model_is_refused(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (weights,) = copy.glob("weights-*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "truncated" in refused("sample", "-m", copy)


def test_train_takes_an_encoded_data_set_without_rdkit_or_nltk(run: Path, tmp_path: Path) -> None:
    code = """
import sys
sys.modules["rdkit"] = sys.modules["nltk"] = None
from grammar_rae.cli import app
app(sys.argv[1:])
"""
    done = outside("train", run / "data", "-o", tmp_path / "run", *TINY, code=code)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.json").is_file()


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_ctrl_c_keeps_the_model_and_resume_continues(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train = ["train", str(run / "data"), "-o", str(folder), "--recipe", "tiny"]
    command = [sys.executable, "-m", "grammar_rae", *train, "--epochs", "1000000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        assert process.stderr is not None
        told = ""
        while "loss" not in told:  # the bar shows that training has begun
            character = process.stderr.read(1)
            assert character, told
            told += character
        process.send_signal(signal.SIGINT)
        told += process.communicate()[1]
    finally:
        process.kill()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "--resume" in told.splitlines()[-1]
    steps = max(row["step"] for row in history(folder))
    epochs = max(row["epoch"] for row in history(folder)) + 1
    result = grammar_rae(*train, "--epochs", str(int(epochs)), "--resume", "-q")
    assert result.exit_code == 0, result.output
    assert max(row["step"] for row in history(folder)) >= steps


def test_export_writes_a_copy_that_decodes(run: Path, molecules: Path, tmp_path: Path) -> None:
    done = grammar_rae("export", "-m", run, "-o", tmp_path / "small")
    assert done.exit_code == 0, done.output
    files_written = sorted(path.suffix for path in (tmp_path / "small").iterdir())
    assert files_written == [".json", ".safetensors", ".safetensors"]
    assert grammar_rae("sample", "-m", tmp_path / "small", "-n", 3, "--seed", 1).exit_code == 0
    assert "another folder" in refused("export", "-m", run, "-o", run)
    assert "no such folder" in refused("export", "-m", tmp_path / "nothing", "-o", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_model_of_the_box_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = grammar_rae("sample", "-m", "expressions", "-n", 4, "--seed", 1)
    assert named.exit_code == 0, named.output
    assert len(named.stdout.splitlines()) == 5
    default = grammar_rae("sample", "-n", 4, "--seed", 1)
    assert default.exit_code == 0, default.output
    rows = default.stdout.splitlines()[1:]
    assert len(rows) == 4 and all(chem.is_valid(row.split(",")[0]) for row in rows)
    assert default.stdout == grammar_rae("sample", "-m", "molecules", "-n", 4, "--seed", 1).stdout
    # Nobody refits what is in the box: the name is taken for a folder.
    assert "no such folder" in refused("refit", "gaussian", "-m", "expressions")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("way", ["-", "/dev/stdin", "fifo", "pipe.csv"])
def test_texts_come_from_pipes(way: str, tmp_path: Path) -> None:
    content = "id,smiles\n1,CCO\n2,CC(\n" if way == "pipe.csv" else "CCO\nCC(\n"
    path = Path(way) if way[0] in "-/" else tmp_path / way
    command = [sys.executable, "-m", "grammar_rae", "check", str(path)]
    if way[0] in "-/":
        found = subprocess.run(command, input=content, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    else:
        os.mkfifo(path)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        path.write_text(content)
        out, err = process.communicate(timeout=300)
        found = subprocess.CompletedProcess(command, process.returncode, out, err)
    assert found.returncode == 0, found.stderr
    assert "1 of 2 rows are covered" in found.stdout


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_a_closed_standard_output_is_told_in_a_sentence() -> None:
    command = [sys.executable, "-m", "grammar_rae", "sample", "-m", "expressions", "-n", "2", "--seed", "0"]
    script = 'exec "$@" >&-'
    found = subprocess.run(
        ["sh", "-c", script, "sh", *command], stderr=subprocess.PIPE, text=True, check=False, env=ENVIRONMENT
    )
    assert found.returncode == 2
    assert "standard output: it is closed" in found.stderr and "Traceback" not in found.stderr
