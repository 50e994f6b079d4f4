"""A search is not worse than its own model: the plain draws keep their share as long as they earn it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from optimization.chains import Chains
from optimization.digits import drawn

from grammar_rae.optimization import Search


class Deaf:
    """A model whose draws are good now and then, and whose children never are."""

    codec = SimpleNamespace(canonical=lambda text: text)

    def encode(self, texts: list[str], errors: str = "raise") -> Any:
        codes = np.array([np.random.default_rng(int(text[1:])).normal(size=3) for text in texts], np.float32)
        return SimpleNamespace(codes=codes.reshape(-1, 3), rows=np.arange(len(texts)))

    def decode_batch(self, z: Any, seed: int = 0, **options: Any) -> Any:
        texts = [f"n{number}" for number in np.random.default_rng(seed).integers(10**9, size=len(z))]
        return SimpleNamespace(texts=texts, valid=np.ones(len(texts), bool))

    def sample(self, n: int, valid_only: bool = True, seed: int = 0, constraint: Any = None) -> Any:
        return drawn(self, [f"d{number}" for number in np.random.default_rng(seed).integers(10**9, size=n)])


def worth(text: str) -> float:
    return int(text[1:]) / 10**9 if text[0] == "d" else -1.0


@pytest.mark.parametrize("strategy", ["analogues", "scaffolds"])
def test_where_children_are_bad_the_draws_are_evaluated(strategy: str) -> None:
    search = Search(
        Deaf(), {"worth": "maximize"}, strategy=strategy, seed=0, n_initial=20, n_pool=80, surrogate="codes"
    )
    for _ in range(10):
        batch = search.ask(20)
        search.tell(batch[["id"]].assign(worth=[worth(text) for text in batch["smiles"]]))
    history = search.history()
    drawn = history["origin"] == "draws"
    late = history["batch"] > 5
    assert drawn[late].mean() > 0.45 > drawn[history["batch"] == 2].mean()
    plain = [worth(text) for text in Deaf().sample(100).texts]
    assert history["worth"].nlargest(10).mean() >= np.sort(plain)[-10:].mean() - 0.05  # 100 draws, half of the calls


def test_where_draws_are_bad_they_fade() -> None:
    search = Search(Chains(), {"weight": "maximize"}, seed=0, n_initial=16, n_pool=80, surrogate="codes")
    history = search.run(64, batch_size=8).history()
    drawn = history["origin"] == "draws"
    assert drawn[history["batch"] > 5].mean() < 0.2
