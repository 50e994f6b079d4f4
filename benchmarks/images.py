"""Table 1 of the paper: ten models of images, and how well they reconstruct, sample and interpolate.

Nothing is chosen on the test images: each model is the one of its best validation, and every weight is fixed before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.grid import Cell, Run, Study, check_least, check_names, load_or_train
from benchmarks.rows import Row
from grammar_rae import checkpoint, metrics
from grammar_rae.arrays import read_arrays
from grammar_rae.datasets import ImageSet, image_set
from grammar_rae.errors import InputError
from grammar_rae.files import replacing
from grammar_rae.model import ImageModel
from grammar_rae.recipes import ALL_IMAGE_MODELS, IMAGE_MODELS, ImageRecipe, image_recipe

Images = NDArray[np.float32]

COLUMNS = ("rec", "n", "gmm", "interp")
"""The columns of Table 1: test reconstructions, samples of the baseline density (N), samples of a mixture of ten
Gaussians, and mid-points between the codes of random pairs of test images."""

SAMPLED = ("n", "gmm")

SETTINGS_OF = {"mnist": "mnist", "fashion-mnist": "mnist", "digits": "mnist", "cifar10": "cifar10", "celeba": "celeba"}
"""Which of the paper's settings serve a data set; it has none for Fashion-MNIST and for scikit-learn's digits."""

MOST_TRAINING = 50_000
"""Training images whose features are computed, for the floor and for nearest neighbours."""

EXAMPLES = 10
"""Images a row in the figures."""


@dataclass(frozen=True)
class ImageStudy(Study):
    """A study of models of images.

    Attributes
    ----------
    data, source
        A row of ``IMAGE_SETS``, and the folder with its files where it needs one.
    net
        ``"paper"`` or ``"small"``.
    models, seeds, epochs
        Rows of ``ALL_IMAGE_MODELS``; seeds of weights, split and order; None for the recipe's own epochs.
    n
        The number of images that a distance is measured with, at most that of the test images.
    features
        A row of :data:`FEATURES`: ``"classifier"``, trained here, or ``"inception"``.
    weights
        The file of Inception's weights, where it is not to be downloaded.
    variants
        Options of the objective in place of the recipe's: one run each.
    """

    data: str = "mnist"
    source: Path | None = None
    net: str = "small"
    models: Sequence[str] = tuple(IMAGE_MODELS)
    seeds: Sequence[int] = (0,)
    epochs: int | None = None
    n: int = 10_000
    features: str = "classifier"
    weights: Path | None = None
    variants: Sequence[dict[str, Any]] = field(default_factory=lambda: ({},))

    def __post_init__(self) -> None:
        check_names("image model", self.models, ALL_IMAGE_MODELS, "grammar_rae.recipes.ALL_IMAGE_MODELS")
        check_names("data set", [self.data], SETTINGS_OF)
        check_names("feature net", [self.features], FEATURES)
        check_least(self, n=2)
        if not self.models or not self.seeds:
            raise InputError("a study needs a model and a seed", received=f"{self.models}, {self.seeds}")

    @property
    def runs(self) -> list[Run]:
        """One for each seed, model and variant, the first seed's first."""
        return [self._run(model, seed, v) for seed in self.seeds for v in self.variants for model in self.models]

    def _run(self, model: str, seed: int, variant: dict[str, Any]) -> Run:
        recipe = self._recipe(model, seed, variant)
        options = [f"{name}={value:g}" for name, value in variant.items()]
        name = "-".join([model, *options, f"seed{seed}"])
        key = {
            "data": self.data,
            "net": self.net,
            "model": model,
            "variant": variant,
            "seed": seed,
            "epochs": recipe.training["epochs"],
            "features": self.features,
            "n": min(self.n, len(self.images.test)),
        }
        folder = self.folder / "runs" / name
        cells = [Cell({"column": one}, partial(_figures, self, folder, model, seed, one)) for one in COLUMNS]
        return Run(name, folder, key, partial(self._train, recipe, folder), cells)

    def _recipe(self, model: str, seed: int, variant: dict[str, Any]) -> ImageRecipe:
        """A run's recipe, with a density that takes no time to fit: each column fits its own."""
        recipe = image_recipe(model, SETTINGS_OF[self.data], self.net)
        chosen: dict[str, Any] = {"density": "prior", "density_options": {}, "seed": seed}
        if self.epochs is not None:
            chosen["epochs"] = self.epochs
        if variant:
            chosen["objective_options"] = {**recipe.objective_options, **variant}
        return recipe.replace(**chosen)

    def _train(self, recipe: ImageRecipe, folder: Path) -> ImageModel:
        return load_or_train(
            ImageModel,
            recipe,
            self.images.train,
            folder,
            seed=recipe.training["seed"],
            progress=self.progress,
            free=("density", "density_options", "description"),
        )

    @cached_property
    def images(self) -> ImageSet:
        """The training and test images."""
        return image_set(self.data, self.source, self.progress)

    @cached_property
    def reference(self) -> "Reference":
        """The real images that all others are compared with."""
        return Reference(self)


class Reference:
    """The real images that everything is compared with, seen through the feature net."""

    def __init__(self, study: ImageStudy) -> None:
        self.study = study
        self.net: metrics.FeatureNet = FEATURES[study.features](study)
        test, train = study.images.test, study.images.train
        self.n = min(study.n, len(test))
        self.test = metrics.features_of(self.net, _batches(test, len(test)))
        self.training_rows = np.random.default_rng(0).permutation(len(train))[:MOST_TRAINING]
        self.training = metrics.features_of(self.net, _batches(train, MOST_TRAINING, self.training_rows))
        self.floor = metrics.frechet_floor(self.test, self.n, self.training)

    def measure(self, images: Images, sampled: bool, seed: int) -> tuple[Row, dict[str, Any]]:
        """Measure generated images: figures, and the curve of precision and recall where they were sampled."""
        found = metrics.features_of(self.net, images)
        row: Row = {
            "distance": metrics.frechet(found, self.test),
            "distance_name": self.net.distance_name,
            "floor": self.floor,
        }
        curves: dict[str, Any] = {}
        if sampled:
            real = self.test[: len(found)]
            row |= metrics.prdc(real, found)._asdict()
            curve = metrics.prd(real, found, seed=seed)
            f8, f_eighth = metrics.prd_f(*curve)
            row |= {"prd_f8": f8, "prd_f1/8": f_eighth}
            curves = {"precision": curve[0], "recall": curve[1]}
        return row, curves

    def neighbours(self, images: Images) -> Images:
        """The training image nearest to each image, by the features."""
        nearest = metrics.nearest_neighbours(metrics.features_of(self.net, images), self.training)[:, 0]
        return self.study.images.train.batch(self.training_rows[nearest]).numpy()


def figure3_studies(study: ImageStudy) -> list[ImageStudy]:
    """The studies of Figure 3: VAEs with more and more Monte-Carlo samples, and with heavier and heavier KL costs."""
    halves: list[list[dict[str, Any]]] = [
        [{"samples": k} for k in (1, 2, 4, 8)],
        [{"beta": float(weight)} for weight in (0.01, 0.03, 0.1, 0.3, 1, 3)],
    ]
    return [replace(study, models=("vae",), variants=half) for half in halves]


def _figures(study: ImageStudy, folder: Path, name: str, seed: int, column: str, model: ImageModel) -> Row:
    """One cell of the table; a few of its images are kept beside the model."""
    reference = study.reference
    own = ALL_IMAGE_MODELS[name]
    makers: dict[str, Callable[[], Images]] = {
        "rec": lambda: model.reconstruct(study.images.test.subset(range(reference.n))),
        "interp": lambda: _midpoints(model, study, reference.n, seed),
        "n": lambda: _sampled(model, own.baseline, {}, reference.n, seed),
        "gmm": lambda: _sampled(model, "gmm", {"n_components": 10}, reference.n, seed),
    }
    images = makers[column]()
    figures, curves = reference.measure(images, column in SAMPLED, seed)
    if column in SAMPLED:
        figures |= {"fitted": model.recipe_.density, "fitted_score": model.density_score}
        if model.recipe_.density == own.density:  # the folder keeps the model with its own density
            model.save(folder)
    _keep_examples(study, folder, model, column, images, curves)
    best = model.history.best or {}
    return {"validation_loss": best.get("validation_loss"), "seconds": best.get("seconds"), **figures}


def _sampled(model: ImageModel, density: str, options: dict[str, Any], n: int, seed: int) -> Images:
    return model.refit_density(density, **options).sample(n, seed=seed)


def _midpoints(model: ImageModel, study: ImageStudy, n: int, seed: int) -> Images:
    z = model.encode(study.images.test)
    rng = np.random.default_rng(seed)
    return model.decode((z[rng.permutation(len(z))[:n]] + z[rng.permutation(len(z))[:n]]) / 2)


def _keep_examples(
    study: ImageStudy, folder: Path, model: ImageModel, column: str, images: Images, curves: dict[str, Any]
) -> None:
    """Keep a few images of a column for the figures, as bytes, beside the model."""
    shown = {"images": images[: 4 * EXAMPLES], **curves}
    if column in SAMPLED:
        shown["neighbours"] = study.reference.neighbours(images[:EXAMPLES])
    if column == "interp":
        ends = study.images.test.batch(range(8)).numpy()
        rows = [model.interpolate(a, b, EXAMPLES) for a, b in zip(ends[::2], ends[1::2], strict=True)]
        shown["images"] = np.concatenate(rows)
    as_bytes = {
        name: np.rint(255 * value).astype(np.uint8) if value.ndim == 4 else value for name, value in shown.items()
    }
    with replacing(folder / f"{column}.npz") as draft:
        np.savez_compressed(draft, **as_bytes)


def examples(run: Run, column: str) -> dict[str, NDArray[Any]]:
    """What was kept of a column; {} where it is not measured yet.

    These are ``images`` and, where they were sampled, ``neighbours``, ``precision`` and ``recall``.
    """
    path = run.folder / f"{column}.npz"
    return read_arrays(path) if path.is_file() else {}


def _batches(data: Any, limit: int, rows: NDArray[np.int64] | None = None, size: int = 1000) -> Iterator[Any]:
    order = np.arange(len(data)) if rows is None else rows
    for start in range(0, min(limit, len(order)), size):
        yield data.batch(order[start : min(start + size, limit)])


def _classifier(study: ImageStudy) -> metrics.FeatureNet:
    """The study's classifier, trained once and kept in its folder."""
    train, test = study.images.train, study.images.test
    home = study.folder / "classifier"
    if checkpoint.exists(home):
        meta, tensors = checkpoint.load(home, require=("weights",))
        net = metrics.ClassifierFeatures(**meta["config"])
        net.load_state_dict(tensors["weights"])
        return net.eval()
    if train.labels is None or test.labels is None:
        raise InputError(
            "these images have no labels to train a feature net on",
            received=study.data,
            remedy="Use the features of Inception.",
        )
    net = metrics.train_classifier(train.images, train.labels, seed=0, progress=study.progress)
    accuracy = net.accuracy(test.images, test.labels)
    meta = {"kind": "feature net", "config": net.config, "accuracy": accuracy, "versions": checkpoint.versions()}
    checkpoint.save(home, meta, {"weights": net.state_dict()})
    return net


FEATURES: dict[str, Callable[[ImageStudy], metrics.FeatureNet]] = {
    "classifier": _classifier,
    "inception": lambda study: metrics.InceptionFeatures(study.weights, progress=study.progress),
}
"""Feature nets, which turn images into what a distance compares."""


def classifier_accuracy(study: ImageStudy) -> float | None:
    """The share of test images that the study's classifier names correctly; None where it has none."""
    home = study.folder / "classifier"
    return float(checkpoint.read_meta(home)["accuracy"]) if checkpoint.exists(home) else None
