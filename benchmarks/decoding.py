"""How fast decoding is: what a constraint costs on top of the grammar, and against the original algorithm."""

import time
from collections.abc import Callable, Sequence
from statistics import mean, median
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.original import OriginalDecoding
from benchmarks.rows import Row
from grammar_rae import chem
from grammar_rae.codecs import GrammarCodec
from grammar_rae.datasets import pad_tokens
from grammar_rae.decoding import Constraint, Draws, decode, decode_all
from grammar_rae.training import has_bfloat16

P = ParamSpec("P")
T = TypeVar("T")


class Watched:
    """A constraint, and the seconds that are spent inside it; its methods are those of the constraint."""

    def __init__(self, constraint: Constraint[Any]) -> None:
        self._constraint = constraint
        self.seconds = 0.0
        if isinstance(constraint, Draws):
            # Only then: decoding asks whether a constraint can draw.
            self.draw = lambda *arguments: self._timed(constraint.draw, *arguments)

    def start(self, batch: int, limit: int, device: torch.device | str = "cpu") -> Any:
        """:meth:`Constraint.start`, timed."""
        return self._timed(self._constraint.start, batch, limit, device)

    def candidates(self, state: Any) -> Tensor:
        """:meth:`Constraint.candidates`, timed."""
        return self._timed(self._constraint.candidates, state)

    def refuses(self, state: Any, choice: Tensor) -> Tensor:
        """:meth:`Constraint.refuses`, timed."""
        return self._timed(self._constraint.refuses, state, choice)

    def allowed(self, state: Any, among: Tensor | None = None) -> Tensor:
        """:meth:`Constraint.allowed`, timed."""
        return self._timed(self._constraint.allowed, state, among)

    def advance(self, state: Any, choice: Tensor) -> Any:
        """:meth:`Constraint.advance`, timed."""
        return self._timed(self._constraint.advance, state, choice)

    def _timed(self, method: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        began = time.perf_counter()
        result = method(*arguments, **keywords)
        self.seconds += time.perf_counter() - began
        return result


class _Turn(NamedTuple):
    """One batch decoded: seconds, the part of them inside the constraint, and what came out."""

    seconds: float
    inside: float
    tokens: Tensor

    @property
    def steps(self) -> int:
        """Tokens that were drawn, over all rows."""
        return int((self.tokens >= 0).sum())


def cost(
    decoder: Any,
    draw: Callable[[int, torch.Generator], Tensor],
    codec: GrammarCodec,
    grammar: Constraint[Any],
    constraint: Constraint[Any],
    limit: int = 64,
    batch: int = 1024,
    repeats: int = 11,
    seed: int = 0,
) -> Row:
    """A batch decoded at temperature 1 under the grammar alone and under another constraint; interleaved, medians.

    What a constraint allows changes how long the derivations are. So there are ratios of three kinds: of the time for a
    batch, of the time for a row's step, and of the time for the same choices (``ratio_same_choices``: what the
    constraint wrote is written again under both, by the same decoder, so that only the constraints differ; drawing
    again what was refused is not in it).

    Parameters
    ----------
    decoder, draw
        The decoder, and a function of a number and a generator that gives so many z to decode.
    codec, grammar, constraint
        The codec and its two constraints.
    limit, batch, repeats
        The most tokens, the rows of a batch, and how many batches are timed after one that is not.
    """
    constraints = {"grammar": grammar, "constraint": constraint}
    generator = torch.Generator().manual_seed(seed)
    turns: dict[str, list[_Turn]] = {name: [] for name in constraints}
    again: dict[str, list[_Turn]] = {name: [] for name in constraints}
    for repeat in range(repeats + 1):
        z = draw(batch, generator)
        names = sorted(constraints, reverse=bool(repeat % 2))
        for name in names:
            turns[name].append(_turn(decoder, z, Watched(constraints[name]), limit, 1.0, seed + repeat))
        script = turns["constraint"][-1].tokens
        for name in names:
            again[name].append(_turn(_Replayed(decoder, script), z, Watched(constraints[name]), limit, 0.0, 0))
    for each in (*turns.values(), *again.values()):
        del each[0]  # it compiled
    row: Row = {
        "batch": batch,
        "limit": limit,
        "bfloat16": has_bfloat16("cpu"),
        "threads": torch.get_num_threads(),
        "ratio_batch": _ratio(turns, lambda turn: turn.seconds),
        "ratio_row_step": _ratio(turns, lambda turn: turn.seconds / turn.steps),
        "ratio_same_choices": _ratio(again, lambda turn: turn.seconds),
    }
    for name, each in turns.items():
        texts = codec.macros.spell(np.concatenate([_wide(turn.tokens, limit) for turn in each]))
        valid = sum(text is not None and chem.is_valid(text) for text in texts) / len(texts)
        rate = batch / median(turn.seconds for turn in each)
        row |= {
            f"{name}_milliseconds": 1e3 * median(turn.seconds for turn in each),
            f"{name}_share_inside": median(turn.inside / turn.seconds for turn in each),
            f"{name}_microseconds_row_step": 1e6 * median(turn.seconds / turn.steps for turn in each),
            f"{name}_mean_tokens": mean(turn.steps for turn in each) / batch,
            f"{name}_texts_a_second": rate,
            f"{name}_valid": valid,
            f"{name}_valid_texts_a_second": rate * valid,
        }
    return row


def _turn(decoder: Any, z: Tensor, constraint: Watched, limit: int, temperature: float, seed: int) -> _Turn:
    generator = torch.Generator().manual_seed(seed)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bfloat16("cpu")):
        began = time.perf_counter()
        tokens = decode(decoder, z, constraint, limit, temperature, generator)
        seconds = time.perf_counter() - began
    return _Turn(seconds, constraint.seconds, tokens)


def _ratio(turns: dict[str, list[_Turn]], figure: Callable[[_Turn], float]) -> float:
    pairs = zip(turns["constraint"], turns["grammar"], strict=True)
    return median(figure(theirs) / figure(plain) for theirs, plain in pairs)


def _wide(tokens: Tensor, width: int) -> NDArray[np.int64]:
    """Tokens (B, T) padded to (B, width)."""
    return nn.functional.pad(tokens, (0, width - tokens.shape[1]), value=-1).numpy()


class _At(NamedTuple):
    """Which rows of a table (B,) a state is about, after how many steps, and the state of the decoder beneath."""

    row: Tensor
    step: int
    beneath: Any = None

    def rows(self, keep: Tensor) -> "_At":
        return _At(self.row[keep], self.step, None if self.beneath is None else self.beneath.rows(keep))


class _Replayed:
    """A decoder that does all its work, and then wants the tokens of a script (B, T)."""

    def __init__(self, decoder: Any, script: Tensor) -> None:
        self._decoder = decoder
        self._script = script

    def begin(self, z: Tensor) -> _At:
        return _At(torch.arange(len(z)), 0, self._decoder.begin(z))

    def step(self, state: _At, previous: Tensor | None, lhs: Tensor) -> tuple[Tensor, _At]:
        logits, beneath = self._decoder.step(state.beneath, previous, lhs)
        wanted = self._script[state.row, state.step].unsqueeze(1)
        logits = logits.scatter(1, wanted, torch.finfo(logits.dtype).max / 2)
        return logits, _At(state.row, state.step + 1, beneath)


def against_original(
    codec: GrammarCodec,
    texts: Sequence[str],
    grammar: Constraint[Any],
    constraint: Constraint[Any],
    positions: int = 277,
    repeats: int = 3,
    seed: int = 0,
) -> list[Row]:
    """The same logits decoded by :class:`OriginalDecoding` and by this package; interleaved, medians.

    There are two kinds of logits: ``random``, normal numbers, for which the original seldom ends in time; and
    ``molecules``, what a good decoder would give, 10 for the productions of a molecule plus normal noise.

    Parameters
    ----------
    codec
        The paper's grammar, without macros.
    texts
        B molecules in the codec's form.
    grammar, constraint
        The codec's two constraints.
    positions
        T; longer molecules are left out.
    """
    encoded = codec.encode_batch(texts, prepared=True)
    fitting = np.flatnonzero(np.diff(encoded.offsets) <= positions)
    tokens = torch.from_numpy(pad_tokens(encoded.tokens, encoded.offsets, fitting))
    logits = torch.randn(len(tokens), positions, codec.rules.size, generator=torch.Generator().manual_seed(seed))
    random = _race(codec, logits, grammar, constraint, repeats, seed)
    row, position = (tokens >= 0).nonzero(as_tuple=True)
    logits[row, position, tokens[row, position]] += 10.0
    molecules = _race(codec, logits, grammar, constraint, repeats, seed)
    return [{"logits": "random", **random}, {"logits": "molecules", **molecules}]


def _race(
    codec: GrammarCodec,
    logits: Tensor,
    grammar: Constraint[Any],
    constraint: Constraint[Any],
    repeats: int,
    seed: int,
) -> Row:
    original = OriginalDecoding(codec.rules)
    array = logits.numpy()

    def ours(rule: Constraint[Any], seed: int) -> Tensor:
        return decode_all(logits, rule, 1.0, torch.Generator().manual_seed(seed))

    def one_by_one(seed: int) -> list[list[int] | None]:
        chance = np.random.default_rng(seed)
        return [original.decode(row, chance) for row in array]

    # Each gives what its own next step reads: lists of productions, or a table of tokens.
    rivals: dict[str, Callable[[int], list[list[int] | None] | Tensor]] = {
        "original": one_by_one,
        "original_batch": lambda seed: original.decode_batch(array, np.random.default_rng(seed)),
        "grammar": lambda seed: ours(grammar, seed),
        "constraint": lambda seed: ours(constraint, seed),
    }
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    drawn: dict[str, list[list[int] | None] | Tensor] = {}
    for rule in (grammar, constraint):
        decode_all(logits[:2], rule, 1.0)  # compile
    for repeat in range(repeats):
        for name in sorted(rivals, reverse=bool(repeat % 2)):
            began = time.perf_counter()
            drawn[name] = rivals[name](seed + repeat)
            seconds[name].append(time.perf_counter() - began)
    found: Row = {"molecules": len(array), "positions": array.shape[1], "threads": torch.get_num_threads()}
    for name, rows in drawn.items():
        listed = [row[row >= 0].tolist() for row in rows.numpy()] if isinstance(rows, Tensor) else rows
        ended = [row for row in listed if row is not None]
        texts = [codec.macros.spell(np.array([row]))[0] for row in ended]
        complete = [row for row, text in zip(ended, texts, strict=True) if text is not None]
        rate = len(array) / median(seconds[name])
        valid = sum(text is not None and chem.is_valid(text) for text in texts)
        found |= {
            f"{name}_a_second": rate,
            f"{name}_valid_a_second": rate * valid / len(array),
            f"{name}_complete": len(complete),
            f"{name}_valid": valid,
            f"{name}_mean_tokens": sum(map(len, complete)) / max(1, len(complete)),
        }
    for rival in ("original", "original_batch"):
        for name in ("grammar", "constraint"):
            pairs = zip(seconds[rival], seconds[name], strict=True)
            found[f"{name}_times_{rival}"] = median(theirs / mine for theirs, mine in pairs)
    return found
