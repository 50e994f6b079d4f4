"""Lazy questions: a constraint is asked about tokens in an order, and no further than a caller needs to know."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from grammar_rae.decoding.constraints import Constraint
from grammar_rae.errors import DecodingError


class Answers(NamedTuple):
    """Tokens of B derivations in the order of their ranks, and which of them are allowed.

    ``ranks`` float32 (B, A), falling; ``tokens`` int64 (B, A); ``allowed`` Bool (B, A). Where less than A tokens of a
    row were asked about, ranks of -inf pad it.
    """

    ranks: Tensor
    tokens: Tensor
    allowed: Tensor

    def rows(self, keep: Tensor) -> "Answers":
        """Return the answers about some rows."""
        return Answers(self.ranks[keep], self.tokens[keep], self.allowed[keep])

    def first(self, n: int = 1) -> tuple[Tensor, Tensor]:
        """Return the n allowed tokens (B, n) of the highest ranks, and their ranks, -inf where there are fewer."""
        counts = self.allowed.cumsum(dim=1)
        nth = torch.arange(1, n + 1, device=counts.device).expand(len(counts), n).contiguous()
        taken = torch.searchsorted(counts, nth).clamp_(max=counts.shape[1] - 1)
        return self.tokens.gather(1, taken), self.ranks.gather(1, taken).masked_fill_(nth > counts[:, -1:], -torch.inf)


def ask_in_order(
    ranks: Tensor,
    constraint: Constraint[Any],
    state: Any,
    begin: int,
    enough: Callable[[Answers, Tensor, Tensor], Tensor],
) -> Answers:
    """Ask about the ``begin`` tokens of the highest rank, then about as many again as before, until it is enough.

    Parameters
    ----------
    ranks
        float32 (B, R): the order; among equal ranks the first token comes first. -inf for tokens not to be asked about.
    constraint, state
        The constraint that is asked, and the derivations.
    enough
        ``enough(answers, ranks, rows)``, Bool (B,): which rows need no further questions, from what is known of them,
        all of their ranks and their numbers, int64 (B,). A row is also done when all of its tokens have been asked
        about.
    """
    keys = distinct_keys(ranks)
    n, size = ranks.shape
    rows = torch.arange(n, device=ranks.device)
    found = Answers(ranks[:, :0], rows[:, None][:, :0], torch.zeros((n, 0), dtype=torch.bool, device=ranks.device))
    asked = 0
    while len(rows):
        until = min(max(begin, 2 * asked), size)
        tokens = keys.topk(until, dim=1).indices[:, asked:]
        values = ranks.gather(1, tokens)
        real = values > -torch.inf
        among = torch.zeros(ranks.shape, dtype=torch.bool, device=ranks.device).scatter_(1, tokens, real)
        new = Answers(values, tokens, constraint.allowed(state, among).gather(1, tokens))
        found = _append_columns(found, new, rows)
        asked = until
        if asked == size:
            break
        on = (real[:, -1] & ~enough(found.rows(rows), ranks, rows)).nonzero().squeeze(1)
        if len(on) < len(rows):
            rows, state, ranks, keys = rows[on], state.rows(on), ranks[on], keys[on]
    return found


def distinct_keys(ranks: Tensor) -> Tensor:
    """Return integers int64 (B, R) in the order of ranks; equal ranks, of which half precision has many, by column."""
    # The bits of floats, read as integers, are in their order; those below zero are in the opposite one. 0 is added to
    # make -0 the same as 0.
    bits = (ranks + 0.0).view(torch.int32)
    bits ^= (bits >> 31).bitwise_and_(0x7FFFFFFF)
    return bits.long().bitwise_left_shift_(16).sub_(torch.arange(ranks.shape[1], device=ranks.device))


def top_columns(ranks: Tensor, n: int) -> Tensor:
    """Return the columns of the n largest of ranks (B, R), int64 (B, n), as :func:`distinct_keys` orders them.

    Keys are made only for rows where the last of these ranks is equal to the next. Columns of -inf are in any order.
    """
    values, columns = ranks.topk(min(n + 1, ranks.shape[1]), dim=1)
    equal = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -torch.inf)
    if len(rows := equal[:, n - 1 :].any(dim=1).nonzero().squeeze(1)):
        columns[rows] = distinct_keys(ranks[rows]).topk(columns.shape[1], dim=1).indices
    if bool(equal.any()):
        columns = columns.sort(dim=1).values
        order = ranks.gather(1, columns).sort(dim=1, descending=True, stable=True).indices
        columns = columns.gather(1, order)
    return columns[:, :n]


def _append_columns(found: Answers, new: Answers, rows: Tensor) -> Answers:
    """Return answers with new columns for some rows, and padding for the others."""
    if len(rows) == len(found.ranks):
        return Answers(*(torch.cat(pair, dim=1) for pair in zip(found, new, strict=True)))
    shape = (len(found.ranks), new.ranks.shape[1])
    pads = (found.ranks.new_full(shape, -torch.inf), found.tokens.new_zeros(shape), found.allowed.new_zeros(shape))
    return Answers(
        *(torch.cat((a, pad.index_copy_(0, rows, b)), 1) for a, pad, b in zip(found, pads, new, strict=True))
    )


def check_best(best: Tensor, logits: Tensor) -> None:
    """Raise a DecodingError where a row's best allowed logit is not finite; say why, by its logits."""
    if bool(best.isfinite().all()):
        return
    if bool(logits.isfinite().all()):
        raise DecodingError("a step cannot be decoded: nothing is allowed")
    raise DecodingError(
        "a step cannot be decoded: the logits are not finite", remedy="The decoder diverged: train again."
    )
