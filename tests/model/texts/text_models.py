"""Molecules and a recipe to train tiny models on in a moment."""

from itertools import islice
from typing import Any

from grammar_rae import datasets
from grammar_rae.model import TextModel
from grammar_rae.recipes import RECIPES
from grammar_rae.resources import bundled_file

LATENT = RECIPES["tiny"].latent
TEXTS = [text for _, text in islice(datasets.read_texts(bundled_file("data/moses_sample.smi.gz")), 400)]
FEW = TEXTS[:60]
EXACT = {"precision": "32-true"}


def grus(embedding: int, encoder: int, decoder: int, context: int) -> dict[str, Any]:
    """Small recurrent nets, as overrides."""
    return {
        "encoder": "gru",
        "encoder_options": {"embedding": embedding, "hidden": encoder},
        "decoder": "gru",
        "decoder_options": {"embedding": embedding, "hidden": decoder, "context": context},
    }


def quick(**overrides: Any) -> TextModel:
    return TextModel("tiny", epochs=1, overrides=EXACT | overrides)
