"""How the grammar variational autoencoder decodes, as a rival to be measured against.

Written anew from section 3.2 and algorithm 1 of Kusner, Paige and Hernández-Lobato, "Grammar Variational Autoencoder"
(ICML 2017). The decoder has given logits for all positions at once. A last-in-first-out stack of nonterminals begins
with the start symbol; each step pops one, masks the position's logits by the productions that expand it, draws one from
the softmax of what is left, and pushes its nonterminals from right to left; until the stack is empty or the positions
are used up. Nothing sees to it that the derivation ends in time, nor that it spells a molecule.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from grammar_rae.grammar import Rules

Floats = NDArray[np.floating]


class OriginalDecoding:
    """Algorithm 1 for a grammar.

    Productions that can never be completed (two of the molecule grammar's name a class that has no expansion) are
    masked, so that a derivation fails for want of positions only.

    Parameters
    ----------
    rules
        The grammar's productions, without macros.
    """

    def __init__(self, rules: Rules) -> None:
        self.start = rules.start
        self.masks = rules.lhs_mask
        pairs: Iterable[tuple[NDArray[np.int64], int]] = zip(rules.children, rules.arity, strict=True)
        self.pushed = [children[:arity][::-1].tolist() for children, arity in pairs]

    def decode(self, logits: Floats, chance: np.random.Generator) -> list[int] | None:
        """The productions drawn for one sample from logits (T, R); None when the positions do not suffice."""
        stack = [self.start]
        productions: list[int] = []
        for position in logits:
            masked = np.where(self.masks[stack.pop()], position, -np.inf)
            # The largest of logits with Gumbel noise is a draw from their softmax.
            chosen = int(np.argmax(masked + chance.gumbel(size=len(masked))))
            productions.append(chosen)
            stack.extend(self.pushed[chosen])
            if not stack:
                return productions
        return None

    def decode_batch(self, logits: Floats, chance: np.random.Generator) -> list[list[int] | None]:
        """The same for logits (B, T, R), with one mask and one draw a position for all samples that go on.

        The algorithm says nothing of batches; this is how one would write it for NumPy, with stacks still in Python.
        """
        stacks = [[self.start] for _ in logits]
        productions: list[list[int]] = [[] for _ in logits]
        going = list(range(len(logits)))
        for position in range(logits.shape[1]):
            if not going:
                break
            masked = np.where(self.masks[[stacks[row].pop() for row in going]], logits[going, position], -np.inf)
            chosen = np.argmax(masked + chance.gumbel(size=masked.shape), axis=1)
            for row, production in zip(going, chosen.tolist(), strict=True):
                productions[row].append(production)
                stacks[row].extend(self.pushed[production])
            going = [row for row in going if stacks[row]]
        late = set(going)
        return [None if row in late else drawn for row, drawn in enumerate(productions)]
