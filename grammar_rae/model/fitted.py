"""What training leaves in a model: one frozen object, replaced as a whole, whose parts are the model's attributes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.autoencoder import Autoencoder
from grammar_rae.codecs import Codec
from grammar_rae.density import Density
from grammar_rae.model.echoing import Correction
from grammar_rae.model.estimator import not_trained
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
    corrections
        By the property that is echoed, how what is told leans away from what is read.
    dials
        What searches for analogues measured of leads; not saved.
    """

    codec: Codec
    atoms: Mapping[str, int]
    known: Known | None = None
    score_constants: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    percentiles: NDArray[np.float64] | None = None
    corrections: Mapping[str, Correction] = field(default_factory=dict)
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


class FittedParts:
    """The parts of a model's trained state, as its attributes."""

    fitted_: Any
    seed: int | None

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fitted_")

    def _check_trained(self) -> Any:
        """The trained state.

        Raises
        ------
        NotTrainedError
            Where there is none.
        """
        if not self.__sklearn_is_fitted__():
            raise not_trained()
        return self.fitted_

    @property
    def recipe_(self) -> Any:
        """The recipe that was followed, all choices resolved."""
        return self._check_trained().recipe

    @property
    def autoencoder_(self) -> Autoencoder:
        """The nets."""
        autoencoder: Autoencoder = self._check_trained().autoencoder
        return autoencoder

    @property
    def density_(self) -> Density:
        """The density of the latent codes."""
        density: Density = self._check_trained().density
        return density

    @property
    def codes_(self) -> Codes:
        """float32 (N, D): latent codes of training rows, for densities to be fitted on."""
        return self._kept(self._check_trained().codes)

    @property
    def held_out_codes_(self) -> Codes:
        """float32 (N, D): latent codes of validation rows."""
        return self._kept(self._check_trained().held_out_codes)

    def _kept(self, codes: Codes | None) -> Codes:
        return np.zeros((0, self.recipe_.latent), np.float32) if codes is None else codes

    @property
    def start_(self) -> dict[str, Any] | None:
        """What the training began with: recipe, number of tokens and a digest of the weights; None for nothing."""
        start = self._check_trained().start
        return None if start is None else dict(start)

    @property
    def seed_(self) -> int:
        """The seed of the training: ``seed``, or the one that was drawn where that is None."""
        return int(self.recipe_.training.get("seed", self.seed or 0))

    @property
    def history(self) -> History:
        """What happened in training."""
        history: History = self._check_trained().history
        return history

    @property
    def density_score(self) -> float | None:
        """The density's mean log-likelihood of held-out codes, in nats a code; None where no codes were held out.

        For a density without a likelihood it is a lower bound (``density_.score_kind`` says which).
        """
        score: float | None = self._check_trained().density_score
        return score
