"""What a latent space of molecules is good for, twice: how much comes back from its codes, and what its density draws.

The paper asks of images whether a deterministic autoencoder needs noise, what regularises its decoder, and which
density fits its codes (its questions 1 to 3); here the same is asked of molecules. The grid is models, which are
trained, times ways of drawing from them, which cost no training.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.grid import Cell, Run, Study, check_least, check_names, load_or_train
from benchmarks.rows import Row
from grammar_rae.codecs import codec_from_dict
from grammar_rae.datasets import TokenDataset, encode, read_texts, sample_texts
from grammar_rae.density import DENSITIES
from grammar_rae.errors import InputError
from grammar_rae.evaluation.sets import TrainingSet, choose_texts
from grammar_rae.metrics import chemnet_moments, fcd, novelty
from grammar_rae.metrics.frechet import Moments
from grammar_rae.model import TextModel
from grammar_rae.recipes import TextRecipe, build_density, get_recipe, learn_codec

BASE = "molecules-rae"
"""The recipe that the models of the study differ from."""

_CONDITIONED: Mapping[str, Any] = {
    "objective": "layer-norm",
    "objective_options": {},
    "regularizer": "noise-conditioned",
}


class Latent(NamedTuple):
    """A model of the study: what it is, and the fields in which it differs from the base."""

    description: str
    fields: Mapping[str, Any]


def _beta(beta: float) -> Latent:
    return Latent(f"beta {beta}", {"objective_options": {"beta": beta}})


def _regularized(name: str, description: str, **options: Any) -> Latent:
    return Latent(description, {"regularizer": name, "regularizer_options": options})


MODELS: dict[str, Latent] = {
    "rae": Latent("beta 0.01, and no regulariser of the decoder", {}),
    "rae-l2": _regularized("l2", "with its decoder's weights squared"),
    "rae-l2-1e-4": _regularized("l2", "with its decoder's weights squared, at a hundred times the weight", weight=1e-4),
    "rae-gp": _regularized("gradient-penalty", "with a gradient penalty"),
    "rae-gp-1e-5": _regularized("gradient-penalty", "with a gradient penalty, at ten times the weight", weight=1e-5),
    "rae-sn": _regularized("spectral-norm", "with layers of norm 1 in its decoder"),
    "beta-0.001": _beta(0.001),
    "beta-0.1": _beta(0.1),
    "noise-0.5": _regularized("instance-noise", "with noise 0.5 on its codes", scale=0.5),
    "noise-1": _regularized("instance-noise", "with noise 1 on its codes", scale=1.0),
    "vae": Latent("a variational autoencoder", {"objective": "vae", "objective_options": {"beta": 0.1}}),
    "wae": Latent("a Wasserstein autoencoder", {"objective": "wae", "objective_options": {}}),
    "conditioned": Latent("noise-conditioned", _CONDITIONED),
    "conditioned-tally": Latent(
        "noise-conditioned, and aware of what it wrote", {**_CONDITIONED, "decoder_options": {"tally": True}}
    ),
    "conditioned-32": Latent("noise-conditioned, z of 32 dimensions", {**_CONDITIONED, "latent": 32}),
    "conditioned-128": Latent("noise-conditioned, z of 128 dimensions", {**_CONDITIONED, "latent": 128}),
}
"""The models of the study."""

CONDITIONED = tuple(name for name in MODELS if name.startswith("conditioned"))
"""The models whose decoder knows of smoothing."""


class Draw(NamedTuple):
    """A way of drawing from a model.

    Attributes
    ----------
    density
        A row of ``DENSITIES``, and after a colon its number of components or another option that is a whole number:
        ``gmm:100``, ``two-stage:epochs=20``.
    smoothing, temperature, constraint
        As :meth:`TextModel.sample` takes them.
    """

    density: str
    smoothing: float
    temperature: float
    constraint: str

    @property
    def density_options(self) -> tuple[str, dict[str, Any]]:
        """The name and the options of the density.

        Raises
        ------
        InputError
            For an option that cannot be read.
        """
        name, colon, value = self.density.partition(":")
        option, equals, number = value.rpartition("=")
        if colon and not (number.isascii() and number.isdecimal() and int(number) and bool(option) == bool(equals)):
            raise InputError(
                "the option of a density cannot be read",
                received=self.density,
                expected="gmm:10 or two-stage:epochs=20, for example",
            )
        return name, {option or "n_components": int(number)} if colon else {}


@dataclass(frozen=True)
class LatentSpaceStudy(Study):
    """A study of latent spaces of molecules.

    Attributes
    ----------
    source, test
        Files of molecules: those to train on, and those that are reconstructed and compared with.
    models
        Rows of :data:`MODELS`.
    densities, smoothings, temperatures, constraints
        Each model is drawn from in every combination; smoothing above 0 only where the decoder knows of it.
    n_training, epochs
        How many molecules of the source train, chosen at random, and how often.
    n
        The number of draws of each point, and of test molecules that they are compared with.
    seed
        The random seed.
    """

    source: Path
    test: Path
    models: Sequence[str] = tuple(MODELS)
    densities: Sequence[str] = ("gmm:10",)
    smoothings: Sequence[float] = (0.0, 1.0, 2.0)
    temperatures: Sequence[float] = (1.0, 0.6)
    constraints: Sequence[str] = ("grammar",)
    n_training: int = 300_000
    epochs: int = 5
    n: int = 5_000
    seed: int = 0

    def __post_init__(self) -> None:
        check_names("model of the study", self.models, MODELS)
        check_names("density", [name.partition(":")[0] for name in self.densities], DENSITIES)
        for name in self.densities:
            made, options = Draw(name, 0.0, 1.0, "grammar").density_options
            # Found now: after the trainings it would cost them.
            build_density(get_recipe(BASE, TextRecipe).replace(density=made, density_options=options))
        check_least(self, n_training=100, epochs=1, n=100)

    @cached_property
    def data(self) -> TokenDataset:
        """The molecules that train, encoded once for all models."""
        folder = self.folder / "data"
        if not folder.is_dir():
            texts = [text for _, text in read_texts(self.source)]
            kept = np.sort(np.random.default_rng(self.seed).permutation(len(texts))[: self.n_training])
            texts = [texts[i] for i in kept]
            base = get_recipe(BASE, TextRecipe)
            codec = learn_codec(base, sample_texts(texts, base.codec_texts, self.seed))
            encode(texts, codec, folder, jobs=-1, progress=self.progress)
        return TokenDataset.open(folder)

    @cached_property
    def training(self) -> TrainingSet:
        """The molecules that train, for look-up."""
        return TrainingSet.of_run(self.data, codec_from_dict(self.data.codec_dict))

    @cached_property
    def test_texts(self) -> list[str]:
        """The test molecules, at most n."""
        return choose_texts([text for _, text in read_texts(self.test)], self.n, self.seed, 0)

    @cached_property
    def reference(self) -> Moments:
        """ChemNet's view of the test molecules."""
        return chemnet_moments(self.test_texts)

    @cached_property
    def floor(self) -> float:
        """The distance of as many training molecules from the test molecules: what no model should beat."""
        return fcd(chemnet_moments(choose_texts(self.training.texts, self.n, self.seed, 1)), self.reference)

    @property
    def runs(self) -> list[Run]:
        """One run for each model."""
        return [self._run(model) for model in self.models]

    def recipe(self, model: str) -> TextRecipe:
        """The recipe of a model of the study."""
        base = get_recipe(BASE, TextRecipe)
        return base.replace(**MODELS[model].fields, epochs=self.epochs, seed=self.seed, validate_every=None)

    def draws(self, model: str) -> list[Draw]:
        """The ways of drawing from a model."""
        smoothings = self.smoothings if model in CONDITIONED else [0.0]
        points = itertools.product(self.densities, smoothings, self.temperatures, self.constraints)
        return [Draw(*point) for point in points]

    def _run(self, model: str) -> Run:
        key = {
            "model": model,
            "seed": self.seed,
            "rows": self.n_training,
            "epochs": self.epochs,
            "n": self.n,
            "source": self.source.name,
            "test": self.test.name,
        }
        folder = self.folder / "runs" / f"{model}-seed{self.seed}"
        cells = [Cell(draw._asdict(), partial(_figures, self, draw)) for draw in self.draws(model)]
        return Run(model, folder, key, partial(self._train, model, folder), cells)

    def _train(self, name: str, folder: Path) -> tuple[TextModel, float]:
        """The model, and how much it reconstructs, which does not depend on the way of drawing."""
        model = load_or_train(
            TextModel,
            self.recipe(name),
            self.data,
            folder,
            seed=self.seed,
            progress=self.progress,
            # An encoded data set brings its codec, and drawing fits densities of its own.
            free=("description", "name", "density", "density_options"),
        )
        return model, model.reconstruction(self.test_texts).share


def _figures(study: LatentSpaceStudy, draw: Draw, prepared: tuple[TextModel, float]) -> Row:
    """What a way of drawing gives: the figures describe raw draws, and FCD the valid ones."""
    model, exact = prepared
    name, options = draw.density_options
    if (model.recipe_.density, dict(model.recipe_.density_options)) != (name, options):
        model.refit_density(name, **options)
    drawn = model.sample(
        study.n,
        valid_only=False,
        seed=study.seed,
        temperature=draw.temperature,
        smoothing=draw.smoothing,
        constraint=draw.constraint,
    )
    valid = [text for text, good in zip(drawn.texts, drawn.valid, strict=True) if good]
    return {
        "exact": exact,
        "valid": drawn.validity,
        "unique": drawn.uniqueness,
        "novel": novelty([model.codec.prepare(text) for text in valid], set(study.training.texts)),
        "fcd": fcd(chemnet_moments(valid), study.reference) if len(valid) > 1 else None,
        "floor": study.floor,
        "density_score": model.density_score,
    }
