"""Codes that are moved until their texts come back."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

import grammar_rae
from grammar_rae.datasets import pad_tokens, read_records, read_texts
from grammar_rae.errors import InputError
from grammar_rae.model import TextModel
from grammar_rae.model.polishing import polish_codes
from grammar_rae.model.streaming import RecordEncoder
from grammar_rae.model.vectorizer import MoleculeVectorizer
from grammar_rae.resources import bundled_file

# Ligands that the bundled model has not seen, long ones, of which the encoder alone misses some.
LIGANDS = sorted((text for _, text in read_texts(bundled_file("data/gsk3b_ligands.csv.gz"))), key=len)[-120::2]


@pytest.fixture(scope="module")
def model() -> TextModel:
    return grammar_rae.load("molecules")


def tokens_of(model: TextModel) -> torch.Tensor:
    batch = model.codec.encode_batch(LIGANDS)
    assert not batch.rejected
    return torch.from_numpy(pad_tokens(batch.tokens, batch.offsets, np.arange(len(LIGANDS))))


def judge(model: TextModel, z: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the tokens cost given codes, and whether each is the likeliest."""
    nets = model.autoencoder_
    with torch.inference_mode():
        cost, exact = nets.likelihood(nets.decoder(nets.smooth(z), x), x)
    return cost, exact


def test_texts_become_likelier_and_come_back(model: TextModel) -> None:
    x, z = tokens_of(model), torch.from_numpy(model.encode(LIGANDS, polish=0))
    before, exact = judge(model, z, x)
    polished = polish_codes(model.autoencoder_, x, z, 12)
    after, found = judge(model, polished, x)
    assert (found | ~exact).all() and int((~exact).sum()) >= 5
    assert int((found & ~exact).sum()) >= int((~exact).sum()) / 2
    assert torch.equal(polished[exact], z[exact]), "what comes back stays"
    assert (after <= before + 1e-3).all()
    assert (polished - z).norm(dim=1).max() < z.norm(dim=1).mean() / 2
    torch.testing.assert_close(polished.norm(dim=1), z.norm(dim=1), rtol=1e-3, atol=0)  # on their sphere
    assert not polished.requires_grad and all(one.grad is None for one in model.autoencoder_.parameters())


def test_each_row_is_polished_by_itself(model: TextModel) -> None:
    x, z = tokens_of(model), torch.from_numpy(model.encode(LIGANDS, polish=0))
    together = polish_codes(model.autoencoder_, x, z, 3)
    for row in range(0, len(LIGANDS), 6):
        alone = polish_codes(model.autoencoder_, x[row : row + 1], z[row : row + 1], 3)
        torch.testing.assert_close(alone[0], together[row], atol=2e-3, rtol=1e-3)
    assert torch.equal(polish_codes(model.autoencoder_, x, z, 0), z)


def test_every_way_to_a_code_polishes_it(model: TextModel) -> None:
    plain, polished = model.encode(LIGANDS, polish=0), model.encode(LIGANDS, polish=8)
    few, many = (model.reconstruction(LIGANDS, polish=steps) for steps in (0, 8))
    assert many.share > few.share
    assert model.reconstruct(LIGANDS, polish=8) == model.decode(polished) == many.texts
    assert model.reconstruct(LIGANDS, nearest=1, seed=0) == model.decode(plain, nearest=1, seed=0)
    own = copy(model)
    for steps, expected in ((0, plain), (8, polished)):
        own.fitted_ = replace(own.fitted_, recipe=own.recipe_.replace(polish=steps))
        np.testing.assert_allclose(own.encode(LIGANDS), expected, atol=1e-5)
        _, records = read_records(LIGANDS)
        parts = list(RecordEncoder(own, records))
        np.testing.assert_allclose(np.concatenate([part.codes for part in parts]), expected, atol=1e-5)
        np.testing.assert_allclose(MoleculeVectorizer(own).fit_transform(LIGANDS), plain, atol=1e-5)


def test_what_cannot_be_polished(model: TextModel) -> None:
    for steps in (-1, 1.5, True, "many"):
        with pytest.raises(InputError, match="polish"):
            model.encode(["CCO"], polish=steps)  # type: ignore[call-overload]
        with pytest.raises(InputError, match="polish"):
            TextModel("tiny", overrides={"polish": steps}).fit(["CCO", "CCC", "CCN", "CCCC"])
    with pytest.raises(InputError, match="drawn"):
        model.encode(["CCO"], noise=True, seed=0, polish=2)
    fast = model.quantized(check=0)
    with pytest.raises(InputError, match="eight bits"):
        fast.encode(["CCO"], polish=2)
    assert len(fast.encode(["CCO"])) == 1
