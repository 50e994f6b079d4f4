"""How good a model of molecules is: MOSES's and GuacaMol's figures of what it draws, and what it reconstructs.

All figures of draws are of raw ones: the decoder's texts as they come under the constraint, none rejected. What is not
valid lowers the validity and is left out of the rest, as MOSES does it; how many draws were copies of training
molecules stands beside.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import rows as common
from benchmarks.rows import Row
from grammar_rae.evaluation.figures import distributions, figures_against, figures_of_draws, figures_of_set
from grammar_rae.evaluation.reconstruction import reconstruction
from grammar_rae.evaluation.sets import (
    BASELINE,
    GUACAMOL,
    MOSES,
    RECONSTRUCTED,
    Reference,
    Training,
    chosen,
    load_reference,
    reference_files,
)
from grammar_rae.codecs import FORMS
from grammar_rae.datasets import TokenDataset
from grammar_rae.decoding import CONSTRAINTS
from grammar_rae.errors import DecodingError, InputError
from grammar_rae.metrics import MoleculeSet, choose, describe, guacamol_scores
from grammar_rae.metrics.guacamol import TRIES
from grammar_rae.metrics.molecule_sets import PARTS
from grammar_rae.metrics.molecules import check_chemnet
from grammar_rae.model import DATA_FOLDER, SampleResult, TextModel

GUACAMOL_MOLECULES = 10_000
GUACAMOL_TRAINING = 20  # two halves, and a density of each
CONSTRAINT_DRAWS = 10_000

_FEWEST = 2  # molecules with a covariance


@dataclass(frozen=True)
class Evaluation:
    """What to compare a model with, and how.

    Attributes
    ----------
    reference
        ``"moses"`` (its test set and scaffold test set, downloaded) or a file of molecules that the model has not seen.
    training
        A file of the molecules that it has seen; None for the data set in ``run``.
    run
        The folder of the model, or None.
    column
        Of the files, where they are tables whose column of SMILES is not found by itself.
    n
        Draws; MOSES has 30,000.
    rows
        Molecules of each reference, at most; None for all.
    reconstruct
        Molecules of the first reference that are encoded and decoded; a tenth of them with noise too. 0 for none.
    baseline
        Whether to measure as many molecules of the training set as there were valid draws, too.
    constraint, temperature, top_p, smoothing, seed
        Of the draws, as of :meth:`TextModel.sample`; None for the model's own.
    cache
        A folder for MOSES's files and for what is computed of a reference. None has both in the user's cache where the
        reference is MOSES, and keeps nothing of a file.
    jobs, device, progress
        Processes for RDKit's work, the device of ChemNet and of similarities, and whether to show progress bars.
    """

    reference: str | Path = MOSES
    training: Path | None = None
    run: Path | None = None
    column: str | None = None
    n: int = 30_000
    rows: int | None = None
    reconstruct: int = 1_000
    baseline: bool = False
    constraint: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    smoothing: float | None = None
    seed: int = 0
    cache: Path | None = None
    jobs: int = 1
    device: str = "cpu"
    progress: bool = True

    def __post_init__(self) -> None:
        for name, least in (("n", 10), ("rows", 10), ("reconstruct", 0), ("seed", 0)):
            number = getattr(self, name)
            if number is not None and number < least:
                raise InputError(f"{name} cannot be used", received=number, expected=f"{least} or more")


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The figures, ready for JSON, and the draws that they are of."""

    figures: Row
    draws: SampleResult


def evaluate(model: TextModel, what: Evaluation) -> Evaluated:
    """All figures of a model of molecules.

    Raises
    ------
    InputError
        For a model of other texts, a device that is not there, or a constraint that the model cannot serve.
    MissingExtraError
        Without the package fcd_torch.
    DataError
        For a reference or training file that cannot be used.
    """
    if not FORMS[model.codec.form].molecules:
        raise InputError(
            "only models of molecules are evaluated like this",
            received=f"a model of texts of the form {model.codec.form!r}",
            remedy="See `grammar-rae benchmark structured` for expressions.",
        )
    check_chemnet()
    _check_device(what.device)
    return _Evaluating(model, what).evaluated()


class _Evaluating:
    """One evaluation: its sets, and the steps in their order."""

    def __init__(self, model: TextModel, what: Evaluation) -> None:
        self.model = model
        self.what = what
        self.remarks: list[str] = []
        self.files = reference_files(what.reference, what.cache, what.progress)
        self.training = self._training()
        self.figures: Row = {}
        self.references: list[Reference] = []

    def evaluated(self) -> Evaluated:
        from tqdm.auto import tqdm

        steps: dict[str, Callable[[], Row]] = {
            "reference": self._references,  # the first to fail, and the cheapest to run again
            "drawing": self._draws,
            "constraints": self._constraints,
            "MOSES": self._moses,
            "GuacaMol": self._guacamol,
            "reconstruction": self._reconstruction,
            "distributions": self._distributions,
        }
        with tqdm(steps.items(), unit=" steps", disable=not self.what.progress) as bar:
            for name, step in bar:
                bar.set_description(name)
                self.figures |= step()
        about = {**self._about(), **self.figures, "remarks": self.remarks, **common.machine()}
        return Evaluated(_finite(about), self.drawn)

    # -- sets -----------------------------------------------------------------------------------------------------

    def _training(self) -> Training | None:
        what = self.what
        if what.training is not None:
            return Training.of_file(what.training, what.column, what.jobs)
        folder = None if what.run is None else what.run / DATA_FOLDER
        if folder is not None and folder.is_dir():
            return Training.of_run(TokenDataset.open(folder), self.model.codec, what.jobs)
        self.remarks.append("no training set was given: nothing is known of novelty, nor GuacaMol's figures")
        return None

    def _references(self) -> Row:
        what = self.what
        moses = str(what.reference) == MOSES
        self.references = [
            load_reference(
                name,
                path,
                None if moses else what.column,
                what.rows,
                cache=what.cache or (path.parent if moses else None),
                jobs=what.jobs,
                device=what.device,
                progress=what.progress,
            )
            for name, path in self.files.items()
        ]
        for reference in self.references:
            if reference.unreadable:
                self.remarks.append(
                    f"left out, as no molecules: {reference.unreadable:,} of the texts of {reference.name}"
                )
        return {}

    def _draw(self, n: int, seed: int, constraint: str | None) -> SampleResult:
        what = self.what
        return self.model.sample(
            n,
            valid_only=False,
            seed=seed,
            constraint=constraint,
            temperature=what.temperature,
            top_p=what.top_p,
            smoothing=what.smoothing,
        )

    # -- steps ----------------------------------------------------------------------------------------------------

    def _draws(self) -> Row:
        self.drawn = self._draw(self.what.n, self.what.seed, self.what.constraint)
        self.valid = _valid(self.drawn)
        return {}

    def _constraints(self) -> Row:
        """Raw validity under each constraint that the model can serve, with what would show a trick beside it."""
        n = min(self.what.n, CONSTRAINT_DRAWS)
        rows: Row = {}
        for name in [name for name, choice in CONSTRAINTS.items() if choice.example == name]:
            try:
                drawn = self._draw(n, self.what.seed, name)
            except (InputError, DecodingError):  # chemistry needs molecules in Kekulé form, for example
                continue
            rows[name] = figures_of_draws(_valid(drawn), drawn.attempts, self.training)
        return {"constraints": rows}

    def _moses(self) -> Row:
        self.described = self._described(self.valid)
        figures = {"moses": self._figures_of_set(self.valid, self.drawn.attempts, self.described)}
        if self.described is None:
            self.remarks.append(
                f"{len(self.valid)} of {self.drawn.attempts:,} draws are valid: nothing can be compared"
            )
            return figures
        if min(one.described.n for one in self.references) < 2 * len(self.valid):
            self.remarks.append(
                "a reference has less than twice as many molecules as there are valid draws: its floor is of fewer"
            )
        if self.what.baseline and self.training is not None:
            spelled = map(self.model.codec.canonical, self._training_molecules(len(self.valid), BASELINE))
            known = [text for text in spelled if text is not None]
            figures["baseline"] = self._figures_of_set(known, len(known), self._described(known))
        return figures

    def _described(self, valid: list[str]) -> MoleculeSet | None:
        what = self.what
        if len(valid) < _FEWEST:
            return None
        return describe(valid, PARTS, jobs=what.jobs, device=what.device, progress=what.progress)

    def _figures_of_set(self, valid: list[str], attempts: int, found: MoleculeSet | None) -> Row:
        what = self.what
        figures = figures_of_draws(valid, attempts, self.training) | figures_of_set(valid, found, what.device)
        if found is not None:
            figures["references"] = {
                one.name: figures_against(found, one, what.seed, what.device, what.progress) for one in self.references
            }
        return figures

    def _training_molecules(self, n: int, purpose: int) -> list[str]:
        assert self.training is not None
        return chosen(self.training.texts, n, self.what.seed, purpose)

    def _guacamol(self) -> Row:
        what = self.what
        n = min(what.n, GUACAMOL_MOLECULES)
        if self.training is None:
            return {"guacamol": None}
        if len(self.training) < GUACAMOL_TRAINING:
            self.remarks.append(f"GuacaMol's figures need {GUACAMOL_TRAINING} training molecules")
            return {"guacamol": None}
        if n < GUACAMOL_MOLECULES or len(self.training) < 2 * n:
            compared = min(n, len(self.training) // 2)
            self.remarks.append(f"GuacaMol's figures are of {n:,} molecules against {compared:,}, not 10,000 each")
        found = guacamol_scores(
            choose(self._draws_on_demand(TRIES * n), n, what.jobs),
            n,
            self._training_molecules(2 * n, GUACAMOL),
            self.training.has_flat,
            jobs=what.jobs,
            device=what.device,
            progress=what.progress,
        )
        return {"guacamol": asdict(found)}

    def _draws_on_demand(self, most: int) -> Iterator[str]:
        """The draws, and then others, at most so many in all, which are made when they are asked for."""
        what = self.what
        yield from self.drawn.texts
        count = len(self.drawn.texts)
        while count < most:
            texts = self._draw(min(what.n, most - count), what.seed + count, what.constraint).texts
            yield from texts
            count += len(texts)

    def _reconstruction(self) -> Row:
        """Of texts of the first reference."""
        what, reference = self.what, self.references[0]
        if not what.reconstruct:
            return {"reconstruction": None}
        asked = chosen(reference.texts, what.reconstruct, what.seed, RECONSTRUCTED)
        found = reconstruction(self.model, asked, what.constraint, what.seed)
        return {"reconstruction": found | {"reference": reference.name}}

    def _distributions(self) -> Row:
        if self.described is None:
            return {"distributions": {}}
        sides = {"draws": self.described} | {one.name: one.described for one in self.references}
        return {"distributions": distributions(sides)}

    def _about(self) -> Row:
        what = self.what
        return {
            "recipe": self.model.recipe_.name,
            "density": self.model.recipe_.density,
            "reference": Path(what.reference).name,
            "training_molecules": None if self.training is None else len(self.training),
            "constraint": self.drawn.constraint,
            "temperature": self.drawn.temperature,
            "top_p": self.drawn.top_p,
            "smoothing": self.drawn.smoothing,
            "seed": what.seed,
            "n": what.n,
        }


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # no such name; no such accelerator
        raise InputError(
            "this device cannot be used", received=repr(device), expected="cpu, or an accelerator that PyTorch finds"
        ) from error


def _valid(drawn: SampleResult) -> list[str]:
    return [text for text, good in zip(drawn.texts, drawn.valid, strict=True) if good]


def _finite(value: Any) -> Any:
    """The same without NaN and infinities, which JSON has not: None in their place."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
