"""Text to terminals: the longest match over the grammar's terminals, as a trie over UTF-8 bytes."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from grammar_rae.grammar.cfg import Grammar
from grammar_rae.grammar.trie import build_trie
from grammar_rae.kernels import njit


@cache
def terminal_trie(grammar: Grammar) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The trie of the terminals.

    Returns
    -------
    next_node
        int32 (nodes, 256): the node after a byte, 0 where there is none (no edge leads back to the root).
    terminal_at
        int32 (nodes,): the terminal that ends at a node, or -1.
    """
    return build_trie([terminal.encode() for terminal in grammar.terminals], 256)


@njit(cache=True, nogil=True)
def scan_terminals(
    text: NDArray[np.uint8],
    next_node: NDArray[np.int32],
    terminal_at: NDArray[np.int32],
    out: NDArray[np.int32],
    begins: NDArray[np.int32],
) -> tuple[int, int]:
    """Write the terminals of ``text`` to ``out`` and where each begins to ``begins``.

    Returns
    -------
    The number of terminals, and the position of the first byte that no terminal matches (-1 when all match).
    """
    n = 0
    position = 0
    while position < len(text):
        node = 0
        match = -1
        end = position
        at = position
        while at < len(text):
            node = next_node[node, text[at]]
            if node == 0:
                break
            at += 1
            if terminal_at[node] >= 0:
                match = terminal_at[node]
                end = at
        if match < 0:
            return n, position
        out[n] = match
        begins[n] = position
        n += 1
        position = end
    return n, -1
