"""The chemistry constraint's questions about a batch, one compiled loop over its rows for each.

``after`` is room for the state after a token; ``work`` is room for one question: a state, what the policy writes, the
fewest tokens for that, a number an atom.
"""

import numpy as np

from grammar_rae.decoding.bounds import most_productions
from grammar_rae.decoding.finish import fewest_tokens, finished
from grammar_rae.decoding.machine import (
    ATOMS,
    CURRENT,
    FREE,
    HEIGHT,
    LEFT,
    LONGEST,
    N_SIZES,
    OWED,
    PARENT,
    STACK,
    T_CODE,
    T_TOKEN_BODY,
    apply,
    copy_row,
)
from grammar_rae.decoding.stacks import uniform
from grammar_rae.kernels import njit


@njit(cache=True, nogil=True)
def permits(row, token, after, t, next_node, token_at, work):  # type: ignore[no-untyped-def]
    """Whether a token may come next: RDKit would read on, and the policy can finish in time.

    If so, ``after`` is the state after it, but for the tokens that are left and owed.
    """
    trial, written, fewest, distance = work
    copy_row(row, after)
    for i in range(t[t[T_CODE] + token], t[t[T_CODE] + token + 1]):
        if not apply(after, t[t[T_TOKEN_BODY] + i], t):
            return False
    left = row[LEFT] - 1
    if left < 0 or after[HEIGHT] == 0:
        return left >= 0
    most = most_productions(after, t)
    if 0 <= most <= left:
        return True
    # Only sizes of rings make it worth while to ask twice.
    for variant in range(2 if t[N_SIZES] else 1):
        copy_row(after, trial)
        n = finished(trial, variant, t, min(left * t[LONGEST], len(written)), written, distance)
        if n >= 0 and (n <= left or fewest_tokens(written, n, next_node, token_at, fewest) <= left):
            return True
    return False


@njit(cache=True, nogil=True)
def refusals(rows, choice, after, t, next_node, token_at, work):  # type: ignore[no-untyped-def]
    """Bool (B,): whether each row's token may not come next."""
    refused = np.empty(len(rows), np.bool_)
    for i in range(len(rows)):
        refused[i] = not permits(rows[i], choice[i], after, t, next_node, token_at, work)
    return refused


@njit(cache=True, nogil=True)
def mask(rows, among, after, t, next_node, token_at, work):  # type: ignore[no-untyped-def]
    """Bool (B, R): which of these tokens may come next."""
    found = np.zeros(among.shape, np.bool_)
    for i in range(len(rows)):
        for token in range(among.shape[1]):
            found[i, token] = among[i, token] and permits(rows[i], token, after, t, next_node, token_at, work)
    return found


@njit(cache=True, nogil=True)
def draw_one(row, onto, logit, weight, level, turn, factor, lists, tokens, budget, t, next_node, token_at, work):  # type: ignore[no-untyped-def]
    """Draw one allowed token for a row, and write the state after it ``onto`` another; -1: none is left.

    A token is drawn by its weight from those that fit the current atom, and refused ones are struck out, as
    ``sampling.py`` has it.

    Parameters
    ----------
    logit, weight
        float32 (R,): the weights are exp2(factor * (logits - the largest)); they are written over. Where no weight is
        left (underflow, or zeros) new ones are made, by the largest logit of what has not been refused.
    level, turn
        A uniform number, and how many numbers that follow from it have been used.
    factor
        What logits are multiplied with; 0: always the likeliest token.
    lists, tokens
        Where the tokens begin that fit a nonterminal and a free capacity, (L, F) flat and one more, and the tokens.
    budget
        Of each token the change of what is owed, int64 (R,); of each nonterminal what it is owed, (L,); the most that a
        token may add to it.
    """
    change, least, dearest = budget
    classes = (len(lists) - 1) // len(least)
    top = row[row[STACK] + row[HEIGHT] - 1]
    free = classes - 1
    if row[CURRENT] >= 0:
        free = min(classes - 2, row[row[FREE] + row[CURRENT]])
    begin, end = lists[top * classes + free], lists[top * classes + free + 1]
    spare = row[LEFT] - 1 - row[OWED]
    if spare < dearest:
        for k in range(begin, end):
            if change[tokens[k]] > spare:
                weight[tokens[k]] = -1
    while True:
        drawn = -1
        total = 0.0
        if factor > 0:
            for k in range(begin, end):
                total += max(weight[tokens[k]], np.float32(0))
        if total > 1e-30:
            rest = uniform(level, turn) * total
            for k in range(begin, end):
                if weight[tokens[k]] > 0:
                    drawn = tokens[k]
                    rest -= weight[drawn]
                    if rest < 0:
                        break
        else:
            best = np.float32(-np.inf)
            for k in range(begin, end):
                if not logit[tokens[k]] < np.inf:  # nor is a NaN
                    return -1
                if weight[tokens[k]] >= 0 and logit[tokens[k]] > best:
                    best = logit[tokens[k]]
                    drawn = tokens[k]
            if drawn < 0:
                return -1
            if factor > 0:
                for k in range(begin, end):
                    if weight[tokens[k]] >= 0:
                        weight[tokens[k]] = np.exp2((logit[tokens[k]] - best) * factor)
                continue
        if permits(row, drawn, onto, t, next_node, token_at, work):
            onto[LEFT] -= 1
            onto[OWED] += change[drawn]
            return drawn
        weight[drawn] = -1
        turn += 1


@njit(cache=True, nogil=True)
def draws(rows, onto, logits, weights, level, factor, lists, tokens, budget, t, next_node, token_at, work):  # type: ignore[no-untyped-def]
    """int64 (B,): :func:`draw_one` for each row, of logits and weights float32 (B, R) and level float64 (B,)."""
    choice = np.empty(len(rows), np.int64)
    for i in range(len(rows)):
        choice[i] = draw_one(
            rows[i],
            onto[i],
            logits[i],
            weights[i],
            level[i],
            0,
            factor,
            lists,
            tokens,
            budget,
            t,
            next_node,
            token_at,
            work,
        )
    return choice


@njit(cache=True, nogil=True)
def draws_all(empty, logits, level, factor, lists, tokens, budget, t, next_node, token_at, work):  # type: ignore[no-untyped-def]
    """int64 (B, T): :func:`draw_one` step by step, of logits float32 (B, T, R); -1 after the end of a row.

    A row that begins with -2 could not go on: no token that was allowed had a finite logit.
    """
    drawn = np.full(logits.shape[:2], -1, np.int64)
    weight = np.zeros(logits.shape[2], np.float32)
    row, after = empty.copy(), empty.copy()
    for i in range(len(logits)):
        row[:] = empty
        for step in range(logits.shape[1]):
            weight[:] = 0
            token = draw_one(
                row,
                after,
                logits[i, step],
                weight,
                level[i],
                step << 16,
                factor,
                lists,
                tokens,
                budget,
                t,
                next_node,
                token_at,
                work,
            )
            if token < 0:
                drawn[i, 0] = -2
                break
            drawn[i, step] = token
            row, after = after, row
            if row[HEIGHT] == 0:
                break
    return drawn


@njit(cache=True, nogil=True)
def advanced(rows, choice, t):  # type: ignore[no-untyped-def]
    """Write each row's token, in place; the first row whose token cannot be written, or -1."""
    for i in range(len(rows)):
        rows[i, LEFT] -= 1
        for j in range(t[t[T_CODE] + choice[i]], t[t[T_CODE] + choice[i] + 1]):
            if not apply(rows[i], t[t[T_TOKEN_BODY] + j], t):
                return i
    return -1


@njit(cache=True, nogil=True)
def seen(rows, most):  # type: ignore[no-untyped-def]
    """int64 (B,) each: the symbol on top of the stack, 0 where a row is complete; and the free capacity of the current
    atom, at most ``most``, or ``most + 1`` where there is no atom to be bonded to."""
    top = np.zeros(len(rows), np.int64)
    free = np.full(len(rows), most + 1, np.int64)
    for i in range(len(rows)):
        row = rows[i]
        if row[HEIGHT] > 0:
            top[i] = row[row[STACK] + row[HEIGHT] - 1]
        if row[CURRENT] >= 0:
            free[i] = min(most, row[row[FREE] + row[CURRENT]])
    return top, free


@njit(cache=True, nogil=True)
def fitting(empty, head, token, most, t):  # type: ignore[no-untyped-def]
    """Bool (most + 2,): whether a token that expands ``head`` can be written behind an atom of so much free capacity;
    the last one: where there is none. With lenient tables, what its rings would close is not asked."""
    found = np.zeros(most + 2, np.bool_)
    for free in range(most + 2):
        row = empty.copy()
        row[row[STACK]] = head
        if free <= most:
            row[ATOMS], row[CURRENT], row[row[FREE]], row[row[PARENT]] = 1, 0, free, -1
        legal = True
        for j in range(t[t[T_CODE] + token], t[t[T_CODE] + token + 1]):
            legal = legal and apply(row, t[t[T_TOKEN_BODY] + j], t)
        found[free] = legal
    return found
