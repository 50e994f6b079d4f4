"""Recipes: every choice of a model and its training in one frozen object, and the one place that builds from it."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple

import torch

from grammar_rae.autoencoder import Autoencoder
from grammar_rae.codecs import CODECS, FORMS, Codec
from grammar_rae.decoding import Choice, Constraint, choice_of
from grammar_rae.density import DENSITIES, MixtureDensity
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.likelihoods import LIKELIHOODS
from grammar_rae.nets.sequence import DECODERS, ENCODERS
from grammar_rae.objectives import OBJECTIVES
from grammar_rae.regularizers import REGULARIZERS
from grammar_rae.training import TrainingSettings

Options = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What to train and how; each pair ``x``, ``x_options`` names a row of a table and its keyword arguments.

    Attributes
    ----------
    name, description
        For people.
    form, fragments, max_length
        As in :mod:`grammar_rae.codecs`: what is parsed, molecules of several parts, the most codes a text may take.
    codec
        Row of ``CODECS``; its options go to ``learn``.
    codec_texts
        How many texts, drawn at random, the codec learns from.
    encoder, decoder, latent
        Rows of ``ENCODERS`` and ``DECODERS``, and D.
    objective, likelihood, regularizer, density
        Rows of the tables of those names. The density is fitted after training.
    constraint
        The default when sampling, as a text: ``"grammar"``, or ``"chemistry; max-heavy-atoms=38"``. It can be given as
        an object of :mod:`grammar_rae.decoding.choices` too.
    training
        Keyword arguments of :class:`TrainingSettings`.
    validation_fraction, validation_maximum
        The part of the rows that validates instead of training, and its limit.
    """

    name: str
    description: str
    form: str = "kekule"
    fragments: str = "refuse"
    max_length: int | None = 64
    codec: str = "grammar"
    codec_options: Options = field(default_factory=lambda: {"grammar": "smiles", "n_macros": 512})
    codec_texts: int = 20_000
    encoder: str = "gru"
    encoder_options: Options = field(default_factory=dict)
    decoder: str = "gru"
    decoder_options: Options = field(default_factory=dict)
    latent: int = 64
    objective: str = "rae"
    objective_options: Options = field(default_factory=lambda: {"beta": 0.01})
    likelihood: str = "categorical"
    regularizer: str = "none"
    regularizer_options: Options = field(default_factory=dict)
    density: str = "gmm"
    density_options: Options = field(default_factory=lambda: {"n_components": 10})
    constraint: str = "grammar"
    training: Options = field(default_factory=dict)
    validation_fraction: float = 0.05
    validation_maximum: int = 5_000

    def __post_init__(self) -> None:
        tables: dict[str, Mapping[str, Any]] = {
            "form": FORMS,
            "codec": CODECS,
            "encoder": ENCODERS,
            "decoder": DECODERS,
            "objective": OBJECTIVES,
            "likelihood": LIKELIHOODS,
            "regularizer": REGULARIZERS,
            "density": DENSITIES,
        }
        for kind, table in tables.items():
            name = getattr(self, kind)
            if not isinstance(name, str) or name not in table:
                raise UnknownNameError(kind, name, table)
        object.__setattr__(self, "constraint", str(choice_of(self.constraint)))
        counts = {name: getattr(self, name) for name in ("latent", "codec_texts", "validation_maximum")}
        if self.max_length is not None:
            counts["max_length"] = self.max_length
        for name, count in counts.items():
            if type(count) is not int or count < 1:
                raise InputError(f"{name} cannot be used", received=repr(count), expected="a whole number, 1 or more")
        fraction = self.validation_fraction
        if not isinstance(fraction, int | float) or not 0 < fraction < 1:
            raise InputError("validation_fraction cannot be used", received=repr(fraction), expected="in (0, 1)")
        self._check_options()

    def _check_options(self) -> None:
        for name in [one.name for one in fields(self) if one.type == Options]:
            options = getattr(self, name)
            if not isinstance(options, Mapping):
                raise InputError(f"{name} must be a mapping", received=repr(options), expected="{name: value, ...}")
            try:
                json.dumps(dict(options), allow_nan=False)
            except (TypeError, ValueError, RecursionError) as error:
                # Found now: after the training it could not be saved.
                raise InputError(
                    f"{name} cannot be written as JSON ({error})",
                    received=repr(options),
                    expected="names, numbers, texts and lists",
                ) from error

    def replaced(self, **overrides: Any) -> "Recipe":
        """The same recipe with other choices: fields of this class, or of :class:`TrainingSettings`.

        A length that is chosen (``epochs`` or ``time_limit``) replaces the recipe's own, whichever that was.

        Raises
        ------
        UnknownNameError
            For a name that is neither.
        """
        own = {field.name for field in fields(Recipe)} - {"name", "description"}
        of_training = {field.name for field in fields(TrainingSettings)}
        training = dict(self.training)
        if overrides.keys() & {"epochs", "time_limit"}:
            training = {name: value for name, value in training.items() if name not in ("epochs", "time_limit")}
        chosen = {}
        for name, value in overrides.items():
            if name in of_training:
                training[name] = value
            elif name in own:
                chosen[name] = value
            else:
                raise UnknownNameError("recipe setting", name, own | of_training)
        return replace(self, **({"training": training} | chosen))

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipe":
        """The recipe that :meth:`to_dict` wrote.

        Raises
        ------
        InputError
            When ``data`` is no recipe.
        """
        try:
            return cls(**data)
        except TypeError as error:
            raise InputError(f"these are not a recipe's data ({error})") from error


def _recipes(*recipes: Recipe) -> dict[str, Recipe]:
    return {recipe.name: recipe for recipe in recipes}


_FAST = {"batch_size": 512, "learning_rate": 2e-3, "warmup_steps": 200, "optimizer": "adamw", "gradient_clip": 1.0}

RECIPES: dict[str, Recipe] = _recipes(
    Recipe(
        name="molecules",
        description="molecules in Kekulé form, 512 macros, bidirectional GRU encoder, autoregressive GRU decoder",
        training={**_FAST, "time_limit": 1200.0, "validate_every": 60.0},
    ),
    Recipe(
        name="molecules-conv",
        description="the same with a convolutional encoder",
        encoder="conv",
        training={**_FAST, "time_limit": 1200.0, "validate_every": 60.0},
    ),
    Recipe(
        name="expressions",
        description="arithmetic expressions in x, 12 productions and 64 macros",
        form="text",
        max_length=32,
        codec_options={"grammar": "expressions", "n_macros": 64},
        encoder_options={"embedding": 32, "hidden": 64},
        decoder_options={"embedding": 32, "hidden": 128, "context": 32},
        latent=16,
        training={**_FAST, "epochs": 10},
    ),
    Recipe(
        name="characters",
        description="the rival without a grammar: SMILES as characters, same nets",
        form="aromatic",
        max_length=128,
        codec="characters",
        codec_options={},
        training={**_FAST, "time_limit": 1200.0, "validate_every": 60.0},
    ),
    Recipe(
        name="tiny",
        description="a toy of the recipe molecules, for tests and first tries",
        codec_options={"grammar": "smiles", "n_macros": 64},
        encoder_options={"embedding": 16, "hidden": 24},
        decoder_options={"embedding": 16, "hidden": 48, "context": 16},
        latent=8,
        density="gaussian",
        density_options={},
        training={**_FAST, "batch_size": 64, "epochs": 3, "warmup_steps": 5},
    ),
)
"""The recipes by name."""


def get_recipe(recipe: "str | Recipe") -> Recipe:
    """The recipe of that name, or the recipe itself.

    Raises
    ------
    UnknownNameError
        For a name that is not in ``RECIPES``.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if not isinstance(recipe, str) or recipe not in RECIPES:
        raise UnknownNameError("recipe", recipe, RECIPES)
    return RECIPES[recipe]


class Parts(NamedTuple):
    """What a recipe builds."""

    autoencoder: Autoencoder
    density: MixtureDensity


def learn_codec(recipe: Recipe, texts: Iterable[str]) -> Codec:
    """The recipe's codec, learned from texts."""
    codec: Codec = _made(
        CODECS[recipe.codec].learn,
        recipe.codec_options,
        texts,
        form=recipe.form,
        fragments=recipe.fragments,
        max_length=recipe.max_length,
    )
    return codec


def build(recipe: Recipe, codec: Codec) -> Parts:
    """The recipe's nets and density for a codec: random weights, by the seed of the recipe's training; not fitted.

    Raises
    ------
    InputError
        For options that a part does not take.
    """
    rules = codec.rules
    # A net may have weights for each position; without a limit on texts there is still a longest one in practice.
    max_length = codec.max_length or 1024
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(recipe.training.get("seed", 0))
        objective = _made(OBJECTIVES[recipe.objective], recipe.objective_options)
        n_outputs = recipe.latent * objective.outputs_per_latent
        autoencoder = Autoencoder(
            _made(ENCODERS[recipe.encoder], recipe.encoder_options, rules, n_outputs, max_length),
            _made(DECODERS[recipe.decoder], recipe.decoder_options, rules, recipe.latent, max_length),
            objective,
            LIKELIHOODS[recipe.likelihood](rules),
            _made(REGULARIZERS[recipe.regularizer], recipe.regularizer_options),
        )
    return Parts(autoencoder, build_density(recipe))


def build_density(recipe: Recipe) -> MixtureDensity:
    """The recipe's density, not fitted."""
    density: MixtureDensity = _made(DENSITIES[recipe.density], recipe.density_options, recipe.latent)
    return density


def build_constraint(choice: str | Choice, codec: Codec, atoms: Mapping[str, int]) -> Constraint[Any]:
    """A constraint for a codec.

    Parameters
    ----------
    choice
        What is asked for, as a text or an object of :mod:`grammar_rae.decoding.choices`.
    codec
        What the codes mean.
    atoms
        The atoms of the data and the bonds that each can take, as of :attr:`CodeDataset.atoms`; only constraints on
        molecules look at them.

    Raises
    ------
    InputError
        For a text that names no constraint, or a constraint that the codec or the atoms cannot serve.
    """
    return choice_of(choice).bind(codec, atoms)


def training_settings(recipe: Recipe) -> TrainingSettings:
    """The recipe's training.

    Raises
    ------
    InputError
        For settings that cannot be used.
    """
    return TrainingSettings(**recipe.training)


def _made(make: Callable[..., Any], options: Options, *arguments: Any, **keywords: Any) -> Any:
    """Call ``make``; a wrong option becomes an error that names it."""
    try:
        # Only a mistaken keyword is looked for; what goes wrong inside keeps its traceback.
        inspect.signature(make).bind(*arguments, **keywords, **options)
    except TypeError as error:
        name = getattr(make, "__qualname__", str(make))
        raise InputError(f"{name} takes no such option ({error})", received=dict(options)) from error
    return make(*arguments, **keywords, **options)
