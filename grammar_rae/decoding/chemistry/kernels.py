"""What the chemistry constraint asks about a batch, one compiled loop over its rows for each question.

Arguments that many kernels share:

``rows``, ``row``
    States of molecules, int16 (B, W), and one of them: see ``layout.py``.
``t``
    The tables of the grammar.
``trie``
    The trie of the macros: see :attr:`grammar_rae.grammar.MacroTable.trie`.
``after``
    Room for the state after a token.
``work``
    Room for one question: a state, what the policy writes, the fewest tokens for that, and one number per atom.
``fitting``
    Where the tokens begin that fit a nonterminal and a free capacity, (L, F) flat and one more; and the tokens. The
    same of those that go on from each stage of a template.
``budget``
    How each token changes what is owed, int64 (R,); what each nonterminal owes, (L,); the most that a token may add.
``factor``
    What logits are multiplied with; 0: always the likeliest token.
"""

import numpy as np

from grammar_rae.decoding.chemistry import layout, machine, policy
from grammar_rae.decoding.chemistry.bounds import most_productions
from grammar_rae.decoding.stacks import uniform
from grammar_rae.kernels import njit


@njit(cache=True, nogil=True)
def write_token(row, token, t):  # type: ignore[no-untyped-def]
    """Write the productions of a token; False where one is not legal."""
    for i in range(t[t[layout.T_TOKEN] + token], t[t[layout.T_TOKEN] + token + 1]):
        if not machine.apply(row, t[t[layout.T_TOKEN_BODY] + i] + 0, t):
            return False
    return True


@njit(cache=True, nogil=True)
def permits(row, token, after, t, trie, work):  # type: ignore[no-untyped-def]
    """Whether a token may come next: RDKit would read on, and the policy can finish in time.

    If so, ``after`` is the state after it, but for the tokens that are left and owed.
    """
    trial, written, fewest, distance = work
    layout.copy_row(row, after)
    if not write_token(after, token, t):
        return False
    left = row[layout.LEFT] - 1
    if left < 0 or after[layout.HEIGHT] == 0:
        return left >= 0
    if machine.follows_template(after):
        return tokens_behind(after, t) <= left
    most = most_productions(after, t)
    if 0 <= most <= left:
        return True
    # Only sizes of rings make it worth while to ask twice.
    for variant in range(2 if t[layout.N_SIZES] else 1):
        layout.copy_row(after, trial)
        n = policy.finish(trial, variant, t, min(left * t[layout.LONGEST], len(written)), written, distance)
        behind = tokens_behind(trial, t)
        if n >= 0 and (n + behind <= left or policy.fewest_tokens(written, n, trie, fewest) + behind <= left):
            return True
    return False


@njit(cache=True, nogil=True)
def tokens_behind(row, t):  # type: ignore[no-untyped-def]
    """Return the tokens in which the policy finishes from a stage outside of holes; NEVER for no room."""
    stage = row[layout.STAGE]
    if (
        row[layout.HEAVY] + t[t[layout.T_STAGE_HEAVY] + stage] > t[layout.MOST_HEAVY]
        or row[layout.FREE] + row[layout.ATOMS] + t[t[layout.T_STAGE_ATOMS] + stage] > row[layout.PARENT]
        or row[layout.RING_A] + row[layout.CLOSED] + t[t[layout.T_STAGE_RINGS] + stage] > row[layout.RING_B]
    ):
        return layout.NEVER
    return t[t[layout.T_STAGE_LEFT] + stage]


@njit(cache=True, nogil=True)
def find_refused(rows, choice, after, t, trie, work):  # type: ignore[no-untyped-def]
    """Bool (B,): whether each row's token may not come next."""
    refused = np.empty(len(rows), np.bool_)
    for i in range(len(rows)):
        refused[i] = not permits(rows[i], choice[i], after, t, trie, work)
    return refused


@njit(cache=True, nogil=True)
def find_allowed(rows, among, after, t, trie, work):  # type: ignore[no-untyped-def]
    """Bool (B, R): which of these tokens may come next."""
    found = np.zeros(among.shape, np.bool_)
    for i in range(len(rows)):
        for token in range(among.shape[1]):
            found[i, token] = among[i, token] and permits(rows[i], token, after, t, trie, work)
    return found


@njit(cache=True, nogil=True)
def draw_token(row, onto, logit, weight, level, turn, factor, fitting, budget, t, trie, work):  # type: ignore[no-untyped-def]
    """Draw one allowed token for a row, and write the state after it to ``onto``; -1 where none is left.

    A token is drawn by its weight from those that fit the current atom, and refused ones are struck out, as
    ``sampling.py`` has it.

    Parameters
    ----------
    logit, weight
        float32 (R,): the weights are exp2(factor * (logits - the largest)); they are overwritten. Where no weight is
        left (underflow, or zeros) new ones are computed, by the largest logit of what has not been refused.
    level, turn
        A uniform number, and how many of the numbers that follow from it have been used.
    """
    change, _, _ = budget
    tokens = find_fitting(row, fitting, budget)
    strike_expensive(row, weight, tokens, budget)
    while True:
        drawn = pick_by_weight(weight, tokens, level, turn) if factor > 0 else -1
        if drawn < 0:
            drawn = pick_likeliest(logit, weight, tokens)
            if drawn < 0:
                return -1
            if factor > 0:
                best = logit[drawn]
                for token in tokens:
                    if weight[token] >= 0:
                        weight[token] = np.exp2(np.float64(logit[token] - best) * factor)
                continue
        if permits(row, drawn, onto, t, trie, work):
            onto[layout.LEFT] -= 1
            onto[layout.OWED] += change[drawn]
            return drawn
        weight[drawn] = -1
        turn += 1


@njit(cache=True, nogil=True)
def find_fitting(row, fitting, budget):  # type: ignore[no-untyped-def]
    """int64: the tokens that fit the stage, or the nonterminal on top and the free capacity of the current atom."""
    starts, tokens, stage_starts, stage_tokens = fitting
    if machine.follows_template(row):
        stage = row[layout.STAGE]
        return stage_tokens[stage_starts[stage] : stage_starts[stage + 1]]
    classes = (len(starts) - 1) // len(budget[1])
    top = row[row[layout.STACK] + row[layout.HEIGHT] - 1]
    free = classes - 1
    if row[layout.CURRENT] >= 0:
        free = min(classes - 2, row[row[layout.FREE] + row[layout.CURRENT]])
    return tokens[starts[top * classes + free] : starts[top * classes + free + 1]]


@njit(cache=True, nogil=True)
def strike_expensive(row, weight, tokens, budget):  # type: ignore[no-untyped-def]
    """Strike out the tokens that would owe more than is left."""
    change, _, highest = budget
    spare = row[layout.LEFT] - 1 - row[layout.OWED]
    if spare < highest:
        for token in tokens:
            if change[token] > spare:
                weight[token] = -1


@njit(cache=True, nogil=True)
def pick_by_weight(weight, tokens, level, turn):  # type: ignore[no-untyped-def]
    """Draw a token by its weight; -1 where no weight is left."""
    drawn, total = -1, np.float64(0)  # which adds up float32 numbers as float64 in Python, too
    for token in tokens:
        total += max(weight[token], np.float32(0))
    if total > 1e-30:
        rest = uniform(level, turn) * total
        for token in tokens:
            if weight[token] > 0:
                drawn = token
                rest -= weight[token]
                if rest < 0:
                    break
    return drawn


@njit(cache=True, nogil=True)
def pick_likeliest(logit, weight, tokens):  # type: ignore[no-untyped-def]
    """Return the token of the largest logit that is not struck out; -1 for none, or where a logit is NaN or inf."""
    drawn, best = -1, np.float32(-np.inf)
    for token in tokens:
        if not logit[token] < np.inf:  # nor is a NaN
            return -1
        if weight[token] >= 0 and logit[token] > best:
            best = logit[token]
            drawn = token
    return drawn


@njit(cache=True, nogil=True)
def draw_tokens(rows, onto, logits, weights, level, factor, fitting, budget, t, trie, work):  # type: ignore[no-untyped-def]
    """int64 (B,): :func:`draw_token` for each row, from logits and weights float32 (B, R) and level float64 (B,)."""
    choice = np.empty(len(rows), np.int64)
    for i in range(len(rows)):
        choice[i] = draw_token(
            rows[i], onto[i], logits[i], weights[i], level[i], 0, factor, fitting, budget, t, trie, work
        )
    return choice


@njit(cache=True, nogil=True)
def draw_rows(empty, logits, level, factor, fitting, budget, t, trie, work):  # type: ignore[no-untyped-def]
    """int64 (B, T): :func:`draw_token` step by step, from logits float32 (B, T, R); -1 after the end of a row.

    A row that begins with -2 could not go on: no token that was allowed had a finite logit.
    """
    drawn = np.full(logits.shape[:2], -1, np.int64)
    weight = np.zeros(logits.shape[2], np.float32)
    row, after = np.empty(len(empty), np.int16), np.empty(len(empty), np.int16)
    for i in range(len(logits)):
        layout.copy_row(empty, row)
        for step in range(logits.shape[1]):
            for other in range(len(weight)):
                weight[other] = 0
            token = draw_token(
                row, after, logits[i, step], weight, level[i], step << 16, factor, fitting, budget, t, trie, work
            )
            if token < 0:
                drawn[i, 0] = -2
                break
            drawn[i, step] = token
            row, after = after, row
            if row[layout.HEIGHT] == 0:
                break
    return drawn


@njit(cache=True, nogil=True)
def advance(rows, choice, t):  # type: ignore[no-untyped-def]
    """Write each row's token, in place; return the first row whose token cannot be written, or -1."""
    for i in range(len(rows)):
        rows[i, layout.LEFT] -= 1
        if not write_token(rows[i], choice[i], t):
            return i
    return -1


@njit(cache=True, nogil=True)
def capacities_that_fit(empty, row, heads, asked, most, t):  # type: ignore[no-untyped-def]
    """Bool (most + 2, R): whether each token, which expands one of ``heads``, fits behind an atom of a free capacity.

    The last row is for no atom; ``row`` is room for a state. Tokens that are not ``asked`` about fit everywhere. The
    tables are lenient: what rings close is not asked, so that a token takes so many bonds of an atom whatever is free.
    """
    found = np.ones((most + 2, len(heads)), np.bool_)
    for token in range(len(heads)):
        if not asked[token]:
            continue
        layout.copy_row(empty, row)
        row[row[layout.STACK]] = heads[token]
        found[most + 1, token] = write_token(row, token, t)
        layout.copy_row(empty, row)
        row[row[layout.STACK]] = heads[token]
        row[layout.ATOMS], row[layout.CURRENT], row[row[layout.FREE]], row[row[layout.PARENT]] = 1, 0, most, -1
        legal = write_token(row, token, t)
        for free in range(most + 1):
            found[free, token] = legal and most - row[row[layout.FREE]] <= free
    return found
