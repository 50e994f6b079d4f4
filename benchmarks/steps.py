"""The time of one training step of image autoencoders, beside another library's.

Nets, weights, batch, optimiser and threads are the same; the two take turns, on the CPU. Each model is compared in two
ways. In ``"own loop"`` each library trains as it does by itself: it reads the batches from its own data set in memory,
and makes Adam as it likes. In ``"step alone"`` both are handed one batch that is ready, and both have the fused Adam.
Either way a step is a whole turn of the library's own loop, from the end of one step to the end of the next, without
progress bars; what comes before the first step and after the last does not count.

What pythae 0.1.2 (Chadebec et al., NeurIPS 2022) does in a step:

- RAE_L2: each net has an optimiser, and for each of the two it goes backward through both nets. Its penalty is the
  weight decay of the decoder's optimiser; ours is a term of the loss.
- RAE_GP: its penalty has the gradient of the sum of the decoded pixels by the image, through decoder and encoder; ours
  that of the sum of their squares by the code, through the decoder, which is what the paper penalises. That is less
  work, so this ratio compares two regularisers too.
- VAE: the same as ours.
"""

import importlib.metadata
import importlib.util
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import lru_cache
from multiprocessing import get_context
from statistics import median
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.rows import Row
from grammar_rae.autoencoder import Autoencoder
from grammar_rae.datasets import ImageDataset
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.nets.image import lay_out
from grammar_rae.objectives import OBJECTIVES, VAE
from grammar_rae.recipes import ImageRecipe, build_image, image_recipe, training_settings
from grammar_rae.regularizers import L2, REGULARIZERS
from grammar_rae.training import Callback, TrainingSettings, TrainingState, fit

Clock = Callable[[], float]

MODELS = ("rae-l2", "rae-gp", "vae")
COMPARISONS = ("own loop", "step alone")


def run(
    models: Sequence[str] = MODELS,
    shape: tuple[int, int, int] = (1, 32, 32),
    batch: int = 100,
    threads: int | None = None,
    rounds: int = 10,
    steps: int = 10,
    net: str = "small",
    against: str | None = "pythae",
    seed: int = 0,
    clock: Clock = time.perf_counter,
) -> list[Row]:
    """Milliseconds of a step, ours and theirs, and their ratio: a row for each model and comparison.

    Each library has a process of its own, since both change theirs (memory, generators, environment); while one
    trains, the other waits. ``ratio`` is that of the medians over all steps; ``ratio_lowest`` and ``ratio_highest`` are
    those of single rounds. ``difference`` is the largest between a pixel that one side reconstructs before it is
    trained and the other's, which tells whether the nets are the same.

    Parameters
    ----------
    models
        Some of :data:`MODELS`; their costs weigh as in the recipes for MNIST.
    shape
        (C, H, W) of the images, which are noise.
    batch
        Images a step.
    threads
        The number of PyTorch's threads; None leaves it to PyTorch.
    rounds, steps
        The sides take turns, so many times: so many steps each, after one that does not count.
    net
        ``"small"`` or ``"paper"``, as for :func:`grammar_rae.recipes.image_recipe`.
    against
        One of :data:`RIVALS`; None measures this package alone.
    seed
        The random seed of weights, images and noise.
    clock
        Seconds. :func:`time.process_time` is of use for one thread on a machine that has other work.

    Raises
    ------
    UnknownNameError
        For a model, a net or a library that is not there.
    InputError
        When the library is not installed, or for numbers below 1.
    """
    for name, value in {"batch": batch, "threads": threads, "rounds": rounds, "steps": steps}.items():
        if value is not None and (type(value) is not int or value < 1):
            raise InputError(f"{name} cannot be used", received=repr(value), expected="a whole number, 1 or more")
    for model in models:
        if model not in MODELS:
            raise UnknownNameError("model whose steps are timed", model, MODELS)
    libraries = ["grammar_rae"]
    if against is not None:
        if against not in RIVALS:
            raise UnknownNameError("library to compare with", against, RIVALS)
        if importlib.util.find_spec(against) is None:
            raise InputError(
                f"{against} is not installed", remedy=f"In an environment of its own: {RIVALS[against].installation}"
            )
        libraries.append(against)
    rows = []
    for model in models:
        for comparison in COMPARISONS:
            settings = [
                _Setting(library, model, comparison, shape, batch, steps, net, seed, threads) for library in libraries
            ]
            settings[0].recipe()  # a net that is not there is found before a process is started
            rows.append(_measure(settings, rounds, clock))
    return rows


class _Setting(NamedTuple):
    """What one side has to train."""

    library: str
    model: str
    comparison: str
    shape: tuple[int, int, int]
    batch: int
    steps: int
    net: str
    seed: int
    threads: int | None

    def recipe(self) -> ImageRecipe:
        return image_recipe(self.model, net=self.net).replace(
            seed=self.seed, epochs=1, batch_size=self.batch, accelerator="cpu", precision="32-true"
        )

    def data(self) -> ImageDataset:
        rows = (self.steps + 1) * self.batch
        return ImageDataset(np.random.default_rng(self.seed).integers(0, 256, (rows, *self.shape), dtype=np.uint8))


class _About(NamedTuple):
    """What a side is; ``images`` (B, C, H, W) are what it makes of the first of the data before it is trained."""

    name: str
    optimizer: str
    threads: int
    images: NDArray[np.float32]


class _Side(Protocol):
    """A library with its copy of a model."""

    name: str
    optimizer: str

    def train(self, clock: Clock) -> list[float]:
        """Train on the data once, and tell when each step ended."""

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W), encoded and decoded without noise."""


@lru_cache(maxsize=1)
def _side(setting: _Setting) -> _Side:
    """The side of this process."""
    if setting.threads is not None:
        torch.set_num_threads(setting.threads)
    torch.manual_seed(setting.seed)
    return _Ours(setting) if setting.library == "grammar_rae" else RIVALS[setting.library](setting)


def _about(setting: _Setting) -> _About:
    side = _side(setting)
    images = side.reconstruct(setting.data().batch(np.arange(2)))
    return _About(side.name, side.optimizer, torch.get_num_threads(), images.numpy())


def _train(setting: _Setting, clock: Clock) -> list[float]:
    """Seconds of each step but the first."""
    return np.diff(_side(setting).train(clock)).tolist()


def _measure(settings: Sequence[_Setting], rounds: int, clock: Clock) -> Row:
    with ExitStack() as stack:
        # Spawned, as forks of a process that has computed with PyTorch may hang.
        pools = [stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"))) for _ in settings]
        sides = list(zip(pools, settings, strict=True))
        abouts = [pool.submit(_about, setting).result() for pool, setting in sides]
        taken: list[list[list[float]]] = [[] for _ in sides]
        for turn in range(rounds):
            order = range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides)))
            for which in order:
                pool, setting = sides[which]
                taken[which].append(pool.submit(_train, setting, clock).result())
    return _row(settings[0], abouts, taken)


def _row(setting: _Setting, abouts: Sequence[_About], taken: Sequence[Sequence[Sequence[float]]]) -> Row:
    """The figures of steps of so many seconds: ``taken[side][round][step]``."""
    row: Row = {"model": setting.model, "comparison": setting.comparison, "net": setting.net}
    row |= {"shape": " x ".join(map(str, setting.shape)), "batch": setting.batch, "threads": abouts[0].threads}
    row["steps"] = sum(map(len, taken[0]))
    for whose, about, times in zip(("ours", "theirs"), abouts, taken, strict=False):
        every = [1e3 * seconds for of_round in times for seconds in of_round]
        low, high = np.quantile(every, [0.25, 0.75]).tolist()
        row |= {f"{whose}_ms": median(every), f"{whose}_quartiles_ms": [low, high], f"{whose}_adam": about.optimizer}
    if len(abouts) > 1:
        ratios = [median(ours) / median(theirs) for ours, theirs in zip(*taken, strict=True)]
        row |= {"against": abouts[1].name, "ratio": row["ours_ms"] / row["theirs_ms"]}
        row |= {"ratio_lowest": min(ratios), "ratio_highest": max(ratios)}
        row["difference"] = float(np.abs(abouts[0].images - abouts[1].images).max())
    return row


class _Ready:
    """A data set whose every batch is the same tensor (B, C, H, W), which is there already."""

    def __init__(self, x: Tensor, rows: int) -> None:
        self._x = x
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def batch(self, indices: NDArray[np.int64], /) -> Tensor:
        return self._x


class _Marks(Callback):
    """When each step ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.times: list[float] = []

    def on_step(self, state: TrainingState) -> None:
        self.times.append(self._clock())


class _Ours:
    """Our side: :func:`grammar_rae.training.fit`."""

    name = "grammar_rae"
    optimizer = "fused"

    def __init__(self, setting: _Setting) -> None:
        recipe, data = setting.recipe(), setting.data()
        self._settings = training_settings(recipe)
        self._autoencoder: Autoencoder = build_image(recipe, data.shape).autoencoder
        self._sets: tuple[Any, Any] = (data, data.subset(np.arange(1)))
        if setting.comparison == "step alone":
            x = data.batch(np.arange(setting.batch))
            self._sets = (_Ready(x, len(data)), _Ready(x[:1], 1))

    def train(self, clock: Clock) -> list[float]:
        marks = _Marks(clock)
        history = fit(self._autoencoder, *self._sets, self._settings, callbacks=[marks])
        if history.stopped == "interrupted":
            raise KeyboardInterrupt
        return marks.times

    def reconstruct(self, x: Tensor) -> Tensor:
        self._autoencoder.eval()
        with torch.no_grad():
            images: Tensor = self._autoencoder.decoder(self._autoencoder.smooth(self._autoencoder.encode(x)))
        return images


class _Pythae:
    """pythae: ``train_step``, which is one epoch, of the trainer that its pipeline takes for the model.

    It changes global generators and the environment, and logs at length: it needs a process of its own.
    """

    installation = "python -m pip install pythae==0.1.2"

    def __init__(self, setting: _Setting) -> None:
        logging.disable(logging.INFO)
        # Untyped, and imported only here.
        self._models: Any = importlib.import_module("pythae.models")
        self._bases: Any = importlib.import_module("pythae.models.nn")
        self._outputs: Any = importlib.import_module("pythae.models.base.base_utils")
        self._trainers: Any = importlib.import_module("pythae.trainers")
        self._callbacks: Any = importlib.import_module("pythae.trainers.training_callbacks")
        self._data: Any = importlib.import_module("pythae.data.datasets")
        self.name = f"pythae {importlib.metadata.version('pythae')}"
        recipe, data = setting.recipe(), setting.data()
        ready = setting.comparison == "step alone"
        self.optimizer = "fused" if ready else "as PyTorch makes it"
        pixels = data.batch(np.arange(len(data)))
        autoencoder = build_image(recipe, data.shape).autoencoder
        for net in (autoencoder.encoder, autoencoder.decoder):
            lay_out(net, torch.contiguous_format)  # as PyTorch makes nets; the order in memory is our part's business
        before = {name: value.clone() for name, value in autoencoder.state_dict().items()}
        model = self._model(recipe, autoencoder, setting.shape)
        self._trainer = self._new_trainer(recipe, model, pixels, {"fused": True} if ready else {})
        autoencoder.load_state_dict(before)  # a trainer that is made runs the model, and so moves its averages
        if ready:
            self._trainer.train_loader = self._repeat(pixels[: setting.batch], setting.steps + 1)
        self._epoch = 0

    def _model(self, recipe: ImageRecipe, autoencoder: Autoencoder, shape: tuple[int, int, int]) -> Any:
        """Its model with our nets, as it takes them: derived from its own classes, which are there only now."""
        output, variational = self._outputs.ModelOutput, OBJECTIVES[recipe.objective] is VAE

        def encode(wrapper: nn.Module, x: Tensor) -> Any:
            if not variational:
                return output(embedding=autoencoder.encoder(x))
            mean, raw = autoencoder.encoder(x).chunk(2, dim=1)
            return output(embedding=mean, log_covariance=10 * torch.tanh(raw))  # the bounds of our objective

        def decode(wrapper: nn.Module, z: Tensor) -> Any:
            return output(reconstruction=autoencoder.decoder(z))

        encoder = type("Encoder", (self._bases.BaseEncoder,), {"forward": encode})()
        decoder = type("Decoder", (self._bases.BaseDecoder,), {"forward": decode})()
        encoder.net, decoder.net = autoencoder.encoder, autoencoder.decoder  # so that their parameters are found
        about = {"input_dim": shape, "latent_dim": recipe.latent}
        if variational:
            return self._models.VAE(self._models.VAEConfig(**about), encoder, decoder)
        about |= {
            "embedding_weight": recipe.objective_options["beta"],
            "reg_weight": recipe.regularizer_options["weight"],
        }
        if REGULARIZERS[recipe.regularizer] is L2:
            return self._models.RAE_L2(self._models.RAE_L2_Config(**about), encoder, decoder)
        return self._models.RAE_GP(self._models.RAE_GP_Config(**about), encoder, decoder)

    def _new_trainer(self, recipe: ImageRecipe, model: Any, pixels: Tensor, adam: dict[str, Any]) -> Any:
        """The trainer, ready for its first epoch."""
        settings: TrainingSettings = training_settings(recipe)
        rate = settings.learning_rate
        options: dict[str, Any] = {"no_cuda": True, "seed": settings.seed}
        options["per_device_train_batch_size"] = settings.batch_size
        data = self._data.BaseDataset(pixels, torch.zeros(len(pixels)))
        with tempfile.TemporaryDirectory() as folder:  # it makes one more in it, for what it writes after an epoch
            options["output_dir"] = folder
            if REGULARIZERS[recipe.regularizer] is L2:
                config = self._trainers.CoupledOptimizerTrainerConfig(
                    **options,
                    encoder_learning_rate=rate,
                    encoder_optimizer_params=adam,
                    decoder_learning_rate=rate,
                    decoder_optimizer_params={**adam, "weight_decay": recipe.regularizer_options["weight"]},
                )
                trainer = self._trainers.CoupledOptimizerTrainer(model, data, training_config=config)
            else:
                config = self._trainers.BaseTrainerConfig(**options, learning_rate=rate, optimizer_params=adam)
                trainer = self._trainers.BaseTrainer(model, data, training_config=config)
            trainer.prepare_training()
        return trainer

    def _repeat(self, x: Tensor, batches: int) -> Any:
        """A loader whose every batch is the same tensor, which is there already."""
        batch = self._data.DatasetOutput

        class Loader:
            dataset = range(batches * len(x))

            def __len__(self) -> int:
                return batches

            def __iter__(self) -> Iterator[Any]:
                # A view each time: RAE_GP asks for its gradient, and gradients of one tensor would add up.
                return (batch(data=x.detach(), labels=None) for _ in range(batches))

        return Loader()

    def train(self, clock: Clock) -> list[float]:
        times: list[float] = []

        def mark(callback: object, training_config: object, **about: Any) -> None:
            times.append(clock())

        marks = type("Marks", (self._callbacks.TrainingCallback,), {"on_train_step_end": mark})()
        # In place of its progress bars.
        self._trainer.callback_handler = self._callbacks.CallbackHandler([marks], self._trainer.model)
        self._epoch += 1
        self._trainer.train_step(self._epoch)
        return times

    def reconstruct(self, x: Tensor) -> Tensor:
        self._trainer.model.eval()
        with torch.no_grad():
            images: Tensor = self._trainer.model.predict(x).recon_x
        return images


RIVALS: dict[str, type[_Pythae]] = {"pythae": _Pythae}
"""Libraries to compare with, by the names of their packages: ``Rival(setting)``."""
