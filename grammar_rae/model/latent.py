"""What models of texts and of images have in common: training, latent codes, the density, and the folder."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.checks import check_path
from grammar_rae.datasets import choose_rows, first_part
from grammar_rae.density import Density
from grammar_rae.errors import InputError, TrainingError
from grammar_rae.model.display import ShownMixin
from grammar_rae.model.drawing import make_generator
from grammar_rae.model.estimator import Estimator
from grammar_rae.model.fitted import Codes, Fitted, FittedParts
from grammar_rae.model.keeping import KeepHistory, warn_if_grown
from grammar_rae.model.polishing import AT_ONCE, come_back, polish_codes
from grammar_rae.model.quantizing import refuse_int8
from grammar_rae.model.storage import read_model, write_model
from grammar_rae.precision import in_single_precision
from grammar_rae.recipes import Recipe, build_density, get_recipe, training_settings
from grammar_rae.seeds import check_seed, resolve_seed
from grammar_rae.training import (
    DataSet,
    ProgressBar,
    count_processes,
    fit,
    has_bfloat16,
    is_main_process,
    release_memory,
    resumed_seed,
    wait_for_others,
    writers,
)

KEPT_CODES, KEPT_HELD_OUT = 50_000, 5_000
"""Latent codes of training and of validation rows that a model keeps for its densities, at most."""

_FEW_ROWS = 32

Outputs = TypeVar("Outputs")
"""What a model decodes to: a list of texts, or an array of images."""


class LatentModel(FittedParts, ShownMixin, Estimator, ABC, Generic[Outputs]):
    """An autoencoder and a density of its codes; a scikit-learn transformer between data and codes z.

    Parameters
    ----------
    recipe
        The name of a recipe, or a recipe.
    epochs, time_limit
        How long to train (time in seconds); None leaves it to the recipe.
    seed
        Seed of the weights, the split, the order of the rows and the density, from 0 to 2**64 - 1; None takes the
        recipe's, or draws one where it has none. :attr:`seed_` is the one that was used.
    overrides
        Other choices than the recipe's: see :meth:`Recipe.replace`.

    Attributes
    ----------
    fitted_
        Everything that training leaves, as one frozen object; it exists once the model is trained or loaded.
    recipe_, autoencoder_, density_, codes_, held_out_codes_
        Its parts.
    history
        What happened in training.
    density_score
        The density's mean log-likelihood of held-out codes, in nats a code, or a lower bound of it.
    """

    kind: ClassVar[str]
    """What ``model.json`` calls such a model."""

    makes: ClassVar[str]
    """What it is a model of, for messages."""

    fitted_: Any

    recipe_type: ClassVar[type[Recipe]]

    batch_rows: ClassVar[int] = 1024
    """Rows that are encoded or decoded at once."""

    def __init__(
        self,
        recipe: str | Recipe,
        epochs: int | None = None,
        time_limit: float | None = None,
        seed: int | None = 0,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self.recipe = recipe
        self.epochs = epochs
        self.time_limit = time_limit
        self.seed = seed
        self.overrides = overrides

    # -- training -----------------------------------------------------------------------------------------------

    fit: Callable[..., Self]
    """Train on data of the model's kind, and return the model."""

    def _resolve_recipe(self, resumed: Path | None = None) -> Any:
        """The recipe with all choices made; a training that goes on in a folder keeps the seed that it has drawn."""
        recipe: Any = get_recipe(self.recipe, self.recipe_type).replace(**self._choices())
        if recipe.training.get("seed") is not None:
            return recipe
        if count_processes(training_settings(recipe.replace(seed=0))) != (1, 1):
            raise InputError(
                "a training on several devices needs a seed",
                received="None",
                remedy="Pass one: each process would draw its own.",
            )
        drawn = None if resumed is None else resumed_seed(resumed)
        return recipe.replace(seed=resolve_seed(drawn))

    def _choices(self) -> dict[str, Any]:
        """What was chosen other than the recipe has it."""
        seed = None if self.seed is None else check_seed(self.seed)
        arguments = {"epochs": self.epochs, "time_limit": self.time_limit, "seed": seed}
        chosen = {name: value for name, value in arguments.items() if value is not None}
        overrides = self.overrides or {}
        if twice := sorted(chosen.keys() & overrides.keys()):
            raise InputError(
                f"{', '.join(twice)} cannot be an override too", remedy="Pass it only as an argument of its own."
            )
        return {**chosen, **overrides}

    def _check_home(self, folder: str | PathLike[str] | None, resume: bool) -> Path | None:
        if resume and folder is None:
            raise InputError("there is nothing to resume without a folder", remedy="Pass the folder of the training.")
        return None if folder is None else check_path(folder)

    def _learn(
        self, draft: Fitted, sets: tuple[DataSet, DataSet], home: Path | None, resume: bool, progress: bool
    ) -> None:
        """Train the parts of a draft, fit its density, and save."""
        settings = training_settings(draft.recipe)
        recorders = writers(settings.loggers, home)
        n_rows = len(first_part(sets[0]))
        draft.density.check_count(n_rows)
        if n_rows < _FEW_ROWS and draft.start is None:
            warnings.warn(
                f"the model learns from {n_rows} rows, too few to say anything of others; train on "
                f"{_FEW_ROWS} or more, better thousands",
                stacklevel=4,
            )
        release_memory()  # of the data's preparation
        keeper = KeepHistory()
        callbacks = [keeper, *recorders, *([ProgressBar()] if progress else [])]
        # What decides nothing before the training has ended.
        free = ("training", "density", "density_options", "constraint", "temperature", "top_p", "smoothing", "polish")
        same = {name: value for name, value in draft.recipe.to_dict().items() if name not in free}
        same |= {} if draft.start is None else {"start": dict(draft.start)}
        try:
            history = fit(draft.autoencoder, *sets, settings, home, callbacks, resume, same)
        except TrainingError:
            # It diverged: the autoencoder has the weights of its best validation, if there was one, and they are kept.
            if keeper.history is not None:
                self._finish(replace(draft, history=keeper.history), sets, home)
            wait_for_others()  # whoever ends first with an error would end them all
            raise
        if draft.start is None:  # else its first rows may have been the start's own draws
            warn_if_grown(keeper.begun_at, history, settings.learning_rate)
        self._finish(replace(draft, history=history), sets, home)
        wait_for_others()  # for the first one, which writes

    @in_single_precision
    def _finish(self, draft: Fitted, sets: tuple[DataSet, DataSet], home: Path | None) -> None:
        """Fit the density of what was trained, and save."""
        draft.autoencoder.eval()
        self.fitted_ = draft
        codes, held_out_codes = (
            self._encode_some(first_part(data), limit)
            for data, limit in zip(sets, (KEPT_CODES, KEPT_HELD_OUT), strict=True)
        )
        self.fitted_ = replace(draft, codes=codes, held_out_codes=held_out_codes)
        self._fit_density(draft.recipe, draft.density, codes, training_settings(draft.recipe).seed)
        if home is not None and is_main_process():
            self.save(home)

    def _encode_some(self, data: Any, limit: int) -> Codes:
        """Codes of at most ``limit`` rows, chosen at random."""
        return self._encode_set(data, choose_rows(np.random.default_rng(self.seed_), len(data), limit))

    @abstractmethod
    def _encode_set(self, data: Any, rows: NDArray[np.int64]) -> Codes:
        """z of some rows of a data set of the kind that the model trains on."""

    @in_single_precision
    def _encode_rows(
        self,
        lengths: NDArray[np.int64],
        batch: Callable[[NDArray[np.int64]], Tensor],
        noise: torch.Generator | None = None,
        polish: int = 0,
    ) -> Codes:
        """z of rows of these lengths; ``batch`` gives the data of some of them, ``noise`` draws z as training does.

        ``polish`` is for :func:`grammar_rae.model.polishing.polish_codes`.
        """
        # Rows of like length together, so that little of a batch is padding.
        order = np.argsort(lengths, kind="stable")
        z = np.empty((len(lengths), self.recipe_.latent), dtype=np.float32)
        missed = np.zeros(len(lengths), dtype=bool)
        with torch.inference_mode(), self._autocast():
            for start in range(0, len(lengths), self.batch_rows):
                part = order[start : start + self.batch_rows]
                x = batch(part).to(self.device)
                code = self.autoencoder_.encode(x) if noise is None else self.autoencoder_.sample_codes(x, noise)
                z[part] = code.float().cpu().numpy()
                if polish:
                    missed[part] = ~come_back(self.autoencoder_, x, code).cpu().numpy()
        with torch.no_grad(), self._autocast():  # all of them together, for gradients of a few rows are slow
            rows = order[missed[order]]
            for start in range(0, len(rows), AT_ONCE):
                part = rows[start : start + AT_ONCE]
                x, code = batch(part).to(self.device), torch.from_numpy(z[part]).to(self.device)
                z[part] = polish_codes(self.autoencoder_, x, code, polish).float().cpu().numpy()
        return z

    @in_single_precision
    def refit_density(
        self, density: str, *, codes: NDArray[Any] | Tensor | None = None, seed: int | None = None, **options: Any
    ) -> Self:
        """Replace the model's density by another one, without training again, and return the model.

        Parameters
        ----------
        density
            A row of ``DENSITIES``, for example ``"gmm"``.
        codes
            Latent codes (N, D) to fit on, as :meth:`encode` gives them; None for those of the training rows, of which
            the model keeps up to 50,000.
        seed
            Seed of the fit, from 0 to 2**64 - 1; None for the model's.
        options
            The density's, for example ``n_components=10``.

        Raises
        ------
        InputError
            For a density or options that do not exist, codes that cannot be fitted, or a model without codes. The model
            is left as it was.
        """
        self._check_trained()
        chosen = self.seed_ if seed is None else check_seed(seed)
        recipe = replace(self.recipe_, density=density, density_options=options)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed_)
            fresh = build_density(recipe)
        if codes is None and len(self.codes_) == 0:
            raise InputError(
                "this model keeps no latent codes to fit a density on", remedy="Pass codes=model.encode(...)."
            )
        self._fit_density(recipe, fresh, self.codes_ if codes is None else codes, chosen)
        return self

    def _fit_density(self, recipe: Recipe, density: Density, codes: NDArray[Any] | Tensor, seed: int) -> None:
        density.to(self.device).fit(codes, seed=seed)
        held_out = self.held_out_codes_
        score = density.score(held_out, seed=seed) if len(held_out) else None
        self.fitted_ = replace(self.fitted_, recipe=recipe, density=density.eval(), density_score=score)

    # -- between data and codes ---------------------------------------------------------------------------------

    @abstractmethod
    def encode(self, data: Any) -> Any:
        """Latent codes of N texts or images, float32 (N, D)."""

    @abstractmethod
    def decode(self, z: NDArray[Any] | Tensor) -> Outputs:
        """The texts or images of latent codes (N, D)."""

    def reconstruct(self, data: Any, **options: Any) -> Outputs:
        """Encode texts or images and decode them again.

        Parameters
        ----------
        data
            As for ``encode``, whose errors are raised.
        options
            As for ``decode``; without any, the likeliest output of each code.
        """
        return self.decode(self.encode(data), **options)

    def interpolate(self, a: Any, b: Any, steps: int = 9, **options: Any) -> Outputs:
        """Decode codes on the straight line from the code of ``a`` to that of ``b``, both ends included.

        Parameters
        ----------
        a, b
            One text or one image each.
        steps
            How many codes, 2 or more.
        options
            As for ``decode``.

        Raises
        ------
        InputError
            For fewer than two steps; else as ``encode`` and ``decode``.
        """
        return self._interpolate(a, b, steps, {}, options)

    def _interpolate(
        self, a: Any, b: Any, steps: int, encoding: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Outputs:
        """As :meth:`interpolate`, with options for ``encode`` too."""
        if not isinstance(steps, int | np.integer) or steps < 2:
            raise InputError("an interpolation has two ends", received=f"{steps!r} steps", expected="2 or more")
        first, last = self._encode_pair(a, b, **encoding)
        share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        return self.decode((1 - share) * first + share * last, **options)

    def _encode_pair(self, a: Any, b: Any, **options: Any) -> tuple[Codes, Codes]:
        """The codes (1, D) of one text or image and of another."""
        codes = self.encode([a, b], **options)
        return codes[:1], codes[1:]

    def transform(self, X: Any) -> Codes:
        """Latent codes, float32 (N, D): ``encode`` by scikit-learn's name."""
        return self._transform(X)

    def _transform(self, X: Any) -> Codes:
        codes: Codes = self.encode(X)
        return codes

    def inverse_transform(self, X: NDArray[Any]) -> Outputs:
        """Texts or images of latent codes (N, D): ``decode`` by scikit-learn's name."""
        return self.decode(X)

    # -- what was trained ---------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the nets are."""
        self._check_trained()
        return next(self.autoencoder_.parameters()).device

    def to(self, device: str | torch.device) -> Self:
        """Move the nets and the density to a device, and return the model."""
        self._check_trained()
        if torch.device(device).type != "cpu":
            refuse_int8(self.autoencoder_, f"moved to {device}")
        self.autoencoder_.to(device)
        self.density_.to(device)
        return self

    def _autocast(self) -> AbstractContextManager[Any]:
        kind = self.device.type
        # Who trains in float32 wants float32 everywhere.
        enabled = self.recipe_.training.get("precision") != "32-true" and has_bfloat16(kind)
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=enabled)

    def _generator(self, seed: int | None, purpose: str = "") -> torch.Generator:
        return make_generator(self.device, resolve_seed(seed), purpose)

    # -- on disk ------------------------------------------------------------------------------------------------

    @abstractmethod
    def _about(self) -> dict[str, Any]:
        """What the data say of the model, as JSON holds it."""

    @classmethod
    @abstractmethod
    def _from_about(cls, recipe: Any, meta: Mapping[str, Any]) -> Fitted:
        """The trained state of a recipe, with random weights and a density that is not fitted."""

    def save(self, folder: str | PathLike[str], *, compact: bool = False) -> None:
        """Write the model into a folder: weights as safetensors, all else as JSON.

        Parameters
        ----------
        folder
            The folder to write; an older model there is replaced.
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
        write_model(self, self._about(), check_path(folder), compact)

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> Self:
        """The model that :meth:`save` wrote; needs neither RDKit nor NLTK.

        Raises
        ------
        CheckpointError
            When the folder holds no such model, or one that is damaged or of a newer format.
        """
        return read_model(cls, folder)
