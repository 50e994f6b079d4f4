"""What every recipe has, whatever it is for, and how its parts are built."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import nn

from grammar_rae.autoencoder import Autoencoder
from grammar_rae.conditions import CONDITIONS
from grammar_rae.density import DENSITIES, Density
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.gallery import facts_table
from grammar_rae.heads import HEADS, Head
from grammar_rae.likelihoods import Likelihood
from grammar_rae.objectives import OBJECTIVES
from grammar_rae.precision import in_single_precision
from grammar_rae.regularizers import REGULARIZERS
from grammar_rae.seeds import check_seed
from grammar_rae.training import TrainingSettings

Options = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What to train and how; each pair ``x``, ``x_options`` is the name of a row of a table and its keyword arguments.

    Attributes
    ----------
    name, description
        For people to read.
    encoder, decoder, latent
        Rows of the tables of nets, and D.
    objective, likelihood, regularizer, condition, head, density
        Rows of the tables of those names. The density is fitted after training.
    smoothing
        The default level of the noise on draws of the density; only decoders that were trained with the regulariser
        ``noise-conditioned`` accept any but 0.
    training
        Keyword arguments of :class:`TrainingSettings`.
    validation_fraction, validation_maximum
        The part of the rows that validates instead of training, and its limit.
    """

    tables: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "objective": OBJECTIVES,
        "regularizer": REGULARIZERS,
        "density": DENSITIES,
    }
    """The axes and their tables; each kind of recipe adds its own."""

    name: str
    description: str
    encoder: str
    encoder_options: Options = field(default_factory=dict)
    decoder: str
    decoder_options: Options = field(default_factory=dict)
    latent: int = 64
    objective: str = "rae"
    objective_options: Options = field(default_factory=lambda: {"beta": 0.01})
    likelihood: str
    regularizer: str = "none"
    regularizer_options: Options = field(default_factory=dict)
    condition: str = "none"
    condition_options: Options = field(default_factory=dict)
    head: str = "none"
    head_options: Options = field(default_factory=dict)
    density: str = "gmm"
    density_options: Options = field(default_factory=lambda: {"n_components": 10})
    smoothing: float = 0.0
    training: Options = field(default_factory=dict)
    validation_fraction: float = 0.05
    validation_maximum: int = 5_000

    def __post_init__(self) -> None:
        for kind, table in self.tables.items():
            name = getattr(self, kind)
            if not isinstance(name, str) or name not in table:
                raise UnknownNameError(kind, name, table)
        for name in self.counts():
            count = getattr(self, name)
            if type(count) is not int or count < 1:
                raise InputError(f"{name} cannot be used", received=repr(count), expected="a whole number, 1 or more")
        smoothing = self.smoothing
        if isinstance(smoothing, bool) or not isinstance(smoothing, int | float) or not 0 <= smoothing < float("inf"):
            raise InputError("smoothing cannot be used", received=repr(smoothing), expected="0 or more, and finite")
        fraction = self.validation_fraction
        if not isinstance(fraction, int | float) or not 0 < fraction < 1:
            raise InputError("validation_fraction cannot be used", received=repr(fraction), expected="in (0, 1)")
        self._check_options()

    def _repr_html_(self) -> str:
        chosen = {field.name: getattr(self, field.name) for field in fields(self)}
        facts = {name: value for name, value in chosen.items() if value not in (None, {}, ()) and name != "name"}
        shown = {
            name: ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, Mapping) else value
            for name, value in facts.items()
        }
        return "".join([facts_table(shown, f"{type(self).__name__} {self.name}")])

    def counts(self) -> list[str]:
        """The fields that are whole numbers, 1 or more."""
        return ["latent", "validation_maximum"]

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

    def replace(self, **overrides: Any) -> Self:
        """The same recipe with other choices: fields of this class, or of :class:`TrainingSettings`.

        A length that is chosen (``epochs`` or ``time_limit``) replaces the recipe's own, whichever that was.

        Raises
        ------
        UnknownNameError
            For a name that is neither.
        """
        own = {field.name for field in fields(self)} - {"name", "description"}
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
                settings = f"grammar_rae.recipes.{type(self).__name__} and grammar_rae.training.TrainingSettings"
                raise UnknownNameError("recipe setting", name, own | of_training, settings)
        return replace(self, **({"training": training} | chosen))

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The recipe that :meth:`to_dict` wrote.

        Raises
        ------
        InputError
            If ``data`` is not that of a recipe.
        """
        try:
            return cls(**data)
        except TypeError as error:
            names = [one.name for one in fields(cls)]
            strange = [name for name in data if name not in names] if isinstance(data, Mapping) else []
            near = get_close_matches(str(strange[0]), names, n=1) if strange else []
            remedy = f"Did you mean {near[0]!r} by {strange[0]!r}?" if near else None
            raise InputError(f"these are not a recipe's data ({error})", remedy=remedy) from error


class Parts(NamedTuple):
    """What a recipe builds."""

    autoencoder: Autoencoder
    density: Density


@in_single_precision
def assemble(
    recipe: Recipe,
    encoder: Callable[[int], nn.Module],
    decoder: Callable[..., nn.Module],
    likelihood: Callable[[], Likelihood],
) -> Parts:
    """The nets and the density of a recipe: random weights, by the seed of its training; not fitted.

    Parameters
    ----------
    encoder
        Builds the encoder from the size H of its output.
    decoder
        Builds the decoder from the number of inputs that it takes for each code and, where rows are told more, from an
        option that says how many of these inputs that is.
    likelihood
        Builds the likelihood.

    Raises
    ------
    InputError
        For options that a part does not take.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(check_seed(recipe.training.get("seed", 0)))
        objective = construct(OBJECTIVES[recipe.objective], recipe.objective_options)
        regularizer = construct(REGULARIZERS[recipe.regularizer], recipe.regularizer_options)
        condition = construct(CONDITIONS[recipe.condition], recipe.condition_options)
        told = {"told": condition.size} if condition.size else {}
        autoencoder = Autoencoder(
            encoder(recipe.latent * objective.outputs_per_latent),
            decoder(recipe.latent + regularizer.conditions, told),
            objective,
            likelihood(),
            regularizer,
            condition,
            build_head(recipe, len(condition.names)),
        )
        # Inside: a density may have weights of its own.
        return Parts(autoencoder, build_density(recipe))


def build_head(recipe: Recipe, n_properties: int) -> Head:
    """The recipe's head, for so many properties.

    Raises
    ------
    InputError
        For options that it does not take, or a head where no properties are known.
    """
    sizes = (recipe.latent, n_properties) if HEADS[recipe.head].asks else ()
    head: Head = construct(HEADS[recipe.head], recipe.head_options, *sizes)
    return head


@in_single_precision
def build_density(recipe: Recipe) -> Density:
    """The recipe's density, not fitted.

    Raises
    ------
    InputError
        For options that it does not take.
    """
    density: Density = construct(DENSITIES[recipe.density], recipe.density_options, recipe.latent)
    return density


def training_settings(recipe: Recipe) -> TrainingSettings:
    """The recipe's training.

    Raises
    ------
    InputError
        For settings that cannot be used.
    """
    return TrainingSettings(**recipe.training)


def construct(make: Callable[..., Any], options: Options, *arguments: Any, **keywords: Any) -> Any:
    """Call ``make``; a wrong option becomes an error that names it."""
    try:
        # Only a mistaken keyword is looked for; what goes wrong inside keeps its traceback.
        inspect.signature(make).bind(*arguments, **keywords, **options)
    except TypeError as error:
        name = getattr(make, "__qualname__", str(make))
        raise InputError(f"{name} takes no such option ({error})", received=dict(options)) from error
    if make.__module__.startswith("grammar_rae.nets"):
        _check_sizes(make, options)
    return make(*arguments, **keywords, **options)


def _check_sizes(net: Callable[..., Any], options: Options) -> None:
    """Raise an InputError for an option of a net that should be a size, or several, and is none."""
    for name, parameter in inspect.signature(net).parameters.items():
        usual, value = parameter.default, options.get(name)
        several = isinstance(usual, tuple)
        if name not in options or type(usual[0] if several and usual else usual) is not int:
            continue
        sizes = value if several and isinstance(value, list | tuple) else [value]
        least = 0 if usual == 0 else 1
        if not all(type(size) is int and least <= size < 2**31 for size in sizes):
            raise InputError(f"{name} cannot be used", received=repr(value), expected=f"whole numbers, {least} or more")
