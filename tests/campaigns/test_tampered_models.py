"""Models that were damaged or tampered with: bytes, truncations, JSON values, headers of tensor files, links.

A model that was changed and not sealed again is refused, or its content is what it was. One that was sealed again by
somebody who knows how is loaded or refused; what it is then asked for, it does or refuses. In no case is there another
error than this package's, and none takes much memory. A small part runs by default, all of it with ``-m slow``.
"""

import contextlib
import copy
import hashlib
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grammar_rae import checkpoint
from grammar_rae.errors import CheckpointError, GrammarRAEError
from grammar_rae.model import load_model
from grammar_rae.resources import bundled_model

MODEL = "expressions"
FEW, MANY = 100, 2000
MOST_MEMORY = 200  # MiB beyond what a first load takes

NASTY: list[Any] = [
    *(None, True, False, 0, -1, 1, 1.5, 2**31, 2**63, 2**64, -(2**63), 10**8, 10**9, 10**400, 1e308, -1e308, 5e-324),
    *(
        "",
        "x",
        "../x",
        "NaN",
        "\x00",
        "\ud800",
        "a" * 10_000,
        [],
        {},
        [[]],
        [None],
        {"": 0},
        [1e9],
        "none",
        "gmm",
        "gru",
    ),
    *(float("inf"), float("-inf"), float("nan")),
]


def change_json(index: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The same with one part replaced, removed or doubled. Every depth is as likely as any other."""
    changed = copy.deepcopy(index)
    here: Any = changed["meta"] if chance.random() < 0.9 else changed
    path: list[Any] = []
    while True:
        names = list(here) if isinstance(here, dict) else list(range(len(here)))
        path.append(chance.choice(names))
        below = here[path[-1]]
        if not isinstance(below, dict | list) or not below or chance.random() < 0.15:
            break
        here = below
    name, what = path[-1], chance.random()
    if what < 0.7:
        here[name] = copy.deepcopy(chance.choice(NASTY))
    elif what < 0.85:
        del here[name]
    elif isinstance(here, list):
        here.insert(name, copy.deepcopy(here[name]))
    else:
        here[f"{name} again"] = copy.deepcopy(here[name])
    return changed


def write_index(folder: Path, index: dict[str, Any], sealed: bool) -> None:
    if sealed:
        with contextlib.suppress(ValueError):  # not finite: nobody can seal it
            index["sha256"] = checkpoint.index_digest(index)
    (folder / "model.json").write_text(json.dumps(index))


def read_index(folder: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return index


def a_file(folder: Path, chance: random.Random) -> Path:
    return chance.choice(sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors")))


# --- ways to tamper: each changes the folder ------------------------------------------------------------------------


def flip(folder: Path, chance: random.Random) -> None:
    path = a_file(folder, chance)
    blob = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 4)):
        blob[chance.randrange(len(blob))] ^= 1 << chance.randrange(8)
    path.write_bytes(blob)


def cut_or_extend(folder: Path, chance: random.Random) -> None:
    path = a_file(folder, chance)
    blob = path.read_bytes()
    more = chance.random() < 0.3
    path.write_bytes(blob + chance.randbytes(chance.randint(1, 100)) if more else blob[: chance.randrange(len(blob))])


def change_values(folder: Path, chance: random.Random) -> None:
    write_index(folder, change_json(read_index(folder), chance), sealed=False)


def change_values_and_seal(folder: Path, chance: random.Random) -> None:
    write_index(folder, change_json(read_index(folder), chance), sealed=True)


def change_tensors_and_seal(folder: Path, chance: random.Random) -> None:
    """Another header, or other numbers, in a tensor file, and every sum as it should be."""
    index = read_index(folder)
    group = chance.choice(sorted(index["files"]))
    path = folder / index["files"][group]["file"]
    blob = path.read_bytes()
    size = int.from_bytes(blob[:8], "little")
    header, data = json.loads(blob[8 : 8 + size]), bytearray(blob[8 + size :])
    name = chance.choice(sorted(header))
    what = chance.randrange(6)
    if what == 0 and "shape" in header[name]:
        header[name]["shape"] = chance.choice([[], [0], [1], [10**12], [2**63], [-1], header[name]["shape"][::-1]])
    elif what == 1 and "dtype" in header[name]:
        header[name]["dtype"] = chance.choice(["F64", "F16", "BF16", "I64", "BOOL", "U8", "X"])
    elif what == 2 and "data_offsets" in header[name]:
        header[name]["data_offsets"] = chance.choice([[0, 0], [0, 10**15], [4, 0], [-1, 3], [0, len(data)]])
    elif what == 3:
        del header[name]
    elif what == 4:
        header[f"{name}.again"] = header[name]
    else:
        at = chance.randrange(max(1, len(data) - 4))
        data[at : at + 4] = np.float32(chance.choice([np.nan, np.inf, -1, 1e38, 0])).tobytes()
    text = json.dumps(header).encode()
    changed = len(text).to_bytes(8, "little") + text + data
    digest = hashlib.sha256(changed).hexdigest()
    path.unlink()
    index["files"][group] = {"file": f"{group}-{digest[:12]}.safetensors", "sha256": digest, "size": len(changed)}
    (folder / index["files"][group]["file"]).write_bytes(changed)
    write_index(folder, index, sealed=True)


def link(folder: Path, chance: random.Random) -> None:
    """Something else under the name of a file: a link to nowhere, to itself, to a folder or another file; a FIFO."""
    path = a_file(folder, chance)
    path.unlink()
    others = [*sorted(folder.iterdir()), folder, Path(__file__), folder / "nowhere", path, Path(os.devnull)]
    if chance.random() < 0.2 and hasattr(os, "mkfifo"):
        os.mkfifo(path)
    else:
        path.symlink_to(chance.choice(others))


UNSEALED: dict[str, Callable[[Path, random.Random], None]] = {
    "bytes": flip,
    "truncations": cut_or_extend,
    "values": change_values,
    "links": link,
}
SEALED: dict[str, Callable[[Path, random.Random], None]] = {
    "sealed values": change_values_and_seal,
    "sealed tensors": change_tensors_and_seal,
}


def content(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    meta, tensors = checkpoint.load(folder)
    return meta, {group: {name: t.numpy().tobytes() for name, t in named.items()} for group, named in tensors.items()}


def resident() -> float:
    """The largest memory of this process so far, in MiB."""
    resource = pytest.importorskip("resource")
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / (2**20 if sys.platform == "darwin" else 2**10)


def campaign(folder: Path, n: int) -> None:
    original = bundled_model(MODEL)
    whole = content(original)
    load_model(original).decode(np.zeros((1, 16), np.float32))  # libraries take their memory now
    before, begun, slowest = resident(), time.monotonic(), 0.0
    counts: Counter[str] = Counter()
    ways = UNSEALED | SEALED
    for seed in range(n):
        chance = random.Random(seed)
        name = list(ways)[seed % len(ways)]
        target = folder / str(seed)
        shutil.copytree(original, target)
        ways[name](target, chance)
        started = time.monotonic()
        try:
            model = load_model(target)
        except CheckpointError:
            counts[f"{name}: refused"] += 1
        except Exception as error:
            pytest.fail(f"seed {seed} ({name}): {type(error).__name__}: {error}")
        else:
            counts[f"{name}: loaded"] += 1
            if name in UNSEALED:
                assert content(target) == whole, f"seed {seed} ({name}) was accepted and is another model"
            else:
                use(model, seed, name)
        slowest = max(slowest, time.monotonic() - started)
        shutil.rmtree(target)
    grown = resident() - before
    print(f"{n} tampered models in {time.monotonic() - begun:.0f} s, {grown:.0f} MiB, the slowest {slowest:.1f} s")
    for outcome, count in sorted(counts.items()):
        print(f"  {outcome}: {count}")
    assert grown < MOST_MEMORY


def use(model: Any, seed: int, name: str) -> None:
    """Ask a model for something: it does so, or says in a sentence why not."""
    try:
        z = np.zeros((1, model.recipe_.latent), np.float32)
        model.decode(z)
        model.sample(1, valid_only=False, seed=0)
    except GrammarRAEError:
        pass
    except Exception as error:
        pytest.fail(f"seed {seed} ({name}), in use: {type(error).__name__}: {error}")


def test_some_tampered_models(tmp_path: Path) -> None:
    campaign(tmp_path, FEW)


@pytest.mark.slow
def test_many_tampered_models(tmp_path: Path) -> None:
    campaign(tmp_path, MANY)


HUGE = {
    "hidden units of the decoder": lambda meta: meta["recipe"]["decoder_options"].update(hidden=12_000),
    "hidden units of the encoder": lambda meta: meta["recipe"]["encoder_options"].update(hidden=10**7),
    "a latent space": lambda meta: meta["recipe"].update(latent=10**5),
    "components": lambda meta: meta["recipe"].update(density_options={"n_components": 10**8}),
    "positions of an encoder": lambda meta: (
        meta["recipe"].update(encoder="conv", encoder_options={}, max_length=60_000),
        meta["codec"].update(max_length=60_000),
    ),
    "a limit of the codec": lambda meta: (
        meta["recipe"].update(max_length=10**8),
        meta["codec"].update(max_length=10**8),
    ),
    "a larger limit of the codec": lambda meta: (
        meta["recipe"].update(max_length=10**9),
        meta["codec"].update(max_length=10**9),
    ),
    "layers": lambda meta: meta["recipe"].update(decoder="grammar-vae", decoder_options={"layers": 10**9}),
    "a second stage": lambda meta: meta["recipe"].update(density="two-stage", density_options={"hidden": [10**6] * 2}),
    "blocks of a flow": lambda meta: meta["recipe"].update(density="flow-matching", density_options={"blocks": 10**9}),
}


@pytest.mark.parametrize("name", HUGE)
def test_sizes_are_not_believed(tmp_path: Path, name: str) -> None:
    target = tmp_path / "model"
    shutil.copytree(bundled_model(MODEL), target)
    load_model(target)
    index = read_index(target)
    HUGE[name](index["meta"])
    write_index(target, index, sealed=True)
    before = resident()
    with pytest.raises(CheckpointError):
        load_model(target)
    assert resident() - before < 100


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta["atoms"].update(N=0),
        lambda meta: meta["atoms"].update(S=-1),
        lambda meta: meta["atoms"].update(Cl=1.5),
        lambda meta: meta.update(seed=2.5),
        lambda meta: meta.update(seed=10**400),
        lambda meta: meta.update(density_score="good"),
        lambda meta: meta["recipe"].update(form="kekule"),
        lambda meta: meta["codec"].update(max_length=True),
        lambda meta: meta["history"].update(rows=[3]),
        lambda meta: meta["codec"]["grammar"]["productions"].pop(),
        lambda meta: meta["codec"]["macros"].append([0, 10**9]),
    ],
)
def test_what_no_saved_model_says(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    target = tmp_path / "model"
    shutil.copytree(bundled_model(MODEL), target)
    index = read_index(target)
    change(index["meta"])
    write_index(target, index, sealed=True)
    with pytest.raises(CheckpointError) as caught:
        load_model(target)
    assert str(target) in str(caught.value)
