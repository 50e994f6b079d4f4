"""Every model that can be trained fits into the memory that loading allows it; what is larger is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from grammar_rae.density import DENSITIES
from grammar_rae.errors import CheckpointError
from grammar_rae.model.reading import build_within
from grammar_rae.recipes import RECIPES, ImageRecipe, Parts, TextRecipe, build_image, build_text

SMALL = [name for name in RECIPES if not name.startswith(("celeba", "cifar10", "mnist"))]


@pytest.fixture(scope="module")
def codec() -> Any:
    from grammar_rae.codecs import GrammarCodec
    from grammar_rae.grammar import read_grammar

    return GrammarCodec(form="expression", max_length=277, table=read_grammar("expressions"))


def fits(build: Callable[[], Parts]) -> None:
    parts = build()
    saved = {"weights": parts.autoencoder.state_dict(), "density": parts.density.state_dict()}
    again = build_within(saved, build)
    again.autoencoder.load_state_dict(saved["weights"])
    for name, tensor in parts.density.state_dict().items():
        assert torch.equal(again.density.state_dict()[name], tensor)  # nor does it change what a seed draws


@pytest.mark.parametrize("name", SMALL)
def test_recipes_fit(name: str, codec: Any) -> None:
    recipe = RECIPES[name]
    if isinstance(recipe, ImageRecipe):
        fits(lambda: build_image(recipe, (1, 16, 16)))
    else:
        assert isinstance(recipe, TextRecipe)
        fits(lambda: build_text(recipe, codec))


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_fit(name: str, codec: Any) -> None:
    if name == "flow":
        pytest.importorskip("zuko")
    recipe = replace(RECIPES["tiny"], density=name, density_options={}, latent=64)
    assert isinstance(recipe, TextRecipe)
    fits(lambda: build_text(recipe, codec))


@pytest.mark.parametrize(
    "build",
    [
        lambda: torch.zeros(10**5, 10**5),
        lambda: torch.zeros((10**6, 10**6)),
        lambda: torch.eye(10**6),
        lambda: torch.nn.Linear(10**6, 10**6),
        lambda: [torch.empty(10**6) for _ in range(10**9)],
    ],
)
def test_what_is_larger_is_refused_before_it_is_made(build: Callable[[], Any]) -> None:
    with pytest.raises(CheckpointError, match="more memory"):
        build_within({"weights": {"a": torch.zeros(10)}, "density": {}}, build)
