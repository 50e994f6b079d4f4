"""The trained thing: a codec, an autoencoder, a density and a constraint behind one face."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from torch import Tensor

from grammar_rae import checkpoint
from grammar_rae.autoencoder import Autoencoder
from grammar_rae.codecs import Codec, codec_from_dict
from grammar_rae.datasets import CodeDataset, padded
from grammar_rae.decoding import Choice, Constraint, choice_of
from grammar_rae.density import MAX_POINTS, MixtureDensity
from grammar_rae.errors import CheckpointError, InputError, TrainingError
from grammar_rae.model.drawing import Drawing, latent_codes
from grammar_rae.model.samples import SampleResult
from grammar_rae.model.sources import encoded, listed
from grammar_rae.recipes import Recipe, build, build_constraint, get_recipe, training_settings
from grammar_rae.training import History, ProgressBar, bfloat16_units, fit, is_main_process, release_memory

BATCH = 1024
"""Rows that are encoded or decoded at once."""

Codes = NDArray[np.float32]


class GenerativeModel(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A model of molecules, or of any texts with a grammar; a scikit-learn transformer between texts and codes z.

    Parameters
    ----------
    recipe
        The name of a recipe, or a :class:`Recipe`.
    epochs, time_limit
        How long to train (time in seconds); None leaves it to the recipe.
    seed
        Of the weights, the split, the order of the rows and the density.
    overrides
        Other choices than the recipe's: see :meth:`Recipe.replaced`.

    Attributes
    ----------
    codec, history
        The codec between texts and codes, and what happened in training.
    """

    def __init__(
        self,
        recipe: str | Recipe = "molecules",
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

    def fit(
        self,
        X: Any,
        y: None = None,
        *,
        column: str | None = None,
        folder: str | PathLike[str] | None = None,
        resume: bool = False,
        progress: bool = False,
        jobs: int = -1,
    ) -> "GenerativeModel":
        """Train on texts.

        Parameters
        ----------
        X
            A file (.smi, .txt, .csv, .parquet, also .gz), an iterable of texts, a :class:`CodeDataset`, or the folder
            of one.
        y
            Ignored; scikit-learn's pipelines pass it.
        column
            The column of a table that holds the texts.
        folder
            Where to keep the encoded data, the training's state and the model; without one nothing is written.
        resume
            Go on with the training whose state is in ``folder``.
        progress
            Whether to show progress bars.
        jobs
            Processes that encode the texts; -1 for one a core.

        Raises
        ------
        DataError, InputError, TrainingError, CheckpointError
            For data, settings or a state that cannot be used.
        """
        recipe = self._resolved()
        settings = training_settings(recipe)
        home = None if folder is None else Path(folder)
        if resume and home is None:
            raise InputError("there is nothing to resume without a folder", remedy="Give the folder of the training.")
        data = encoded(X, recipe, column, home, resume, progress, jobs)
        if len(data) < 4:
            raise InputError("there are too few rows to train on", received=len(data), expected="4 or more")
        train_set, validation_set = data.split(recipe.validation_fraction, settings.seed, recipe.validation_maximum)
        codec = codec_from_dict(data.codec_dict)
        # An encoded data set brings its own codec, whatever the recipe would have learned.
        recipe = replace(
            recipe, codec=codec.kind, form=codec.form, fragments=codec.fragments, max_length=codec.max_length
        )
        build_constraint(recipe.constraint, codec, data.atoms)  # told now rather than after the training
        autoencoder, density = build(recipe, codec)
        density.check_count(len(train_set))
        release_memory()  # of the encoding
        callbacks = [ProgressBar()] if progress else []
        same = {name: value for name, value in recipe.to_dict().items() if name not in ("training", "density_options")}
        history = fit(autoencoder, train_set, validation_set, settings, home, callbacks, resume, same)
        self._set(recipe, codec, data.atoms, autoencoder, density, history)
        density.fit(self._codes_of(train_set), seed=settings.seed)
        if home is not None and is_main_process():
            self.save(home)
        return self

    def _resolved(self) -> Recipe:
        given = {"epochs": self.epochs, "time_limit": self.time_limit, "seed": self.seed}
        chosen = {name: value for name, value in given.items() if value is not None}
        overrides = self.overrides or {}
        if twice := sorted(chosen.keys() & overrides.keys()):
            raise InputError(
                f"{', '.join(twice)} cannot be an override too", remedy="Give it as an argument of its own only."
            )
        return get_recipe(self.recipe).replaced(**chosen, **overrides)

    def _set(
        self,
        recipe: Recipe,
        codec: Codec,
        atoms: Mapping[str, int],
        autoencoder: Autoencoder,
        density: MixtureDensity,
        history: History,
    ) -> None:
        self.recipe_ = recipe
        self.codec_ = codec
        self.atoms_ = dict(atoms)
        self.autoencoder_ = autoencoder.eval()
        self.density_ = density
        self.history_ = history

    def _codes_of(self, data: CodeDataset) -> Codes:
        """Codes of at most as many rows as a density is fitted on, chosen at random."""
        rows = np.random.default_rng(self.seed).permutation(len(data))[:MAX_POINTS]
        return self._encode_rows(data.lengths[rows], lambda part: data.batch(rows[part]))

    def _encode_rows(self, lengths: NDArray[np.int64], batch: Callable[[NDArray[np.int64]], Tensor]) -> Codes:
        """z of rows of these lengths; ``batch`` gives the codes of some of them."""
        # Rows of like length together, so that little of a batch is padding.
        order = np.argsort(lengths, kind="stable")
        z = np.empty((len(lengths), self.recipe_.latent), dtype=np.float32)
        with torch.inference_mode(), self._autocast():
            for start in range(0, len(lengths), BATCH):
                part = order[start : start + BATCH]
                z[part] = self.autoencoder_.encode(batch(part).to(self.device)).float().cpu().numpy()
        return z

    # -- what was trained ---------------------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "autoencoder_")

    def _check_trained(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise TrainingError("the model is not trained", remedy="Call fit(texts), or load a saved model.")

    @property
    def codec(self) -> Codec:
        """Between texts and integer codes."""
        self._check_trained()
        return self.codec_

    @property
    def history(self) -> History:
        """What happened in training."""
        self._check_trained()
        return self.history_

    @property
    def device(self) -> torch.device:
        """Where the nets are."""
        self._check_trained()
        return next(self.autoencoder_.parameters()).device

    def to(self, device: str | torch.device) -> "GenerativeModel":
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

    # -- between texts and codes --------------------------------------------------------------------------------

    def encode(self, texts: Sequence[str]) -> Codes:
        """Latent codes of texts, float32 (N, D).

        Raises
        ------
        InputError
            For what is no list, array or Series of texts.
        TextError
            For the first text that the codec refuses; its ``where`` says which.
        """
        codec = self.codec
        texts = listed(texts)
        batch = codec.encode_batch(texts)
        if batch.rejected:
            index, error = batch.rejected[0]
            error.where = f"text {index + 1} of {len(texts)}" + (f", {error.where}" if error.where else "")
            raise error
        return self._encode_rows(
            np.diff(batch.offsets), lambda part: torch.from_numpy(padded(batch.codes, batch.offsets, part))
        )

    def decode(
        self,
        z: NDArray[Any] | Tensor,
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        beam: int | None = None,
        seed: int | None = None,
        constraint: str | Choice | None = None,
        canonical: bool = True,
    ) -> list[str]:
        """Texts of latent codes (N, D).

        Parameters
        ----------
        z
            Codes; one alone, (D,), is taken as (1, D).
        temperature, top_p, seed
            Temperature 0 takes the likeliest code at each step; above that, steps are drawn, by the seed. Below 1,
            ``top_p`` leaves out the unlikeliest codes of each step: see :func:`grammar_rae.decoding.decode`.
        beam
            Search for the likeliest text with so many beams instead: see :func:`grammar_rae.decoding.beam_search`.
        constraint
            What every step must obey, for example ``"chemistry; max-heavy-atoms=38"``: a text or an object of
            :mod:`grammar_rae.decoding.choices`; None for the recipe's. Under ``"none"``, what is no text of the codec
            becomes "".
        canonical
            Give molecules as canonical SMILES; one that is not valid stands as it was decoded. False gives all texts as
            they were decoded, without RDKit.

        Raises
        ------
        InputError
            For codes of another size or not finite, settings that cannot be used or not together, or a constraint that
            does not exist or that the model cannot serve.
        DecodingError
            For a constraint that no text within the model's length limit is sure to obey.
        """
        codec = self.codec
        drawing = Drawing(temperature, top_p, beam)
        codes = latent_codes(z, self.recipe_.latent)
        generator = self._generator(seed)
        _, bound = self._bound(constraint)
        rows = max(1, BATCH // drawing.width)
        found: list[str | None] = []
        for start in range(0, len(codes), rows):
            found += self._texts(codes[start : start + rows], drawing, bound, generator)
        texts = ["" if text is None else text for text in found]
        if not canonical:
            return texts
        return [spelled if (spelled := codec.canonical(text)) is not None else text for text in texts]

    def _bound(self, constraint: str | Choice | None) -> tuple[str, Constraint[Any]]:
        """The text of a constraint, and the constraint for this model's codec."""
        choice = choice_of(self.recipe_.constraint if constraint is None else constraint)
        return str(choice), build_constraint(choice, self.codec_, self.atoms_)

    def _texts(
        self, z: Tensor, drawing: Drawing, bound: Constraint[Any], generator: torch.Generator
    ) -> list[str | None]:
        """Texts of z (B, D); None for what is no text, as can be without a constraint."""
        limit = self.codec_.max_length or 1024
        with self._autocast():
            codes = drawing.codes(cast(Any, self.autoencoder_.decoder), z.to(self.device), bound, limit, generator)
        return self.codec_.spell_batch(codes.cpu().numpy())

    def _generator(self, seed: int | None) -> torch.Generator:
        generator = torch.Generator(device=self.device)
        if seed is None:
            generator.seed()
        elif isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
            raise InputError("the seed cannot be used", received=repr(seed), expected="0 to 2**64 - 1, or None")
        else:
            generator.manual_seed(int(seed))
        return generator

    def reconstruct(self, texts: Sequence[str], constraint: str | Choice | None = None) -> list[str]:
        """Texts encoded and decoded again, the likeliest code at each step; the constraint is :meth:`decode`'s.

        Raises
        ------
        TextError
            As :meth:`encode`.
        """
        return self.decode(self.encode(texts), constraint=constraint)

    def interpolate(self, a: str, b: str, steps: int = 9, constraint: str | Choice | None = None) -> list[str]:
        """Texts along the straight line from the code of ``a`` to that of ``b``, both ends decoded too.

        The constraint is :meth:`decode`'s.

        Raises
        ------
        InputError
            For fewer than two steps.
        TextError
            As :meth:`encode`.
        """
        if not isinstance(steps, int | np.integer) or steps < 2:
            raise InputError("an interpolation has two ends", received=f"{steps!r} steps", expected="2 or more")
        ends = self.encode([a, b])
        share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        return self.decode((1 - share) * ends[:1] + share * ends[1:], constraint=constraint)

    def transform(self, X: Sequence[str]) -> Codes:
        """Latent codes of texts, float32 (N, D): :meth:`encode` by scikit-learn's name."""
        return self.encode(X)

    def inverse_transform(self, X: NDArray[Any]) -> list[str]:
        """Texts of latent codes (N, D): :meth:`decode` by scikit-learn's name."""
        return self.decode(X)

    # -- sampling -----------------------------------------------------------------------------------------------

    def sample(
        self,
        n: int,
        valid_only: bool = True,
        *,
        seed: int | None = None,
        temperature: float = 1.0,
        top_p: float = 1.0,
        constraint: str | Choice | None = None,
        max_attempts: int | None = None,
    ) -> SampleResult:
        """Draw n texts: codes from the density, decoded under the constraint.

        Parameters
        ----------
        n
            How many.
        valid_only
            Reject texts that are not valid and draw others, ``max_attempts`` at most in all. The result says how many
            attempts it took.
        seed
            The same seed gives the same texts; None draws afresh.
        temperature, top_p, constraint
            As in :meth:`decode`.
        max_attempts
            At most so many texts are decoded; None allows 100 a text.

        Warns
        -----
        UserWarning
            When the attempts are used up: the result holds what was found.

        Raises
        ------
        InputError
            For n or max_attempts below 1, settings that cannot be used, or a constraint that does not exist or that the
            model cannot serve.
        DecodingError
            For a constraint that no text within the model's length limit is sure to obey.
        """
        codec = self.codec
        for name, number in (("n", n), ("max_attempts", 1 if max_attempts is None else max_attempts)):
            if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
                raise InputError(f"{name} must be a number of texts", received=repr(number), expected="1 or more")
        n = int(n)  # a NumPy integer may be too small for what is computed from it
        drawing = Drawing(temperature, top_p)
        told, bound = self._bound(constraint)
        generator = self._generator(seed)
        most = (100 * n if valid_only else n) if max_attempts is None else max_attempts
        texts: list[str] = []
        valid: list[bool] = []
        latent: list[NDArray[np.float32]] = []
        attempts = n_valid = 0
        while len(texts) < n and attempts < most:
            # As many as are likely to be needed: the share that was valid so far tells.
            needed = (n - len(texts)) * (attempts + 1) / (n_valid + 1) if valid_only else n - len(texts)
            batch = int(min(np.ceil(needed), BATCH, most - attempts))
            z = self.density_.sample(batch, generator)
            drawn = self._texts(z, drawing, bound, generator)
            for text, code in zip(drawn, z.cpu().numpy(), strict=True):
                if len(texts) == n:
                    break
                spelled = None if text is None else codec.canonical(text)
                attempts += 1
                n_valid += spelled is not None
                if spelled is not None or not valid_only:
                    texts.append(spelled if spelled is not None else text or "")
                    valid.append(spelled is not None)
                    latent.append(code)
        if len(texts) < n:
            warnings.warn(
                f"only {len(texts)} of {n} texts are valid after {attempts} attempts (validity "
                f"{n_valid / max(attempts, 1):.2%}); raise max_attempts, lower the temperature, or train longer",
                stacklevel=2,
            )
        stacked = np.stack(latent) if latent else np.zeros((0, self.recipe_.latent), np.float32)
        flags = np.array(valid, dtype=bool)
        return SampleResult(texts, flags, attempts, n_valid, stacked, told, temperature, seed, top_p)

    # -- on disk ------------------------------------------------------------------------------------------------

    def save(self, folder: str | PathLike[str]) -> None:
        """Write the model into a folder: weights as safetensors, all else as JSON.

        Raises
        ------
        CheckpointError
            When it cannot be written; what was there before is then still whole.
        """
        self._check_trained()
        meta = {
            "kind": "model",
            "recipe": self.recipe_.to_dict(),
            "codec": self.codec_.to_dict(),
            "atoms": self.atoms_,
            "history": self.history_.to_dict(),
            "seed": self.seed,
            "versions": checkpoint.versions(),
        }
        groups = {"weights": self.autoencoder_.state_dict(), "density": self.density_.state_dict()}
        checkpoint.save(Path(folder), meta, groups)

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> "GenerativeModel":
        """The model that :meth:`save` wrote; needs neither RDKit nor NLTK.

        Raises
        ------
        CheckpointError
            When the folder holds no model, or one that is damaged or of a newer format.
        """
        meta, tensors = checkpoint.load(Path(folder), require=("weights", "density"))
        if meta.get("kind") != "model":
            raise CheckpointError("this folder holds no model", received=repr(meta.get("kind")), where=str(folder))
        try:
            recipe = Recipe.from_dict(meta["recipe"])
            codec = codec_from_dict(meta["codec"])
            atoms = {str(atom): int(capacity) for atom, capacity in meta.get("atoms", {}).items()}
            autoencoder, density = build(recipe, codec)
            autoencoder.load_state_dict(tensors["weights"])
            density.load_state_dict(tensors["density"])
            history = History.from_dict(meta["history"])
            seed = int(meta["seed"])
        except (KeyError, IndexError, TypeError, AttributeError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"this model cannot be read ({error})",
                where=str(folder),
                remedy="Load it with the version of grammar_rae that wrote it, or train again.",
            ) from error
        model = cls(recipe, seed=seed)
        model._set(recipe, codec, atoms, autoencoder, density, history)
        return model
