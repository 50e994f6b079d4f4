"""What a model knows: the symbols and tokens of its training rows, and which texts have others."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.checks import check_choice
from grammar_rae.codecs import FORMS, Codec, EncodedBatch
from grammar_rae.datasets import ShardedDataset, TokenDataset, pad_tokens
from grammar_rae.decoding import Constraint
from grammar_rae.errors import TextError, UnfamiliarWarning

UNKNOWN = ("warn", "refuse", "ignore")
"""What to do about texts that a model was not trained on anything like."""

UNTRAINED = "the model was not trained on what this text contains"

ENOUGH = 10
"""Rows that a symbol has to be in to be known, of a million; of fewer rows one in a hundred thousand, at least one."""

COUNTED = 200_000
"""Rows of a data set of shards whose symbols are counted; of others, all rows are."""

_CHUNK = 4096
_ATOM = re.compile(r"[\[A-Za-z*]")
_SYMBOL = re.compile(r"\[[^\]]*\]|Br|Cl|[A-Za-z*]|[=#$:/\\.~]")  # atoms as they are spelled, bonds and marks


def symbols_of(text: str, molecules: bool) -> set[str]:
    """The symbols of a text in a codec's form: atoms as spelled, bonds and marks; of other texts the characters.

    >>> sorted(symbols_of("C[C@H](Cl)C#N", molecules=True))
    ['#', 'C', 'Cl', 'N', '[C@H]']
    """
    return set(_SYMBOL.findall(text) if molecules else text)


@dataclass(frozen=True)
class Known:
    """What the training rows of a model contained.

    Attributes
    ----------
    rows
        How many they were.
    symbols
        Symbol -> the number of rows that it is in.
    rare_tokens
        Tokens of the codec that were seen too seldom, in ascending order.
    """

    rows: int
    symbols: Mapping[str, int]
    rare_tokens: tuple[int, ...] = ()

    @property
    def enough(self) -> int:
        """The number of rows that a symbol has to be in to be known."""
        return _enough(self.rows)

    @classmethod
    def of(cls, data: TokenDataset | ShardedDataset, codec: Codec, before: "Known | None" = None) -> "Known":
        """What the rows of a data set contain, and what was known before them; in one pass, in constant memory."""
        molecules = FORMS[codec.form].molecules
        data = data.few(COUNTED) if isinstance(data, ShardedDataset) else data
        symbols: Counter[str] = Counter()
        tokens = np.zeros(codec.rules.size, np.int64)
        for first in range(0, len(data), _CHUNK):
            batch = data.batch(range(first, min(first + _CHUNK, len(data)))).numpy()
            tokens += np.bincount(batch[batch >= 0], minlength=len(tokens))
            for text in codec.spell_batch(batch):
                symbols.update(symbols_of(text or "", molecules))
        # Of a few rows, most of the tokens that are learned from them are rare.
        least = _enough(len(data)) if len(data) >= 1000 else 0
        rare = tuple(np.flatnonzero(tokens < least).tolist())
        if before is not None:  # further tokens of an extended codec are those of the rows
            symbols.update(before.symbols)
            rare = tuple(token for token in before.rare_tokens if tokens[token] == 0)
        return cls(len(data) + (before.rows if before else 0), dict(sorted(symbols.items())), rare)

    def to_dict(self) -> dict[str, Any]:
        """The same as a JSON-compatible dictionary."""
        return {"rows": self.rows, "symbols": dict(self.symbols), "rare_tokens": list(self.rare_tokens)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Known":
        """Rebuild from :meth:`to_dict`."""
        return cls(int(data["rows"]), dict(data["symbols"]), tuple(data["rare_tokens"]))

    def unknown_in(self, batch: EncodedBatch, codec: Codec) -> dict[int, list[str]]:
        """What is unknown in each of the accepted texts of a batch that has such: their indices among the accepted."""
        molecules, least = FORMS[codec.form].molecules, self.enough
        familiar = {symbol for symbol, rows in self.symbols.items() if rows >= least}
        found: dict[int, list[str]] = {}
        for index, text in enumerate(batch.parsed or _spell(batch, codec)):
            if others := symbols_of(text, molecules) - familiar:
                found[index] = sorted(others)
        rare = np.flatnonzero(np.isin(batch.tokens, self.rare_tokens))
        for at, index in zip(rare, np.searchsorted(batch.offsets, rare, side="right") - 1, strict=True):
            found.setdefault(int(index), []).append(codec.show(int(batch.tokens[at])))
        return dict(sorted(found.items()))


def _enough(rows: int) -> int:
    return min(ENOUGH, 1 + rows // 100_000)


def _spell(batch: EncodedBatch, codec: Codec) -> Iterable[str]:
    for first in range(0, len(batch.offsets) - 1, _CHUNK):
        rows = np.arange(first, min(first + _CHUNK, len(batch.offsets) - 1))
        for text in codec.spell_batch(pad_tokens(batch.tokens, batch.offsets, rows)):
            yield text or ""


def check_unknown(unknown: object) -> None:
    """Raise :class:`UnknownNameError` unless the choice is one of :data:`UNKNOWN`."""
    check_choice("choice of unknown", unknown, UNKNOWN)


def mind_unknown(
    known: Known | None, codec: Codec, texts: Sequence[str], batch: EncodedBatch, unknown: str, stacklevel: int
) -> EncodedBatch:
    """Warn of texts of a batch with what the model does not know, once for all of them, or refuse them.

    Parameters
    ----------
    known
        What the model knows; None where nobody counted it.
    texts, batch
        The texts, and the batch that the codec made of them.
    unknown
        One of :data:`UNKNOWN`.
    stacklevel
        Where the warning points to, as for :func:`warnings.warn` called here.
    """
    check_unknown(unknown)
    if known is None or unknown == "ignore":
        return batch
    found = known.unknown_in(batch, codec)
    if not found:
        return batch
    refused = {index for index, _ in batch.rejected}
    accepted = [index for index in range(len(texts)) if index not in refused]
    if unknown == "warn":
        strange = Unfamiliar()
        strange.add(found, [texts[i] for i in accepted])
        warnings.warn(strange.describe(len(accepted)), UnfamiliarWarning, stacklevel=stacklevel)
        return batch
    errors = list(batch.rejected)
    for index, symbols in found.items():
        error = TextError(
            UNTRAINED,
            text=texts[accepted[index]],
            received=", ".join(symbols),
            remedy="Leave it out, pass unknown='warn', or use a model that was trained on such texts.",
        )
        errors.append((accepted[index], error))
    kept = np.array([index not in found for index in range(len(accepted))], dtype=bool)
    lengths = np.diff(batch.offsets)
    offsets = np.concatenate(([0], np.cumsum(lengths[kept]))).astype(np.int64)
    tokens: NDArray[np.uint16] = batch.tokens[np.repeat(kept, lengths)]
    return batch._replace(
        tokens=tokens,
        offsets=offsets,
        rejected=sorted(errors, key=lambda pair: pair[0]),
        parsed=[text for text, keep in zip(batch.parsed, kept, strict=True) if keep] if batch.parsed else (),
    )


def warn_unwritable(known: Known | None, bound: Constraint[Any], name: str) -> None:
    """Warn of atoms of the training rows that a constraint writes none of, because it knows no bonds of theirs."""
    writable = getattr(bound, "atoms", None)
    if known is None or writable is None:
        return
    if missing := [symbol for symbol in known.symbols if _ATOM.match(symbol) and symbol not in writable]:
        warnings.warn(
            f"the model was trained on {', '.join(missing[:5])}, of which the constraint {name!r} writes none, because "
            "how many bonds these atoms take is not known; decode under 'grammar' to get them",
            stacklevel=4,
        )


class Survey(NamedTuple):
    """How many texts have something unknown, the numbers of texts by what it is, and the first text of each."""

    texts: int
    symbols: Counter[str]
    examples: dict[str, str]


def survey(known: Known, codec: Codec, texts: Iterable[str]) -> Survey:
    """What is unknown in many texts; those that the codec rejects are left out. Constant memory."""
    n, symbols, examples = 0, Counter[str](), dict[str, str]()
    rest = iter(texts)
    while some := list(islice(rest, _CHUNK)):
        batch = codec.encode_batch(some)
        refused = {index for index, _ in batch.rejected}
        accepted = [text for index, text in enumerate(some) if index not in refused]
        found = known.unknown_in(batch, codec)
        n += len(found)
        symbols += count_unknown(found)
        for index, unknown in found.items():
            for symbol in unknown:
                examples.setdefault(symbol, accepted[index])
    return Survey(n, symbols, examples)


def count_unknown(found: Mapping[int, Sequence[str]]) -> Counter[str]:
    """The numbers of texts that each unknown symbol or token is in."""
    return Counter(symbol for symbols in found.values() for symbol in set(symbols))


class Unfamiliar:
    """Counts texts with something unknown, for one sentence about all of them.

    Attributes
    ----------
    texts
        How many there are.
    """

    def __init__(self) -> None:
        self.texts = 0
        self._symbols: Counter[str] = Counter()
        self._example = ""

    def add(self, found: Mapping[int, Sequence[str]], accepted: Sequence[str]) -> None:
        """Count what is unknown, by the indices of texts among those that were accepted."""
        if found and not self.texts:
            self._example = accepted[next(iter(found))]
        self.texts += len(found)
        self._symbols += count_unknown(found)

    def describe(self, of: int) -> str:
        """One sentence with numbers and an example; ``of`` is how many texts there were."""
        shown = ", ".join(f"{symbol} ({count})" for symbol, count in islice(self._symbols.most_common(), 5))
        more = f" and {len(self._symbols) - 5} others" if len(self._symbols) > 5 else ""
        return (
            f"{self.texts} of {of} texts contain what the model was not trained on: "
            f"{shown}{more}, for example in {self._example[:60]!r}; their codes stand for other texts"
        )
