"""Beam search: a search for the likeliest derivations under a constraint, with several beams a row.

A beam's score is the sum of its tokens' log-probabilities under softmax(logits) cut to the constraint's candidates. It
is not divided by the share of them that is allowed: so all derivations keep the proportions that the model gives them,
and what is searched is the likeliest of those that the constraint admits, the mode of the model's distribution
conditioned on them. Divided step by step, the scores would favour beginnings after which little is allowed, for what is
left there would gain the most.
"""

from typing import Any

import torch
from torch import Tensor

from grammar_rae.decoding.constraints import Constraint
from grammar_rae.decoding.lazy import ask_in_order, check_best
from grammar_rae.decoding.sampling import S, StepDecoder
from grammar_rae.errors import DecodingError, InputError

MOST_BEAMS = 4096
"""The greatest number of beams: the race for their places takes its square."""


@torch.inference_mode()
def beam_search(decoder: StepDecoder[S], z: Tensor, constraint: Constraint[Any], limit: int, width: int) -> Tensor:
    """Return the best of ``width`` beams for each row of z (B, D).

    At each step the beams of a row and what continues them compete for ``width`` places. A beam that has ended stays in
    the race; when it leads, the row is done, for scores only fall. One beam is the greedy decoding.

    Parameters
    ----------
    decoder, z, constraint, limit
        As in :func:`~grammar_rae.decoding.sampling.decode`.
    width
        The number of beams; time and memory grow with it.

    Returns
    -------
    int64 (B, T), padded with -1; T is the longest row's length.

    Raises
    ------
    InputError
        For a width below 1 or above :data:`MOST_BEAMS`.
    DecodingError
        When logits are NaN or infinite, nothing is allowed, or the limit is below the shortest derivation.
    """
    check_width(width)
    n, device = len(z), z.device
    state, derivations = decoder.begin(z), constraint.start(n, limit, device)
    tokens = torch.full((n, width, limit), -1, dtype=torch.int64, device=device)
    # A place without a beam scores -inf.
    scores = torch.full((n, width), -torch.inf, dtype=torch.float64, device=device)
    scores[:, 0] = 0
    first = torch.arange(n, device=device).unsqueeze(1) * width
    # The places (row * width + place) of the beams that go on, in the order that both states have.
    going = first.flatten()
    alive = derivations.alive.nonzero().squeeze(1)
    previous: Tensor | None = None
    step = 0
    while len(alive):
        if len(alive) < len(going):
            going, previous = going[alive], None if previous is None else previous[alive]
            state, derivations = state.rows(alive), derivations.rows(alive)
        if step == limit:
            raise DecodingError("a derivation is not complete at the limit", received=f"{len(going)} beams")
        logits, state = decoder.step(state, previous, derivations.lhs)
        gains, found = _likeliest_allowed(logits.float(), constraint, derivations, width)
        # Who races for a row's places: each beam that has ended (column 0), and what continues the others.
        race = torch.full((n * width, 1 + gains.shape[1]), -torch.inf, dtype=torch.float64, device=device)
        race[:, 0] = scores.flatten()
        race[going, 0] = -torch.inf
        race[going, 1:] = scores.flatten()[going].unsqueeze(1) + gains
        ranks, order = race.view(n, -1).sort(dim=1, descending=True, stable=True)
        scores, winner = ranks[:, :width], order[:, :width]
        parent, column = winner // race.shape[1], (winner % race.shape[1]).flatten()
        tokens = tokens.gather(1, parent.unsqueeze(2).expand_as(tokens))
        position = torch.zeros(n * width, dtype=torch.int64, device=device)
        position[going] = torch.arange(len(going), device=device)
        going = ((column > 0) & scores.flatten().isfinite()).nonzero().squeeze(1)
        origin = position[(first + parent).flatten()[going]]
        previous = found[origin, column[going] - 1]
        tokens.view(n * width, limit)[going, step] = previous
        state, derivations = state.rows(origin), constraint.advance(derivations.rows(origin), previous)
        step += 1
        # Where the best beam has ended the row is done: its other beams stay behind it, and go on no more.
        open_ = torch.zeros(n * width, dtype=torch.bool, device=device)
        open_[going] = derivations.alive
        undecided = open_.view(n, width)[:, :1]
        alive = (derivations.alive & undecided[going // width, 0]).nonzero().squeeze(1)
    best = tokens[:, 0]
    return best[:, : int((best >= 0).sum(dim=1).max()) if n else 0]


def check_width(width: int) -> None:
    """Raise an InputError for a number of beams that cannot be used."""
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise InputError("the number of beams must be a positive integer", received=repr(width), expected="1 or more")
    if width > MOST_BEAMS:
        raise InputError(
            "so many beams would not fit into memory", received=f"{width} beams", expected=f"at most {MOST_BEAMS}"
        )


def _likeliest_allowed(logits: Tensor, constraint: Constraint[Any], state: Any, width: int) -> tuple[Tensor, Tensor]:
    """Return each row's likeliest allowed tokens, at most ``width``: log-probabilities (B, W), and tokens int64 (B, W).

    The likeliest 2 * width candidates are asked about first, then twice as many, until enough are allowed or all have
    been asked about. Where a row has fewer than W, -inf pads it.
    """
    masked = logits.masked_fill(~constraint.candidates(state), -torch.inf)
    check_best(masked.amax(dim=1), logits)
    answers = ask_in_order(
        masked, constraint, state, 2 * width, lambda answers, *_: answers.allowed.sum(dim=1) >= width
    )
    tokens, best = answers.first(width)
    check_best(best[:, 0], logits)
    return (best - masked.logsumexp(dim=1, keepdim=True)).double(), tokens
