"""The bundled files are found alike from a checkout, an editable install and a wheel, all without the network."""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GRAMMARS = sorted(f"grammars/{path.name}" for path in (ROOT / "grammars").glob("*.cfg"))
FILES = [*GRAMMARS, "data/moses_sample.smi.gz", "data/README.md"]

# Run in an empty directory: where the package was imported from, and the sha256 of each bundled file it finds.
REPORT = """
import hashlib, sys
from grammar_rae import resources
from grammar_rae.resources import bundled_file, bundled_names
print(resources.__file__)
print(",".join(bundled_names("grammars", ".cfg")))
for name in sys.argv[1:]:
    print(hashlib.sha256(bundled_file(name).read_bytes()).hexdigest())
"""

LINK = re.compile(r"\]\(([^()\s]+)\)")

Place = Callable[[Path, Path], tuple[Path, dict[str, str], str]]


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*arguments: str | Path, cwd: Path) -> str:
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    return run(sys.executable, "-m", "pip", arguments[0], *offline, *arguments[1:], cwd=cwd)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built once by pip."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--wheel-dir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


def checkout(scratch: Path, built: Path) -> tuple[Path, dict[str, str], str]:
    return ROOT, {"PYTHONPATH": str(ROOT)}, ""


def editable(scratch: Path, built: Path) -> tuple[Path, dict[str, str], str]:
    site = scratch / "editable"
    pip("install", "--target", site, "--editable", ROOT, cwd=scratch)
    # As at the start of Python: the .pth file of the install leads to the checkout.
    return ROOT, {"PYTHONPATH": ""}, f"import site; site.addsitedir({str(site)!r})\n"


def wheel(scratch: Path, built: Path) -> tuple[Path, dict[str, str], str]:
    site = scratch / "site"
    pip("install", "--target", site, built, cwd=scratch)
    return site, {"PYTHONPATH": str(site)}, ""


def test_the_wheel_holds_no_benchmark(built: Path) -> None:
    with zipfile.ZipFile(built) as wheel_file:
        tops = {name.split("/", 1)[0] for name in wheel_file.namelist() if ".dist-info/" not in name}
        assert tops == {"grammar_rae"}
        assert not [name for name in wheel_file.namelist() if "benchmark" in name]


@pytest.mark.parametrize("place", [checkout, editable, wheel])
def test_bundled_files_are_found(place: Place, tmp_path: Path, built: Path) -> None:
    home, env, prelude = place(tmp_path, built)
    empty = tmp_path / "empty"
    empty.mkdir()
    found = run(sys.executable, "-c", prelude + REPORT, *FILES, cwd=empty, **env).splitlines()
    assert Path(found[0]).resolve().parent.parent == home.resolve()
    assert found[1].split(",") == [Path(name).stem for name in GRAMMARS]
    assert found[2:] == [hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in FILES]


def test_the_source_distribution_holds_what_the_wheel_needs(tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=ROOT)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.split("/", 1)[1] for name in tar.getnames()}
    needed = {*FILES, "pyproject.toml", "LICENSE", "README.md", "constraints.txt", "grammar_rae/resources.py"}
    needed |= {"packaging/readme_links.py"}
    needed |= {"benchmarks/__main__.py", "tests/benchmarks/test_images.py"}
    assert needed <= names
    # A clone's own litter stays out.
    assert not [name for name in names if "__pycache__" in name or name.startswith((".git/", "run"))]


def with_addresses(text: str, repository: str) -> str:
    spec = importlib.util.spec_from_file_location("readme_links", ROOT / "packaging" / "readme_links.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: str = module.with_addresses(text, repository, "1.2")
    return found


def test_a_package_index_gets_no_relative_link(built: Path) -> None:
    with zipfile.ZipFile(built) as wheel_file:
        (name,) = [name for name in wheel_file.namelist() if name.endswith(".dist-info/METADATA")]
        text = wheel_file.read(name).decode()
    assert "Description-Content-Type: text/markdown" in text and "## Documentation" in text
    links = LINK.findall(text)
    assert links and all(link.startswith(("https://", "#")) for link in links)


def test_relative_links_lead_into_the_repository() -> None:
    readme = (ROOT / "README.md").read_text()
    there = with_addresses(readme, "https://example.org/it/")
    relative = [link for link in LINK.findall(readme) if not link.startswith(("https://", "#"))]
    assert len(relative) > 20 and all((ROOT / link.partition("#")[0]).exists() for link in relative)
    added = [link for link in LINK.findall(there) if link.startswith("https://example.org/it/")]
    assert [re.sub("^https://example.org/it/(blob|raw)/v1.2/", "", link) for link in added] == relative
    code = "```python\nprint(rows[0](here))\n```\n"
    assert with_addresses(code + "[a](b.md) ![c](d.png) [e](#f)", "") == code + "a  [e](#f)"
    assert "![c](https://r/raw/v1.2/d.png)" in with_addresses("![c](d.png)", "https://r")


def test_the_recipe_asks_for_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {"pytorch": "torch"}
    recipe = (ROOT / "packaging" / "recipe.yaml").read_text()
    run = recipe.partition("  run:\n")[2].partition("\n\n")[0]
    asked = {line.split("- ")[1].replace(" ", "") for line in run.splitlines()}
    told = {re.sub(r"^[a-z-]+", lambda name: names.get(name[0], name[0]), line) for line in asked}
    assert told == {*project["dependencies"], f"python{project['requires-python']}"}
    assert f'version: "{re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.M)[1]}"' in recipe  # type: ignore[index]
