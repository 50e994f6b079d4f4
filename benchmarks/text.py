"""Text to tokens and back: speed, agreement with NLTK, losses, length, and decoding of random logits.

All on molecules in Kekulé form unless said otherwise; :func:`run` does everything, for one file.
"""

import time
from collections.abc import Callable, Sequence
from os import PathLike
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.rows import Row
from grammar_rae import chem
from grammar_rae.codecs import GrammarCodec
from grammar_rae.datasets import encode, read_rows, sample_texts
from grammar_rae.decoding import GrammarConstraint, decode
from grammar_rae.grammar import ChartParser, parser_for, read_grammar
from grammar_rae.nets.sequence import GRUDecoder


def run(source: str | PathLike[str], column: str | None = None, seed: int = 0, agreement: int = 1000) -> list[Row]:
    """Every figure of this module for a file of molecules: a row a figure and grammar.

    Parameters
    ----------
    source, column
        As in :func:`grammar_rae.datasets.read_texts`.
    seed
        The random seed of the 20,000 texts that macros are learned from, of those that are timed, and of random logits.
    agreement
        How many molecules NLTK's chart parser reads; it takes some 30 ms for each.
    """
    rows: list[Row] = []
    learned = sample_texts(source, 20_000, seed, column)
    timed = sample_texts(source, 5_000, seed + 1, column)
    for grammar in ("smiles", "zinc"):
        codec = GrammarCodec.learn(learned, grammar=grammar, n_macros=512, form="kekule")
        refused = {index for index, _ in codec.encode_batch(timed).rejected}
        taken = [text for index, text in enumerate(timed) if index not in refused]
        rows.append({"figure": "speed", "grammar": grammar, **speed(codec, taken)})
        rows.append({"figure": "agreement", "grammar": grammar, **agree(grammar, codec, taken[:agreement])})
        rows.append({"figure": "round trip", "grammar": grammar, **round_trip(codec, source, column)})
        rows.append({"figure": "random decoding", "grammar": grammar, **random_decoding(codec, seed=seed)})
    expressions = _random_expressions(agreement, seed)
    same = _same_derivations("expressions", expressions)
    rows.append({"figure": "agreement", "grammar": "expressions", "texts": len(expressions), "identical": same})
    return rows


def speed(codec: GrammarCodec, texts: Sequence[str], repeats: int = 5) -> Row:
    """Text to tokens against RDKit's MolFromSmiles on the same molecules, one process, interleaved; medians."""
    forms = [codec.prepare(text) for text in texts]
    codec.encode_batch(forms[:10], prepared=True)  # compile
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(_seconds(lambda: codec.encode_batch(forms, prepared=True)))
        theirs.append(_seconds(lambda: [chem.is_valid(form) for form in forms]))
    return {
        "texts": len(texts),
        "microseconds": 1e6 * median(ours) / len(texts),
        "rdkit_microseconds": 1e6 * median(theirs) / len(texts),
        "ratio": median(a / b for a, b in zip(ours, theirs, strict=True)),
    }


def agree(grammar: str, codec: GrammarCodec, texts: Sequence[str]) -> Row:
    """Derivations against those of NLTK's chart parser, and how long each takes."""
    forms = [codec.prepare(text) for text in texts]
    parser, chart = parser_for(read_grammar(grammar)), ChartParser(read_grammar(grammar))
    same = 0
    seconds = 0.0
    for form in forms:
        began = time.perf_counter()
        theirs = chart.parse(form)
        seconds += time.perf_counter() - began
        same += np.array_equal(theirs, parser.parse(form))
    return {"texts": len(texts), "identical": same, "nltk_microseconds": 1e6 * seconds / len(texts)}


def round_trip(codec: GrammarCodec, source: str | PathLike[str], column: str | None = None) -> Row:
    """Every row of a file encoded and decoded: the share that comes back, rows lost, tokens a molecule."""
    data = encode(source, codec, column=column)
    rejected = {row.line for row in data.rejected}
    accepted = (row.text for row in read_rows(source, column) if row.line not in rejected)
    same = 0
    for start in range(0, len(data), 2_000):
        rows = np.arange(start, min(start + 2_000, len(data)))
        decoded = codec.decode_batch(data.batch(rows).numpy())
        same += sum(chem.canonical(text) == chem.canonical(next(accepted)) for text in decoded)
    return {
        "read": data.n_read,
        "encoded": len(data),
        "rejected": data.n_rejected,
        "lost": data.n_read - len(data) - data.n_rejected,
        "same": same,
        "mean_tokens": float(data.lengths.mean()),
        "tokens_99.9": float(np.quantile(data.lengths, 0.999)),
        "most_tokens": int(data.lengths.max()),
    }


def random_decoding(codec: GrammarCodec, draws: int = 10_000, shortest: int = 12, seed: int = 0) -> Row:
    """Latent noise through an untrained decoder, at limits from ``shortest`` to 64 tokens: how many are complete."""
    generator = torch.Generator().manual_seed(seed)
    limits = [limit for limit in (12, 16, 24, 32, 48, 64) if limit >= max(shortest, codec.rules.shortest)]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        decoder = GRUDecoder(codec.rules, 64, 64).eval()
    constraint = GrammarConstraint(codec.rules)
    parser = parser_for(codec.grammar)
    complete = total = 0
    seconds = 0.0
    for limit in limits:
        n = -(-draws // len(limits))
        z = torch.randn(n, 64, generator=generator)
        began = time.perf_counter()
        tokens = decode(decoder, z, constraint, limit, temperature=1.0, generator=generator).numpy()
        seconds += time.perf_counter() - began
        texts = [text for text in codec.macros.spell(tokens) if text is not None]
        complete += n - len(parser.parse_batch(texts).rejected) - (n - len(texts))
        total += n
    return {"draws": total, "limits": str(limits), "complete": complete, "decoded_a_second": total / seconds}


def _random_expressions(n: int, seed: int) -> list[str]:
    """Texts of the grammar of expressions, drawn by its rules under a budget of 15 productions."""
    codec = GrammarCodec(table=read_grammar("expressions"))
    generator = torch.Generator().manual_seed(seed)
    flat = _Flat(codec.rules.size)
    found: dict[str, None] = {}
    while len(found) < n:
        tokens = decode(flat, torch.zeros(n, 1), GrammarConstraint(codec.rules), 15, 1.0, generator)
        found.update(dict.fromkeys(codec.decode_batch(tokens.numpy())))
    return list(found)[:n]


class _Flat:
    """A decoder that finds everything equally likely."""

    def __init__(self, size: int) -> None:
        self.size = size

    def begin(self, z: torch.Tensor) -> "_Flat":
        return self

    def step(self, state: "_Flat", previous: Any, lhs: torch.Tensor) -> tuple[torch.Tensor, "_Flat"]:
        return torch.zeros(len(lhs), self.size), self

    def rows(self, keep: torch.Tensor) -> "_Flat":
        return self


def _same_derivations(grammar: str, texts: Sequence[str]) -> int:
    parser, chart = parser_for(read_grammar(grammar)), ChartParser(read_grammar(grammar))
    return sum(np.array_equal(chart.parse(text), parser.parse(text)) for text in texts)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
