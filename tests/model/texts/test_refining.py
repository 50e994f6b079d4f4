"""A refined model says what it has learned more often; its codes, and the model it came from, stay."""

import numpy as np
import pytest
from models import same_weights

from grammar_rae.errors import InputError
from grammar_rae.model import TextModel

LEARNED = ["CCCCO", "CCCCN"]


def cost(model: TextModel, texts: list[str]) -> float:
    """The mean cost of texts at their own codes."""
    import torch

    from grammar_rae.datasets import pad_tokens

    batch = model.codec.encode_batch(texts)
    x = torch.from_numpy(pad_tokens(batch.tokens, batch.offsets, np.arange(len(texts))))
    with torch.no_grad():
        return float(model.autoencoder_.eval()(x).reconstruction)


def test_a_decoder_learns_in_a_few_steps(model: TextModel) -> None:
    before = cost(model, LEARNED)
    codes = model.encode(LEARNED)
    found = model.refined(LEARNED, rehearsed=["CCO", "nonsense"], steps=30, learning_rate=5e-3, seed=1)
    assert cost(found, LEARNED) < before - 0.5 and cost(model, LEARNED) == before
    np.testing.assert_allclose(found.encode(LEARNED), codes, atol=1e-6)
    again = model.refined(LEARNED, rehearsed=["CCO", "nonsense"], steps=30, learning_rate=5e-3, seed=1)
    assert same_weights(found, again) and not same_weights(found, model)
    assert len(found.sample(3, seed=0).texts) == 3 and found.density_ is model.density_


@pytest.mark.parametrize(
    ("texts", "options"), [([], {}), (["nonsense"], {}), (["CCO"], {"steps": 0}), (["CCO"], {"learning_rate": -1})]
)
def test_what_cannot_be_learned_is_refused(model: TextModel, texts: list[str], options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        model.refined(texts, **options)  # type: ignore[arg-type]
