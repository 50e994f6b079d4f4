"""Text to tokens: the longest match over the grammar's terminals, as a trie over UTF-8 bytes."""

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from grammar_rae.grammar.cfg import Grammar


@cache
def terminal_trie(grammar: Grammar) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The trie of the terminals.

    Returns
    -------
    next_node
        int32 (nodes, 256): the node after a byte, 0 where none is (no edge leads back to the root).
    token
        int32 (nodes,): the terminal that ends at a node, or -1.
    """
    edges: list[dict[int, int]] = [{}]
    token = [-1]
    for number, terminal in enumerate(grammar.terminals):
        node = 0
        for byte in terminal.encode():
            if byte not in edges[node]:
                edges[node][byte] = len(edges)
                edges.append({})
                token.append(-1)
            node = edges[node][byte]
        token[node] = number
    next_node = np.zeros((len(edges), 256), dtype=np.int32)
    for node, row in enumerate(edges):
        for byte, target in row.items():
            next_node[node, byte] = target
    return next_node, np.array(token, dtype=np.int32)


@njit(cache=True, nogil=True)
def tokenize(
    text: NDArray[np.uint8],
    next_node: NDArray[np.int32],
    token: NDArray[np.int32],
    out: NDArray[np.int32],
    begins: NDArray[np.int32],
) -> tuple[int, int]:
    """Write the tokens of ``text`` to ``out`` and where each begins to ``begins``.

    Returns
    -------
    The number of tokens, and the position of the first byte that no terminal matches (-1 when all match).
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
            if token[node] >= 0:
                match = token[node]
                end = at
        if match < 0:
            return n, position
        out[n] = match
        begins[n] = position
        n += 1
        position = end
    return n, -1
