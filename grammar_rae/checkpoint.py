"""Saving and loading: one ``model.json`` and one safetensors file per group of tensors, never pickle.

A folder is a checkpoint when it holds a ``model.json``::

    {"format": "grammar_rae", "format_version": 2, "sha256": "9a8b7c...", "meta": {...},
     "files": {"weights": {"file": "weights-0f1e2d3c4b5a.safetensors", "sha256": "0f1e2d...", "size": 1234}}}

Tensor files are named by their content, so a new save never touches a file that the old ``model.json`` names. Replacing
``model.json`` is the commit: whatever stops a save, before that moment the old model stands, after it the new one. What
it says itself is under the outer ``sha256``: that of all else in it, as JSON with sorted keys and without blanks. It
tells damage, not intent: whoever means to change a model can compute it too.

Checkpoints of version 1, which have no such sum, are still read; saving one again makes it one of version 2.
"""

import contextlib
import errno
import hashlib
import importlib.metadata
import json
import math
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grammar_rae.errors import CheckpointError, DataError, InputError
from grammar_rae.files import DRAFT, replacing
from grammar_rae.locks import FolderLock
from grammar_rae.resources import bundled_models

if TYPE_CHECKING:  # what a checkpoint says of itself is read without PyTorch
    from torch import Tensor

FORMAT = "grammar_rae"
FORMAT_VERSION = 2
SEALED_FROM = 2
"""The first version whose index has a sum of its own."""
INDEX = "model.json"
PACKAGES = ("torch", "numpy", "scikit-learn", "rdkit", "nltk")

_GROUP = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TENSOR_FILE = re.compile(r"[A-Za-z][A-Za-z0-9_]*-[0-9a-f]{12}\.safetensors")
_TEMPORARY = re.compile(DRAFT + r"|\.(?:model\.json|[A-Za-z][A-Za-z0-9_]*-[0-9a-f]{12}\.safetensors)\.[0-9]+\.tmp")
_LARGEST_INDEX = 2**26  # bytes; JSON takes ten times as much in memory
_PATIENCE = 60.0  # seconds that a save waits for another one into the same folder
_RETRAIN = "Copy the folder again from where it came, or train again."


def save(folder: str | Path, meta: Mapping[str, Any], tensors: "Mapping[str, Mapping[str, Tensor]]") -> None:
    """Write a checkpoint, or leave the one that is there as it was.

    Parameters
    ----------
    folder
        Made when missing. Files of an older checkpoint in it are removed after the new one stands; other files stay.
    meta
        What JSON can hold (NumPy scalars and arrays become numbers and lists); not-a-number is refused.
    tensors
        Group name (letters, digits, ``_``) -> tensor name -> tensor, on any device, contiguous or not, shared or not.

    Raises
    ------
    InputError
        For a group name that cannot be a file name, or a ``meta`` that JSON cannot hold.
    CheckpointError
        When the folder cannot be written, for example because the disk is full.

    The same content gives the same bytes. Processes that save into the same folder take turns.
    """
    folder = Path(folder)
    blobs = {group: _serialise(group, named) for group, named in sorted(tensors.items())}
    digests = {group: hashlib.sha256(blob).hexdigest() for group, blob in blobs.items()}
    files = {
        group: {"file": _file_name(group, digests[group]), "sha256": digests[group], "size": len(blob)}
        for group, blob in blobs.items()
    }
    index = _to_json(meta, files)
    with _writing(folder), FolderLock(folder, "saving", name=".saving.lock", wait=_PATIENCE):
        try:
            for group, blob in blobs.items():
                path = folder / _file_name(group, digests[group])
                if not _holds(path, digests[group]):
                    _write(path, blob)
            _write(folder / INDEX, index)
        finally:
            # Also after a failure: what was written before it is named by no index.
            _sweep(folder)


def load(folder: str | Path, require: Iterable[str] = ()) -> "tuple[dict[str, Any], dict[str, dict[str, Tensor]]]":
    """Read a checkpoint back: ``(meta, tensors)``, the tensors on the CPU.

    Parameters
    ----------
    folder
        A folder written by :func:`save`.
    require
        Groups that must be there.

    Raises
    ------
    CheckpointError
        When there is no checkpoint, or it is of a newer format, incomplete, damaged or not what ``model.json`` says.
        Nothing in ``model.json`` is trusted: file names must be those that the content dictates.
    """
    folder = Path(folder)
    index = _read_index(folder)
    files = index["files"]
    missing = [group for group in require if group not in files]
    if missing:
        raise CheckpointError(
            f"the checkpoint lacks {', '.join(missing)}",
            received=f"groups {', '.join(sorted(files)) or 'none'}",
            where=str(folder / INDEX),
            remedy="It was saved for another purpose, or by other software; choose another folder.",
        )
    return index["meta"], {group: _read_tensors(folder, group, entry) for group, entry in files.items()}


def read_meta(folder: str | Path) -> dict[str, Any]:
    """The ``meta`` of a checkpoint, without its tensors.

    Raises
    ------
    CheckpointError
        When there is no checkpoint, or its ``model.json`` is of a newer format or damaged.
    """
    meta: dict[str, Any] = _read_index(Path(folder))["meta"]
    return meta


def exists(folder: str | Path) -> bool:
    """Whether the folder holds a checkpoint (of whatever version, whole or not)."""
    return (Path(folder) / INDEX).is_file()


def versions() -> dict[str, str]:
    """The versions of this package, Python and the libraries that a result may depend on; absent ones are left out.

    Reads the installed metadata and imports none of them.
    """
    found = {"python": platform.python_version()}
    for package in ("grammar_rae", *PACKAGES):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def pack_optimizer(state: Mapping[str, Any]) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Take an optimiser's ``state_dict()`` apart into tensors and what JSON can hold.

    Good for every optimiser whose state is, per parameter, tensors, numbers and None: SGD, Adam, AdamW and their like.
    """
    from torch import Tensor

    tensors: dict[str, Tensor] = {}
    values: dict[str, dict[str, Any]] = {}
    for parameter, slots in state["state"].items():
        values[str(parameter)] = {}
        for slot, value in slots.items():
            if isinstance(value, Tensor):
                tensors[f"{parameter}.{slot}"] = value
            else:
                values[str(parameter)][slot] = value
    groups = [
        {name: value.item() if isinstance(value, Tensor) else value for name, value in group.items()}
        for group in state["param_groups"]
    ]
    return tensors, {"values": values, "groups": groups}


def unpack_optimizer(tensors: "Mapping[str, Tensor]", packed: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of :func:`pack_optimizer`; the result goes into ``optimizer.load_state_dict``.

    Raises
    ------
    CheckpointError
        When the parts do not belong together.
    """
    try:
        state: dict[int, dict[str, Any]] = {
            int(parameter): dict(slots) for parameter, slots in packed["values"].items()
        }
        for name, tensor in tensors.items():
            parameter, slot = name.split(".", 1)
            state[int(parameter)][slot] = tensor
        # JSON has no tuples; an optimiser's settings (betas) have no lists but that of the parameters.
        groups = [
            {name: tuple(value) if isinstance(value, list) and name != "params" else value for name, value in g.items()}
            for g in packed["groups"]
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError("the optimiser's state is not what this package writes", remedy=_RETRAIN) from error
    return {"state": state, "param_groups": groups}


# Writing


def _file_name(group: str, digest: str) -> str:
    return f"{group}-{digest[:12]}.safetensors"


def _serialise(group: str, named: "Mapping[str, Tensor]") -> bytes:
    if not _GROUP.fullmatch(group):
        raise InputError("a group of tensors needs a plain name", received=repr(group), expected="letters, digits, _")
    import safetensors.torch

    # A fresh, contiguous copy each: safetensors refuses views and tensors that share memory.
    copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in named.items()}
    return safetensors.torch.save(copies)


def _to_json(meta: Mapping[str, Any], files: Mapping[str, Any]) -> bytes:
    def convert(value: Any) -> Any:
        if isinstance(value, Mapping):
            return dict(value)
        if hasattr(value, "tolist"):
            return value.tolist()
        raise TypeError(f"{type(value).__name__} has no form in JSON")

    try:
        plain = json.loads(json.dumps(meta, allow_nan=False, default=convert))
        index = {"format": FORMAT, "format_version": FORMAT_VERSION, "meta": plain, "files": files}
        sealed = {"format": FORMAT, "format_version": FORMAT_VERSION, "sha256": index_digest(index)} | index
        text = json.dumps(sealed, indent=1, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the checkpoint's meta cannot be written as JSON ({error})") from error
    if len(text) > _LARGEST_INDEX:
        raise InputError("the checkpoint's meta is too long", received=f"{len(text):,} bytes of JSON")
    return text.encode("utf-8")


def index_digest(index: Mapping[str, Any]) -> str:
    """The sum that stands in an index: the sha256 of all else in it, as canonical JSON."""
    content = {name: value for name, value in index.items() if name != "sha256"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Errors of the file system as a CheckpointError that says what to do."""
    try:
        yield
    except DataError as error:  # another process is saving there
        raise CheckpointError(error.message, received=error.received, where=error.where, remedy=error.remedy) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        reason = "disk full" if full else (error.strerror or type(error).__name__).lower()
        raise CheckpointError(
            f"the checkpoint cannot be written: {reason}",
            where=str(folder),
            remedy=("Free some space" if full else "Choose a folder that can be written")
            + "; what was saved there before is unharmed.",
        ) from error


def _write(path: Path, blob: bytes) -> None:
    """Put a whole file in place: a draft, its bytes on the disk, then the name."""
    # A link is not followed: the file belongs to this folder, and what it names lies beside it.
    with replacing(path, sync=True, follow=False) as draft, open(draft, "wb") as file:
        file.write(blob)


def _holds(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _sweep(folder: Path) -> None:
    """Remove temporary files, and tensor files that the standing ``model.json`` does not name."""
    try:
        named = {entry["file"] for entry in _read_index(folder)["files"].values()} if exists(folder) else set()
    except CheckpointError:
        named = None  # An index that nobody can read names nothing, but its tensors may still be wanted.
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            stale = named is not None and _TENSOR_FILE.fullmatch(path.name) and path.name not in named
            if stale or _TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)


# Reading


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    if not path.is_file():
        found = f"no {INDEX} in it"
        remedy = "Give the folder that training or save wrote"
        if not folder.exists():
            found = "no such folder"
            remedy += f", or the name of a model in the box ({', '.join(bundled_models())})"
        raise CheckpointError(
            f"this is not the folder of a saved model: {found}", where=str(folder), remedy=f"{remedy}."
        )
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_INDEX + 1)
        if len(text) > _LARGEST_INDEX:
            raise CheckpointError("the file is too long to describe a model", where=str(path), remedy=_RETRAIN)
        index = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except OSError as error:
        raise CheckpointError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError("the file is damaged: it is not JSON", where=str(path), remedy=_RETRAIN) from error
    _check_index(index, path)
    return dict(index)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _check_index(index: Any, path: Path) -> None:
    version = index.get("format_version") if isinstance(index, dict) else None
    if not isinstance(index, dict) or index.get("format") != FORMAT or type(version) is not int or version < 1:
        raise CheckpointError(
            "the file does not describe a model of this package", where=str(path), remedy="Give another folder."
        )
    if version > FORMAT_VERSION:
        raise CheckpointError(
            "the model was saved by a newer version of this package",
            received=f"format {version}",
            expected=f"format {FORMAT_VERSION} or older",
            where=str(path),
            remedy="Install a newer grammar_rae.",
        )
    _check_seal(index, version, path)
    meta, files = index.get("meta"), index.get("files")
    if not isinstance(meta, dict) or not isinstance(files, dict):
        raise CheckpointError("the file is damaged: meta or files is missing", where=str(path), remedy=_RETRAIN)
    for group, entry in files.items():
        digest, size = (entry.get("sha256"), entry.get("size")) if isinstance(entry, dict) else (None, None)
        if not (
            isinstance(entry, dict)
            and isinstance(digest, str)
            and re.fullmatch(r"[0-9a-f]{64}", digest)
            and type(size) is int
            and _GROUP.fullmatch(group)
            # The one name that the content dictates: no path, no other folder can be smuggled in.
            and entry.get("file") == _file_name(group, digest)
        ):
            raise CheckpointError(
                "the file is damaged: a tensor file is not described as it should be",
                received=f"{group!r}: {entry!r}"[:200],
                where=str(path),
                remedy=_RETRAIN,
            )


def _check_seal(index: Mapping[str, Any], version: int, path: Path) -> None:
    """Raise CheckpointError unless the index is what was saved; version 1 has no sum, and must have none."""
    found = index.get("sha256")
    try:
        whole = found == index_digest(index) if version >= SEALED_FROM else "sha256" not in index
    except RecursionError:
        whole = False
    if not whole:
        raise CheckpointError(
            "the file was changed after it was saved (its sha256 differs)", where=str(path), remedy=_RETRAIN
        )


def _read_tensors(folder: Path, group: str, entry: Mapping[str, Any]) -> "dict[str, Tensor]":
    path = folder / entry["file"]
    if not path.is_file():
        raise CheckpointError(f"the file with the {group} is missing", where=str(path), remedy=_RETRAIN)
    try:
        size = path.stat().st_size
        blob = path.read_bytes() if size == entry["size"] else b""
    except OSError as error:
        raise CheckpointError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
    if size != entry["size"]:
        raise CheckpointError(
            f"the file with the {group} is {'truncated' if size < entry['size'] else 'too long'}",
            received=f"{size} bytes",
            expected=f"{entry['size']} bytes",
            where=str(path),
            remedy=_RETRAIN,
        )
    if hashlib.sha256(blob).hexdigest() != entry["sha256"]:
        raise CheckpointError(
            f"the file with the {group} was changed after it was saved (its sha256 differs)",
            where=str(path),
            remedy=_RETRAIN,
        )
    import safetensors.torch

    try:
        return safetensors.torch.load(blob)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"the file with the {group} is no safetensors file", where=str(path)) from error
