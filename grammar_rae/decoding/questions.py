"""The chemistry constraint's questions about a batch, one compiled loop over its rows for each.

``work`` is room for one question: two states, what the policy writes, the fewest codes for that, a number an atom.
"""

import numpy as np
from numba import njit

from grammar_rae.decoding.finish import fewest_codes, finished, most_productions
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
    T_CODE_BODY,
    apply,
    copy_row,
)


@njit(cache=True, nogil=True)
def permits(row, code, t, next_node, code_at, work):  # type: ignore[no-untyped-def]
    """Whether a code may come next: RDKit would read on, and the policy can finish in time. If so, the first state of
    ``work`` is the one after it, but for the codes that are left and owed."""
    after, trial, written, fewest, distance = work
    copy_row(row, after)
    for i in range(t[t[T_CODE] + code], t[t[T_CODE] + code + 1]):
        if not apply(after, t[t[T_CODE_BODY] + i], t):
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
        if n >= 0 and (n <= left or fewest_codes(written, n, next_node, code_at, fewest) <= left):
            return True
    return False


@njit(cache=True, nogil=True)
def refusals(rows, choice, t, next_node, code_at, work):  # type: ignore[no-untyped-def]
    """Bool (B,): whether each row's code may not come next."""
    refused = np.empty(len(rows), np.bool_)
    for i in range(len(rows)):
        refused[i] = not permits(rows[i], choice[i], t, next_node, code_at, work)
    return refused


@njit(cache=True, nogil=True)
def mask(rows, among, t, next_node, code_at, work):  # type: ignore[no-untyped-def]
    """Bool (B, R): which of these codes may come next."""
    found = np.zeros(among.shape, np.bool_)
    for i in range(len(rows)):
        for code in range(among.shape[1]):
            found[i, code] = among[i, code] and permits(rows[i], code, t, next_node, code_at, work)
    return found


@njit(cache=True, nogil=True)
def draws(rows, onto, logits, weights, level, factor, lists, codes, budget, t, next_node, code_at, work):  # type: ignore[no-untyped-def]
    """Draw one allowed code a row, int64 (B,), and write the states after them ``onto`` other rows; -1: none is left.

    A code is drawn by its weight from those that fit the current atom, and refused ones are struck out, as
    ``sampling.py`` has it.

    Parameters
    ----------
    logits, weights
        float32 (B, R): the weights are exp2(factor * (logits - the row's largest)); they are written over. A row in
        which no weight is left (underflow) gets new ones, by the largest logit of what has not been refused.
    level
        float64 (B,): a uniform number a row, from which the numbers of all its draws follow.
    factor
        What logits are multiplied with; 0: always the likeliest code.
    lists, codes
        Where the codes begin that fit a nonterminal and a free capacity, (L, F) flat and one more, and the codes.
    budget
        Of each code the change of what is owed, int64 (R,); of each nonterminal what it is owed, (L,); the most that a
        code may add to it.
    """
    change, least, dearest = budget
    classes = (len(lists) - 1) // len(least)
    choice = np.full(len(rows), -1, np.int64)
    for i in range(len(rows)):
        row, weight, logit = rows[i], weights[i], logits[i]
        top = row[row[STACK] + row[HEIGHT] - 1]
        free = classes - 1
        if row[CURRENT] >= 0:
            free = min(classes - 2, row[row[FREE] + row[CURRENT]])
        begin, end = lists[top * classes + free], lists[top * classes + free + 1]
        spare = row[LEFT] - 1 - row[OWED]
        tried = 0
        if spare < dearest:
            for k in range(begin, end):
                if change[codes[k]] > spare:
                    weight[codes[k]] = -1
        while choice[i] < 0:
            drawn = -1
            total = 0.0
            if factor > 0:
                for k in range(begin, end):
                    total += max(weight[codes[k]], np.float32(0))
            if total > 1e-30:
                rest = uniform(level[i], tried) * total
                for k in range(begin, end):
                    if weight[codes[k]] > 0:
                        drawn = codes[k]
                        rest -= weight[drawn]
                        if rest < 0:
                            break
            else:
                best = np.float32(-np.inf)
                for k in range(begin, end):
                    if weight[codes[k]] >= 0 and logit[codes[k]] > best:
                        best = logit[codes[k]]
                        drawn = codes[k]
                if drawn < 0:
                    break
                if factor > 0:
                    for k in range(begin, end):
                        if weight[codes[k]] >= 0:
                            weight[codes[k]] = np.exp2((logit[codes[k]] - best) * factor)
                    continue
            if permits(row, drawn, t, next_node, code_at, work):
                choice[i] = drawn
                copy_row(work[0], onto[i])
                onto[i, LEFT] -= 1
                onto[i, OWED] += change[drawn]
            else:
                weight[drawn] = -1
                tried += 1
    return choice


@njit(cache=True, nogil=True)
def uniform(level, n):  # type: ignore[no-untyped-def]
    """The n-th of the uniform numbers that follow from one, itself the first (n = 0): SplitMix64's finisher."""
    if n == 0:
        return level
    z = np.uint64(level * 9007199254740992.0) + np.uint64(n) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, nogil=True)
def advanced(rows, choice, t):  # type: ignore[no-untyped-def]
    """Write each row's code, in place; the first row whose code cannot be written, or -1."""
    for i in range(len(rows)):
        rows[i, LEFT] -= 1
        for j in range(t[t[T_CODE] + choice[i]], t[t[T_CODE] + choice[i] + 1]):
            if not apply(rows[i], t[t[T_CODE_BODY] + j], t):
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
def fitting(empty, head, code, most, t):  # type: ignore[no-untyped-def]
    """Bool (most + 2,): whether a code that expands ``head`` can be written behind an atom of so much free capacity;
    the last one: where there is none. With lenient tables, what its rings would close is not asked."""
    found = np.zeros(most + 2, np.bool_)
    for free in range(most + 2):
        row = empty.copy()
        row[row[STACK]] = head
        if free <= most:
            row[ATOMS], row[CURRENT], row[row[FREE]], row[row[PARENT]] = 1, 0, free, -1
        legal = True
        for j in range(t[t[T_CODE] + code], t[t[T_CODE] + code + 1]):
            legal = legal and apply(row, t[t[T_CODE_BODY] + j], t)
        found[free] = legal
    return found
