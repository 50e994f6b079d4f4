"""Saving and loading: whole or not at all, and nothing read that was not written."""

import errno
import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import grammar_rae.files
from grammar_rae import checkpoint
from grammar_rae.errors import CheckpointError, InputError

META = {"recipe": {"name": "toy", "layers": [1, 2]}, "grammar": "S -> 'é'", "rate": 0.1, "none": None}


def tensors(scale: float = 1.0) -> dict[str, dict[str, Tensor]]:
    return {
        "weights": {"a.weight": scale * torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor(scale)},
        "density": {"means": scale * torch.ones(2, 2, dtype=torch.float64), "empty": torch.empty(0, 3)},
    }


def same(one: dict[str, dict[str, Tensor]], other: dict[str, dict[str, Tensor]]) -> bool:
    return one.keys() == other.keys() and all(
        one[group].keys() == other[group].keys()
        and all(one[group][n].dtype == t.dtype and torch.equal(one[group][n], t) for n, t in other[group].items())
        for group in one
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "model.json"
    index = json.loads(path.read_text())
    change(index)
    index["sha256"] = checkpoint.index_digest(index)
    path.write_text(json.dumps(index))


def weights_file(folder: Path) -> Path:
    return next(folder.glob("weights-*.safetensors"))


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    checkpoint.save(folder, META, tensors())
    meta, loaded = checkpoint.load(folder, require=["weights"])
    assert meta == META
    assert same(loaded, tensors())
    digest = hashlib.sha256(weights_file(folder).read_bytes()).hexdigest()
    assert weights_file(folder).name == f"weights-{digest[:12]}.safetensors"
    assert json.loads((folder / "model.json").read_text())["files"]["weights"]["sha256"] == digest


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    )
)
def test_any_json_comes_back_in_its_order(tmp_path: Path, value: Any) -> None:
    checkpoint.save(tmp_path, {"value": value}, {})
    meta = checkpoint.load(tmp_path)[0]
    assert meta == {"value": value}
    assert repr(meta) == repr({"value": value})  # the order of dictionaries, the last bit of floats


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        checkpoint.save(tmp_path / name, META, dict(reversed(tensors().items())) if name == "b" else tensors())
    assert names(tmp_path / "a") == names(tmp_path / "b")
    for name in names(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_views_and_shared_tensors(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    odd = {"base": base, "again": base, "turned": base.T, "part": base[1:, ::2], "wide": torch.ones(1).expand(5)}
    odd |= {"leaf": torch.ones(2, requires_grad=True), "half": base.bfloat16(), "flag": base > 3}
    checkpoint.save(tmp_path, {}, {"weights": odd})
    assert same(checkpoint.load(tmp_path)[1], {"weights": {name: t.detach().clone() for name, t in odd.items()}})


def test_numpy_in_meta(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, {"a": np.float32(0.5), "b": np.arange(3)}, {})
    assert checkpoint.load(tmp_path)[0] == {"a": 0.5, "b": [0, 1, 2]}


@pytest.mark.parametrize("meta", [{"a": float("nan")}, {"a": object()}, {"a": {1, 2}}])
def test_what_json_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path, meta: Any) -> None:
    with pytest.raises(InputError, match="JSON"):
        checkpoint.save(tmp_path / "run", meta, tensors())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("group", ["", "../weights", "a/b", "a-b", "1a"])
def test_a_group_needs_a_plain_name(tmp_path: Path, group: str) -> None:
    with pytest.raises(InputError, match="plain name"):
        checkpoint.save(tmp_path, {}, {group: {}})


def test_old_files_go_and_strange_ones_stay(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, META, tensors())
    for name in ("notes.txt", "mine.safetensors"):
        (tmp_path / name).write_text("keep")
    (tmp_path / ".weights-0123456789ab.safetensors.17.tmp").write_text("left by a kill")
    before = weights_file(tmp_path)
    checkpoint.save(tmp_path, {"second": True}, {"weights": tensors(2.0)["weights"]})
    assert not before.exists()
    assert names(tmp_path) == sorted(["mine.safetensors", "model.json", "notes.txt", weights_file(tmp_path).name])


STEPS = ("open", "fsync", "replace")


class Stop(BaseException):
    """Like KeyboardInterrupt: nobody may catch it by chance."""


def fail_at(monkeypatch: pytest.MonkeyPatch, what: str, call: int, error: BaseException) -> list[int]:
    """Let the given call of os.replace, os.fsync or open-for-writing raise; returns the count of calls."""
    count = [0]

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if what != "open" or args[1:] == ("wb",):
                count[0] += 1
                if count[0] == call:
                    raise error
            return real(*args, **kwargs)

        return wrapped

    if what == "open":
        monkeypatch.setattr(checkpoint, "open", wrap(open), raising=False)
    else:
        monkeypatch.setattr(os, what, wrap(getattr(os, what)))
    return count


@pytest.mark.parametrize("what", STEPS)
@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("kind", ["stop", "full"])
def test_a_failure_at_any_moment_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, call: int, kind: str
) -> None:
    checkpoint.save(tmp_path, META, tensors())
    before = names(tmp_path)
    error = Stop() if kind == "stop" else OSError(errno.ENOSPC, "No space left on device")
    # One fsync is of the file, one of the folder, which may fail without harm.
    with monkeypatch.context() as patch:
        count = fail_at(patch, what, 2 * call - 1 if what == "fsync" else call, error)
        with pytest.raises(Stop if kind == "stop" else CheckpointError) as caught:
            checkpoint.save(tmp_path, {"second": True}, tensors(2.0))
    assert count[0] >= call
    if kind == "full":
        assert "disk full" in str(caught.value)
        assert str(tmp_path) in str(caught.value)
    assert names(tmp_path) == before
    meta, loaded = checkpoint.load(tmp_path)
    assert meta == META
    assert same(loaded, tensors())


def test_a_stop_after_the_commit_leaves_the_new_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, META, tensors())
    with monkeypatch.context() as patch:
        fail_at(patch, "fsync", 6, Stop())  # of the folder, after model.json was replaced
        with pytest.raises(Stop):
            checkpoint.save(tmp_path, {"second": True}, tensors(2.0))
    meta, loaded = checkpoint.load(tmp_path)
    assert meta == {"second": True}
    assert same(loaded, tensors(2.0))


def test_a_hard_kill_before_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, META, tensors())
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_sweep", lambda folder: None)  # a killed process tidies nothing up
        patch.setattr(grammar_rae.files, "_discard", lambda draft: None)
        fail_at(patch, "replace", 3, Stop())
        with pytest.raises(Stop):
            checkpoint.save(tmp_path, {"second": True}, tensors(2.0))
    assert any(".tmp" in name for name in names(tmp_path))
    assert checkpoint.load(tmp_path)[0] == META
    checkpoint.save(tmp_path, {"third": True}, tensors(3.0))
    assert len(names(tmp_path)) == 3
    assert same(checkpoint.load(tmp_path)[1], tensors(3.0))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot be written"):
        checkpoint.save(tmp_path / "file" / "run", META, tensors())


def test_no_model_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no such folder.*expressions, molecules"):
        checkpoint.load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"no model\.json"):
        checkpoint.load(tmp_path)
    assert not checkpoint.exists(tmp_path)


def index(version: str = "1", rest: str = '"meta": {}, "files": {}', form: str = "grammar_rae") -> str:
    return f'{{"format": "{form}", "format_version": {version}, {rest}}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *[(text, "not JSON") for text in ("", "{", "[" * 100_000, "\x00\xff", index()[:-1])],
        *[(text, "does not describe a model") for text in ("[]", "3", "null", "{}", index(form="other"))],
        *[(index(version=version), "does not describe a model") for version in ('"1"', "0", "true", "1.0", "null")],
        *[
            (index(rest=rest), "is missing")
            for rest in ('"meta": {}', '"meta": [], "files": {}', '"meta": {}, "files": 3')
        ],
        (index(rest='"meta": {}, "files": {"weights": 3}'), "not described as it should be"),
    ],
)
def test_an_index_of_garbage(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoint.load(tmp_path)
    assert str(tmp_path / "model.json") in str(caught.value)


def test_an_index_that_was_changed(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, META, tensors())
    path = tmp_path / "model.json"
    whole = path.read_text()
    for old, new in (('"toy"', '"toy "'), ("0.1", "0.2"), ("[\n    1,", "[\n    3,"), ('"sha256": "', '"sha256": "0')):
        assert old in whole
        path.write_text(whole.replace(old, new, 1))
        with pytest.raises(CheckpointError, match="changed after it was saved"):
            checkpoint.load(tmp_path)
    path.write_text(json.dumps(dict(reversed(json.loads(whole).items()))))
    assert checkpoint.load(tmp_path)[0] == META  # the same content, spelled otherwise


def test_the_first_format_has_no_sum_and_is_read(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, META, tensors())
    path = tmp_path / "model.json"
    index = json.loads(path.read_text()) | {"format_version": 1}
    path.write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="changed after it was saved"):  # a version that was turned back
        checkpoint.load(tmp_path)
    del index["sha256"]
    path.write_text(json.dumps(index))
    meta, loaded = checkpoint.load(tmp_path)
    assert meta == META and same(loaded, tensors())
    checkpoint.save(tmp_path, meta, loaded)
    assert json.loads(path.read_text())["format_version"] == checkpoint.FORMAT_VERSION


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999"])
def test_numbers_that_are_not_finite(tmp_path: Path, number: str) -> None:
    (tmp_path / "model.json").write_text(index(rest=f'"meta": {{"seed": {number}}}, "files": {{}}'))
    with pytest.raises(CheckpointError, match="not JSON"):
        checkpoint.load(tmp_path)


def test_a_linked_index_is_replaced_and_what_it_points_to_is_not(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a", META, tensors())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "model.json").symlink_to(tmp_path / "a" / "model.json")
    checkpoint.save(tmp_path / "b", {"second": True}, tensors(2.0))
    assert checkpoint.load(tmp_path / "a")[0] == META
    assert checkpoint.load(tmp_path / "b")[0] == {"second": True}


def test_saves_into_one_folder_take_turns(tmp_path: Path) -> None:
    def save(scale: int) -> None:
        checkpoint.save(tmp_path, {"scale": scale}, tensors(float(scale)))

    threads = [threading.Thread(target=save, args=(scale,)) for scale in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meta, loaded = checkpoint.load(tmp_path)
    assert same(loaded, tensors(float(meta["scale"])))
    assert len(names(tmp_path)) == 3


def test_a_newer_format(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, META, tensors())
    edit(tmp_path, lambda index: index.update(format_version=checkpoint.FORMAT_VERSION + 1))
    with pytest.raises(CheckpointError, match="newer version"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", "../outside.safetensors"),
        ("file", "/etc/passwd"),
        ("file", "sub/weights-0123456789ab.safetensors"),
        ("file", 3),
        ("sha256", "x" * 64),
        ("sha256", None),
        ("size", "10"),
        ("size", True),
    ],
)
def test_an_index_that_points_elsewhere(tmp_path: Path, key: str, value: Any) -> None:
    checkpoint.save(tmp_path, META, tensors())
    edit(tmp_path, lambda index: index["files"]["weights"].update({key: value}))
    with pytest.raises(CheckpointError, match="not described as it should be"):
        checkpoint.load(tmp_path)


def test_a_group_name_that_is_a_path(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, META, tensors())

    def rename(index: dict[str, Any]) -> None:
        entry = index["files"].pop("weights")
        index["files"]["../weights"] = entry | {"file": "../" + entry["file"]}

    edit(tmp_path, rename)
    with pytest.raises(CheckpointError, match="not described as it should be"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda blob: blob[:-1], "truncated"),
        (lambda blob: b"", "truncated"),
        (lambda blob: blob + b"x", "too long"),
        (lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]), "sha256"),
    ],
)
def test_a_damaged_tensor_file(tmp_path: Path, damage: Callable[[bytes], bytes], message: str) -> None:
    checkpoint.save(tmp_path, META, tensors())
    path = weights_file(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoint.load(tmp_path)
    assert str(path) in str(caught.value)
    # Saving the same content again repairs the file.
    checkpoint.save(tmp_path, META, tensors())
    assert same(checkpoint.load(tmp_path)[1], tensors())


def test_a_missing_tensor_file_or_group(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, META, tensors())
    with pytest.raises(CheckpointError, match="lacks best"):
        checkpoint.load(tmp_path, require=("weights", "best"))
    weights_file(tmp_path).unlink()
    with pytest.raises(CheckpointError, match="weights is missing"):
        checkpoint.load(tmp_path)


def test_a_file_that_is_no_safetensors(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, META, {})
    blob = b"\x80\x04K\x01."  # a pickle
    digest = hashlib.sha256(blob).hexdigest()
    name = f"weights-{digest[:12]}.safetensors"
    (tmp_path / name).write_bytes(blob)
    edit(tmp_path, lambda index: index["files"].update(weights={"file": name, "sha256": digest, "size": len(blob)}))
    with pytest.raises(CheckpointError, match="no safetensors file"):
        checkpoint.load(tmp_path)


def test_versions() -> None:
    found = checkpoint.versions()
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"] == torch.__version__
    assert found.keys() <= {"grammar_rae", "python", *checkpoint.PACKAGES}
    assert found["python"].startswith("3.")


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.9)),
        lambda p: torch.optim.AdamW(p, lr=0.01, fused=True, amsgrad=True),
        lambda p: torch.optim.SGD(p, lr=0.01),
        lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    ],
)
def test_an_optimizer_goes_on_as_before(tmp_path: Path, make: Callable[[Any], torch.optim.Optimizer]) -> None:
    def descend(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            net(torch.ones(1, 3)).square().sum().backward()
            optimizer.step()

    torch.manual_seed(0)
    net, copy = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = make(net.parameters())
    descend(net, optimizer, 3)
    parts, packed = checkpoint.pack_optimizer(optimizer.state_dict())
    checkpoint.save(tmp_path, {"optimizer": packed}, {"optimizer": parts, "weights": net.state_dict()})
    meta, loaded = checkpoint.load(tmp_path)
    other = make(copy.parameters())
    copy.load_state_dict(loaded["weights"])
    other.load_state_dict(checkpoint.unpack_optimizer(loaded["optimizer"], meta["optimizer"]))
    assert other.param_groups[0].keys() == optimizer.param_groups[0].keys()
    assert all(other.param_groups[0][k] == v for k, v in optimizer.param_groups[0].items() if k != "params")
    for each, its in ((net, optimizer), (copy, other)):
        descend(each, its, 3)
    assert torch.equal(net.weight, copy.weight)
    assert torch.equal(net.bias, copy.bias)


@pytest.mark.parametrize("packed", [{}, {"values": {"x": {}}, "groups": []}, {"values": {}, "groups": [3]}])
def test_an_optimizer_state_of_garbage(packed: Any) -> None:
    with pytest.raises(CheckpointError, match="optimiser"):
        checkpoint.unpack_optimizer({"0.step": torch.ones(1)}, packed)
