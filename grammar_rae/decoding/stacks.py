"""The grammar's stacks, compiled, for decoders that give the logits of all steps at once.

Step by step, a decoder takes longer than the grammar, and tensors are fast enough. Here nothing stands between one step
and the next, and a step on one row is a dozen machine instructions and as many exponentials as the nonterminal has
rules.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.errors import DecodingError
from grammar_rae.kernels import njit

FEWEST_ROWS = 64
"""The fewest rows for which starting a thread pays."""


@njit(cache=True, nogil=True)
def uniform(level, n):  # type: ignore[no-untyped-def]
    """Return the n-th of the uniform numbers that follow from one: SplitMix64's finisher."""
    z = np.uint64(level * 9007199254740992.0) + np.uint64(n + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


def uniform_levels(n: int, generator: torch.Generator | None, device: torch.device) -> NDArray[np.float64]:
    """Draw uniform numbers float64 (n,), each the seed of a row's own."""
    levels = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
    return levels.cpu().numpy()


def run_in_threads(kernel: Callable[[slice], NDArray[np.int64]], n: int) -> NDArray[np.int64]:
    """Run a kernel over n rows, with a part of them on each of PyTorch's threads."""
    parts = max(1, min(torch.get_num_threads(), n // FEWEST_ROWS))
    ends = [n * part // parts for part in range(parts + 1)]
    slices = [slice(a, b) for a, b in pairwise(ends)]
    if parts == 1:
        return kernel(slices[0])
    with ThreadPoolExecutor(parts) as pool:
        return np.concatenate(list(pool.map(kernel, slices)))


def trim_tokens(drawn: NDArray[np.int64], device: torch.device) -> Tensor:
    """Return a kernel's tokens (B, T) without the columns that no row reaches.

    Raises
    ------
    DecodingError
        For a row that begins with -2.
    """
    if (drawn[:, :1] == -2).any():
        raise DecodingError("a step cannot be decoded: the logits are not finite, or no allowed token has a finite one")
    longest = int((drawn >= 0).sum(axis=1).max(initial=0))
    return torch.from_numpy(drawn[:, :longest].copy()).to(device)


@njit(cache=True, nogil=True)
def pick(logits, i, step, tokens, begin, end, change, spare, factor, level, weight):  # type: ignore[no-untyped-def]
    """Draw one of tokens[begin:end] that adds at most ``spare`` to what is owed; -1 where none has a finite logit."""
    chosen, best = -1, np.float32(-np.inf)
    for k in range(begin, end):
        value = logits[i, step, tokens[k]]
        if not value < np.inf:  # nor is a NaN
            return -1
        if value > best and change[tokens[k]] <= spare:
            chosen, best = tokens[k], value
    if factor == 0 or chosen < 0:
        return chosen
    total = np.float32(0)
    for k in range(begin, end):
        fits = change[tokens[k]] <= spare
        weight[k] = np.exp((logits[i, step, tokens[k]] - best) * factor) if fits else np.float32(0)
        total += weight[k]
    rest = np.float32(uniform(level, step)) * total
    for k in range(begin, end):
        if weight[k] > 0:
            chosen = tokens[k]
            rest -= weight[k]
            if rest < 0:
                break
    return chosen


@njit(cache=True, nogil=True)
def draw_rows(start, logits, level, factor, starts, tokens, children, arity, change, owed):  # type: ignore[no-untyped-def]
    """int64 (B, T): a derivation a row, of logits float32 (B, T, R); -1 after its end, -2 first where it cannot go on.

    Parameters
    ----------
    start, owed
        The nonterminal that a derivation begins with, and the fewest tokens that it takes.
    level
        float64 (B,): a uniform number a row, from which all others follow.
    factor
        float32: one over the temperature; 0: always the likeliest token.
    starts, tokens
        Where the rules of each nonterminal begin, (L + 1,), and the rules.
    children, arity, change
        As in ``Rules``; and what a token adds to what is owed.
    """
    limit = logits.shape[1]
    drawn = np.full((len(logits), limit), -1, np.int64)
    stack = np.empty(limit + children.shape[1] + 1, np.int64)
    weight = np.empty(logits.shape[2], np.float32)
    for i in range(len(logits)):
        stack[0] = start
        height, debt = 1, owed
        for step in range(limit):
            height -= 1
            begin, end = starts[stack[height]], starts[stack[height] + 1]
            chosen, spare = tokens[begin], limit - step - 1 - debt
            if end - begin > 1:
                chosen = pick(logits, i, step, tokens, begin, end, change, spare, factor, level[i], weight)
                if chosen < 0:
                    drawn[i, 0] = -2
                    break
            drawn[i, step] = chosen
            debt += change[chosen]
            for k in range(arity[chosen]):
                stack[height + k] = children[chosen, arity[chosen] - 1 - k]
            height += arity[chosen]
            if height == 0:
                break
    return drawn
