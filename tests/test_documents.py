"""The documents are true: commands exist, links lead somewhere, and the API reference has every public name.

That the examples run is ``test_snippets``' matter.
"""

import importlib
import itertools
import pkgutil
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import grammar_rae
from grammar_rae.cli import app
from grammar_rae.cli.failures import ANYWHERE

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").rglob("*.md")])
COMMAND_LINE = ROOT / "docs" / "how-to" / "command-line.md"
REFERENCE = ROOT / "docs" / "reference"

SET_UP = (
    "python -m pip install -c constraints.txt . && grammar-rae demo",
    "python -m pip install -c constraints.txt -e '.[test]' && pytest",
)
PROGRAM = "(?:grammar-rae|python -m benchmarks)"


def commands_of(text: str) -> set[str]:
    """Every command of a document: in inline code, in shell blocks and in indented lines."""
    inline = re.findall(rf"`({PROGRAM} [^`]*)`", text)
    lines = re.findall(rf"^(?: {{4}}|\$ )?(?:.*&& )?({PROGRAM} [a-z-].*)$", text, re.MULTILINE)
    return {" ".join(command.split("#")[0].split()) for command in inline + lines}


def click_command(program: str) -> Any:
    if program == "grammar-rae":
        return get_command(app)
    return get_command(importlib.import_module("benchmarks.__main__").app)


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("command", SET_UP)
def test_the_set_up_is_one_command_on_the_first_screen(command: str) -> None:
    assert f"    {command}\n" in "\n".join(README.splitlines()[:24]) + "\n"


def test_the_continuous_integration_runs_the_second_command() -> None:
    assert f"    {SET_UP[1]}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_readme_takes_one_and_a_half_screens() -> None:
    assert len(README.splitlines()) <= 90


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_their_options_exist(path: Path) -> None:
    for written in commands_of(path.read_text(encoding="utf-8")):
        words = list(itertools.takewhile(lambda word: word not in ("|", "&&"), shlex.split(written)))
        program, words = ("grammar-rae", words[1:]) if words[0] == "grammar-rae" else ("benchmarks", words[3:])
        if {"COMMAND", "NAME", "..."} & set(words):
            continue
        command = click_command(program)
        while words and hasattr(command, "commands") and not words[0].startswith("-"):
            assert words[0] in command.commands, f"{path.name}: no such command in {written!r}"
            command = command.commands[words.pop(0)]
        known = options_of(command) | {"--help", "-h", *ANYWHERE}
        unknown = [word for word in words if re.match(r"--?[a-z]", word) and word not in known]
        assert not unknown, f"{path.name}: no such option in {written!r}"


def test_the_table_of_commands_is_complete() -> None:
    """Each command has its row, and the further options that a row names exist."""
    text = COMMAND_LINE.read_text(encoding="utf-8")
    rows = {row.split()[0].rstrip("`"): row for row in re.findall(r"^\| `grammar-rae (.*)$", text, re.MULTILINE)}
    commands = {name: one for name, one in click_command("grammar-rae").commands.items() if not one.hidden}
    assert rows.keys() == commands.keys()
    for name, row in rows.items():
        assert set(re.findall(r"`(--[a-z-]+)", row)) <= options_of(commands[name])
    benchmarks = text.partition("python -m benchmarks NAME")[2]
    listed = re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^\| (`[^|]*)\|", benchmarks, re.MULTILINE)))
    assert set(listed) == click_command("benchmarks").commands.keys()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path: Path) -> None:
    # A SMARTS in an example may look like a link.
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", prose)
    missing = [one for one in targets if "://" not in one and not (path.parent / one).exists()]
    assert not missing


def public_rooms() -> dict[str, list[str]]:
    """Every package and module below ``grammar_rae`` that says in ``__all__`` what is public, with these names."""
    names = ["grammar_rae", *(f"grammar_rae.{room.name}" for room in pkgutil.iter_modules(grammar_rae.__path__))]
    modules = {name: importlib.import_module(name) for name in names if not name.endswith("__main__")}
    return {name: list(module.__all__) for name, module in modules.items() if hasattr(module, "__all__")}


def documented() -> dict[str, set[str] | None]:
    """The modules that the reference describes, with the members it picks out; None stands for all public ones."""
    found: dict[str, set[str] | None] = {}
    for page in sorted(REFERENCE.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for name, options in re.findall(r"^::: (\S+)\n((?:    .*\n)*)", text, re.MULTILINE):
            picked = re.search(r"members: \[(.*)\]", options)
            found[name] = set(picked[1].split(", ")) if picked else None
    return found


def test_the_reference_has_every_public_name() -> None:
    described = documented()
    rooms = public_rooms()
    # What the face only passes on is described where it lives.
    elsewhere = {name for room, names in rooms.items() if room != "grammar_rae" for name in names}
    elsewhere |= set(vars(importlib.import_module("grammar_rae.errors")))
    for room, names in rooms.items():
        assert room in described, f"no page of docs/reference describes {room}"
        members = described[room]
        if members is not None:
            assert members <= set(names)
            assert set(names) - members <= elsewhere


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {grammar_rae.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def tracked_texts() -> list[Path]:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = tracked.stdout.split("\0") if tracked.returncode == 0 else []
    kinds = {".md", ".toml", ".txt", ".yaml", ".yml", ".py", ".ipynb", ".cfg", ".cff"}
    texts = [ROOT / name for name in names if Path(name).suffix in kinds]
    return [path for path in texts if path.is_file()] or DOCUMENTS


def test_no_document_names_a_place_on_somebodys_machine() -> None:
    place = re.compile(r"(?<![\w./:])/(?:home|root|Users|work|tmp|opt|mnt)/[\w.-]+|[A-Z]:\\\\Users")
    found = {
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked_texts()
        for match in place.finditer(path.read_text(encoding="utf-8"))
        if path != Path(__file__).resolve()
    }
    assert not found
