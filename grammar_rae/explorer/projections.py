"""From codes to places on the map. ``PROJECTIONS`` is the table; a new one is one row."""

import importlib.util
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import MissingExtraError, UnknownNameError
from grammar_rae.explorer.layers import Codes

Places = NDArray[np.float64]
"""(N, 2)."""

MOST_FITTED = 3000
"""The most codes that t-SNE and UMAP are fitted to, chosen at random; all others are placed between them."""

NEIGHBOURS = 5


class Projection(Protocol):
    """A map that was fitted to codes."""

    axes: tuple[str, str]
    note: str

    def place(self, codes: Codes) -> Places:
        """The places of codes (N, D)."""


class PrincipalComponents:
    """The two directions in which the codes vary most.

    Parameters
    ----------
    codes
        float32 (N, D); one alone gives the first two dimensions.
    """

    def __init__(self, codes: Codes) -> None:
        values = np.asarray(codes, np.float64)
        self.mean = values.mean(axis=0)
        _, sizes, directions = np.linalg.svd(values - self.mean, full_matrices=False)
        shares = sizes**2 / max(float((sizes**2).sum()), 1e-300)
        axes = np.zeros((2, values.shape[1]))
        found = directions[: min(2, int((sizes > 1e-9 * max(float(sizes.max()), 1e-300)).sum()))]
        axes[: len(found)] = found
        for row in range(len(found), min(2, values.shape[1])):  # fewer directions than two: dimensions fill up
            axes[row, row] = 1.0
        # Of a direction and its opposite, the one whose largest component is positive: the same map every time.
        signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
        self.directions = axes * np.where(signs == 0, 1.0, signs)[:, None]
        both = [*shares[:2], 0.0, 0.0][:2]
        self.axes = (f"component 1 ({both[0]:.0%} of the variance)", f"component 2 ({both[1]:.0%})")
        self.note = "Principal components of the model's codes."

    def place(self, codes: Codes) -> Places:
        """The places of codes (N, D): their coordinates along the two directions."""
        return np.asarray((np.asarray(codes, np.float64) - self.mean) @ self.directions.T)


class Embedded:
    """Codes with places that a method found, and others between their nearest ones.

    Parameters
    ----------
    name
        The method.
    codes, places
        (N, D) and (N, 2).
    """

    def __init__(self, name: str, codes: Codes, places: Places) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.places = places
        self._search = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(codes))).fit(codes)
        self.axes = (f"{name} 1", f"{name} 2")
        self.note = f"{name} of {len(codes):,} codes; others stand between their {NEIGHBOURS} nearest ones."

    def place(self, codes: Codes) -> Places:
        """The places of codes (N, D): means of their nearest neighbours', weighted by nearness."""
        distances, rows = self._search.kneighbors(codes)
        weights = 1.0 / (distances + 1e-9)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.asarray((self.places[rows] * weights[:, :, None]).sum(axis=1))


def _few(codes: Codes) -> Codes:
    if len(codes) <= MOST_FITTED:
        return codes
    return codes[np.sort(np.random.default_rng(0).permutation(len(codes))[:MOST_FITTED])]


def _tsne(codes: Codes) -> Projection:
    from sklearn.manifold import TSNE

    few = _few(codes)
    if len(few) < 4:
        return PrincipalComponents(codes)
    perplexity = float(min(30, (len(few) - 1) / 3))
    return Embedded("t-SNE", few, TSNE(perplexity=perplexity, random_state=0).fit_transform(few).astype(np.float64))


def _umap(codes: Codes) -> Projection:
    try:
        import umap
    except ImportError as error:
        raise MissingExtraError("umap-learn", "explore,umap", "this map") from error
    few = _few(codes)
    if len(few) < 4:
        return PrincipalComponents(codes)
    found: Any = umap.UMAP(n_neighbors=min(15, len(few) - 1), random_state=0).fit_transform(few)
    return Embedded("UMAP", few, np.asarray(found, np.float64))


PROJECTIONS: dict[str, Callable[[Codes], Projection]] = {
    "PCA": PrincipalComponents,
    "t-SNE": _tsne,
    "UMAP": _umap,
}
"""name -> what fits a map to codes (N, D)."""


def available() -> list[str]:
    """The names of the projections that this installation has."""
    return [name for name in PROJECTIONS if name != "UMAP" or importlib.util.find_spec("umap") is not None]


def fit_projection(name: str, codes: Codes) -> Projection:
    """Fit a map to codes.

    Raises
    ------
    UnknownNameError
        For a name that is not in the table.
    MissingExtraError
        For UMAP, where it is not installed.
    """
    if name not in PROJECTIONS:
        raise UnknownNameError("projection", name, PROJECTIONS)
    return PROJECTIONS[name](codes)
