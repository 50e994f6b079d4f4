"""Molecules a second that a model draws, beside the recurrent net and the VAE of MOSES, in turns, on the CPU.

Ours are drawn as :meth:`TextModel.sample` draws them: latent codes from the density, decoded under the model's
constraint, and each text is read by RDKit, spelled canonically and marked as valid or not. The others' own ``sample``
gives texts that nobody has looked at. They have molsets 0.3.1's default sizes and weights at random: how long they
take depends little on what they write, as they always make every step.
"""

import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import torch

from benchmarks.rows import Row
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.model import TextModel

INSTALLATION = "python -m pip install --no-deps molsets==0.3.1"
ALPHABET = "#()-123456=BCFHNOS[]clnors"
"""The characters of MOSES."""

OURS = "grammar_rae"

Sampler = Callable[[int], Any]


def run(
    model: TextModel,
    rivals: Sequence[str] = ("char_rnn", "vae"),
    n: int = 2_000,
    batch: int = 500,
    rounds: int = 3,
    threads: int | None = None,
    seed: int = 0,
    int8: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Row]:
    """Measure texts per second: a row for ours, and one for each rival with the ratio of ours to it.

    Parameters
    ----------
    model
        Ours.
    rivals
        Some of :data:`RIVALS`; none needs molsets.
    n
        Texts that each side draws in a round; the median round counts.
    batch
        Texts that a rival draws at a time.
    rounds
        How often all take turns, after one that does not count.
    threads
        The number of PyTorch's threads; None leaves it to PyTorch.
    seed
        The random seed of the draws and of the rivals' weights.
    int8
        Whether ours with weights of eight bits takes its turn, too.
    clock
        Seconds.

    Raises
    ------
    UnknownNameError
        For a rival that is not there.
    InputError
        When molsets is not installed, or for numbers below 1.
    """
    for name, value in {"n": n, "batch": batch, "rounds": rounds, "threads": threads}.items():
        if value is not None and value < 1:
            raise InputError(f"{name} cannot be used", received=repr(value), expected="1 or more")
    before = torch.get_num_threads()
    torch.set_num_threads(before if threads is None else threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            ours = {OURS: model} | ({f"{OURS}, int8": model.quantized(check=0)} if int8 else {})
            return _measure(ours, {name: rival(name) for name in rivals}, n, batch, rounds, seed, clock)
    finally:
        torch.set_num_threads(before)


def _measure(
    models: dict[str, TextModel], rivals: dict[str, Sampler], n: int, batch: int, rounds: int, seed: int, clock: Any
) -> list[Row]:
    validity: dict[str, float] = {}

    def ours(name: str, model: TextModel) -> Callable[[], None]:
        def draw() -> None:
            validity[name] = model.sample(n, valid_only=False, seed=seed).validity

        return draw

    def theirs(sample: Sampler) -> Callable[[], None]:
        def draw() -> None:
            for first in range(0, n, batch):
                sample(min(batch, n - first))

        return draw

    sides = {name: ours(name, model) for name, model in models.items()}
    sides |= {name: theirs(one) for name, one in rivals.items()}
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, draw in sides.items():
            begun = clock()
            draw()
            seconds = clock() - begun
            if turn:
                taken[name].append(seconds)
    rates = {name: n / median(all_seconds) for name, all_seconds in taken.items()}
    about = {"n": n, "rounds": rounds, "threads": torch.get_num_threads()}
    rows: list[Row] = [
        {
            "drawn by": name,
            "recipe": model.recipe_.name,
            "constraint": model.recipe_.constraint,
            "texts a second": rates[name],
            "raw validity": validity[name],
            **about,
        }
        for name, model in models.items()
    ]
    for name in rivals:
        row: Row = {"drawn by": f"molsets {name}", "batch": batch, "texts a second": rates[name]}
        for own in models:
            rates_of_rounds = [b / a for a, b in zip(taken[own], taken[name], strict=True)]
            row[f"{own} to it"] = rates[own] / rates[name]
            row[f"{own}: lowest and highest of a round"] = f"{min(rates_of_rounds):.1f}, {max(rates_of_rounds):.1f}"
        rows.append(row | about)
    return rows


def rival(name: str) -> Sampler:
    """One of :data:`RIVALS`, with weights at random: how many texts -> texts.

    Raises
    ------
    UnknownNameError
        For another name.
    InputError
        When molsets is not installed.
    """
    if name not in RIVALS:
        raise UnknownNameError("model of molsets", name, RIVALS)
    found = importlib.util.find_spec("moses")
    if found is None or found.origin is None:
        raise InputError("molsets is not installed", remedy=f"In an environment of its own: {INSTALLATION}")
    home = Path(found.origin).parent
    kind: Any = _module(home / name / "model.py")
    kind.torch = _Torch()
    config = _module(home / name / "config.py").get_parser().parse_args([])
    net: Any = getattr(kind, RIVALS[name])(_Vocabulary(), config).eval()
    sampler: Sampler = net.sample
    return sampler


RIVALS = {"char_rnn": "CharRNN", "vae": "VAE"}
"""Packages of molsets, and the class of each."""


def _module(path: Path) -> ModuleType:
    """A file of molsets by itself: the package's own import asks for versions of pandas and RDKit that are gone."""
    spec = importlib.util.spec_from_file_location(f"_molsets_{path.parent.name}_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InputError("this molsets has no such file", received=str(path), remedy=INSTALLATION)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class _Torch:
    """PyTorch with masks of booleans in place of bytes, which it no longer takes and the VAE of molsets has."""

    uint8 = torch.bool

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


class _Vocabulary:
    """What the models of molsets ask of their vocabulary."""

    def __init__(self) -> None:
        names = [*ALPHABET, "<bos>", "<eos>", "<pad>", "<unk>"]
        self._names = names
        self.bos, self.eos, self.pad, self.unk = range(len(ALPHABET), len(names))
        self.vectors = torch.eye(len(names))

    def __len__(self) -> int:
        return len(self._names)

    def ids2string(self, ids: list[int], rem_bos: bool = True, rem_eos: bool = True) -> str:
        kept = [one for one in ids if not (rem_bos and one == self.bos) and not (rem_eos and one == self.eos)]
        return "".join(self._names[one] for one in kept)
