"""The documents say what is: their commands exist, their links lead somewhere, and their Python runs."""

import re
import shlex
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from grammar_rae.cli import app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").rglob("*.md")])

SET_UP = (
    "python -m pip install -c constraints.txt . && grammar-rae demo",
    "python -m pip install -c constraints.txt -e '.[test]' && pytest",
)


def commands_of(text: str) -> set[str]:
    """Every ``grammar-rae ...`` of a document: in inline code, in shell blocks and in indented lines."""
    inline = re.findall(r"`(grammar-rae[^`]*)`", text)
    lines = re.findall(r"^(?: {4}|\$ )?(?:.*&& )?(grammar-rae [a-z-].*)$", text, re.MULTILINE)
    return {command.split("#")[0].strip() for command in inline + lines}


@pytest.mark.parametrize("command", SET_UP)
def test_the_set_up_is_one_command_on_the_first_screen(command: str) -> None:
    assert f"    {command}\n" in "\n".join(README.splitlines()[:24]) + "\n"


def test_the_continuous_integration_runs_the_second_command() -> None:
    assert f"    {SET_UP[1]}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_their_options_exist(path: Path) -> None:
    for written in commands_of(path.read_text(encoding="utf-8")):
        words = shlex.split(written.split("|")[0].split("&&")[0])[1:]
        if "COMMAND" in words or "..." in words:
            continue
        command = get_command(app)
        while words and hasattr(command, "commands") and not words[0].startswith("-"):
            assert words[0] in command.commands, f"{path.name}: no such command in {written!r}"
            command = command.commands[words.pop(0)]
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        unknown = [word for word in words if re.match(r"--?[a-z]", word) and word not in known | {"--help", "-h"}]
        assert not unknown, f"{path.name}: no such option in {written!r}"


def test_options_named_in_the_readme_exist() -> None:
    """Rows of the table of commands name further options without the command."""
    for row in re.findall(r"^\| `grammar-rae ([a-z]+).*$", README, re.MULTILINE):
        command = get_command(app).commands[row]  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            continue
        (line,) = [line for line in README.splitlines() if line.startswith(f"| `grammar-rae {row}")]
        named = set(re.findall(r"`(--[a-z-]+)", line))
        assert named <= {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8"))
    missing = [one for one in targets if "://" not in one and not (path.parent / one).exists()]
    assert not missing


def tracked_texts() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    texts = [
        ROOT / name for name in names if Path(name).suffix in {".md", ".toml", ".txt", ".yaml", ".py", ".ipynb", ".cfg"}
    ]
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


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import grammar_rae
    from grammar_rae.datasets import sample_texts
    from grammar_rae.model.current import forget_models
    from grammar_rae.resources import bundled

    code = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    texts = sample_texts(bundled("data/moses_sample.smi.gz"), 100, seed=0)
    (tmp_path / "molecules.smi").write_text("\n".join(texts))
    monkeypatch.chdir(tmp_path)
    forget_models()
    monkeypatch.setattr(grammar_rae, "train", partial(grammar_rae.train, recipe="tiny", epochs=1, progress=False))
    namespace: dict[str, Any] = {}
    exec(re.sub(r"sample\(\d+", "sample(3", code), namespace)
    assert namespace["result"].validity == 1.0
    assert namespace["z"].shape == (2, 8)
    assert (tmp_path / "run" / "model.json").is_file()
