"""What is asked of a saved model before it is believed: its description, its sizes, its numbers.

A model's folder may come from anywhere. What it says is refused with a CheckpointError, and before anything is
allocated for it, unless it could have been written by this package.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from grammar_rae.errors import CheckpointError
from grammar_rae.model.fitted import Fitted

Built = TypeVar("Built")

_SLACK = 2**25  # bytes that building a model may take beyond its weights
_COPIES = 4  # how often its weights may be held meanwhile, as float32
_LARGEST = 2**64  # what a seed stays below; nothing else in a model is larger
_BONDS = 8  # the most that an atom's capacity can be
_FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn)


@contextmanager
def reading(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever goes wrong while a model is made of what its folder says into a CheckpointError."""
    try:
        yield
    except CheckpointError as error:
        error.where = error.where or os.fspath(folder)
        raise
    except (
        LookupError,
        TypeError,
        AttributeError,
        RuntimeError,
        ValueError,
        ArithmeticError,
        AssertionError,
        MemoryError,
    ) as error:
        raise CheckpointError(
            f"this model cannot be read ({str(error)[:200] or type(error).__name__})",
            where=os.fspath(folder),
            remedy="Load it with the version of grammar_rae that wrote it, or train again.",
        ) from error


def check_meta(meta: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless what a model says of itself has the types and ranges that a saved one has.

    The recipe, the codec and the history check the rest of themselves when they are made.
    """
    _require(all(isinstance(meta.get(part), dict) for part in ("recipe", "history")), "recipe or history", "a mapping")
    for number in _numbers(meta):
        _require(abs(number) < _LARGEST, f"the number {number:.3g}", f"less than {_LARGEST:.3g}")
    _check_number(meta, "seed", int)
    _require(meta["seed"] >= 0, f"the seed {meta['seed']}"[:100], "0 or more")
    _check_number(meta, "density_score", int, float, type(None))
    history = meta["history"]
    _require(isinstance(history.get("rows"), list), "the history's rows", "a list")
    for row in history["rows"]:
        whole = isinstance(row, dict) and all(type(value) in (int, float, type(None)) for value in row.values())
        _require(whole, "a row of the history", "names and numbers")
    _check_number(history, "best_step", int, type(None))
    _require(isinstance(history.get("stopped"), str | None), "the history's end", "a text")
    start = meta.get("start", {})
    kinds = {"recipe": str, "tokens": int, "weights": str}
    fine = isinstance(start, dict) and all(type(start[name]) is kinds.get(name) for name in start)
    _require(fine, "the start of the training", "its recipe, tokens and weights")
    codec = meta.get("codec")
    if codec is not None:
        _check_texts(meta, codec)


def _check_texts(meta: Mapping[str, Any], codec: Any) -> None:
    """The same for what a model of texts says of them."""
    _require(isinstance(codec, dict), "the codec", "a mapping")
    recipe = meta["recipe"]
    _check_number(codec, "max_length", int, type(None))
    for name, of_recipe in (
        ("kind", "codec"),
        ("form", "form"),
        ("fragments", "fragments"),
        ("max_length", "max_length"),
    ):
        _require(codec.get(name) == recipe.get(of_recipe), f"the codec's {name}", "that of the recipe")
    atoms = meta.get("atoms", {})
    _require(isinstance(atoms, dict), "the atoms", "a mapping")
    for atom, capacity in atoms.items():
        least = 0 if atom.startswith("[") else 1
        _require(type(capacity) is int and least <= capacity <= _BONDS, f"the bonds of {atom}", f"{least} to {_BONDS}")
    percentiles = meta.get("log_prob_percentiles", [0.0])
    _require(
        isinstance(percentiles, list)
        and all(type(value) in (int, float) for value in percentiles)
        and percentiles == sorted(percentiles)
        and len(percentiles) in (1, 101),
        "the percentiles of the training rows",
        "101 numbers in ascending order",
    )
    corrections = meta.get("echo_corrections", {})
    _require(
        isinstance(corrections, dict)
        and all(
            isinstance(found, list) and len(found) == 2 and all(type(number) in (int, float) for number in found)
            for found in corrections.values()
        ),
        "the corrections of an echo",
        "two numbers for each property",
    )
    _check_known(meta.get("known", {"rows": 0, "symbols": {}, "rare_tokens": []}))
    constants = meta.get("score_constants", {})
    _require(
        isinstance(constants, dict)
        and all(isinstance(values, dict) for values in constants.values())
        and all(type(value) in (int, float) for values in constants.values() for value in values.values()),
        "the constants of a score",
        "names and numbers",
    )


def _check_known(known: Any) -> None:
    """The same for what a model of texts was trained on."""
    _require(isinstance(known, dict), "what the model knows", "a mapping")
    _check_number(known, "rows", int)
    symbols, tokens = known.get("symbols"), known.get("rare_tokens")
    counted = isinstance(symbols, dict) and all(type(rows) is int and rows >= 0 for rows in symbols.values())
    _require(known["rows"] >= 0 and counted, "the symbols that the model knows", "names and numbers")
    listed = isinstance(tokens, list) and all(type(token) is int and 0 <= token < 2**16 for token in tokens)
    _require(listed, "the tokens that the model does not know", "a list of tokens")


def _check_number(found: Mapping[str, Any], name: str, *kinds: type) -> None:
    _require(type(found.get(name)) in kinds, f"{name} {found.get(name)!r}"[:100], "a number")


def _require(fine: bool, what: str, expected: str) -> None:
    if not fine:
        raise CheckpointError(
            "the description of the model is not one that this package writes",
            received=what,
            expected=expected,
            remedy="Copy the folder again from where it came, or train again.",
        )


def _numbers(value: Any) -> Iterator[int | float]:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
        elif type(one) in (int, float):
            yield one


def build_within(tensors: Mapping[str, Mapping[str, Tensor]], build: Callable[[], Built]) -> Built:
    """Build the parts of a model, random, and stop before they take more than its saved tensors can fill.

    Raises
    ------
    CheckpointError
        When the parts are larger than the tensors ("weights", "density") that belong into them.
    """
    values = sum(tensor.numel() for group in ("weights", "density") for tensor in tensors[group].values())
    with _Budget(_SLACK + _COPIES * 4 * values):
        return build()


class _Budget(TorchFunctionMode):
    """Counts the memory of new tensors, and asks large ones before they are made whether there is room."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most
        self._counted: dict[int, int] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _FACTORIES or func is torch.eye:
            sizes = args[0] if args and isinstance(args[0], tuple | list) else args
            sizes = [size for size in sizes if isinstance(size, int)]
            self._spend(4 * math.prod(sizes) * (sizes[0] if func is torch.eye and len(sizes) == 1 else 1), spent=False)
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and found.layout == torch.strided:
            storage = found.untyped_storage()
            known = self._counted.get(storage.data_ptr(), 0)
            if storage.nbytes() > known:
                self._counted[storage.data_ptr()] = storage.nbytes()
                self._spend(storage.nbytes() - known)
        return found

    def _spend(self, n_bytes: int, spent: bool = True) -> None:
        if n_bytes > self.left:
            raise CheckpointError(
                "the model's description asks for more memory than its weights fill",
                remedy="The folder is damaged or was tampered with: copy it again from where it came, or train again.",
            )
        if spent:
            self.left -= n_bytes


def check_state(parts: Fitted) -> None:
    """Raise CheckpointError unless all weights are finite, and the density is a fitted one."""
    for name, part in (("weights", parts.autoencoder), ("density", parts.density)):
        for key, tensor in part.state_dict().items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise CheckpointError(f"the {name} are not finite", received=key, remedy="Train again.")
    parts.density.check_state()
