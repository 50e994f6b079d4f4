"""From latent codes to tokens: one step for the whole batch, under a constraint, until every row has ended.

Questions to a constraint may be expensive. So a token is drawn from its candidates, and only that one is asked about.
Where it is refused it is struck out, the others are put in a random order, and the first of them that is allowed is
taken; four are asked about, then as many again, until one is. In that order each is drawn, as softmax(logits) has it,
from what those before it leave: exponential noise on the logits gives it at once. What is struck out leaves the
proportions of the others as they are, so the token that is taken has the distribution that a mask of everything allowed
would have given, and no token is asked about twice.
"""

from math import log
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from grammar_rae.checks import is_number
from grammar_rae.decoding.constraints import Constraint, Draws, DrawsAll
from grammar_rae.decoding.lazy import Answers, ask_in_order, check_best, top_columns
from grammar_rae.errors import DecodingError, InputError

LOG2_E = 1 / log(2)

_FEW = 8  # tokens that are looked at first for a nucleus

HOTTEST = 1e30
"""The temperature, and the inverse of one, above which nothing changes that float32 could tell."""


class Rows(Protocol):
    """A decoder's state that can be cut to some rows."""

    def rows(self: "S", keep: Tensor) -> "S":
        """Return the state of some rows, by their indices."""
        ...


S = TypeVar("S", bound=Rows)


class StepDecoder(Protocol[S]):
    """A decoder that works step by step: see :class:`grammar_rae.nets.sequence.GRUDecoder`."""

    def begin(self, z: Tensor) -> S:
        """Return the state before the first step."""
        ...

    def step(self, state: S, previous: Tensor | None, lhs: Tensor) -> tuple[Tensor, S]:
        """Return logits (B, R) and the next state, from the token before and the nonterminal to expand, (B,) each."""
        ...


@runtime_checkable
class DecodesAtOnce(Protocol):
    """A decoder that has the logits of all steps before the first one: see :mod:`grammar_rae.nets.grammar_vae`."""

    def all_logits(self, z: Tensor, length: int) -> Tensor:
        """Return the logits of ``length`` steps, (B, length, R)."""
        ...


@torch.inference_mode()
def decode(
    decoder: StepDecoder[S],
    z: Tensor,
    constraint: Constraint[Any],
    limit: int,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
    top_p: float = 1.0,
) -> Tensor:
    """Decode z (B, D).

    Parameters
    ----------
    decoder, z
        The decoder and what it decodes.
    constraint
        What may come next at each step.
    limit
        The most tokens that a row may take.
    temperature
        0 takes the likeliest allowed token; above that, tokens are drawn from softmax(logits / temperature), cut to
        what is allowed.
    generator
        The source of randomness; not used at temperature 0.
    top_p
        Below 1, tokens are drawn from the nucleus: the fewest likeliest tokens that have this share of the probability
        of all allowed tokens at this temperature, always at least one. It takes more questions than drawing from all.

    Returns
    -------
    int64 (B, T), padded with -1; T is the longest row's length. Each row is a complete derivation where the constraint
    allows nothing else (only :class:`~grammar_rae.decoding.constraints.Free` and ``Masks`` allow more).

    Raises
    ------
    InputError
        For a temperature below 0 or not finite, or top_p outside (0, 1].
    DecodingError
        When logits are NaN or infinite, nothing is allowed, or the limit is below the shortest derivation.
    """
    check_temperature(temperature)
    check_top_p(top_p)
    state, derivations = decoder.begin(z), constraint.start(len(z), limit, z.device)
    tokens = torch.full((len(z), limit), -1, dtype=torch.int64, device=z.device)
    alive = torch.arange(len(z), device=z.device)
    previous: Tensor | None = None
    step = 0
    while True:
        going = derivations.alive.nonzero().squeeze(1)
        if len(going) < len(alive):
            alive, previous = alive[going], None if previous is None else previous[going]
            state, derivations = state.rows(going), derivations.rows(going)
        if not len(alive):
            return tokens[:, :step]
        if step == limit:
            raise DecodingError("a derivation is not complete at the limit", received=f"{len(alive)} rows")
        logits, state = decoder.step(state, previous, derivations.lhs)
        previous = choose(logits.float(), constraint, derivations, temperature, generator, top_p)
        tokens[alive, step] = previous
        derivations = constraint.advance(derivations, previous)
        step += 1


@torch.inference_mode()
def decode_all(
    logits: Tensor,
    constraint: Constraint[Any],
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Decode the logits of all steps at once, float (B, T, R), those of a decoder that does not read what it wrote.

    Parameters
    ----------
    logits
        The logits of T steps; no row takes more. Those behind a row's end are ignored.
    constraint, temperature, generator
        As in :func:`decode`; for the same seed the two draw differently.

    Returns
    -------
    int64 (B, T'), as from :func:`decode`.

    Raises
    ------
    InputError, DecodingError
        As :func:`decode`.
    """
    check_temperature(temperature)
    logits = logits.float()
    if isinstance(constraint, DrawsAll):
        return constraint.draw_all(logits, temperature, generator)
    return decode(_FixedLogits(logits), logits[:, :0, 0], constraint, logits.shape[1], temperature, generator)


class _At(NamedTuple):
    """Some rows of those logits, after some steps."""

    logits: Tensor
    step: int

    def rows(self, keep: Tensor) -> "_At":
        return _At(self.logits[keep], self.step)


class _FixedLogits:
    """A decoder of logits (B, T, R) that were computed before."""

    def __init__(self, logits: Tensor) -> None:
        self._logits = logits

    def begin(self, z: Tensor) -> _At:
        return _At(self._logits, 0)

    def step(self, state: _At, previous: Tensor | None, lhs: Tensor) -> tuple[Tensor, _At]:
        return state.logits[:, state.step], _At(state.logits, state.step + 1)


def check_temperature(temperature: float) -> None:
    """Raise an InputError for a temperature that cannot be used."""
    if not is_number(temperature) or not 0 <= temperature < float("inf"):
        raise InputError("the temperature cannot be used", received=repr(temperature), expected="0 or more, and finite")


def check_top_p(top_p: float) -> None:
    """Raise an InputError for a top_p that cannot be used."""
    if not is_number(top_p) or not 0 < top_p <= 1:
        raise InputError("top_p cannot be used", received=repr(top_p), expected="above 0, at most 1")


def choose(
    logits: Tensor,
    constraint: Constraint[Any],
    state: Any,
    temperature: float,
    generator: torch.Generator | None,
    top_p: float = 1.0,
) -> Tensor:
    """Choose one allowed token a row, int64 (B,), from float32 logits (B, R); the rest is as in :func:`decode`."""
    if (temperature == 0 or top_p == 1) and isinstance(constraint, Draws):
        return constraint.draw(state, logits, temperature, generator)
    candidates = constraint.candidates(state)
    if temperature > 0 and top_p < 1:
        return _draw_from_nucleus(logits, candidates, constraint, state, temperature, generator, top_p)
    choice = draw(logits, candidates, temperature, generator)
    refused = constraint.refuses(state, choice).nonzero().squeeze(1)
    if len(refused):
        left = candidates[refused].scatter_(1, choice[refused].unsqueeze(1), False)
        ranks = logits[refused].masked_fill_(~left, -torch.inf)
        if temperature > 0:
            noise = torch.rand(ranks.shape, generator=generator, device=ranks.device)
            exponential = noise.clamp_(min=torch.finfo(noise.dtype).tiny).log_().neg_()
            ranks -= min(temperature, HOTTEST) * exponential.log_()
        answers = ask_in_order(ranks, constraint, state.rows(refused), 4, lambda found, *_: found.allowed.any(dim=1))
        tokens, best = answers.first()
        check_best(best, logits[refused])
        choice = choice.index_copy(0, refused, tokens[:, 0])
    return choice


def draw(logits: Tensor, allowed: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """Draw one allowed token a row, int64 (B,), from logits and a mask (B, R); by inversion, one uniform number a row.

    Raises
    ------
    DecodingError
        When a row has no allowed token of finite logit, or a NaN.
    """
    masked = logits.masked_fill(~allowed, -torch.inf)
    best = masked.amax(dim=1, keepdim=True)
    check_best(best, logits)
    if temperature == 0:
        return masked.argmax(dim=1)
    # The likeliest token has weight 1: nothing underflows to an empty row.
    return _draw_by_weight(_weights(masked, best, temperature), generator)


def _weights(masked: Tensor, best: Tensor, temperature: float) -> Tensor:
    """exp((masked - best) / temperature), in place."""
    # A power of 2, for on many CPUs exp is slower by an order of magnitude where it meets -inf. The bound keeps 0 * inf
    # from arising; beyond it, only what equals the best has any weight.
    return masked.sub_(best).mul_(min(LOG2_E / temperature, HOTTEST)).exp2_()


def _draw_by_weight(weights: Tensor, generator: torch.Generator | None, share: Tensor | None = None) -> Tensor:
    """Draw one column a row, int64 (B,), in proportion to weights (B, R); by the shares (B, 1), or by the generator."""
    totals = weights.cumsum(dim=1)
    if share is None:
        share = torch.rand(len(totals), 1, generator=generator, device=totals.device)
    level = share * totals[:, -1:]
    # The first column whose running total exceeds the level. On the way rounding can do two things: lift the level to
    # the last total, and (where sums are taken in parallel, on a GPU) lift the total at a column of no weight.
    drawn = torch.searchsorted(totals, level, right=True).clamp_(max=totals.shape[1] - 1)
    real = weights.gather(1, drawn) > 0
    if not bool(real.all()):
        drawn = torch.where(real, drawn, weights.argmax(dim=1, keepdim=True))
    return drawn.squeeze(1)


def _draw_from_nucleus(
    logits: Tensor,
    candidates: Tensor,
    constraint: Constraint[Any],
    state: Any,
    temperature: float,
    generator: torch.Generator | None,
    top_p: float,
) -> Tensor:
    """Draw one token a row, int64 (B,), from the nucleus of what is allowed.

    Candidates are asked about from the likeliest downward until the draw is certain: until it is the same whether all
    of the others are allowed or none.
    """
    masked = logits.masked_fill(~candidates, -torch.inf)
    check_best(masked.amax(dim=1), logits)
    top_p = max(top_p, torch.finfo(masked.dtype).tiny)  # so that the first one is always inside
    if getattr(constraint, "exact", False):  # not a Protocol, which takes long to check at each step
        return _draw_from_exact_nucleus(masked, temperature, generator, top_p)

    def nucleus(found: Answers, others: Tensor | float = 0.0) -> Tensor:
        """Tell which of the known tokens are inside when that much weight (B, 1) is allowed besides them."""
        totals = weights(found).cumsum(dim=1)
        before = nn.functional.pad(totals[:, :-1], (1, 0))
        return found.allowed & (before < top_p * (totals[:, -1:] + others))

    def weights(found: Answers) -> Tensor:
        return _weights(found.ranks.clone(), found.first()[1], temperature).masked_fill_(~found.allowed, 0)

    def choose_within(found: Answers, rows: Tensor, mass: Tensor) -> Tensor:
        """Tell which known token each row draws (B, 1) where its nucleus has this mass (B, 1)."""
        return torch.searchsorted(weights(found).cumsum(dim=1), share[rows] * mass, right=True)

    def certain(found: Answers, ranks: Tensor, rows: Tensor) -> Tensor:
        others = _weights(ranks.scatter(1, found.tokens, -torch.inf), found.first()[1], temperature).sum(
            1, keepdim=True
        )
        known = weights(found).sum(1, keepdim=True)
        inside = known >= top_p * (known + others)
        least = weights(found).mul_(nucleus(found)).sum(1, keepdim=True)
        most = weights(found).mul_(nucleus(found, others)).sum(1, keepdim=True)
        drawn = choose_within(found, rows, least)
        same = drawn == choose_within(found, rows, torch.where(inside, most, known + others))
        return (same & (drawn < found.tokens.shape[1])).squeeze(1)

    # The nucleus grows with what is allowed, so what is drawn from its least and from its greatest is drawn from it.
    share = torch.rand(len(masked), 1, generator=generator, device=masked.device)
    answers = ask_in_order(masked, constraint, state, 8, certain)
    check_best(answers.first()[1], logits)
    kept = weights(answers).masked_fill_(~nucleus(answers), 0)
    drawn = _draw_by_weight(kept, None, share)
    return answers.tokens.gather(1, drawn.unsqueeze(1)).squeeze(1)


def _draw_from_exact_nucleus(
    masked: Tensor, temperature: float, generator: torch.Generator | None, top_p: float
) -> Tensor:
    """Draw one token a row from the nucleus, int64 (B,), of logits that are -inf exactly where a token is not allowed.

    The nucleus is that of :func:`_draw_from_nucleus`; no token has to be asked about.
    """
    weights = _weights(masked.clone(), masked.amax(dim=1, keepdim=True), temperature)
    enough = top_p * weights.sum(dim=1, keepdim=True)
    tokens, likeliest = _find_likeliest(masked, weights, enough)
    totals = likeliest.cumsum(dim=1)
    outside = nn.functional.pad(totals[:, :-1], (1, 0)) >= enough
    drawn = _draw_by_weight(likeliest.masked_fill_(outside, 0), generator)
    return tokens.gather(1, drawn.unsqueeze(1)).squeeze(1)


def _find_likeliest(ranks: Tensor, weights: Tensor, enough: Tensor) -> tuple[Tensor, Tensor]:
    """Find the tokens of the largest ranks (B, R), the largest first, and their weights, until these are enough (B, 1).

    Most rows need a few, and to find 64 of some thousands takes four times as long as to find 8. So only the rows that
    need more look further; the others have weights of 0 there.
    """
    n, size = min(_FEW, ranks.shape[1]), ranks.shape[1]
    tokens = top_columns(ranks, n)
    found = weights.gather(1, tokens)
    while n < size and len(short := (found.cumsum(dim=1)[:, -1:] < enough).squeeze(1).nonzero().squeeze(1)):
        n = min(4 * n, size)
        more = top_columns(ranks[short], n)
        tokens, found = (nn.functional.pad(part, (0, n - part.shape[1])) for part in (tokens, found))
        tokens[short], found[short] = more, weights[short].gather(1, more)
    return tokens, found
