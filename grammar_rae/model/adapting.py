"""Adapting: a training that begins with a trained model, its start, and learns the rows of a file in minutes.

The start's codec is kept, and extended where the rows need it. The rows are trained on together with draws of the
start, so that general chemistry is not forgotten, and few rows in further orders of their atoms. :func:`plan_adapting`
says how long and how fast, by the number of rows; a held-out part decides when to stop.
"""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from grammar_rae import checkpoint
from grammar_rae.codecs import FORMS, GrammarCodec, codec_from_dict
from grammar_rae.datasets import JoinedRows, ShardedDataset, TokenDataset, encode, open_data, sample_texts
from grammar_rae.datasets.duplicates import Duplicates, check_duplicates
from grammar_rae.errors import InputError
from grammar_rae.model.describing import describe_rows, spell
from grammar_rae.model.fitted import FittedTexts
from grammar_rae.model.known import Known
from grammar_rae.model.quantizing import refuse_int8
from grammar_rae.model.sources import DATA_FOLDER, PARALLEL_FROM, open_encoded, readable_twice, validation_set
from grammar_rae.model.widening import widen
from grammar_rae.recipes import TextRecipe, build_constraint, build_text
from grammar_rae.resources import DEFAULT_MODEL, bundled_model
from grammar_rae.training import TrainingSettings, is_main_process

FEWEST = 20
"""Different molecules that a model can be adapted to."""

REHEARSAL_FOLDER, ORDERS_FOLDER = "rehearsal", "orders"
"""Where a run keeps the start's draws, and its rows in other orders of atoms."""

_LONGEST = 512  # tokens that the limit of a text may grow to
_LEARNED_FROM = 40_000  # texts that further macros are learned from, at most
_SHORTER = 0.85  # further macros, which have to be learned, are kept where they leave at most this share of the tokens
_KEPT = {field.name for field in fields(TrainingSettings)} | {
    *("density", "density_options", "smoothing", "temperature", "top_p", "echo", "polish", "constraint"),
    *("validation_fraction", "validation_maximum"),
}
"""What may be chosen when a start is adapted; everything else is the start's."""


@dataclass(frozen=True)
class Plan:
    """How a number of rows are learned.

    Attributes
    ----------
    orders
        Further orders of atoms of each row, where the start's decoder can be told of them.
    draws
        Draws of the start that are trained on with the rows.
    macros
        The most macros that are added to the codec, each of which must occur ``min_count`` times.
    choices
        The other choices, as of :meth:`TextRecipe.replace`.
    """

    orders: int
    draws: int
    macros: int
    min_count: int
    choices: dict[str, Any]


def plan_adapting(rows: int, noisy: bool = True) -> Plan:
    """The plan for a number of rows, from 20 to millions; ``noisy`` says whether the start's decoder is told noise.

    Few rows are passed over often and slowly, in small batches; many a few times. The kernel and the knobs of few rows
    were chosen on files of 200, the rate of many on 60,000 (docs/results/adapting.md).
    """
    few = rows < 2_000
    passes = float(np.clip(15 * (max(rows, 1) / 200) ** -0.27, 2, 20))
    return Plan(
        orders=1 if few else 0,
        draws=int(np.clip(rows, 200, 2_000)),
        macros=0 if few else 256,
        min_count=max(10, rows // 1_000),
        choices={
            "epochs": round(passes),
            "time_limit": 1_200.0,
            "patience": 4,
            "batch_size": 48 if few else 128,
            "learning_rate": 5e-4 if few else 3e-4,
            "warmup_steps": 50 if few else 100,
            "schedule": "cosine",
            "average": 0.98 if few else 0.995,
            "validate_every": None if rows < 20_000 else 60.0,
            "validation_fraction": 0.1 if few else 0.05,
            "validation_maximum": 1_000,
            "density": "kernel" if few else "gmm",
            "density_options": {"bandwidth": 0.2} if few else {"n_components": 10},
            **({"temperature": 0.35} if noisy else {}),
            # With so little noise a code says itself how large its molecule is.
            **({"smoothing": 1.25, "echo": ()} if few and noisy else {}),
        },
    )


class Adapting:
    """One adapting of a start to the rows of a source.

    Parameters
    ----------
    start
        A trained model of texts.
    overrides
        Choices that go before the plan's.
    home, column, resume, progress, jobs, duplicates
        As for :meth:`TextModel.fit`.

    Raises
    ------
    InputError
        For a start without a grammar codec, or a choice that is the start's.
    """

    def __init__(
        self,
        start: Any,
        overrides: Mapping[str, Any],
        home: Path | None,
        column: str | None,
        resume: bool,
        progress: bool,
        jobs: int,
        duplicates: Duplicates = "keep",
    ) -> None:
        if not isinstance(start.codec, GrammarCodec):
            raise InputError(
                "only a model with a grammar can be adapted",
                received=f"a codec of {start.codec.kind}",
                remedy="Pass start=None to train from nothing.",
            )
        if settled := sorted(overrides.keys() - _KEPT):
            raise InputError(
                f"{', '.join(settled)} cannot be chosen for a model that begins with another one",
                remedy="Leave it out, or pass start=None to train from nothing.",
            )
        self.start = start
        self.overrides = {name: value for name, value in overrides.items() if name != "seed"}
        self.home, self.column, self.progress, self.jobs = home, column, progress, jobs
        self.resume = resume or not is_main_process()  # the first of several processes has prepared all there is
        check_duplicates(duplicates)
        self.duplicates: Duplicates = duplicates

    def choose_device(self, settings: TrainingSettings) -> TrainingSettings:
        """Settings with the accelerator that the start was trained on, unless another is chosen."""
        kept = self.start.recipe_.training.get("accelerator", "auto")
        return replace(settings, accelerator=self.overrides.get("accelerator", kept))

    def prepare(self, source: Any, seed: int, validation: Any = None) -> tuple[FittedTexts, tuple[Any, Any]]:
        """The draft of the new model, with the start's weights, and the rows that train and validate.

        Parameters
        ----------
        source
            As for :meth:`TextModel.fit`; an encoded data set must be of the start's codec or of an extension of it.
        seed
            Seed of all that is drawn.
        validation
            As for :meth:`TextModel.fit`.

        Raises
        ------
        DataError, InputError
            For a source that cannot be used, or too few different molecules.
        """
        data, codec = self._encode(source, seed)
        different = len(np.unique(data.keys))
        if different < FEWEST:
            raise InputError(
                "there are too few different molecules to adapt a model to",
                received=f"{different} in {len(data)} rows",
                expected=f"{FEWEST} or more",
                remedy="For the neighbours of a few molecules, draw analogues of each: model.analogues(texts).",
            )
        if self.progress:
            what = f"beginning with a model of the recipe {self.start.recipe_.name} for {len(data):,} rows"
            print(f"{what}; start=None trains from nothing", file=sys.stderr)
        plan = plan_adapting(len(data), self.start.recipe_.smoothing > 0)
        recipe = self._choose(plan, codec, seed)
        build_constraint(recipe.constraint, codec, self._atoms(data))  # it fails now rather than after the training
        parts = build_text(recipe, codec)
        known = self.start.autoencoder_.state_dict()
        shapes = parts.autoencoder.state_dict()
        parts.autoencoder.load_state_dict(widen(known, shapes, self.start.codec, codec))
        before = self.start.known_
        draft = FittedTexts(
            recipe=recipe,
            **parts._asdict(),
            codec=codec,
            atoms=self._atoms(data),
            known=None if before is None else Known.of(data, codec, before),
            start=describe_start(self.start),
        )
        return draft, self._gather(data, codec, plan, recipe, seed, validation)

    def _choose(self, plan: Plan, codec: GrammarCodec, seed: int) -> TextRecipe:
        choices = dict(plan.choices)
        if self.overrides.keys() & {"epochs", "time_limit"}:
            choices = {name: value for name, value in choices.items() if name not in ("epochs", "time_limit")}
        if self.overrides.get("density") is not None:
            choices.pop("density_options")
            self.overrides.setdefault("density_options", {})
        base = self.start.recipe_
        kept = {
            name: value for name, value in base.training.items() if name in ("precision", "optimizer", "accelerator")
        }
        base = replace(base, training=kept, max_length=codec.max_length)
        found: TextRecipe = base.replace(**(choices | self.overrides | {"seed": seed}))
        return found

    def _atoms(self, data: TokenDataset) -> dict[str, int]:
        return {**self.start.atoms_, **data.atoms}

    # -- the rows ---------------------------------------------------------------------------------------------------

    def _encode(self, source: Any, seed: int) -> tuple[TokenDataset, GrammarCodec]:
        """The encoded rows, and the start's codec or an extension of it."""
        known = self.start.codec
        if (data := open_encoded(source, self.home, self.resume)) is not None:
            if isinstance(data, ShardedDataset):
                raise InputError("a data set of shards trains a model from nothing", remedy="Pass start=None.")
            codec = codec_from_dict(data.codec_dict)
            if not isinstance(codec, GrammarCodec) or not codec.extends(known):
                raise InputError(
                    "these rows were encoded by another codec than the start's",
                    remedy="Pass the file of texts itself, or start=None.",
                )
            return (data.without_duplicates() if self.duplicates == "drop" else data), codec
        fields = FORMS[known.form].fields
        source, column = readable_twice(source, self.column, fields)
        texts = sample_texts(source, _LEARNED_FROM, seed, column, fields=fields, blocks=True)
        codec = extend_codec(known, texts)
        jobs = self.jobs if len(texts) > PARALLEL_FROM else 1
        target = self._folder(DATA_FOLDER)
        options: dict[str, Any] = {"fields": fields, "duplicates": self.duplicates}
        return encode(source, codec, target, column, jobs, self.progress, **options), codec

    def _folder(self, name: str) -> Path | None:
        return None if self.home is None else self.home / name

    def _gather(
        self, data: TokenDataset, codec: GrammarCodec, plan: Plan, recipe: TextRecipe, seed: int, validation: Any
    ) -> tuple[Any, Any]:
        """The rows that train, with the start's draws and further orders, and the rows that validate."""
        told = self.start.autoencoder_.condition.needs_facts
        data = self._describe(data, codec, seed)
        if validation is None:
            train, held_out = data.split(recipe.validation_fraction, seed, recipe.validation_maximum)
        else:
            train, held_out = data, validation_set(validation, data)
            held_out = self._describe(held_out, codec, seed)
        parts = [train]
        if told and plan.orders:
            parts += self._reorder(train, codec, plan.orders, seed)
        if plan.draws:
            parts.append(self._rehearse(codec, plan.draws, seed))
        if not told:
            return JoinedRows(parts), held_out
        return JoinedRows([part.described() for part in parts]), held_out.described()

    def _rehearse(self, codec: GrammarCodec, n: int, seed: int) -> TokenDataset:
        """Draws of the start, encoded by the new codec."""
        folder = self._folder(REHEARSAL_FOLDER)
        if folder is not None and self.resume and folder.is_dir():
            return TokenDataset.open(folder)
        texts = self.start.sample(n, seed=seed).texts
        return self._describe(encode(texts, codec, folder), codec, seed)

    def _reorder(self, train: TokenDataset, codec: GrammarCodec, n: int, seed: int) -> list[TokenDataset]:
        """The rows again, each in n other orders of its atoms; [] where none can be written."""
        from grammar_rae.chem.orders import reorder

        folder = self._folder(ORDERS_FOLDER)
        if folder is not None and self.resume and folder.is_dir():
            return [TokenDataset.open(folder)]
        rng = np.random.default_rng(seed)
        texts = [text for text in spell(train, codec) for text in reorder(text, n, int(rng.integers(2**31 - 1)))]
        if not texts or len(codec.encode_batch(texts, prepared=True).offsets) < 2:
            return []
        return [self._describe(encode(texts, codec, folder, prepared=True), codec, seed, reordered=True)]

    def _describe(self, data: TokenDataset, codec: GrammarCodec, seed: int, reordered: bool = False) -> TokenDataset:
        return describe_rows(data, codec, self.start.recipe_, self.home, seed, reordered, self.jobs)


def extend_codec(known: GrammarCodec, texts: list[str]) -> GrammarCodec:
    """The codec, with macros of these texts where they make them shorter, and a limit that the longest one keeps."""
    plan = plan_adapting(len(texts))
    unlimited = replace(known, max_length=None)
    before = np.diff(unlimited.encode_batch(texts).offsets)
    longer = unlimited
    if plan.macros:
        candidate = unlimited.extend(texts, plan.macros, min_count=plan.min_count)
        after = np.diff(candidate.encode_batch(texts).offsets)
        if after.sum() <= _SHORTER * before.sum():
            longer, before = candidate, after
    if known.max_length is None:
        return longer
    limit = max(known.max_length, min(int(before.max(initial=1)), _LONGEST))
    return replace(longer, max_length=limit)


def describe_start(start: Any) -> dict[str, Any]:
    """What the new model keeps of its start: its recipe's name, its codec's size and a digest of its weights."""
    digest = hashlib.sha256()
    for name, value in sorted(start.autoencoder_.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value.cpu().numpy()).data)
    return {"recipe": start.recipe_.name, "tokens": start.codec.rules.size, "weights": digest.hexdigest()}


def find_start(start: Any) -> Any:
    """The model to begin with: itself, or one loaded from a folder or by its name.

    Raises
    ------
    InputError
        Unless it is a trained model of texts.
    CheckpointError
        For a folder without a model, or with a damaged one.
    """
    from grammar_rae.model.current import find_model

    found = find_model(start)
    found._check_trained()
    refuse_int8(found.autoencoder_, "adapted")
    return found


def find_automatic_start(
    source: Any, recipe: Any, overrides: Mapping[str, Any], resumed: str | PathLike[str] | None = None
) -> str | None:
    """The bundled model that a training begins with unless somebody says otherwise; None for one from nothing.

    Parameters
    ----------
    source, recipe, overrides
        As for :func:`grammar_rae.train`.
    resumed
        The folder of the training to resume: it goes on as it began.
    """
    if recipe != DEFAULT_MODEL or overrides.keys() - _KEPT:
        return None
    if resumed is not None and checkpoint.exists(Path(resumed) / "state"):
        return DEFAULT_MODEL if "start" in checkpoint.read_meta(Path(resumed) / "state").get("identity", {}) else None
    encoded = source
    if isinstance(source, str | PathLike) and Path(source).is_dir():
        encoded = open_data(source)
    if isinstance(encoded, ShardedDataset):
        return None
    if isinstance(encoded, TokenDataset):
        known = codec_from_dict(checkpoint.read_meta(bundled_model())["codec"])
        codec = codec_from_dict(encoded.codec_dict)
        if not (isinstance(codec, GrammarCodec) and isinstance(known, GrammarCodec) and codec.extends(known)):
            return None
    return DEFAULT_MODEL
