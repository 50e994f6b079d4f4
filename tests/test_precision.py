"""What a model does depends on no default type of PyTorch's."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import grammar_rae
from grammar_rae.density import DENSITIES
from grammar_rae.model import TextModel
from grammar_rae.optimization import optimize

TEXTS = ["C" * n + end for n in range(1, 12) for end in ("O", "N", "F", "Cl")]
CODES = np.random.default_rng(0).normal(size=(60, 2))


@pytest.fixture
def defaults() -> Iterator[tuple[torch.dtype, ...]]:
    yield (torch.float32, torch.float64)
    torch.set_default_dtype(torch.float32)


def run_all() -> list[Any]:
    model = grammar_rae.train(TEXTS, "tiny", epochs=1, progress=False, jobs=1, density="gaussian", density_options={})
    found = model.sample(5, seed=0, valid_only=False)
    loaded = TextModel.load("data/models/molecules")
    z = loaded.encode(TEXTS[:3])
    assert z.dtype == found.latent.dtype == np.float32
    search = optimize(loaded, len, TEXTS, n_iterations=1, batch_size=2)
    return [
        found.texts,
        found.latent.tolist(),
        loaded.decode(z, temperature=1.0, seed=0),
        z.tolist(),
        list(search.history["text"]),
    ]


def test_a_model_and_a_search(defaults: tuple[torch.dtype, ...]) -> None:
    results = []
    for kind in defaults:
        torch.set_default_dtype(kind)
        results.append(run_all())
        assert torch.get_default_dtype() is kind
    assert results[0] == results[1]


@pytest.mark.parametrize("name", ["gaussian", "gmm", "kernel"])
def test_densities(name: str, defaults: tuple[torch.dtype, ...]) -> None:
    drawn = []
    for kind in defaults:
        torch.set_default_dtype(kind)
        density = DENSITIES[name](2).fit(CODES)
        drawn.append(density.sample(3, torch.Generator().manual_seed(0)))
        assert drawn[-1].dtype == torch.float32
    torch.testing.assert_close(*drawn)
