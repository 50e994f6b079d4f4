"""A model for a codec with further tokens does for the known ones what it did before."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from grammar_rae.codecs import GrammarCodec
from grammar_rae.errors import InputError
from grammar_rae.model.widening import spell_in, widen
from grammar_rae.recipes import RECIPES, build_text

KNOWN = ["CCO", "c1ccccc1O", "CC(=O)Nc1ccc(O)cc1", "CCN(CC)CC"] * 3
NEW = ["NS(=O)(=O)c1ccc(N)cc1", "NS(=O)(=O)c1ccc(Cl)cc1", "CNS(=O)(=O)c1ccccc1"] * 4


@pytest.fixture(scope="module")
def codecs():
    known = GrammarCodec.learn(KNOWN, n_macros=30, form="kekule", max_length=32)
    return known, known.extend(NEW, 20)


@pytest.fixture(scope="module")
def nets(codecs):
    torch.manual_seed(0)
    before, after = (build_text(RECIPES["tiny"], codec).autoencoder.eval() for codec in codecs)
    after.load_state_dict(widen(before.state_dict(), after.state_dict(), *codecs))
    return before, after


def test_a_further_token_is_spelled_in_known_ones(codecs):
    known, longer = codecs
    parts = spell_in(known, longer)
    assert len(parts) == longer.rules.size - known.rules.size > 0
    for token, part in enumerate(parts, start=known.rules.size):
        assert len(part) > 1 and max(part) < known.rules.size
        np.testing.assert_array_equal(longer.macros.expand(np.array([token])), known.macros.expand(np.array(part)))


def test_known_tokens_are_read_and_predicted_as_before(codecs, nets):
    known, longer = codecs
    before, after = nets
    tokens = torch.from_numpy(known.encode("CC(=O)Nc1ccc(O)cc1").astype(np.int64))[None]
    z = before.encode(tokens)
    torch.testing.assert_close(after.encode(tokens), z)
    logits = after.decoder(z, tokens)
    torch.testing.assert_close(logits[..., : known.rules.size], before.decoder(z, tokens))
    parts = spell_in(known, longer)
    means = torch.stack([logits[..., list(part)].mean(-1) for part in parts], dim=-1)
    torch.testing.assert_close(logits[..., known.rules.size :], means)


def test_a_further_token_contributes_what_its_parts_do(codecs):
    sizes = [codec.rules.size for codec in codecs]
    before, after = ({"decoder.contributions": torch.rand(size + 1, 2)} for size in sizes)
    wider = widen(before, after, *codecs)["decoder.contributions"]
    known = before["decoder.contributions"]
    torch.testing.assert_close(wider[: sizes[0]], known[:-1])
    torch.testing.assert_close(wider[-1], known[-1])
    for token, part in enumerate(spell_in(*codecs), start=sizes[0]):
        torch.testing.assert_close(wider[token], known[list(part)].sum(0))


def test_nets_that_cannot_grow(codecs):
    recipe = replace(RECIPES["molecules-conv"], encoder_options={"embedding": 8, "channels": 8}, latent=8)
    known, longer = codecs[0], replace(codecs[1], max_length=48)
    before, after = (build_text(recipe, codec).autoencoder.state_dict() for codec in (known, longer))
    with pytest.raises(InputError, match=r"cannot take further tokens.*encoder\.dense\.weight"):
        widen(before, after, known, longer)
