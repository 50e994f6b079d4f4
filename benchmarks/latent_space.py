"""What a latent space of molecules is good for, twice: how much comes back from its codes, and what its density draws.

The paper asks of images whether a deterministic autoencoder needs noise, what regularises its decoder, and which
density fits its codes (its questions 1 to 3); here the same is asked of molecules. A study is a grid: models, which
are trained, times ways of drawing from them, which cost no training. Each point is one row of ``results.jsonl``, so
that a study that was stopped goes on where it was.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import rows as common
from benchmarks.rows import Row
from grammar_rae.evaluation.sets import Training, chosen
from benchmarks.grid import check_names, latest, read_rows, trained
from grammar_rae.codecs import codec_from_dict
from grammar_rae.datasets import TokenDataset, encode, read_texts, sample_texts
from grammar_rae.density import DENSITIES
from grammar_rae.errors import InputError
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
    "rae-l2-1e-4": _regularized("l2", "with its decoder's weights squared, a hundred times as dear", weight=1e-4),
    "rae-gp": _regularized("gradient-penalty", "with a gradient penalty"),
    "rae-gp-1e-5": _regularized("gradient-penalty", "with a gradient penalty, ten times as dear", weight=1e-5),
    "rae-sn": _regularized("spectral-norm", "with layers of norm 1 in its decoder"),
    "beta-0.001": _beta(0.001),
    "beta-0.1": _beta(0.1),
    "noise-0.5": _regularized("instance-noise", "with noise 0.5 on its codes", scale=0.5),
    "noise-1": _regularized("instance-noise", "with noise 1 on its codes", scale=1.0),
    "vae": Latent("a variational autoencoder", {"objective": "vae", "objective_options": {"beta": 0.1}}),
    "wae": Latent("a Wasserstein autoencoder", {"objective": "wae", "objective_options": {}}),
    "conditioned": Latent("noise-conditioned", _CONDITIONED),
    "conditioned-tally": Latent(
        "noise-conditioned, and told what it wrote", {**_CONDITIONED, "decoder_options": {"tally": True}}
    ),
    "conditioned-32": Latent("noise-conditioned, z of 32 dimensions", {**_CONDITIONED, "latent": 32}),
    "conditioned-128": Latent("noise-conditioned, z of 128 dimensions", {**_CONDITIONED, "latent": 128}),
}
"""The models of the study."""

CONDITIONED = tuple(name for name in MODELS if name.startswith("conditioned"))
"""Those whose decoder knows of smoothing."""


class Draw(NamedTuple):
    """A way of drawing from a model.

    Attributes
    ----------
    density
        A row of ``DENSITIES``, and after a colon its number of components or another option that is a whole number:
        ``gmm:100``, ``two-stage:epochs=20``.
    smoothing, temperature, constraint
        As of :meth:`TextModel.sample`.
    """

    density: str
    smoothing: float
    temperature: float
    constraint: str

    @property
    def fitted(self) -> tuple[str, dict[str, Any]]:
        """The name and the options of the density.

        Raises
        ------
        InputError
            For an option that cannot be read.
        """
        name, colon, told = self.density.partition(":")
        option, equals, number = told.rpartition("=")
        if colon and not (number.isascii() and number.isdecimal() and int(number) and bool(option) == bool(equals)):
            raise InputError(
                "a density's option cannot be read",
                received=self.density,
                expected="gmm:10 or two-stage:epochs=20, for example",
            )
        return name, {option or "n_components": int(number)} if colon else {}


@dataclass(frozen=True)
class Study:
    """What to train and measure, and where.

    Attributes
    ----------
    folder
        Of the study.
    source, test
        Files of molecules: those to train on, and those that are reconstructed and compared with.
    models
        Rows of :data:`MODELS`.
    densities, smoothings, temperatures, constraints
        Each model is drawn from in every combination; smoothing above 0 only where the decoder knows of it.
    rows, epochs
        How many molecules of the source train, chosen at random, and how often.
    n
        Draws of each point, and test molecules that they are compared with.
    seed
        Of everything.
    progress
        Whether to show progress bars.
    """

    folder: Path
    source: Path
    test: Path
    models: Sequence[str] = tuple(MODELS)
    densities: Sequence[str] = ("gmm:10",)
    smoothings: Sequence[float] = (0.0, 1.0, 2.0)
    temperatures: Sequence[float] = (1.0, 0.6)
    constraints: Sequence[str] = ("grammar",)
    rows: int = 300_000
    epochs: int = 5
    n: int = 5_000
    seed: int = 0
    progress: bool = True

    def __post_init__(self) -> None:
        check_names("model of the study", self.models, MODELS)
        check_names("density", [name.partition(":")[0] for name in self.densities], DENSITIES)
        for name in self.densities:
            made, options = Draw(name, 0.0, 1.0, "grammar").fitted
            # Found now: after the trainings it would cost them.
            build_density(get_recipe(BASE, TextRecipe).replaced(density=made, density_options=options))
        for field, least in (("rows", 100), ("epochs", 1), ("n", 100)):
            if getattr(self, field) < least:
                raise InputError(f"{field} cannot be used", received=getattr(self, field), expected=f"{least} or more")

    @property
    def results(self) -> Path:
        return self.folder / "results.jsonl"

    @cached_property
    def data(self) -> TokenDataset:
        """The molecules that train, encoded once for all models."""
        folder = self.folder / "data"
        if not folder.is_dir():
            texts = [text for _, text in read_texts(self.source)]
            kept = np.sort(np.random.default_rng(self.seed).permutation(len(texts))[: self.rows])
            texts = [texts[i] for i in kept]
            base = get_recipe(BASE, TextRecipe)
            codec = learn_codec(base, sample_texts(texts, base.codec_texts, self.seed))
            encode(texts, codec, folder, jobs=-1, progress=self.progress)
        return TokenDataset.open(folder)

    @cached_property
    def training(self) -> Training:
        return Training.of_run(self.data, codec_from_dict(self.data.codec_dict))

    @cached_property
    def test_texts(self) -> list[str]:
        return chosen([text for _, text in read_texts(self.test)], self.n, self.seed, 0)

    @cached_property
    def reference(self) -> Moments:
        return chemnet_moments(self.test_texts)

    @cached_property
    def floor(self) -> float:
        """The distance of as many training molecules from the test molecules: what no model should beat."""
        return fcd(chemnet_moments(chosen(self.training.texts, self.n, self.seed, 1)), self.reference)

    @property
    def runs(self) -> "list[Run]":
        return [Run(self, model) for model in self.models]


@dataclass(frozen=True)
class Run:
    """One model of a study, and its points."""

    study: Study
    model: str

    @property
    def recipe(self) -> TextRecipe:
        study = self.study
        base = get_recipe(BASE, TextRecipe)
        return base.replaced(**MODELS[self.model].fields, epochs=study.epochs, seed=study.seed, validate_every=None)

    @property
    def folder(self) -> Path:
        return self.study.folder / "runs" / f"{self.model}-seed{self.study.seed}"

    @property
    def key(self) -> Row:
        """What tells a run's rows from others'."""
        study = self.study
        return {
            "model": self.model,
            "seed": study.seed,
            "rows": study.rows,
            "epochs": study.epochs,
            "n": study.n,
            "source": study.source.name,
            "test": study.test.name,
        }

    @property
    def draws(self) -> list[Draw]:
        study = self.study
        smoothings = study.smoothings if self.model in CONDITIONED else [0.0]
        return [
            Draw(*point)
            for point in itertools.product(study.densities, smoothings, study.temperatures, study.constraints)
        ]

    def trained(self) -> TextModel:
        study = self.study
        return trained(
            TextModel,
            self.recipe,
            study.data,
            self.folder,
            seed=study.seed,
            progress=study.progress,
            # An encoded data set brings its codec, and drawing fits densities of its own.
            free=("description", "name", "density", "density_options"),
        )


def run(study: Study) -> Iterator[Row]:
    """Train and measure what is missing; the rows of the study's points, as they are ready."""
    from tqdm.auto import tqdm

    bar = tqdm(study.runs, disable=not study.progress, unit="model", desc="latent space")
    for one in bar:
        bar.set_postfix_str(one.model)
        rows = {draw: latest(read_rows(study.results), {**one.key, **draw._asdict()}) for draw in one.draws}
        if all(row is not None for row in rows.values()):
            yield from (row for row in rows.values() if row is not None)
            continue
        model = one.trained()
        exact = _exact(model, study.test_texts)
        for draw, row in rows.items():
            if row is None:
                row = {**one.key, **draw._asdict(), "exact": exact, **_drawn(model, draw, study), **common.machine()}
                common.append(study.results, [row])
            yield row


def _exact(model: TextModel, texts: Sequence[str]) -> float:
    """The share of molecules that come back from their codes, those that the codec refuses counted as lost."""
    refused = {index for index, _ in model.codec.encode_batch(texts).rejected}
    taken = [text for index, text in enumerate(texts) if index not in refused]
    back = model.reconstruct(taken)
    return sum(model.codec.canonical(text) == one for text, one in zip(taken, back, strict=True)) / len(texts)


def _drawn(model: TextModel, draw: Draw, study: Study) -> Row:
    """What a way of drawing gives: the figures are of raw draws, FCD is of those that are valid."""
    name, options = draw.fitted
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
        "valid": drawn.validity,
        "unique": drawn.uniqueness,
        "novel": novelty([model.codec.prepare(text) for text in valid], set(study.training.texts)),
        "fcd": fcd(chemnet_moments(valid), study.reference) if len(valid) > 1 else None,
        "floor": study.floor,
        "density_score": model.density_score,
    }
