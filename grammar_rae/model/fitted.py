"""What training leaves in a model: one frozen object, replaced as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.autoencoder import Autoencoder
from grammar_rae.codecs import Codec
from grammar_rae.density import Density
from grammar_rae.model.known import Known
from grammar_rae.training import History

Codes = NDArray[np.float32]
"""Latent codes, (N, D)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Fitted:
    """The trained state of a model.

    Attributes
    ----------
    recipe
        The recipe that was followed, all choices resolved.
    autoencoder, density
        The nets, and the density of their latent codes.
    history
        What happened in training.
    density_score
        The density's score of held-out codes; None where there are none.
    codes, held_out_codes
        float32 (N, D): latent codes of training and of validation rows; None where they were not kept.
    start
        The model that the training began with: its recipe's name, the number of its tokens and a digest of its weights;
        None for a training from nothing.
    """

    recipe: Any
    autoencoder: Autoencoder
    density: Density
    history: History = field(default_factory=History)
    density_score: float | None = None
    codes: Codes | None = None
    held_out_codes: Codes | None = None
    start: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedTexts(Fitted):
    """The trained state of a model of texts.

    Attributes
    ----------
    codec
        Between texts and tokens.
    atoms
        The atoms of the data and the bonds that each can form.
    known
        What the training rows contained; None where nobody counted it.
    score_constants
        By the name of a score, the constants that it is standardised by.
    percentiles
        float64 (101,): percentiles of the training rows' log-probabilities in nats, without codes; None where the
        decoder always has a code.
    dials
        What searches for analogues measured of leads; not saved.
    """

    codec: Codec
    atoms: Mapping[str, int]
    known: Known | None = None
    score_constants: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    percentiles: NDArray[np.float64] | None = None
    dials: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedImages(Fitted):
    """The trained state of a model of images.

    Attributes
    ----------
    shape
        (C, H, W) of the images.
    """

    shape: tuple[int, int, int]
