"""What models of texts and of images have in common: training, latent codes, the density, and the folder."""

import hashlib
import os
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from torch import Tensor

from grammar_rae import checkpoint
from grammar_rae.autoencoder import Autoencoder
from grammar_rae.density import Density
from grammar_rae.errors import CheckpointError, InputError, TrainingError
from grammar_rae.model.reading import build_within, check_meta, check_state, reading
from grammar_rae.recipes import Parts, Recipe, build_density, get_recipe, training_settings
from grammar_rae.training import (
    Callback,
    DataSet,
    History,
    ProgressBar,
    TrainingState,
    bfloat16_units,
    fit,
    is_main_process,
    release_memory,
)

KEPT_CODES, KEPT_HELD_OUT = 50_000, 5_000
"""Latent codes of training and of validation rows that a model keeps for its densities, at most."""

Codes = NDArray[np.float32]


def _halved(tensor: Tensor) -> Tensor:
    """The tensor as float16 where it is of floats that float16 can hold."""
    half = tensor.to(torch.float16)
    return half if tensor.is_floating_point() and bool(half.isfinite().all()) else tensor


class _Watch(Callback):
    """Has the history of a training that was validated once, also when it ends in an error."""

    history: History | None = None

    def on_validation(self, state: TrainingState) -> None:
        self.history = state.history


class LatentModel(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """An autoencoder and a density of its codes; a scikit-learn transformer between data and codes z.

    Parameters
    ----------
    recipe
        The name of a recipe, or a recipe.
    epochs, time_limit
        How long to train (time in seconds); None leaves it to the recipe.
    seed
        Of the weights, the split, the order of the rows and the density.
    overrides
        Other choices than the recipe's: see :meth:`Recipe.replaced`.

    Attributes
    ----------
    history
        What happened in training.
    density_score
        The density's mean log-likelihood of held-out codes, in nats a code, or a lower bound of it.
    """

    kind: ClassVar[str]
    """What ``model.json`` calls such a model."""

    makes: ClassVar[str]
    """What it is a model of, for messages."""

    recipe_: Any
    autoencoder_: Autoencoder
    density_: Density

    recipe_type: ClassVar[type[Recipe]]

    batch_rows: ClassVar[int] = 1024
    """Rows that are encoded or decoded at once."""

    def __init__(
        self,
        recipe: str | Recipe,
        epochs: int | None = None,
        time_limit: float | None = None,
        seed: int = 0,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self.recipe = recipe
        self.epochs = epochs
        self.time_limit = time_limit
        self.seed = seed
        self.overrides = overrides

    # -- training -----------------------------------------------------------------------------------------------

    def _resolved(self) -> Any:
        given = {"epochs": self.epochs, "time_limit": self.time_limit, "seed": self.seed}
        chosen = {name: value for name, value in given.items() if value is not None}
        overrides = self.overrides or {}
        if twice := sorted(chosen.keys() & overrides.keys()):
            raise InputError(
                f"{', '.join(twice)} cannot be an override too", remedy="Give it as an argument of its own only."
            )
        return get_recipe(self.recipe, self.recipe_type).replaced(**chosen, **overrides)

    def _home(self, folder: str | PathLike[str] | None, resume: bool) -> Path | None:
        if resume and folder is None:
            raise InputError("there is nothing to resume without a folder", remedy="Give the folder of the training.")
        return None if folder is None else Path(folder)

    def _learn(
        self,
        recipe: Recipe,
        parts: Parts,
        sets: tuple[DataSet, DataSet],
        about: Mapping[str, Any],
        home: Path | None,
        resume: bool,
        progress: bool,
    ) -> None:
        """Train, fit the density, and save; ``about`` is what :meth:`_set` takes of the data."""
        settings = training_settings(recipe)
        parts.density.check_count(len(sets[0]))
        release_memory()  # of the data's preparation
        watch = _Watch()
        callbacks = [watch, ProgressBar()] if progress else [watch]
        # What decides nothing before the training has ended.
        free = ("training", "density", "density_options", "constraint", "temperature", "top_p", "smoothing")
        same = {name: value for name, value in recipe.to_dict().items() if name not in free}
        try:
            history = fit(parts.autoencoder, *sets, settings, home, callbacks, resume, same)
        except TrainingError:
            # It diverged: the autoencoder has the weights of its best validation, if there was one, and they are kept.
            if watch.history is not None:
                self._finish(recipe, parts, watch.history, sets, about, home)
            raise
        self._finish(recipe, parts, history, sets, about, home)

    def _finish(
        self,
        recipe: Recipe,
        parts: Parts,
        history: History,
        sets: tuple[DataSet, DataSet],
        about: Mapping[str, Any],
        home: Path | None,
    ) -> None:
        """Fit the density of what was trained, and save."""
        self._set(recipe, parts, history, about)
        limits = (KEPT_CODES, KEPT_HELD_OUT)
        self.codes_, self.held_out_codes_ = (
            self._codes_of(data, limit) for data, limit in zip(sets, limits, strict=True)
        )
        self._fit_density(recipe, parts.density, self.codes_, training_settings(recipe).seed)
        if home is not None and is_main_process():
            self.save(home)

    def _set(self, recipe: Recipe, parts: Parts, history: History, about: Mapping[str, Any]) -> None:
        self.recipe_ = recipe
        self.autoencoder_ = parts.autoencoder.eval()
        self.density_ = parts.density
        self.history_ = history
        self.density_score_: float | None = None
        self.codes_ = self.held_out_codes_ = np.zeros((0, recipe.latent), np.float32)
        for name, value in about.items():
            setattr(self, f"{name}_", value)

    def _codes_of(self, data: Any, limit: int) -> Codes:
        """Codes of at most so many rows, chosen at random."""
        return self._encode_set(data, np.random.default_rng(self.seed).permutation(len(data))[:limit])

    @abstractmethod
    def _encode_set(self, data: Any, rows: NDArray[np.int64]) -> Codes:
        """z of some rows of a data set of the kind that the model trains on."""

    def _encode_rows(
        self,
        lengths: NDArray[np.int64],
        batch: Callable[[NDArray[np.int64]], Tensor],
        noise: torch.Generator | None = None,
    ) -> Codes:
        """z of rows of these lengths; ``batch`` gives the data of some of them, ``noise`` draws z as training does."""
        # Rows of like length together, so that little of a batch is padding.
        order = np.argsort(lengths, kind="stable")
        z = np.empty((len(lengths), self.recipe_.latent), dtype=np.float32)
        with torch.inference_mode(), self._autocast():
            for start in range(0, len(lengths), self.batch_rows):
                part = order[start : start + self.batch_rows]
                x = batch(part).to(self.device)
                code = self.autoencoder_.encode(x) if noise is None else self.autoencoder_.sample_codes(x, noise)
                z[part] = code.float().cpu().numpy()
        return z

    def refit_density(
        self, density: str, *, codes: NDArray[Any] | Tensor | None = None, seed: int | None = None, **options: Any
    ) -> Self:
        """Put another density in the place of the model's own, without training again, and return the model.

        Parameters
        ----------
        density
            A row of ``DENSITIES``, for example ``"gmm"``.
        codes
            Latent codes (N, D) to fit on, as :meth:`encode` gives them; None for those of the training rows, of which
            the model keeps up to 50,000.
        seed
            Of the fit; None for the model's.
        options
            The density's, for example ``n_components=10``.

        Raises
        ------
        InputError
            For a density or options that do not exist, codes that cannot be fitted, or a model without codes. The model
            is then as it was.
        """
        self._check_trained()
        recipe = replace(self.recipe_, density=density, density_options=options)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            made = build_density(recipe)
        if codes is None and len(self.codes_) == 0:
            raise InputError(
                "this model keeps no latent codes to fit a density on", remedy="Give codes=model.encode(...)."
            )
        self._fit_density(recipe, made, self.codes_ if codes is None else codes, self.seed if seed is None else seed)
        return self

    def _fit_density(self, recipe: Recipe, density: Density, codes: NDArray[Any] | Tensor, seed: int) -> None:
        density.to(self.device).fit(codes, seed=seed)
        held_out = self.held_out_codes_
        score = density.score(held_out, seed=seed) if len(held_out) else None
        self.recipe_, self.density_, self.density_score_ = recipe, density.eval(), score

    # -- what was trained ---------------------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "autoencoder_")

    def _check_trained(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise TrainingError("the model is not trained", remedy="Call fit, or load a saved model.")

    @property
    def history(self) -> History:
        """What happened in training."""
        self._check_trained()
        return self.history_

    @property
    def density_score(self) -> float | None:
        """The density's mean log-likelihood of held-out codes, in nats a code; None where no codes were held out.

        For a density without a likelihood it is a lower bound (``density_.score_kind`` says which).
        """
        self._check_trained()
        return self.density_score_

    @property
    def device(self) -> torch.device:
        """Where the nets are."""
        self._check_trained()
        return next(self.autoencoder_.parameters()).device

    def to(self, device: str | torch.device) -> Self:
        """Move the nets and the density to a device, and return the model."""
        self._check_trained()
        self.autoencoder_.to(device)
        self.density_.to(device)
        return self

    def _autocast(self) -> AbstractContextManager[Any]:
        kind = self.device.type
        # Who trains in float32 wants float32 everywhere.
        enabled = self.recipe_.training.get("precision") != "32-true" and bfloat16_units(kind)
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=enabled)

    def _generator(self, seed: int | None, purpose: str = "") -> torch.Generator:
        """The source of randomness for a seed; one seed gives each purpose other numbers."""
        generator = torch.Generator(device=self.device)
        if seed is None:
            generator.seed()
        elif isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
            raise InputError("the seed cannot be used", received=repr(seed), expected="0 to 2**64 - 1, or None")
        elif purpose:
            digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
            generator.manual_seed(int.from_bytes(digest[:8], "big"))
        else:
            generator.manual_seed(int(seed))
        return generator

    # -- on disk ------------------------------------------------------------------------------------------------

    @abstractmethod
    def _about(self) -> dict[str, Any]:
        """What is to be known of the data, as JSON holds it."""

    @classmethod
    @abstractmethod
    def _from_about(cls, recipe: Any, meta: Mapping[str, Any]) -> tuple[Parts, dict[str, Any]]:
        """The parts for a recipe, random and not fitted, and what :meth:`_set` takes of the data."""

    def save(self, folder: str | PathLike[str], *, compact: bool = False) -> None:
        """Write the model into a folder: weights as safetensors, all else as JSON.

        Parameters
        ----------
        folder
            Where; an older model there is replaced.
        compact
            Write a copy to hand on, of less than half the size: weights as float16, each rounded to about three
            digits, of the history only its validations, and no latent codes, which only
            :meth:`refit_density` needs. What is loaded from it decodes a little differently.

        Raises
        ------
        CheckpointError
            When it cannot be written; what was there before is then still whole.
        """
        self._check_trained()
        meta = {
            "kind": self.kind,
            "recipe": self.recipe_.to_dict(),
            **self._about(),
            "density_score": self.density_score_,
            "history": (self.history_.validations() if compact else self.history_).to_dict(),
            "seed": self.seed,
            "versions": checkpoint.versions(),
        }
        weights = self.autoencoder_.state_dict()
        groups = {"weights": weights, "density": self.density_.state_dict()}
        if compact:
            groups["weights"] = {name: _halved(tensor) for name, tensor in weights.items()}
        else:
            kept = {"training": self.codes_, "held_out": self.held_out_codes_}
            groups["latents"] = {name: torch.from_numpy(codes) for name, codes in kept.items()}
        checkpoint.save(Path(folder), meta, groups)

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> Self:
        """The model that :meth:`save` wrote; needs neither RDKit nor NLTK.

        Raises
        ------
        CheckpointError
            When the folder holds no such model, or one that is damaged or of a newer format.
        """
        meta, tensors = checkpoint.load(Path(folder), require=("weights", "density"))
        if meta.get("kind") != cls.kind:
            raise CheckpointError(
                f"this folder holds no model of {cls.makes}",
                received=repr(meta.get("kind")),
                where=os.fspath(folder),
                remedy="grammar_rae.load(folder) reads models of every kind.",
            )
        with reading(folder):
            check_meta(meta)
            recipe = cls.recipe_type.from_dict(meta["recipe"])
            parts, about = build_within(tensors, lambda: cls._from_about(recipe, meta))
            parts.autoencoder.load_state_dict(tensors["weights"])
            parts.density.load_state_dict(tensors["density"])
            check_state(parts)
            history = History.from_dict(meta["history"])
            model = cls(recipe, seed=int(meta["seed"]))
            model._set(recipe, parts, history, about)
            model.density_.eval()
            if (score := meta.get("density_score")) is not None:
                model.density_score_ = float(score)
            if latents := tensors.get("latents"):  # models of the first versions have none
                model.codes_, model.held_out_codes_ = (latents[name].numpy() for name in ("training", "held_out"))
        return model
