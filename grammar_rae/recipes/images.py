"""Recipes of models of images: the ten of the paper's Table 1, with its nets or with small ones.

Weights are the authors', converted to costs that are sums over pixels and over latent dimensions. Where the paper's
code and its text differ, these follow the code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from grammar_rae.errors import UnknownNameError
from grammar_rae.likelihoods import IMAGE_LIKELIHOODS
from grammar_rae.nets.image import IMAGE_DECODERS, IMAGE_ENCODERS, Shape, lay_out
from grammar_rae.recipes.base import Parts, Recipe, assemble, construct


@dataclass(frozen=True, kw_only=True)
class ImageRecipe(Recipe):
    """A recipe of a model of images; see :class:`Recipe`."""

    tables: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **Recipe.tables,
        "encoder": IMAGE_ENCODERS,
        "decoder": IMAGE_DECODERS,
        "likelihood": IMAGE_LIKELIHOODS,
    }

    encoder: str = "small"
    decoder: str = "small"
    likelihood: str = "squared-error"
    latent: int = 16
    validation_fraction: float = 0.2
    validation_maximum: int = 10_000


class Model(NamedTuple):
    """A row of Table 1, without its weights: the fields of a recipe.

    ``baseline`` is the density of the table's column N: the prior for what is drawn to it, else one Gaussian.
    """

    description: str
    objective: str
    regularizer: str = "none"
    likelihood: str = "squared-error"
    baseline: str = "gaussian"
    density: str = "gmm"
    density_options: Mapping[str, Any] = {"n_components": 10}
    smoothing: float = 0.0


def _variational(description: str, objective: str, likelihood: str = "squared-error", density: str = "prior") -> Model:
    return Model(description, objective, "none", likelihood, density, density, {})


IMAGE_MODELS: dict[str, Model] = {
    "vae": _variational("variational autoencoder", "vae"),
    "cv-vae": _variational("VAE of constant variance", "cv-vae"),
    "wae": _variational("Wasserstein autoencoder with MMD", "wae"),
    "2svae": _variational(
        "VAE of learned scale and a second VAE over its codes", "vae", "learned-gaussian", "two-stage"
    ),
    "rae-gp": Model("RAE with gradient penalty", "rae", "gradient-penalty"),
    "rae-l2": Model("RAE with squared decoder weights", "rae", "l2"),
    "rae-sn": Model("RAE with spectral normalisation of the decoder", "rae", "spectral-norm"),
    "rae": Model("RAE without a regulariser of the decoder", "rae"),
    "ae": Model("autoencoder", "ae"),
    "ae-l2": Model("autoencoder with squared decoder weights", "ae", "l2"),
}
"""The models of Table 1, in its order."""

OTHER_IMAGE_MODELS: dict[str, Model] = {
    f"nc-{round(100 * smoothing)}": Model(
        f"noise-conditioned autoencoder, drawn from with smoothing {smoothing:g}",
        "layer-norm",
        "noise-conditioned",
        smoothing=smoothing,
    )
    for smoothing in (0.0, 0.25, 0.5, 1.0)
}
"""Models that are not in the paper, to compare with its own; they have no weights to choose."""

ALL_IMAGE_MODELS: dict[str, Model] = IMAGE_MODELS | OTHER_IMAGE_MODELS
"""All of them."""


_RATES = {"": 5e-4, "vae": 1e-4, "cv-vae": 1e-4, "2svae": 1e-4, "wae": 1e-3}


class Data(NamedTuple):
    """The paper's settings for one data set."""

    latent: int
    weights: Mapping[str, tuple[float | None, float | None]]
    """For each model the objective's ``beta`` and the regulariser's ``weight``, where they have one."""
    epochs: Mapping[str, int]
    rates: Mapping[str, float] = _RATES
    """Adam's learning rates: of the model, or under ""."""
    batches: Mapping[str, int] = {"": 100}
    encoder: Mapping[str, Any] = {}
    decoder: Mapping[str, Any] = {}


def _weights(vae: float, cv: float, wae: float, gp: float, l2: float, sn: float, rae: float, **weight: float) -> Any:
    return {
        "vae": (vae, None),
        "cv-vae": (cv, None),
        "wae": (wae, None),
        "2svae": (1.0, None),  # the learned scale does the weighing
        "rae-gp": (gp, weight["gp_weight"]),
        "rae-l2": (l2, weight["l2_weight"]),
        "rae-sn": (sn, None),
        "rae": (rae, None),
        "ae": (None, None),
        "ae-l2": (None, weight["ae_weight"]),
    }


IMAGE_DATA: dict[str, Data] = {
    "mnist": Data(
        latent=16,
        weights=_weights(
            0.312, 0.039, 30.7, 0.0128, 0.0128, 1.152, 0.064, gp_weight=3.2e-6, l2_weight=1.02e-4, ae_weight=1.02e-4
        ),
        epochs={"": 100},
    ),
    "cifar10": Data(
        latent=128,
        weights=_weights(
            0.072, 0.0027, 18.4, 0.0432, 0.048, 1.44, 0.48, gp_weight=0.0, l2_weight=3.07e-3, ae_weight=3.07e-3
        ),
        epochs={"": 100, "wae": 70, "cv-vae": 70, "rae-gp": 70},
    ),
    "celeba": Data(
        latent=64,
        # The WAE's 100 stood beside a twentieth of the squared error.
        weights=_weights(
            0.271, 0.03, 2000.0, 0.0384, 0.0384, 0.922, 0.0384, gp_weight=1.92e-5, l2_weight=1.23e-3, ae_weight=1.23e-2
        ),
        rates={**_RATES, "": 1e-3},
        epochs={"": 70},
        batches={"": 100, "vae": 1000},
        encoder={"kernel": 5},
        decoder={"kernel": 5, "channels": [512, 256, 128]},
    ),
}
"""The data sets that the paper has settings for."""


def _with_paper_nets(model: str, data: str) -> dict[str, Any]:
    settings = IMAGE_DATA[data]

    def of(values: Mapping[str, Any]) -> Any:
        return values.get(model, values[""])

    return {
        "name": f"{data}-{model}",
        "encoder": "paper",
        "encoder_options": settings.encoder,
        "decoder": "paper",
        "decoder_options": settings.decoder,
        "training": {
            **_ADAM,
            "learning_rate": of(settings.rates),
            "epochs": of(settings.epochs),
            "batch_size": of(settings.batches),
            "schedule": "plateau",
            "plateau_factor": 0.5,
            "plateau_patience": 5,
        },
    }


def _with_small_nets(model: str, data: str) -> dict[str, Any]:
    training = {**_ADAM, "learning_rate": 1e-3, "epochs": 20, "batch_size": 100, "schedule": "cosine"}
    return {"name": f"image-{model}", "encoder": "small", "decoder": "small", "training": training}


# In float32 on every machine: a pixel's error is small beside the pixel.
_ADAM = {"optimizer": "adam", "gradient_clip": None, "precision": "32-true"}

NETS: dict[str, Callable[[str, str], dict[str, Any]]] = {"paper": _with_paper_nets, "small": _with_small_nets}
"""The nets and the training of a recipe, by a model and a data set."""


def image_recipe(model: str, data: str = "mnist", net: str = "small") -> ImageRecipe:
    """A model of Table 1 with the weights for a data set.

    Parameters
    ----------
    model
        One of ``ALL_IMAGE_MODELS``.
    data
        One of ``IMAGE_DATA``.
    net
        ``"paper"`` for the paper's nets, optimiser and epochs; ``"small"`` for nets and a schedule that suit a CPU:
        20 epochs of Adam at a rate of 1e-3 that falls as a cosine, the same for all models.

    Raises
    ------
    UnknownNameError
        For a name that is in none of the tables.
    """
    for kind, name, table, listed_by in (
        ("image model", model, ALL_IMAGE_MODELS, "ALL_IMAGE_MODELS"),
        ("data set", data, IMAGE_DATA, "IMAGE_DATA"),
        ("net", net, NETS, "images.NETS"),
    ):
        if name not in table:
            raise UnknownNameError(kind, name, table, f"grammar_rae.recipes.{listed_by}")
    row, settings = ALL_IMAGE_MODELS[model], IMAGE_DATA[data]
    beta, weight = settings.weights.get(model, (None, None))
    return ImageRecipe(
        description=f"{row.description}; {net} nets, weights for {data}",
        latent=settings.latent,
        objective=row.objective,
        objective_options={} if beta is None else {"beta": beta},
        likelihood=row.likelihood,
        regularizer=row.regularizer,
        regularizer_options={} if weight is None else {"weight": weight},
        density=row.density,
        density_options=row.density_options,
        smoothing=row.smoothing,
        **NETS[net](model, data),
    )


IMAGE_RECIPES: tuple[ImageRecipe, ...] = (
    *(image_recipe(model) for model in ALL_IMAGE_MODELS),
    *(image_recipe(model, data, "paper") for data in IMAGE_DATA for model in IMAGE_MODELS),
)
"""The recipes of images: all models with small nets and MNIST's weights, and the paper's with its own."""


def build_image(recipe: ImageRecipe, shape: Shape) -> Parts:
    """The recipe's nets and density for images (C, H, W): random weights, by the seed of its training; not fitted.

    Raises
    ------
    InputError
        For options that a part does not take, or images of a size that the nets do not take.
    """
    parts = assemble(
        recipe,
        lambda n_outputs: construct(IMAGE_ENCODERS[recipe.encoder], recipe.encoder_options, shape, n_outputs),
        lambda latent, told: construct(
            IMAGE_DECODERS[recipe.decoder], {**recipe.decoder_options, **told}, shape, latent
        ),
        lambda: IMAGE_LIKELIHOODS[recipe.likelihood](),
    )
    lay_out(parts.autoencoder.encoder)
    if not parts.autoencoder.regularizer.twice:
        lay_out(parts.autoencoder.decoder)
    return parts
