"""The cache of compiled code: found or made wherever the package runs, shared by processes, never stale."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

CALLEE = "from grammar_rae.kernels import njit\n\n@njit(cache=True, nogil=True)\ndef shift(x):\n    return x + {}\n"
CALLER = """
from callee import shift
from grammar_rae.kernels import njit

SCALE = 10

@njit(cache=True, nogil=True)
def scaled(x):
    return SCALE * shift(x)
"""
MAIN = """
import warnings
warnings.simplefilter("always")
import caller
print(caller.scaled(1), sum(caller.scaled.stats.cache_hits.values()), caller.scaled.stats.cache_path)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with two modules that have a kernel each, one of which calls the other."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "callee.py").write_text(CALLEE.format(1))
    (folder / "caller.py").write_text(CALLER)
    return folder


def start(package: Path, **environment: str) -> "subprocess.Popen[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_", "PYTHON"))}
    kept |= {"PYTHONPATH": f"{package}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"} | environment
    kept = {name: value for name, value in kept.items() if value != "UNSET"}
    return subprocess.Popen(
        [sys.executable, "-c", MAIN], env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(package: Path, **environment: str) -> tuple[int, int, Path, str]:
    """The kernel's value, how often its compiled code came from the cache, where that is, and what was said."""
    return result(start(package, **environment))


def result(process: "subprocess.Popen[str]") -> tuple[int, int, Path, str]:
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    value, hits, path = out.split(None, 2)
    return int(value), int(hits), Path(path.strip()), said


def read_only(package: Path) -> None:
    """Make the modules' cache folder impossible, for root too: a file is where it would be."""
    (package / "__pycache__").write_text("")


def test_code_is_cached_beside_the_modules_until_it_is_damaged_or_a_callee_changes(package: Path) -> None:
    assert run(package)[:3] == (20, 0, package / "__pycache__")
    assert run(package)[:2] == (20, 1)
    for path in (package / "__pycache__").iterdir():
        path.write_bytes(path.read_bytes()[:-40] + b"x")
    assert run(package)[:2] == (20, 0)  # which costs a compilation
    assert run(package)[:2] == (20, 1)
    (package / "callee.py").write_text(CALLEE.format(2))
    assert run(package)[:2] == (30, 0)


def test_processes_that_begin_at_once(package: Path) -> None:
    found = [result(process) for process in [start(package) for _ in range(3)]]
    assert {one[0] for one in found} == {20} and not any(one[3] for one in found)
    assert run(package)[:2] == (20, 1)
    assert not list((package / "__pycache__").glob(".kernels.lock*"))


def test_the_folder_that_is_named_comes_first(package: Path, tmp_path: Path) -> None:
    read_only(package)
    assert tmp_path / "named" in run(package, NUMBA_CACHE_DIR=str(tmp_path / "named"))[2].parents


@pytest.mark.skipif(os.name == "nt", reason="users' folders are found otherwise")
def test_then_the_users_cache(package: Path, tmp_path: Path) -> None:
    read_only(package)
    assert tmp_path in run(package, HOME=str(tmp_path / "home"))[2].parents


@pytest.mark.skipif(os.name == "nt", reason="users' folders are found otherwise")
@pytest.mark.parametrize("home", ["/dev/null", "UNSET"])
def test_then_a_temporary_folder_of_this_user(package: Path, tmp_path: Path, home: str) -> None:
    read_only(package)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    # Without HOME the user's folder is that of the password file, here none that can be written.
    settings = {"HOME": home, "TMPDIR": str(temporary)} | ({"XDG_CACHE_HOME": "/dev/null"} if home == "UNSET" else {})
    value, _, path, said = run(package, **settings)
    assert value == 20 and temporary in path.parents and not said
    assert path.parent.stat().st_mode & 0o077 == 0
    assert run(package, **settings)[1] == 1


@pytest.mark.skipif(os.name == "nt", reason="users' folders are found otherwise")
def test_a_temporary_folder_of_others_is_not_read(package: Path, tmp_path: Path) -> None:
    read_only(package)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    settings = {"HOME": "/dev/null", "TMPDIR": str(temporary)}
    path = run(package, **settings)[2]
    path.parent.chmod(0o777)
    value, hits, _, said = run(package, **settings)
    assert (value, hits) == (20, 0)
    assert said.count("UserWarning: there is no folder to keep compiled code in") == 1  # said once, and it works


def test_every_kernel_of_the_package_is_compiled_through_it() -> None:
    found = [
        path for path in (ROOT / "grammar_rae").rglob("*.py") if "from numba import njit" in path.read_text("utf-8")
    ]
    assert not found


def test_digests_are_the_same_in_every_process(package: Path) -> None:
    code = "from caller import scaled; from grammar_rae.kernels import code_digest; print(code_digest(scaled).hex())"
    digests: set[Any] = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONPATH": f"{package}{os.pathsep}{ROOT}", "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1 and len(digests.pop()) == 65


MANY = "from grammar_rae.kernels import njit\n\n@njit(cache=True)\ndef f0(x):\n    return x\n" + "".join(
    f"\n\n@njit(cache=True)\ndef f{n}(x):\n    return f{n - 1}(x) + 1\n" for n in range(1, 12)
)


def test_a_long_compilation_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "many.py").write_text(MANY)
    code = "import many; print(many.f11(1), many.f11(2))"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    environment.pop("NUMBA_CACHE_DIR", None)
    for expected in ("compiling once, about 6 s\n", ""):
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("12 13\n", expected)


COUNTED = """
import numpy as np
from grammar_rae import kernels
from grammar_rae.kernels import njit
from caller import scaled

@njit(cache=True)
def total(x, n):
    z = np.uint64(2**63)
    for i in range(n):
        x[i] = scaled(x[i])
    found = np.int64(z * np.uint64(2))
    for i in range(n):
        found += x[i]
    return found
"""


def test_few_rows_are_left_to_python_until_that_has_taken_long(package: Path) -> None:
    """No compiler is imported, arrays are written, kernels of other modules are found, and integers wrap around."""
    (package / "counted.py").write_text(COUNTED)
    code = """
import sys, warnings
warnings.simplefilter("error")
import numpy as np
import counted
from grammar_rae import kernels

x = np.array([1, 2, 3])
few = kernels.for_few(counted.total, 64)
print(few(x, 2), x.tolist(), "numba" in sys.modules)
assert kernels.for_few(counted.total, 65) is counted.total
kernels._spent = kernels._PATIENCE
assert kernels.for_few(counted.total, 1) is counted.total
print(counted.total(x, 3), x.tolist(), "numba" in sys.modules)
kernels._spent = 0.0
assert kernels.for_few(counted.total, 1) is counted.total
print(few(x, 3), x.tolist())
"""
    environment = os.environ | {"PYTHONPATH": f"{package}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "50 [20, 30, 3] False",
        "560 [210, 310, 40] True",
        "5630 [2110, 3110, 410]",
    ], done.stderr
