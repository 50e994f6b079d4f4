"""The models in the box give what they gave when these outputs were recorded, whatever was renamed or moved since.

Recorded in float32 on processors with AVX2, and AVX-512 (`molecules`), with PyTorch 2.13. Another processor rounds
differently, which may turn single draws into others, so a few of them may differ; none may differ where the likeliest
token is taken.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import grammar_rae

RECORDED = json.loads((Path(__file__).parent / "recorded_outputs.json").read_text(encoding="utf-8"))
MODELS = sorted(RECORDED)


@pytest.fixture(scope="module", params=MODELS)
def recorded(request):
    model = grammar_rae.load(request.param)
    model.fitted_ = replace(model.fitted_, recipe=model.recipe_.replace(precision="32-true"))
    return model, RECORDED[request.param]


def share_of_equal(found, expected):
    assert len(found) == len(expected)
    return np.mean([one == other for one, other in zip(found, expected, strict=True)])


def test_codes(recorded):
    model, expected = recorded
    z = model.encode(expected["texts"])
    np.testing.assert_allclose(z[:, :6], expected["codes"], atol=2e-3)


def test_reconstructions(recorded):
    model, expected = recorded
    assert model.reconstruct(expected["texts"]) == expected["reconstructed"]


def test_draws_of_the_density(recorded):
    model, expected = recorded
    assert share_of_equal(model.sample(12, valid_only=False, seed=0).texts, expected["raw"]) >= 0.75


def test_decoded_codes(recorded):
    model, expected = recorded
    z = model.density_.sample(12, torch.Generator().manual_seed(1))
    assert share_of_equal(model.decode(z), expected["decoded"]) >= 0.75


def test_draws_under_a_constraint(recorded):
    model, expected = recorded
    for constraint, texts in expected["constrained"].items():
        assert share_of_equal(model.sample(12, seed=0, constraint=constraint).texts, texts) >= 0.75
