"""What each token adds to the properties of a text, as far as properties are sums over tokens."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.autoencoder import Autoencoder
from grammar_rae.codecs import Codec
from grammar_rae.conditions import Properties
from grammar_rae.datasets.encoded import DescribedRows
from grammar_rae.nets.sequence import GRUDecoder

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

ROWS = 50_000
"""Rows that are looked at, at most: the first ones, which sets have in random order."""

PENALTY, TOKEN_PENALTY = 0.1, 10.0
"""Of the squared contribution of a production, and of what a token adds to that of its productions."""


def estimate_contributions(rows: DescribedRows, codec: Codec, condition: Properties) -> Tensor:
    r"""What each token contributes to each standardised property: float32 (R + 1, K), last what there is before any.

    A property of a row is fitted as :math:`b + \sum_t (\sum_{p \in t} u_p + v_t)` over its tokens t and the
    productions p that a token stands for, by ridge regression. Weight is such a sum, polar surface and rings nearly
    are, and of QED it has a half. A property that is known of fewer than two rows has no contributions.

    Parameters
    ----------
    rows
        N rows, of which the first :data:`ROWS` are looked at.
    codec
        Theirs.
    condition
        The properties and their scales.
    """
    batch = rows.batch(np.arange(min(len(rows), ROWS)))
    parts, penalties = _spell(codec)
    design = _count(batch.x.numpy(), codec.rules.size) @ parts
    values = condition.standardise(batch).double().numpy()
    found = np.zeros((codec.rules.size + 1, values.shape[1]))
    for columns, known in _group(~np.isnan(values)):
        if known.sum() < 2:
            continue
        weights, offset = _regress(design[known], values[known][:, columns], penalties)
        found[:-1, columns], found[-1, columns] = parts @ weights, offset
    return torch.from_numpy(found.astype(np.float32))


def adopt_contributions(autoencoder: Autoencoder, rows: DescribedRows, codec: Codec) -> None:
    """Give a decoder that is told what remains of properties the contributions of its tokens to them."""
    decoder, condition = autoencoder.decoder, autoencoder.condition
    if isinstance(decoder, GRUDecoder) and decoder.from_remaining is not None and isinstance(condition, Properties):
        decoder.contributions.copy_(estimate_contributions(rows, codec, condition))


def _count(tokens: NDArray[np.int64], size: int) -> "csr_matrix":
    """How often each row has each token: (N, R)."""
    from scipy.sparse import csr_matrix

    present = tokens >= 0
    return csr_matrix((np.ones(present.sum()), (np.nonzero(present)[0], tokens[present])), shape=(len(tokens), size))


def _spell(codec: Codec) -> tuple["csr_matrix", NDArray[np.float64]]:
    """How often each token has each production, and itself, (R, P + R); and the penalty of each of these columns."""
    from scipy.sparse import csr_matrix, hstack, identity

    size = codec.rules.size
    itself = identity(size, format="csr")
    macros: Any = getattr(codec, "macros", None)
    if macros is None:
        return itself, np.full(size, PENALTY)
    starts, flat = macros.expansions
    rows = np.repeat(np.arange(size), np.diff(starts))
    productions = csr_matrix((np.ones(len(flat)), (rows, flat)), shape=(size, int(flat.max()) + 1))
    penalties = np.repeat([PENALTY, TOKEN_PENALTY], [productions.shape[1], size])
    return hstack([productions, itself], format="csr"), penalties


def _group(known: NDArray[np.bool_]) -> list[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Properties that are known of the same rows, and those rows."""
    patterns, group = np.unique(known, axis=1, return_inverse=True)
    return [(np.flatnonzero(group.ravel() == i), patterns[:, i]) for i in range(patterns.shape[1])]


def _regress(
    design: "csr_matrix", values: NDArray[np.float64], penalties: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ridge regression with an offset: weights (P, K) and offsets (K,)."""
    centre, middle = np.asarray(design.mean(axis=0)).ravel(), values.mean(axis=0)
    gram = (design.T @ design).toarray() - len(values) * np.outer(centre, centre)
    right = design.T @ (values - middle)
    weights = np.linalg.solve(gram + np.diag(penalties), right)
    return weights, middle - centre @ weights
