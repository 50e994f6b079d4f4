"""A toy model of texts of three digits, and searches of it that take a moment."""

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from grammar_rae.errors import InputError, TextError
from grammar_rae.optimization import Optimization, optimize


def drawn(model: Any, texts: list[str]) -> Any:
    """What a toy model draws: valid texts, at their own codes."""
    return SimpleNamespace(
        texts=texts, valid=np.ones(len(texts), bool), latent=model.encode(texts, errors="skip").codes
    )


class Digits:
    """Texts of three digits around codes in [-1, 1]^3; codes far away decode to nothing."""

    dimensions = 3
    codec = SimpleNamespace(canonical=lambda text: text if text.isdigit() else None)

    def encode(self, texts: list[str], errors: str = "raise") -> Any:
        rows = [row for row, text in enumerate(texts) if len(text) == self.dimensions]
        if errors == "raise" and len(rows) < len(texts):
            raise TextError("not three digits", text=str(texts))
        digits = np.array([[int(digit) for digit in texts[row]] for row in rows], np.float32)
        codes = digits.reshape(-1, self.dimensions) / 4.5 - 1
        return SimpleNamespace(codes=codes, rows=np.array(rows, int)) if errors == "skip" else codes

    def decode_batch(self, z: Any, **options: Any) -> Any:
        texts = self.decode(z, **options)
        return SimpleNamespace(texts=texts, valid=np.array([text.isdigit() for text in texts], bool))

    def decode(self, z: Any, temperature: float = 0.0, constraint: Any = None, seed: int | None = None) -> list[str]:
        z = np.asarray(z)
        if temperature:
            z = z + 0.1 * np.random.default_rng(seed).normal(size=z.shape)
        digits = np.clip(np.rint((z + 1) * 4.5), 0, 9).astype(int)
        return ["".join(map(str, row)) if abs(code).max() < 1.5 else "?" for row, code in zip(digits, z, strict=True)]

    def sample(self, n: int, valid_only: bool = True, seed: int = 0, constraint: Any = None) -> Any:
        digits = np.random.default_rng(seed).integers(0, 7, (n, self.dimensions))
        return drawn(self, ["".join(map(str, row)) for row in digits])

    def refined(self, texts: list[str], **options: Any) -> "Digits":
        """A model that draws only what it has learned."""
        found = type(self)()
        found.sample = lambda n, **options: drawn(self, texts[:n])  # type: ignore[method-assign]
        return found


class Mute(Digits):
    """A decoder that never says anything valid."""

    def decode(self, z: Any, temperature: float = 0.0, constraint: Any = None, seed: int | None = None) -> list[str]:
        return ["?"] * len(z)


class Stuck(Digits):
    """A decoder that always says the same."""

    def decode(self, z: Any, temperature: float = 0.0, constraint: Any = None, seed: int | None = None) -> list[str]:
        return ["999"] * len(z)


class Refusing(Digits):
    """A decoder that cannot serve what is asked of it."""

    def decode(self, z: Any, temperature: float = 0.0, constraint: Any = None, seed: int | None = None) -> list[str]:
        raise InputError("there is no such constraint")


def total(text: str) -> float:
    """The sum of the digits."""
    return float(sum(map(int, text)))


def tilt(text: str) -> float:
    """The first digit less the others."""
    return int(text[0]) - 0.7 * int(text[1]) - 0.6 * int(text[2])


FAST: dict[str, dict[str, Any]] = {
    "paper": {"n_raw": 32, "n_starts": 2},
    "turbo": {"n_pool": 100},
    "density": {"n_pool": 60, "steps": 3},
    "analogues": {"n_pool": 60},
    "scaffolds": {"n_pool": 60},
    "adapt": {"n_pool": 60},
}
SMALL: dict[str, Any] = {"n_initial": 30, "n_iterations": 3, "batch_size": 4}


def run(strategy: str = "turbo", score: Any = total, model: Any = None, data: Any = None, **more: Any) -> Optimization:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(iteration|no point)", UserWarning)
        chosen = {**SMALL, **FAST.get(strategy, {}), **more}
        return optimize(Digits() if model is None else model, score, data, strategy=strategy, **chosen)


def same(one: Optimization, other: Optimization) -> None:
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    pd.testing.assert_frame_equal(one.initial, other.initial, check_exact=True)
    pd.testing.assert_frame_equal(one.decoded, other.decoded)
    np.testing.assert_array_equal(one.latent, other.latent)
