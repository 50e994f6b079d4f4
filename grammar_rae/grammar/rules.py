"""The table of rules of a leftmost derivation: what each expands, leaves open, and costs to complete.

A *rule* is one decision of a derivation: a production, or a macro (a run of productions, see
:mod:`grammar_rae.grammar.macros`). Decoders, likelihoods and constraints depend on this table alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEVER = 1 << 20
"""The cost of something that can never be completed; far above any length limit, far below integer overflow."""


@dataclass(frozen=True, eq=False)
class Rules:
    """R rules over L nonterminals, as arrays.

    Attributes
    ----------
    lhs
        int64 (R,): the nonterminal that a rule expands.
    children
        int64 (R, A): the nonterminals that it leaves open, from the left; padded with -1.
    arity
        int64 (R,): how many nonterminals it leaves open.
    min_steps
        int64 (L,): the fewest rules that complete a nonterminal; at least ``NEVER`` where none do.
    cost
        int64 (R,): the fewest rules that complete all that a rule leaves open (the rule itself not counted).
    start
        The start symbol.
    terminals
        int64 (R, V): how often a rule itself writes each of V terminals.
    """

    lhs: NDArray[np.int64]
    children: NDArray[np.int64]
    arity: NDArray[np.int64]
    min_steps: NDArray[np.int64]
    cost: NDArray[np.int64]
    start: int
    terminals: NDArray[np.int64]

    @classmethod
    def build(
        cls,
        lhs: Sequence[int],
        children: Sequence[Sequence[int]],
        n_nonterminals: int,
        start: int,
        terminals: NDArray[np.int64] | None = None,
    ) -> "Rules":
        """Compute the arrays from each rule's left-hand side, open nonterminals and terminals (None for V = 0)."""
        arity = np.array([len(row) for row in children], dtype=np.int64)
        padded = np.full((len(lhs), max(1, int(arity.max(initial=0)))), -1, dtype=np.int64)
        for row, open_ in zip(padded, children, strict=True):
            row[: len(open_)] = open_
        heads = np.array(lhs, dtype=np.int64)
        min_steps, cost = _least_costs(heads, padded, n_nonterminals)
        written = np.zeros((len(lhs), 0), dtype=np.int64) if terminals is None else terminals
        return cls(heads, padded, arity, min_steps, cost, start, written)

    @property
    def size(self) -> int:
        """R, the number of rules."""
        return len(self.lhs)

    @property
    def n_nonterminals(self) -> int:
        """L, the number of nonterminals."""
        return len(self.min_steps)

    @property
    def shortest(self) -> int:
        """The length of the shortest complete derivation, in rules."""
        return int(self.min_steps[self.start])

    def is_productive(self, nonterminal: int) -> bool:
        """Whether a nonterminal can be completed at all."""
        return bool(self.min_steps[nonterminal] < NEVER)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Bool (R,): the rules that can be completed."""
        return self.cost < NEVER

    @property
    def lhs_mask(self) -> NDArray[np.bool_]:
        """Bool (L, R): the usable rules of each nonterminal."""
        mask: NDArray[np.bool_] = self.lhs == np.arange(self.n_nonterminals)[:, None]
        return mask & self.usable


def _least_costs(
    lhs: NDArray[np.int64], children: NDArray[np.int64], n_nonterminals: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bellman-Ford over the rules; L rounds suffice, since a cheapest derivation nests no nonterminal in itself."""
    steps = np.full(n_nonterminals + 1, NEVER, dtype=np.int64)
    steps[-1] = 0  # the entry that the padding -1 selects
    for _ in range(n_nonterminals + 1):
        cost = np.minimum(steps[children].sum(axis=1), NEVER)
        new = steps.copy()
        np.minimum.at(new, lhs, cost + 1)
        if (new == steps).all():
            break
        steps = new
    return steps[:-1], cost
