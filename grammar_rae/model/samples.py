"""What a model drew, with the figures that say how."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grammar_rae.model.results import select_valid
from grammar_rae.scores import score


@dataclass(frozen=True, eq=False)
class SampleResult:
    """What :meth:`TextModel.sample` drew.

    Attributes
    ----------
    texts
        n texts: canonical SMILES for molecules. A text that is not valid (only without ``valid_only``) is left as it
        was decoded.
    valid
        Bool (n,): which of them are valid.
    attempts, n_valid
        How many texts were decoded for them, and how many of those were valid: nothing else was rejected.
    latent
        float32 (n, D): the codes that they were decoded from.
    constraint, temperature, seed, top_p, smoothing
        How they were drawn, the constraint as a text.
    """

    texts: list[str]
    valid: NDArray[np.bool_]
    attempts: int
    n_valid: int
    latent: NDArray[np.float32]
    constraint: str
    temperature: float
    seed: int | None
    top_p: float = 1.0
    smoothing: float = 0.0

    @property
    def smiles(self) -> list[str]:
        """The texts, by the name that chemists look for."""
        return self.texts

    @property
    def valid_texts(self) -> list[str]:
        """The texts that are valid: all of them, unless ``valid_only`` was off."""
        return select_valid(self.texts, self.valid)

    @property
    def validity(self) -> float:
        """Raw validity under :attr:`constraint`: the share of all decoded texts that were valid, before any rejection.

        It is a figure of the model and the constraint together: 1 under a chemistry constraint, whatever the model.
        """
        return self.n_valid / self.attempts if self.attempts else float("nan")

    @property
    def uniqueness(self) -> float:
        """The share of distinct texts among the valid ones that are returned."""
        valid = self.valid_texts
        return len(set(valid)) / len(valid) if valid else float("nan")

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        shown = ", ".join([*map(repr, self.texts[:3]), *(["..."] if len(self) > 3 else [])])
        return f"<SampleResult: {len(self)} texts of {self.attempts} decoded, validity {self.validity:.1%}: [{shown}]>"

    def to_frame(self, scores: Sequence[str] = ()) -> pd.DataFrame:
        """The texts, whether each is valid, and the scores named (NaN where a text has none).

        Raises
        ------
        UnknownNameError
            For a score that is not in ``SCORES``.
        """
        frame = pd.DataFrame({"smiles": self.texts, "valid": self.valid})
        return frame.assign(**score(self.texts, scores))
