"""What a constraint guarantees, what it forbids that it should not, what it costs, and what it does to samples.

Each row of :data:`PARTS` can be run alone. Molecules stand in Kekulé form.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks import decoding
from benchmarks.noise import BATCH, LONGEST, MOST_LISTED, random_logits, round_trip
from benchmarks.rows import Row
from grammar_rae import chem
from grammar_rae.codecs import GrammarCodec
from grammar_rae.datasets import TokenDataset, encode, pad_tokens, sample_texts
from grammar_rae.decoding import Constraint, parse_spec
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.metrics import chemnet_moments, fcd, ring_statistics
from grammar_rae.model import TextModel
from grammar_rae.recipes import TextRecipe, build_text, get_recipe

# -- real molecules -------------------------------------------------------------------------------------------------


def first_refusal(constraint: Constraint[Any], tokens: Tensor, limit: int) -> Tensor:
    """The step at which a constraint refuses each row of tokens (B, T), int64 (B,); -1 where it never does.

    A row that ends while the constraint expects more, or the other way round, counts as refused there.
    """
    refusal = torch.full((len(tokens),), -1)
    tokens = nn.functional.pad(tokens, (0, 1), value=-1)
    rows, state = torch.arange(len(tokens)), constraint.start(len(tokens), limit)
    for step in range(tokens.shape[1]):
        choice = tokens[rows, step]
        refusal[rows[state.alive != (choice >= 0)]] = step
        going = (state.alive & (choice >= 0)).nonzero().squeeze(1)
        if not len(going):
            break
        rows, choice, state = rows[going], choice[going], state.rows(going)
        refused = ~constraint.candidates(state).gather(1, choice.unsqueeze(1)).squeeze(1)
        asked = (~refused).nonzero().squeeze(1)
        refused[asked] = constraint.refuses(state.rows(asked), choice[asked])
        if bool(refused.any()):
            refusal[rows[refused]] = step
            going = (~refused).nonzero().squeeze(1)
            rows, choice, state = rows[going], choice[going], state.rows(going)
        state = constraint.advance(state, choice)
    return refusal


def real_molecules(codec: GrammarCodec, constraint: Constraint[Any], texts: Iterable[str], limit: int) -> Row:
    """How many molecules, in the codec's form, have a derivation that the constraint refuses somewhere; none should.

    ``left_out`` are those that the codec refuses, or that take more tokens than the limit.
    """
    codec = replace(codec, max_length=limit)
    walked = left_out = 0
    refused: list[str] = []
    seconds = 0.0
    remaining = iter(texts)
    while some := list(islice(remaining, 8 * BATCH)):
        batch = codec.encode_batch(some, prepared=True)
        left_out += len(batch.rejected)
        # Rows of like length together: a walk takes as many steps as its longest row.
        order = np.argsort(np.diff(batch.offsets), kind="stable")
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            tokens = torch.from_numpy(pad_tokens(batch.tokens, batch.offsets, rows))
            if not walked:
                first_refusal(constraint, tokens[:1], limit)  # compile
            began = time.perf_counter()
            refusals = first_refusal(constraint, tokens, limit)
            seconds += time.perf_counter() - began
            walked += len(rows)
            for row in (refusals >= 0).nonzero().squeeze(1).tolist():
                refused.append(_describe_refusal(codec, tokens[row], int(refusals[row])))
    return {
        "limit": limit,
        "molecules": walked,
        "left_out": left_out,
        "refused": len(refused),
        "molecules_a_second": walked / max(seconds, 1e-9),
        "examples": refused[:MOST_LISTED],
    }


def _describe_refusal(codec: GrammarCodec, tokens: Tensor, step: int) -> str:
    row = tokens[tokens >= 0].numpy()
    return f"{codec.decode(row)} at step {step}: {codec.show(int(row[step])) if step < len(row) else 'its end'}"


# -- samples of a trained model -------------------------------------------------------------------------------------


def distribution(
    model: TextModel,
    training: Sequence[str],
    reference: Sequence[str],
    constraint: str = "chemistry",
    n: int = 10_000,
    seed: int = 0,
) -> list[Row]:
    """Samples under the grammar with rejection and under a constraint, beside training and reference molecules.

    The training molecules, as many as there are samples, show the distance that remains when nothing is wrong.
    """
    moments = chemnet_moments(reference)

    def compare(texts: Sequence[str]) -> Row:
        return {"molecules": len(texts), "fcd": fcd(texts, moments), **ring_statistics(texts)}

    rows: list[Row] = []
    for name, rejection in (("grammar", True), (constraint, False)):
        began = time.perf_counter()
        result = model.sample(n, valid_only=rejection, seed=seed, constraint=name)
        seconds = time.perf_counter() - began
        valid = [text for text, good in zip(result.texts, result.valid, strict=True) if good]
        drawn = {
            "decoded": result.attempts,
            "raw_validity": result.validity,
            "uniqueness": result.uniqueness,
            "seconds": seconds,
        }
        rows.append({"texts": f"{name}{', rejection' if rejection else ''}", **drawn, **compare(valid)})
    floor = {"texts": "training molecules", **compare(training[:n])}
    known = {"texts": "reference molecules", "molecules": len(reference), **ring_statistics(reference)}
    return [*rows, floor, known]


# -- the parts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """What the parts are run on.

    Attributes
    ----------
    source, column
        A file of molecules, as in :func:`grammar_rae.datasets.read_texts`.
    constraint
        What is measured, as :func:`grammar_rae.decoding.parse_spec` takes it.
    model, reference
        A trained model, and a file of molecules that it was not trained on; only some parts need them.
    draws, samples
        Decodings of senseless logits over all codecs (a tenth of it for round trips), and samples of the model under
        each constraint (up to three times as many reference molecules are read).
    seed
        The random seed.
    """

    source: str | PathLike[str]
    column: str | None = None
    constraint: str = "chemistry"
    model: TextModel | None = None
    reference: str | PathLike[str] | None = None
    draws: int = 100_000
    samples: int = 10_000
    seed: int = 0

    @cached_property
    def codecs(self) -> list[tuple[Row, GrammarCodec, int]]:
        """Both grammars with macros and without: a description, the codec, the most tokens of a molecule."""
        learned = sample_texts(self.source, 20_000, self.seed, self.column)
        return [
            (
                {"grammar": grammar, "macros": n_macros},
                GrammarCodec.learn(learned, grammar=grammar, n_macros=n_macros, form="kekule"),
                (get_recipe("moses", TextRecipe).max_length or LONGEST) if n_macros else LONGEST,
            )
            for grammar in ("smiles", "zinc")
            for n_macros in (512, 0)
        ]

    @cached_property
    def data(self) -> TokenDataset:
        """All molecules, in tokens of the first codec."""
        return encode(self.source, self.codecs[0][1], column=self.column)

    def forms(self) -> Iterator[str]:
        """All molecules in Kekulé form."""
        for start in range(0, len(self.data), BATCH):
            rows = np.arange(start, min(start + BATCH, len(self.data)))
            yield from self.codecs[0][1].decode_batch(self.data.batch(rows).numpy())

    def counts(self, codec: GrammarCodec) -> NDArray[np.int64]:
        """How often each token occurs in 20,000 of the molecules."""
        batch = codec.encode_batch(list(islice(self.forms(), 20_000)), prepared=True)
        return np.bincount(batch.tokens, minlength=codec.rules.size)

    def bound(self, codec: GrammarCodec, choice: str | None = None) -> Constraint[Any]:
        """A constraint, without a choice the one that is measured, for a codec."""
        return parse_spec(choice or self.constraint).bind(codec, self.data.atoms)


def _random_logits(setting: Setting) -> Iterator[Row]:
    for about, codec, _ in setting.codecs:
        draws = -(-setting.draws // len(setting.codecs))
        for row in random_logits(codec, setting.bound(codec), setting.counts(codec), draws, setting.seed):
            yield {**about, **row}


def _real_molecules(setting: Setting) -> Iterator[Row]:
    for about, codec, limit in setting.codecs:
        yield {**about, **real_molecules(codec, setting.bound(codec), setting.forms(), limit)}


def _round_trip(setting: Setting) -> Iterator[Row]:
    draws = -(-setting.draws // (10 * len(setting.codecs)))
    for about, codec, limit in setting.codecs:
        constraint = setting.bound(codec)
        yield {**about, **round_trip(codec, constraint, setting.counts(codec), draws, limit, setting.seed)}


def _cost(setting: Setting) -> Iterator[Row]:
    about, codec, limit = setting.codecs[0]
    recipe = get_recipe("moses", TextRecipe)
    decoder = build_text(recipe, codec).autoencoder.decoder.eval()

    def noise(n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, recipe.latent, generator=generator)

    constraints = setting.bound(codec, "grammar"), setting.bound(codec)
    yield {"decoder": "untrained", **about, **decoding.cost(decoder, noise, codec, *constraints, limit)}
    if setting.model is not None:
        model, trained = setting.model, _grammar_codec(setting.model)
        constraints = setting.bound(trained, "grammar"), parse_spec(setting.constraint).bind(trained, model.atoms_)
        decoder = model.autoencoder_.decoder
        limit = trained.max_length or LONGEST
        yield {"decoder": "trained", **decoding.cost(decoder, model.density_.sample, trained, *constraints, limit)}


def _against_original(setting: Setting) -> Iterator[Row]:
    about, codec, limit = setting.codecs[-1]
    constraints = setting.bound(codec, "grammar"), setting.bound(codec)
    for row in decoding.against_original(codec, list(islice(setting.forms(), 1_000)), *constraints, limit):
        yield {**about, **row}


def _distribution(setting: Setting) -> Iterator[Row]:
    if setting.model is None or setting.reference is None:
        raise InputError(
            "the part distribution needs a model and molecules that it has not seen",
            received="no model" if setting.model is None else "no reference",
            remedy="Name both (--model, --reference).",
        )
    training, reference = (
        list(filter(chem.is_valid, sample_texts(source, n, setting.seed, column)))
        for source, n, column in (
            (setting.source, setting.samples, setting.column),
            (setting.reference, 3 * setting.samples, None),
        )
    )
    yield from distribution(setting.model, training, reference, setting.constraint, setting.samples, setting.seed)


def _grammar_codec(model: TextModel) -> GrammarCodec:
    if not isinstance(model.codec, GrammarCodec):
        raise InputError(
            "this model has no grammar",
            received=f"a codec of {model.codec.kind}",
            expected="a model with a grammar codec",
        )
    return model.codec


PARTS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "random-logits": _random_logits,
    "real-molecules": _real_molecules,
    "round-trip": _round_trip,
    "cost": _cost,
    "against-original": _against_original,
    "distribution": _distribution,
}
"""The parts, by name."""


def run(setting: Setting, parts: Sequence[str] = ()) -> Iterator[list[Row]]:
    """The rows of each part as soon as it is done; without names, of all parts for which there is what they need.

    Raises
    ------
    UnknownNameError
        For a name that is not in :data:`PARTS`.
    InputError
        For a part that needs a model where there is none.
    """
    for name in parts:
        if name not in PARTS:
            raise UnknownNameError("part", name, PARTS)
    chosen = parts or [name for name in PARTS if name != "distribution" or setting.reference is not None]
    for name in chosen:
        yield [{"figure": name, "constraint": setting.constraint, **row} for row in PARTS[name](setting)]
