"""Tries of words over small alphabets, as arrays."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


def build_trie(words: Iterable[Sequence[int]], n_letters: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The trie of words whose letters are 0 ... n_letters - 1.

    Returns
    -------
    next_node
        int32 (nodes, n_letters): the node after a letter, 0 where there is none (no edge leads back to the root).
    word_at
        int32 (nodes,): the number of the word that ends at a node, or -1.
    """
    edges: list[dict[int, int]] = [{}]
    word_at = [-1]
    for number, word in enumerate(words):
        node = 0
        for letter in word:
            if letter not in edges[node]:
                edges[node][letter] = len(edges)
                edges.append({})
                word_at.append(-1)
            node = edges[node][letter]
        word_at[node] = number
    next_node = np.zeros((len(edges), n_letters), dtype=np.int32)
    for node, row in enumerate(edges):
        for letter, target in row.items():
            next_node[node, letter] = target
    return next_node, np.array(word_at, dtype=np.int32)
