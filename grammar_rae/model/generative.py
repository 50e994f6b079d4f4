"""Models of texts: a codec, an autoencoder, a density and a constraint behind one face."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.codecs import Codec, codec_from_dict
from grammar_rae.datasets import TokenDataset, padded
from grammar_rae.decoding import Choice, Constraint, choice_of
from grammar_rae.errors import InputError
from grammar_rae.model.drawing import Drawing, latent_codes
from grammar_rae.model.latent import Codes, LatentModel
from grammar_rae.model.samples import SampleResult
from grammar_rae.model.sources import encoded, listed
from grammar_rae.recipes import Parts, Recipe, TextRecipe, build_constraint, build_text, training_settings
from grammar_rae.training import one_training


class TextModel(LatentModel):
    """A model of molecules, or of any texts with a grammar; a scikit-learn transformer between texts and codes z.

    Parameters
    ----------
    recipe
        The name of a recipe of texts, or a :class:`TextRecipe`.
    epochs, time_limit, seed, overrides
        As for :class:`LatentModel`.

    Attributes
    ----------
    codec, history
        The codec between texts and tokens, and what happened in training.
    score_constants_
        For each score that is standardised, the constants of the texts that an optimisation began with; saved with the
        model.
    """

    kind = "model"
    makes = "texts"
    codec_: Codec
    atoms_: dict[str, int]
    score_constants_: dict[str, dict[str, float]]
    recipe_type = TextRecipe

    def __init__(
        self,
        recipe: str | Recipe = "molecules",
        epochs: int | None = None,
        time_limit: float | None = None,
        seed: int = 0,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(recipe, epochs, time_limit, seed, overrides)

    # -- training -----------------------------------------------------------------------------------------------

    @one_training
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
    ) -> "TextModel":
        """Train on texts.

        Parameters
        ----------
        X
            A file (.smi, .txt, .csv, .parquet, also .gz), an iterable of texts, a :class:`TokenDataset`, or the folder
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
        seed = training_settings(recipe).seed
        home = self._home(folder, resume)
        data = encoded(X, recipe, column, home, resume, progress, jobs)
        if len(data) < 4:
            raise InputError("there are too few rows to train on", received=len(data), expected="4 or more")
        sets = data.split(recipe.validation_fraction, seed, recipe.validation_maximum)
        codec = codec_from_dict(data.codec_dict)
        # An encoded data set brings its own codec, whatever the recipe would have learned.
        recipe = replace(
            recipe, codec=codec.kind, form=codec.form, fragments=codec.fragments, max_length=codec.max_length
        )
        build_constraint(recipe.constraint, codec, data.atoms)  # told now rather than after the training
        about = {"codec": codec, "atoms": data.atoms, "score_constants": {}}
        self._learn(recipe, build_text(recipe, codec), sets, about, home, resume, progress)
        return self

    def _encode_set(self, data: TokenDataset, rows: NDArray[np.int64]) -> Codes:
        return self._encode_rows(data.lengths[rows], lambda part: data.batch(rows[part]))

    def _about(self) -> dict[str, Any]:
        return {"codec": self.codec_.to_dict(), "atoms": self.atoms_, "score_constants": self.score_constants_}

    @classmethod
    def _from_about(cls, recipe: TextRecipe, meta: Mapping[str, Any]) -> tuple[Parts, dict[str, Any]]:
        codec = codec_from_dict(meta["codec"])
        atoms = {str(atom): int(capacity) for atom, capacity in meta.get("atoms", {}).items()}
        constants = {
            str(score): {str(name): float(value) for name, value in values.items()}
            for score, values in meta.get("score_constants", {}).items()  # models of the first versions have none
        }
        return build_text(recipe, codec), {"codec": codec, "atoms": atoms, "score_constants": constants}

    @property
    def codec(self) -> Codec:
        """Between texts and tokens."""
        self._check_trained()
        return self.codec_

    # -- between texts and codes --------------------------------------------------------------------------------

    def encode(self, texts: Sequence[str], *, noise: bool = False, seed: int | None = None) -> Codes:
        """Latent codes of texts, float32 (N, D).

        Parameters
        ----------
        texts
            N texts.
        noise, seed
            Draw each code as training does, by the seed: from a variational model's posterior, in place of its mean.
            A deterministic encoder has nothing to draw.

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
            np.diff(batch.offsets),
            lambda part: torch.from_numpy(padded(batch.tokens, batch.offsets, part)),
            self._generator(seed) if noise else None,
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
        smoothing: float = 0.0,
        canonical: bool = True,
    ) -> list[str]:
        """Texts of latent codes (N, D).

        Parameters
        ----------
        z
            Codes; one alone, (D,), is taken as (1, D).
        temperature, top_p, seed
            Temperature 0 takes the likeliest token at each step; above that, steps are drawn, by the seed. Below 1,
            ``top_p`` leaves out the unlikeliest tokens of each step: see :func:`grammar_rae.decoding.decode`.
        beam
            Search for the likeliest text with so many beams instead: see :func:`grammar_rae.decoding.beam_search`.
        constraint
            What every step must obey, for example ``"chemistry; max-heavy-atoms=38"``: a text or an object of
            :mod:`grammar_rae.decoding.choices`; None for the recipe's. Under ``"none"``, what is no text of the codec
            becomes "".
        smoothing
            The level of the noise that is put on the codes, by the seed, and that the decoder is told: see
            :class:`grammar_rae.regularizers.NoiseConditioned`. Other decoders know of 0 only.
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
        # The noise on codes is not that which a density drew them with by the same seed.
        generator = self._generator(seed, "smoothing" if smoothing else "")
        _, bound = self._bound(constraint)
        rows = max(1, self.batch_rows // drawing.width)
        found: list[str | None] = []
        for start in range(0, len(codes), rows):
            found += self._texts(codes[start : start + rows], drawing, bound, generator, smoothing)
        texts = ["" if text is None else text for text in found]
        if not canonical:
            return texts
        return [spelled if (spelled := codec.canonical(text)) is not None else text for text in texts]

    def _bound(self, constraint: str | Choice | None) -> tuple[str, Constraint[Any]]:
        """The text of a constraint, and the constraint for this model's codec."""
        choice = choice_of(self.recipe_.constraint if constraint is None else constraint)
        return str(choice), build_constraint(choice, self.codec_, self.atoms_)

    def _texts(
        self, z: Tensor, drawing: Drawing, bound: Constraint[Any], generator: torch.Generator, smoothing: float
    ) -> list[str | None]:
        """Texts of z (B, D); None for what is no text, as can be without a constraint."""
        limit = self.codec_.max_length or 1024
        with torch.inference_mode(), self._autocast():
            given = self.autoencoder_.smooth(z.to(self.device), smoothing, generator)
            tokens = drawing.tokens(cast(Any, self.autoencoder_.decoder), given, bound, limit, generator)
        return self.codec_.spell_batch(tokens.cpu().numpy())

    def reconstruct(self, texts: Sequence[str], constraint: str | Choice | None = None) -> list[str]:
        """Texts encoded and decoded again, the likeliest token at each step; the constraint is :meth:`decode`'s.

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
        temperature: float | None = None,
        top_p: float | None = None,
        constraint: str | Choice | None = None,
        smoothing: float | None = None,
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
        temperature, top_p, constraint, smoothing
            As in :meth:`decode`; temperature, top_p and smoothing, too, are the recipe's unless they are given.
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
        temperature = self.recipe_.temperature if temperature is None else temperature
        top_p = self.recipe_.top_p if top_p is None else top_p
        drawing = Drawing(temperature, top_p)
        told, bound = self._bound(constraint)
        smoothing = self.recipe_.smoothing if smoothing is None else smoothing
        generator = self._generator(seed)
        most = (100 * n if valid_only else n) if max_attempts is None else max_attempts
        texts: list[str] = []
        valid: list[bool] = []
        latent: list[NDArray[np.float32]] = []
        attempts = n_valid = 0
        while len(texts) < n and attempts < most:
            # As many as are likely to be needed: the share that was valid so far tells.
            needed = (n - len(texts)) * (attempts + 1) / (n_valid + 1) if valid_only else n - len(texts)
            batch = int(min(np.ceil(needed), self.batch_rows, most - attempts))
            z = self.density_.sample(batch, generator)
            drawn = self._texts(z, drawing, bound, generator, smoothing)
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
        return SampleResult(texts, flags, attempts, n_valid, stacked, told, temperature, seed, top_p, smoothing)
