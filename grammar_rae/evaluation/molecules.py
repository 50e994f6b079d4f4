"""How good a model of molecules is: MOSES's and GuacaMol's figures of what it draws, and what it reconstructs.

All figures describe raw draws: the decoder's texts as they come under the constraint, none rejected. Draws that are
not valid lower the validity and are left out of the rest, as in MOSES; the share of copies of training molecules is
reported beside.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from grammar_rae.codecs import FORMS
from grammar_rae.datasets import TokenDataset
from grammar_rae.decoding import CONSTRAINTS
from grammar_rae.errors import DecodingError, InputError
from grammar_rae.evaluation.figures import distributions, figures_against, figures_of_draws, figures_of_set
from grammar_rae.evaluation.provenance import provenance
from grammar_rae.evaluation.reconstruction import reconstruction
from grammar_rae.evaluation.results import (
    Distribution,
    DrawFigures,
    Evaluation,
    EvaluationFigures,
    Reconstruction,
    SetFigures,
)
from grammar_rae.evaluation.sets import (
    BASELINE,
    GUACAMOL,
    MOSES,
    RECONSTRUCTED,
    Reference,
    TrainingSet,
    choose_texts,
    load_reference,
    reference_files,
)
from grammar_rae.metrics import GuacaMol, MoleculeSet, choose, describe, guacamol_scores
from grammar_rae.metrics.guacamol import TRIES
from grammar_rae.metrics.molecule_sets import PARTS
from grammar_rae.metrics.molecules import check_chemnet
from grammar_rae.model import DATA_FOLDER, SampleResult, TextModel
from grammar_rae.seeds import resolve_seed, wrap_seed

GUACAMOL_MOLECULES = 10_000
GUACAMOL_TRAINING = 20  # two halves, and a density of each
CONSTRAINT_DRAWS = 10_000

_FEWEST = 2  # molecules with a covariance


@dataclass(frozen=True)
class EvaluationSettings:
    """What to compare a model with, and how.

    Attributes
    ----------
    reference
        ``"moses"`` (its test set and scaffold test set, downloaded) or a file of molecules that the model has not seen.
    training
        A file of the molecules that the model has seen; None for the data set in ``run``.
    run
        The folder of the model, or None.
    column
        The column of the files, where they are tables whose column of SMILES is not found automatically.
    n
        The number of draws; MOSES has 30,000.
    rows
        The largest number of molecules of each reference; None for all.
    reconstruct
        How many molecules of the first reference are encoded and decoded; a tenth of them with noise too. 0 for none.
    baseline
        Whether to measure as many molecules of the training set as there were valid draws, too.
    constraint, temperature, top_p, smoothing, seed
        How texts are drawn, as in :meth:`TextModel.sample`; None for the model's own, and for a seed that is drawn.
    cache
        A folder for MOSES's files and for what is computed once for each reference. With None both are in the user's
        cache where the reference is MOSES, and nothing is kept of a file.
    jobs, device, progress
        The processes for RDKit's work, the device of ChemNet and of similarities, and whether to show progress bars.
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
        for name, least in (("n", 10), ("rows", 10), ("reconstruct", 0)):
            number = getattr(self, name)
            if number is not None and number < least:
                raise InputError(f"{name} cannot be used", received=number, expected=f"{least} or more")
        object.__setattr__(self, "seed", resolve_seed(self.seed))


def evaluate(model: TextModel, settings: EvaluationSettings) -> Evaluation:
    """Measure all figures of a model of molecules.

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
            "only models of molecules can be evaluated",
            received=f"a model of texts of the form {model.codec.form!r}",
            expected="a model that was trained on SMILES",
        )
    check_chemnet()
    _check_device(settings.device)
    return _Evaluator(model, settings).evaluate()


class _Evaluator:
    """One evaluation: its sets, and the steps in their order."""

    def __init__(self, model: TextModel, settings: EvaluationSettings) -> None:
        self.model = model
        self.what = settings
        self.remarks: list[str] = []
        self.files = reference_files(settings.reference, settings.cache, settings.progress)
        self.training = self._read_training()

    def evaluate(self) -> Evaluation:
        from grammar_rae.bars import bar_type

        tqdm = bar_type()

        steps: dict[str, Callable[[], None]] = {
            "reference": self._read_references,  # the first to fail, and the cheapest to run again
            "drawing": self._sample,
            "constraints": self._compare_constraints,
            "MOSES": self._measure_moses,
            "GuacaMol": self._measure_guacamol,
            "reconstruction": self._reconstruct,
            "distributions": self._measure_distributions,
        }
        with tqdm(steps.items(), unit=" steps", disable=not self.what.progress) as bar:
            for name, step in bar:
                bar.set_description(name)
                step()
        return Evaluation(self._figures(), self.drawn)

    def _figures(self) -> EvaluationFigures:
        what, recipe, drawn = self.what, self.model.recipe_, self.drawn
        return EvaluationFigures(
            recipe=recipe.name,
            density=recipe.density,
            training_molecules=None if self.training is None else len(self.training),
            reference=Path(what.reference).name,
            constraint=drawn.constraint,
            temperature=drawn.temperature,
            top_p=drawn.top_p,
            smoothing=drawn.smoothing,
            echo=drawn.echo,
            seed=what.seed,
            n=what.n,
            constraints=self.constraints,
            moses=self.moses,
            baseline=self.baseline,
            guacamol=self.guacamol,
            reconstruction=self.reconstruction,
            distributions=self.distributions,
            remarks=self.remarks,
            provenance=provenance(what.seed),
        )

    # -- sets -----------------------------------------------------------------------------------------------------

    def _read_training(self) -> TrainingSet | None:
        what = self.what
        if what.training is not None:
            return TrainingSet.of_file(what.training, what.column, what.jobs)
        folder = None if what.run is None else what.run / DATA_FOLDER
        if folder is not None and folder.is_dir():
            return TrainingSet.of_run(TokenDataset.open(folder), self.model.codec, what.jobs)
        self.remarks.append("there is no training set, so novelty and GuacaMol's figures are not known")
        return None

    def _read_references(self) -> None:
        what = self.what
        moses = str(what.reference) == MOSES
        self.references: list[Reference] = [
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
                    f"{reference.unreadable:,} texts of {reference.name} were left out, because they are not molecules"
                )

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

    def _sample(self) -> None:
        self.drawn = self._draw(self.what.n, self.what.seed, self.what.constraint)
        self.valid = _valid_texts(self.drawn)

    def _compare_constraints(self) -> None:
        """Raw validity under each constraint that the model can serve, with what would reveal a trick beside it."""
        n = min(self.what.n, CONSTRAINT_DRAWS)
        self.constraints: dict[str, DrawFigures] = {}
        for name in [name for name, choice in CONSTRAINTS.items() if choice.example == name]:
            try:
                drawn = self._draw(n, self.what.seed, name)
            except (InputError, DecodingError):  # chemistry needs molecules in Kekulé form, for example
                continue
            self.constraints[name] = figures_of_draws(_valid_texts(drawn), drawn.attempts, self.training)

    def _measure_moses(self) -> None:
        self.baseline: SetFigures | None = None
        self.described = self._describe(self.valid)
        self.moses = self._figures_of_set(self.valid, self.drawn.attempts, self.described)
        if self.described is None:
            self.remarks.append(
                f"{len(self.valid)} of {self.drawn.attempts:,} draws are valid: nothing can be compared"
            )
            return
        if min(one.described.n for one in self.references) < 2 * len(self.valid):
            self.remarks.append(
                "a reference has less than twice as many molecules as there are valid draws, "
                "so its floor is measured with fewer"
            )
        if self.what.baseline and self.training is not None:
            texts = map(self.model.codec.canonical, self._training_molecules(len(self.valid), BASELINE))
            known = [text for text in texts if text is not None]
            self.baseline = self._figures_of_set(known, len(known), self._describe(known))

    def _describe(self, valid: list[str]) -> MoleculeSet | None:
        what = self.what
        if len(valid) < _FEWEST:
            return None
        return describe(valid, PARTS, jobs=what.jobs, device=what.device, progress=what.progress)

    def _figures_of_set(self, valid: list[str], attempts: int, found: MoleculeSet | None) -> SetFigures:
        what = self.what
        draws = figures_of_draws(valid, attempts, self.training)
        references = {}
        if found is not None:
            references = {
                one.name: figures_against(found, one, what.seed, what.device, what.progress) for one in self.references
            }
        return figures_of_set(valid, draws, found, references, what.device)

    def _training_molecules(self, n: int, purpose: int) -> list[str]:
        assert self.training is not None
        return choose_texts(self.training.texts, n, self.what.seed, purpose)

    def _measure_guacamol(self) -> None:
        self.guacamol: GuacaMol | None = None
        what = self.what
        n = min(what.n, GUACAMOL_MOLECULES)
        if self.training is None:
            return
        if len(self.training) < GUACAMOL_TRAINING:
            self.remarks.append(f"GuacaMol's figures need {GUACAMOL_TRAINING} training molecules")
            return
        if n < GUACAMOL_MOLECULES or len(self.training) < 2 * n:
            compared = min(n, len(self.training) // 2)
            self.remarks.append(
                f"GuacaMol's figures compare {n:,} molecules with {compared:,}, where the benchmark has 10,000 of each"
            )
        self.guacamol = guacamol_scores(
            choose(self._draws_on_demand(TRIES * n), n, what.jobs),
            n,
            self._training_molecules(2 * n, GUACAMOL),
            self.training.has_flat,
            jobs=what.jobs,
            device=what.device,
            progress=what.progress,
        )

    def _draws_on_demand(self, most: int) -> Iterator[str]:
        """The draws and then others, at most so many in all; the others are drawn when they are asked for."""
        what = self.what
        yield from self.drawn.texts
        count = len(self.drawn.texts)
        while count < most:
            texts = self._draw(min(what.n, most - count), wrap_seed(what.seed + count), what.constraint).texts
            yield from texts
            count += len(texts)

    def _reconstruct(self) -> None:
        """Reconstruct texts of the first reference."""
        self.reconstruction: Reconstruction | None = None
        what, reference = self.what, self.references[0]
        if what.reconstruct:
            asked = choose_texts(reference.texts, what.reconstruct, what.seed, RECONSTRUCTED)
            found = reconstruction(self.model, asked, what.constraint, what.seed)
            self.reconstruction = replace(found, reference=reference.name)

    def _measure_distributions(self) -> None:
        self.distributions: dict[str, Distribution] = {}
        if self.described is not None:
            sides = {"draws": self.described} | {one.name: one.described for one in self.references}
            self.distributions = distributions(sides)


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # no such name; no such accelerator
        raise InputError(
            "this device cannot be used", received=repr(device), expected="cpu, or a device that PyTorch finds"
        ) from error


def _valid_texts(drawn: SampleResult) -> list[str]:
    return [text for text, good in zip(drawn.texts, drawn.valid, strict=True) if good]
