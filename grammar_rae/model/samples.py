"""What a model drew, with the figures that say how."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grammar_rae.errors import InputError
from grammar_rae.model.asked import Asked
from grammar_rae.model.display import show_samples
from grammar_rae.model.drawing import check_count
from grammar_rae.model.results import select_valid
from grammar_rae.scores import score

if TYPE_CHECKING:
    import pandas as pd

    from grammar_rae.chem import Picture


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
    constraint, temperature, seed, top_p, smoothing, echo, tries
        How they were drawn, the constraint as a text; with this seed they are drawn again.
    properties, where, wanted, unwanted, n_hits
        What was asked for, and how many of the valid ones had it: those that were left out, too.
    are_molecules
        Whether the texts are SMILES.
    """

    texts: list[str]
    valid: NDArray[np.bool_]
    attempts: int
    n_valid: int
    latent: NDArray[np.float32]
    constraint: str
    temperature: float
    seed: int
    top_p: float = 1.0
    smoothing: float = 0.0
    properties: Mapping[str, Any] = field(default_factory=dict)
    n_hits: int = 0
    where: str | None = None
    are_molecules: bool = True
    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    echo: tuple[str, ...] = ()
    tries: int = 1

    @property
    def hit_rate(self) -> float:
        """The share of the valid texts, before any rejection, that had what was asked for; NaN where nothing was."""
        asked = self.properties or self.where or self.wanted or self.unwanted
        return self.n_hits / self.n_valid if asked and self.n_valid else float("nan")

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

    def pick_diverse(self, n: int) -> "SampleResult":
        """The n of its different texts that are most unlike each other, in the order in which they were picked.

        See :func:`grammar_rae.chem.pick_diverse`. The figures of the draws stay what they are.
        """
        from grammar_rae.chem.picking import pick_diverse

        different = list(dict(zip(reversed(self.texts), reversed(range(len(self))), strict=True)).values())[::-1]
        rows = [different[place] for place in pick_diverse([self.texts[row] for row in different], n, self.seed)]
        return replace(self, texts=[self.texts[row] for row in rows], valid=self.valid[rows], latent=self.latent[rows])

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        shown = ", ".join([*map(repr, self.texts[:3]), *(["..."] if len(self) > 3 else [])])
        return f"<SampleResult: {len(self)} texts of {self.attempts} decoded, validity {self.validity:.1%}: [{shown}]>"

    def _repr_html_(self) -> str:
        return show_samples(self)

    def draw(self, n: int = 12, columns: int = 4) -> "Picture":
        """The first n different valid molecules as a picture, which a notebook shows and ``save`` writes.

        Raises
        ------
        InputError
            For texts that are not molecules, or numbers below 1.
        """
        if not self.are_molecules:
            raise InputError("only molecules can be drawn", received="texts of another kind")
        check_count("n", n, "molecules")
        from grammar_rae.chem import picture

        return picture(list(dict.fromkeys(self.valid_texts))[:n], columns=columns)

    def columns(self, scores: Sequence[str] = ()) -> dict[str, Any]:
        """By their names, the columns of :meth:`to_frame`: a list or an array (n,) each.

        Raises
        ------
        UnknownNameError
            For a score that is not in ``SCORES``.
        """
        return {"smiles": self.texts, "valid": self.valid, **score(self.texts, scores)}

    def to_frame(self, scores: Sequence[str] = ()) -> "pd.DataFrame":
        """The texts, whether each is valid, and the scores named (NaN where a text has none).

        Raises
        ------
        UnknownNameError
            For a score that is not in ``SCORES``.
        """
        import pandas as pd

        return pd.DataFrame(self.columns(scores))


class Collected(NamedTuple):
    """Texts that were drawn, which are valid, how many were decoded and valid for that, and the texts' codes (N, D).

    ``n_hits`` of the valid ones had the properties that were asked for.
    """

    texts: list[str]
    valid: NDArray[np.bool_]
    attempts: int
    n_valid: int
    latent: NDArray[np.float32]
    n_hits: int


def collect(
    draw: Callable[[int], tuple[list[str | None], NDArray[np.float32]]],
    canonical: Callable[[str], str | None],
    n: int,
    most: int,
    batch_rows: int,
    valid_only: bool,
    dimensions: int,
    asked: Asked | None = None,
    strict: bool = False,
    known: Set[str | None] = frozenset(),
    tries: int = 1,
    progress: bool = False,
) -> Collected:
    """Draw batches until there are n texts, or ``most`` were decoded.

    Parameters
    ----------
    draw
        How many codes -> ``tries`` texts of the first, then those of the second and so on, None for what is not a text,
        and the codes (B, D).
    canonical
        A text -> its canonical spelling, None if it is not valid.
    n, most
        How many texts are wanted, and decoded at most.
    batch_rows
        Texts of the largest batch.
    valid_only
        Whether only valid texts count.
    dimensions
        D.
    asked, strict
        What is counted, and whether texts without it are rejected.
    known
        Canonical spellings that are not taken.
    tries
        Texts of each code, of which the one nearest to what was asked for is taken, at most ``most``.
    progress
        Whether to show a progress bar, on a terminal.
    """
    from grammar_rae.bars import bar_type

    tqdm = bar_type()

    texts: list[str] = []
    valid: list[bool] = []
    latent: list[NDArray[np.float32]] = []
    n_codes = attempts = n_valid = n_hits = 0
    bar = tqdm(total=n, desc="drawing", unit=" texts", disable=None if progress else True)
    while len(texts) < n and attempts + tries <= most:
        # As many as are likely to be needed: the share of the codes so far that gave a text tells.
        needed = (n - len(texts)) * (n_codes + 1) / (len(texts) + 1) if valid_only else n - len(texts)
        decoded, codes = draw(int(min(np.ceil(needed), max(batch_rows // tries, 1), (most - attempts) // tries)))
        for row, code in enumerate(codes):
            if len(texts) == n:
                break
            n_codes += 1
            attempts += tries
            nearest: tuple[float, str, bool] | None = None
            for text in decoded[row * tries : (row + 1) * tries]:
                spelled = None if text is None else canonical(text)
                n_valid += spelled is not None
                has, distance = (False, 0.0) if asked is None or spelled is None else asked.judge(spelled)
                n_hits += has
                if (spelled is None and valid_only) or (strict and not has) or (known and spelled in known):
                    continue
                if nearest is None or distance < nearest[0]:
                    nearest = (distance, spelled or text or "", spelled is not None)
            if nearest is not None:
                texts.append(nearest[1])
                valid.append(nearest[2])
                latent.append(code)
        bar.update(len(texts) - bar.n)
    bar.close()
    stacked = np.stack(latent) if latent else np.zeros((0, dimensions), np.float32)
    return Collected(texts, np.array(valid, dtype=bool), attempts, n_valid, stacked, n_hits)
