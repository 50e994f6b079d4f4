"""From latent codes to codes: one step for the whole batch, under a constraint, until every row is complete."""

from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from grammar_rae.decoding.constraints import Constraint
from grammar_rae.errors import DecodingError, InputError


class Rows(Protocol):
    """A decoder's state that can be cut to some rows."""

    def rows(self: "S", keep: Tensor) -> "S": ...


S = TypeVar("S", bound=Rows)


class StepDecoder(Protocol[S]):
    """What can decode step by step: see :class:`grammar_rae.nets.sequence.GRUDecoder`."""

    def begin(self, z: Tensor) -> S: ...

    def step(self, state: S, previous: Tensor | None, lhs: Tensor) -> tuple[Tensor, S]: ...


@torch.inference_mode()
def decode(
    decoder: StepDecoder[S],
    z: Tensor,
    constraint: Constraint[Any],
    limit: int,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Decode z (B, D).

    Parameters
    ----------
    decoder, z
        The decoder and what it decodes.
    constraint
        What may come next at each step.
    limit
        The most codes that a row may take.
    temperature
        0 takes the likeliest allowed code; above that, codes are drawn from softmax(logits / temperature).
    generator
        The source of randomness; not used at temperature 0.

    Returns
    -------
    int64 (B, T), each row a complete derivation, padded with -1; T is the longest row's length.

    Raises
    ------
    InputError
        For a temperature below 0 or not finite.
    DecodingError
        When logits are NaN or infinite, nothing is allowed, or no derivation is as short as the limit.
    """
    check_temperature(temperature)
    state, derivations = decoder.begin(z), constraint.start(len(z), limit, z.device)
    codes = torch.full((len(z), limit), -1, dtype=torch.int64, device=z.device)
    alive = torch.arange(len(z), device=z.device)
    previous: Tensor | None = None
    step = 0
    while len(alive):
        if step == limit:
            raise DecodingError("a derivation is not complete at the limit", received=f"{len(alive)} rows")
        logits, state = decoder.step(state, previous, derivations.lhs)
        previous = draw(logits.float(), constraint.allowed(derivations), temperature, generator)
        codes[alive, step] = previous
        derivations = constraint.advance(derivations, previous)
        step += 1
        going = derivations.alive.nonzero().squeeze(1)
        if len(going) < len(alive):
            alive, previous = alive[going], previous[going]
            state, derivations = state.rows(going), derivations.rows(going)
    return codes[:, :step]


def check_temperature(temperature: float) -> None:
    """Raise an InputError for a temperature that cannot be used."""
    if not 0 <= temperature < float("inf"):
        raise InputError("the temperature cannot be used", received=temperature, expected="0 or more, and finite")


def draw(logits: Tensor, allowed: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """One allowed code a row, int64 (B,), from logits and a mask (B, R); by inversion, one uniform number a row.

    Raises
    ------
    DecodingError
        When a row has no allowed code of finite logit, or a NaN.
    """
    masked = logits.masked_fill(~allowed, -torch.inf)
    best, likeliest = masked.max(dim=1)
    if not bool(best.isfinite().all()):
        reason = "the logits are not finite" if not bool(logits.isfinite().all()) else "nothing is allowed"
        raise DecodingError(f"a step cannot be decoded: {reason}", remedy="The decoder diverged: train again.")
    if temperature == 0:
        return likeliest
    # The likeliest code has probability 1 before normalisation: nothing underflows to an empty row.
    weights = ((masked - best.unsqueeze(1)) / temperature).exp()
    totals = weights.cumsum(dim=1)
    level = torch.rand(len(totals), 1, generator=generator, device=totals.device) * totals[:, -1:]
    # The first code whose running total exceeds the level. On the way rounding can do two things: lift the level to the
    # last total, and (where sums are taken in parallel, on a GPU) lift the total at a code that is not allowed.
    drawn = torch.searchsorted(totals, level, right=True).clamp(max=totals.shape[1] - 1)
    return torch.where(weights.gather(1, drawn) > 0, drawn, likeliest.unsqueeze(1)).squeeze(1)
