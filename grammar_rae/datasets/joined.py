"""Several data sets as one."""

import hashlib
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from grammar_rae.datasets.encoded import PADDING, DescribedRows, TokenDataset
from grammar_rae.datasets.rows import Indices, check_rows
from grammar_rae.errors import InputError
from grammar_rae.facts import Described

Part = TypeVar("Part", TokenDataset, DescribedRows)


class JoinedRows(Generic[Part]):
    """The rows of several data sets end to end, as a training takes them.

    Parameters
    ----------
    parts
        Data sets of one codec, all with what is known of their rows or all without.

    Raises
    ------
    InputError
        When there is none.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        if not parts:
            raise InputError("there are no data sets to join", expected="at least one")
        self.parts: list[Part] = list(parts)
        self.lengths = np.concatenate([part.lengths for part in self.parts])
        self._starts = np.cumsum([0, *(len(part) for part in self.parts)])

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def fingerprint(self) -> str:
        """The sha256 of the fingerprints of the parts."""
        return hashlib.sha256("".join(part.fingerprint for part in self.parts).encode()).hexdigest()

    def batch(self, indices: Indices) -> Any:
        """The rows of some indices, in their order: what the batches of the parts are, padded to one length."""
        import torch

        rows = check_rows(indices, len(self))
        owners = np.searchsorted(self._starts, rows, side="right") - 1
        found, places = [], []
        for number in np.unique(owners):
            chosen = np.flatnonzero(owners == number)
            found.append(self.parts[number].batch(rows[chosen] - self._starts[number]))
            places.append(chosen)
        back = torch.from_numpy(np.argsort(np.concatenate(places), kind="stable"))
        if not isinstance(found[0], Described):
            return _stack(found)[back]
        x = _stack([batch.x for batch in found])
        known = [torch.cat(columns) for columns in zip(*(batch[1:] for batch in found), strict=True)]
        return Described(x[back], *(column[back] for column in known))


def _stack(tables: "Sequence[Any]") -> Any:
    """Tables of tokens (B, T) one above the other, padded to the longest T."""
    import torch

    width = max(table.shape[1] for table in tables)
    pad = torch.nn.functional.pad
    return torch.cat([pad(table, (0, width - table.shape[1]), value=PADDING) for table in tables])


def first_part(data: Any) -> Any:
    """The first of joined data sets, or a data set that is not joined."""
    return data.parts[0] if isinstance(data, JoinedRows) else data
