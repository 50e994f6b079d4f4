"""Models of texts: a codec, an autoencoder, a density and a constraint behind one face."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.codecs import Codec, codec_from_dict, treat_fragments
from grammar_rae.datasets import (
    DescribedRows,
    ShardedDataset,
    TokenDataset,
    extend_frame,
    first_part,
    is_frame,
    read_rows,
)
from grammar_rae.datasets.duplicates import Duplicates
from grammar_rae.decoding import ConstraintSpec
from grammar_rae.density import Density
from grammar_rae.errors import InputError
from grammar_rae.model.adapting import Adapting, find_start
from grammar_rae.model.analogues import AnaloguesMixin
from grammar_rae.model.contributions import adopt_contributions
from grammar_rae.model.decoding import DecodingMixin
from grammar_rae.model.decorating import DecoratingMixin
from grammar_rae.model.describing import describe_rows
from grammar_rae.model.echoing import Correction, measure_corrections
from grammar_rae.model.encoding import EncodingMixin, raise_first
from grammar_rae.model.fitted import Codes, FittedTexts
from grammar_rae.model.known import Known
from grammar_rae.model.latent import LatentModel
from grammar_rae.model.likelihood import LikelihoodMixin
from grammar_rae.model.polishing import choose_polish
from grammar_rae.model.quantizing import QuantizingMixin
from grammar_rae.model.refining import RefiningMixin
from grammar_rae.model.results import Reconstruction, is_same
from grammar_rae.model.sampling import SamplingMixin
from grammar_rae.model.sources import as_texts, encode_source, validation_set
from grammar_rae.precision import in_single_precision
from grammar_rae.recipes import Recipe, TextRecipe, build_constraint, build_text, check_echo, training_settings
from grammar_rae.seeds import check_seed
from grammar_rae.training import first_process_first, is_main_process, one_training


class TextModel(
    AnaloguesMixin,
    DecodingMixin,
    DecoratingMixin,
    EncodingMixin,
    LikelihoodMixin,
    QuantizingMixin,
    RefiningMixin,
    SamplingMixin,
    LatentModel[list[str]],
):
    """A model of molecules, or of any texts with a grammar; a scikit-learn transformer between texts and codes z.

    Parameters
    ----------
    recipe
        The name of a recipe of texts, or a :class:`TextRecipe`.
    epochs, time_limit, seed, overrides
        As for :class:`LatentModel`.
    errors
        What :meth:`transform` does with a text that the codec rejects: ``"raise"`` an error, give it a row of
        ``"nan"``, or ``"skip"`` it, which leaves fewer rows than texts. Choose ``"nan"`` in a pipeline that is fitted
        with a target, and follow it by an imputer or by an estimator that accepts NaN.

    Attributes
    ----------
    codec, history
        The codec between texts and tokens, and what happened in training.
    score_constants_
        For each score that is standardised, the constants that :meth:`store_score_constants` stored.
    """

    kind = "model"
    makes = "texts"
    recipe_type = TextRecipe

    def __init__(
        self,
        recipe: str | Recipe = "molecules",
        epochs: int | None = None,
        time_limit: float | None = None,
        seed: int | None = 0,
        overrides: Mapping[str, Any] | None = None,
        errors: str = "raise",
    ) -> None:
        super().__init__(recipe, epochs, time_limit, seed, overrides)
        self.errors = errors

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    # -- training -----------------------------------------------------------------------------------------------

    @one_training
    @in_single_precision
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
        validation: Any = None,
        start: Any = None,
        duplicates: Duplicates = "keep",
    ) -> "TextModel":
        """Train on texts, from nothing or from a trained model.

        Parameters
        ----------
        X
            A file (.smi, .txt, .csv, .parquet, also .gz), an iterable of texts, a :class:`TokenDataset` or
            :class:`ShardedDataset`, or the folder of one.
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
        validation
            A :class:`TokenDataset`, or the folder of one, whose rows validate; None sets some rows of X aside, all
            rows of a molecule or none. Its codec must be that of X.
        start
            The model to begin with: a model, its folder, or the name of a bundled one. Its nets and its codec are kept,
            so that a few hundred rows teach much, and :attr:`recipe` does not count; how long and how fast to train
            follows from the number of rows unless it is chosen: see :func:`plan_adapting`. None trains from nothing.
        duplicates
            ``"keep"`` rows that are the same molecule as an earlier one, or ``"drop"`` them.

        Raises
        ------
        DataError, InputError, TrainingError, CheckpointError
            For data, settings or a state that cannot be used.
        """
        home = self._check_home(folder, resume)
        recipe = self._resolve_recipe(home if resume else None)
        settings, progress = training_settings(recipe), progress and is_main_process()
        adapting = None
        if start is not None:
            adapting = Adapting(find_start(start), self._choices(), home, column, resume, progress, jobs, duplicates)
            settings = adapting.choose_device(settings)
        with first_process_first(settings):
            if adapting is not None:
                draft, sets = adapting.prepare(X, recipe.training["seed"], validation)
            else:
                source = encode_source(X, recipe, column, home, resume, progress, jobs, duplicates)
                draft, sets = self._prepare(*source, recipe, home, validation, jobs)
        self._learn(draft, sets, home, resume, progress)
        return self

    def _prepare(
        self,
        data: TokenDataset | ShardedDataset,
        codec: Codec,
        recipe: TextRecipe,
        home: Path | None,
        validation: Any,
        jobs: int,
    ) -> tuple[FittedTexts, tuple[Any, Any]]:
        """The draft of a model that begins with nothing, and the rows that train and validate."""
        if len(data) < 4:
            raise InputError("there are too few rows to train on", received=len(data), expected="4 or more")
        if isinstance(data, TokenDataset):
            data = describe_rows(data, codec, recipe, home, recipe.training["seed"], jobs=jobs)
        sets: tuple[Any, TokenDataset]
        if validation is None:
            sets = data.split(recipe.validation_fraction, training_settings(recipe).seed, recipe.validation_maximum)
        else:
            held_out = validation_set(validation, data)
            sets = (data, describe_rows(held_out, codec, recipe, home, recipe.training["seed"], jobs=jobs))
        # An encoded data set brings its own codec, whatever the recipe would have learned.
        recipe = replace(
            recipe, codec=codec.kind, form=codec.form, fragments=codec.fragments, max_length=codec.max_length
        )
        build_constraint(recipe.constraint, codec, data.atoms)  # it fails now rather than after the training
        parts = build_text(recipe, codec)
        draft = FittedTexts(
            recipe=recipe, **parts._asdict(), codec=codec, atoms=data.atoms, known=Known.of(sets[0], codec)
        )
        if not parts.autoencoder.condition.needs_facts:
            return draft, sets
        described = [part.described() for part in sets]
        parts.autoencoder.condition.adopt(described[0].facts)
        adopt_contributions(parts.autoencoder, described[0], codec)
        return draft, (described[0], described[1])

    def _encode_set(self, data: TokenDataset | DescribedRows, rows: NDArray[np.int64]) -> Codes:
        data = data.data if isinstance(data, DescribedRows) else data
        return self._encode_rows(data.lengths[rows], lambda part: data.batch(rows[part]))

    def _finish(self, draft: Any, sets: Any, home: Any) -> None:
        data = first_part(sets[0])
        data = data.data if isinstance(data, DescribedRows) else data
        super()._finish(replace(draft, percentiles=self._measure(draft, data)), sets, home)

    def _fit_density(self, recipe: Any, density: Density, codes: NDArray[Any] | Tensor, seed: int) -> None:
        super()._fit_density(recipe, density, codes, seed)
        if recipe.echo:
            self.calibrate_echo(recipe.echo, seed=seed)

    @in_single_precision
    def calibrate_echo(self, names: Sequence[str], *, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Correct what is told of properties that draws echo, so that draws have what was read from their codes.

        A training does so for the properties that its recipe echoes. The corrections hold for the model's own knobs and
        density, and for these properties told together; :meth:`save` writes them.

        Parameters
        ----------
        names
            Properties, as for the ``echo`` of :meth:`sample`.
        seed
            Seed of the draws, twice a thousand.

        Returns
        -------
        dict
            By property, scale and shift of what is told, in standard deviations of the data.

        Raises
        ------
        InputError, UnknownNameError
            For a model whose decoder is told no properties, or not these.
        """
        names = check_echo(names)
        corrections = measure_corrections(self, names, check_seed(seed))
        self.fitted_ = replace(self._check_trained(), corrections=corrections)
        return {name: (found.scale, found.shift) for name, found in corrections.items()}

    def _about(self) -> dict[str, Any]:
        fitted = self.fitted_
        corrections = {name: [found.scale, found.shift] for name, found in fitted.corrections.items()}
        return {
            "codec": self.codec.to_dict(),
            "atoms": self.atoms_,
            "score_constants": self.score_constants_,
            **({} if fitted.percentiles is None else {"log_prob_percentiles": fitted.percentiles.tolist()}),
            **({"echo_corrections": corrections} if corrections else {}),
            **({} if fitted.known is None else {"known": fitted.known.to_dict()}),
        }

    @classmethod
    def _from_about(cls, recipe: TextRecipe, meta: Mapping[str, Any]) -> FittedTexts:
        codec = codec_from_dict(meta["codec"])
        atoms = {str(atom): int(capacity) for atom, capacity in meta.get("atoms", {}).items()}
        constants = {
            str(score): {str(name): float(value) for name, value in values.items()}
            for score, values in meta.get("score_constants", {}).items()  # models of the first versions have none
        }
        percentiles = meta.get("log_prob_percentiles")
        return FittedTexts(
            recipe=recipe,
            **build_text(recipe, codec)._asdict(),
            codec=codec,
            atoms=atoms,
            score_constants=constants,
            percentiles=None if percentiles is None else np.array(percentiles, np.float64),
            corrections={
                str(name): Correction(*map(float, found)) for name, found in meta.get("echo_corrections", {}).items()
            },
            known=Known.from_dict(meta["known"]) if "known" in meta else None,  # the first versions counted nothing
        )

    @property
    def codec(self) -> Codec:
        """Between texts and tokens."""
        codec: Codec = self._check_trained().codec
        return codec

    @property
    def atoms_(self) -> dict[str, int]:
        """The atoms of the data and the bonds that each can form."""
        return dict(self._check_trained().atoms)

    @property
    def known_(self) -> Known | None:
        """What the training rows contained; None for models of the first versions, which counted nothing."""
        known: Known | None = self._check_trained().known
        return known

    @property
    def property_ranges_(self) -> dict[str, tuple[float, float]]:
        """By the name of each property that the decoder can be told, the range that it was trained on."""
        return self.autoencoder_.condition.ranges

    @property
    def score_constants_(self) -> dict[str, dict[str, float]]:
        """By the name of a score, the constants that searches with this model standardise it by."""
        return {name: dict(values) for name, values in self._check_trained().score_constants.items()}

    def store_score_constants(self, constants: Mapping[str, Mapping[str, float]]) -> None:
        """Keep the constants of scores, so that later searches are in the same units; :meth:`save` writes them.

        Parameters
        ----------
        constants
            By the name of a score, as in :attr:`Optimization.constants`. A score that the model has constants of
            already keeps those.
        """
        fitted = self._check_trained()
        self.fitted_ = replace(fitted, score_constants={**constants, **fitted.score_constants})

    # -- between texts and codes --------------------------------------------------------------------------------

    def reconstruct(self, data: Any, *, fragments: str | None = None, polish: int | None = None, **options: Any) -> Any:
        """Encode texts and decode them again.

        Parameters
        ----------
        data
            As for :meth:`encode`. A data frame of pandas or polars gives one of the same kind: its columns,
            ``reconstruction``, whether it is ``exact``, and what was ``changed`` on the way in; texts that are rejected
            come back as none.
        fragments, polish
            As for :meth:`encode`; with ``nearest``, which goes by what the encoder says, nothing is polished.
        options
            As for :meth:`decode`; without any, the likeliest text of each code.

        Raises
        ------
        InputError, DecodingError, TextError
            As :meth:`encode` and :meth:`decode`.
        """
        if not is_frame(data):
            texts = as_texts(data)
            polish = choose_polish(polish, options.get("nearest"))
            encoded = self._encode_texts(texts, False, None, "warn", fragments, polish, 4)
            raise_first(encoded.errors, len(texts))
            return self.decode(encoded.codes, **options)
        rows = list(read_rows(data)) if len(data) else []
        usable = [index for index, row in enumerate(rows) if row.problem is None]
        found = self.reconstruction(
            [rows[index].text for index in usable], fragments=fragments, polish=polish, **options
        )
        columns: dict[str, list[Any]] = {
            "reconstruction": [None] * len(rows),
            "exact": [False] * len(rows),
            "changed": [None] * len(rows),
        }
        for place, index in enumerate(usable):
            if place not in found.errors:
                values = (found.texts[place], bool(found.exact[place]), found.changed.get(place))
                for column, value in zip(columns.values(), values, strict=True):
                    column[index] = value
        return extend_frame(data, range(len(rows)), columns)

    def interpolate(
        self,
        a: str,
        b: str,
        steps: int = 9,
        *,
        fragments: str | None = None,
        polish: int | None = None,
        **options: Any,
    ) -> list[str]:
        """Decode codes on the straight line from the code of ``a`` to that of ``b``, both ends included.

        Parameters
        ----------
        a, b
            One text each.
        steps
            How many codes, 2 or more.
        fragments, polish
            As for :meth:`reconstruct`.
        options
            As for :meth:`decode`.

        Raises
        ------
        InputError
            For fewer than two steps; else as :meth:`encode` and :meth:`decode`.
        """
        encoding = {"fragments": fragments, "polish": choose_polish(polish, options.get("nearest"))}
        return self._interpolate(a, b, steps, encoding, options)

    def reconstruction(
        self,
        texts: Sequence[str],
        constraint: str | ConstraintSpec | None = None,
        *,
        fragments: str | None = None,
        polish: int | None = None,
        **options: Any,
    ) -> Reconstruction:
        """How many texts come back exactly when they are encoded and decoded, the likeliest token at each step.

        Parameters
        ----------
        texts
            N texts; those that the codec rejects count as not reconstructed. One that was changed when it was read, for
            example a salt that was left out, is compared with what was read, and the result says which these are.
        fragments
            As for :meth:`encode`: ``"largest"`` takes the largest part of a salt, which has to come back.
        polish
            As for :meth:`reconstruct`.
        constraint, options
            As for :meth:`decode_batch`.

        Raises
        ------
        InputError, DecodingError
            As :meth:`encode` and :meth:`decode`; a text that is rejected raises no error.
        """
        texts, codec = as_texts(texts), treat_fragments(self.codec, fragments)
        polish = choose_polish(polish, options.get("nearest"))
        encoded = self._encode_texts(texts, False, None, "warn", fragments, polish, 4)
        decoded = self.decode_batch(encoded.codes, constraint=constraint, **options)
        found, exact = [""] * len(texts), np.zeros(len(texts), dtype=bool)
        for row, text, valid in zip(encoded.rows, decoded.texts, decoded.valid, strict=True):
            found[row] = text
            read = codec.prepare(texts[row]) if row in encoded.changed else texts[row]
            exact[row] = valid and is_same(text, read, self.codec)
        return Reconstruction(found, exact, encoded.errors, encoded.changed)
