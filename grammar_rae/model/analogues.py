"""Analogues: molecules like a lead, as like as asked, by noise on its code and by regrowing parts of it."""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grammar_rae.codecs import Codec, treat_fragments
from grammar_rae.datasets import is_frame, join_columns, like, read_records
from grammar_rae.errors import InputError
from grammar_rae.model.drawing import check_count
from grammar_rae.model.neighbours import TOLERANCE, Measure, Neighbours, tanimoto
from grammar_rae.model.sampling import read_substructures
from grammar_rae.model.sources import as_texts
from grammar_rae.scores import score
from grammar_rae.seeds import resolve_seed, wrap_seed

if TYPE_CHECKING:
    import pandas as pd


class AnaloguesMixin:
    """What a model of texts does with a lead."""

    def analogues(
        self,
        leads: Any,
        n: int = 100,
        similarity: float = 0.6,
        *,
        smoothing: float | None = None,
        keep: str | None = None,
        wanted: str | Sequence[str] = (),
        unwanted: str | Sequence[str] = (),
        measure: Measure | None = None,
        properties: Mapping[str, float] | None = None,
        scores: Sequence[str] = (),
        changes: bool = True,
        fragments: str | None = None,
        max_attempts: int | None = None,
        **options: Any,
    ) -> "pd.DataFrame":
        """Molecules like a lead, as like as asked: decodings of its code with noise, and parts of it regrown.

        A short calibration, which the model remembers, finds the levels of noise that give the similarity. Where these
        have too few within the texts that are allowed, the lead is cut at its single bonds, and something else grows on
        what is kept, atom for atom; that serves leads that do not come back from their codes, too.

        Parameters
        ----------
        leads
            One molecule or several; or a data frame of pandas or polars with a column of them, named as in files, whose
            other columns are those of each lead's analogues, too.
        n
            How many different analogues of each.
        similarity
            How like the lead they shall be, at least 0 and below 1.
        smoothing
            The level of the noise, chosen by hand instead of ``similarity``; then nothing is regrown.
        keep
            A SMARTS that every analogue must have.
        wanted, unwanted
            SMARTS patterns, one or several, all of which every analogue must have, and none of which it must have.
        measure
            ``measure(lead, texts)`` gives N similarities; None for the Tanimoto similarity of Morgan fingerprints.
        scores
            Names of scores to add as columns.
        changes
            Whether to add what each analogue has in the place of what its lead has.
        fragments
            What to do about leads of several parts, such as salts, as for :meth:`encode`: with ``"largest"`` that part
            is the lead.
        max_attempts
            The most texts to decode for each lead, however they come; None allows 20 for each analogue.
        options
            As for :meth:`decode`: ``temperature`` (1 here, unless given, and 0.9 for what regrows), ``top_p``,
            ``seed``, ``constraint``. Under a template or a scaffold's prefix of your own nothing is regrown.
        properties
            Name -> how much more than its lead an analogue should have, for example ``{"logp": -1}``; the decoder is
            told the sum, as far as it was trained.

        Returns
        -------
        DataFrame
            Of the kind of the leads' frame, else of pandas: ``lead``, ``smiles``, ``similarity``, ``change``,
            ``log_prob`` in nats where the model has it without a code (see :meth:`log_prob`), and a column for each
            score; of each lead the most similar first.
            ``attrs["report"]`` tells by lead which level of noise gave most, the mean similarity reached, the texts
            decoded after the calibration, the share of them that was valid, the shares of these that were repeated and
            implausible (see :func:`grammar_rae.chem.is_plausible`; such are left out, unless the lead is one), the
            share of the analogues that are within 0.1 of the similarity asked, and the share that was regrown.

        Warns
        -----
        UserWarning
            Where fewer than n were found, or none so like as asked.

        Raises
        ------
        InputError
            For arguments that cannot be used, or a model whose decoder accepts no noise.
        TextError
            For a lead that the codec rejects.
        """
        frame_of_leads = leads if is_frame(leads) else None
        names: tuple[str, ...] = ()
        beside: list[tuple[Any, ...]] = []
        if frame_of_leads is not None:
            names, beside = _beside(frame_of_leads)
        leads = as_texts(leads)
        if not leads:
            raise InputError("there are no leads", received="an empty list", expected="one molecule or more")
        check_count("n", n, "analogues")
        check_count("max_attempts", 1 if max_attempts is None else max_attempts, "texts")
        number = isinstance(similarity, int | float) and not isinstance(similarity, bool)
        if not number or not 0 <= similarity < 1:
            raise InputError(
                "the similarity cannot be used", received=repr(similarity), expected="0 or more, and below 1"
            )
        import pandas as pd

        if keep is not None:
            wanted = [*([wanted] if isinstance(wanted, str) else wanted), keep]
        codec: Codec = treat_fragments(self.codec, fragments)  # type: ignore[attr-defined]
        substructures = read_substructures(wanted, unwanted, codec)
        score([], scores)  # so that an unknown name is refused before any work
        codes = self.encode(leads, fragments=fragments)  # type: ignore[attr-defined]
        most = 20 * n if max_attempts is None else max_attempts
        seed = resolve_seed(options.pop("seed", None))
        frames, report = [], {}
        for index, (lead, z) in enumerate(zip(leads, codes, strict=True)):
            chosen_seed = wrap_seed(seed + 1000 * index)
            read = codec.canonical(codec.prepare(lead)) or lead  # of a salt, the part that has the code
            told = options | ({} if properties is None else {"properties": self._shift(read, properties)})
            around = Neighbours(self, read, z, measure or tanimoto, substructures, told, chosen_seed)
            frame, report[lead] = _find(around, int(n), float(similarity), smoothing, most)
            if changes:
                from grammar_rae.chem.changes import change

                frame["change"] = [change(around.lead, text) for text in frame["smiles"]]
            if self.fitted_.percentiles is not None:  # type: ignore[attr-defined]
                frame["log_prob"] = self.log_prob(list(frame["smiles"]), errors="nan")  # type: ignore[attr-defined]
            frame = frame.assign(**score(list(frame["smiles"]), scores))
            if names:
                head, cells = ["lead", "smiles", "similarity"], [beside[index]] * len(frame)
                frame = join_columns(names, cells, dict(frame[head]), dict(frame.drop(columns=head)))
            frames.append(frame)
        found = pd.concat(frames, ignore_index=True)
        if frame_of_leads is not None:
            found = like(frame_of_leads, found)
        if isinstance(found, pd.DataFrame):
            found.attrs["report"] = report
        return found

    def _shift(self: Any, lead: str, moves: Mapping[str, float]) -> dict[str, float]:
        """The properties of a lead, each moved, but not out of the range that the decoder was trained on."""
        from grammar_rae.chem.properties import properties

        ranges = self.autoencoder_.condition.ranges
        self._ask({name: ranges.get(name, 0.0) for name in moves})  # so that an unknown one is refused
        moved = {}
        for name, present in zip(moves, properties(lead, tuple(moves)), strict=True):
            move = moves[name]
            if isinstance(move, bool) or not isinstance(move, int | float | np.number) or not np.isfinite(move):
                raise InputError(f"{name} cannot be moved", received=repr(move), expected="a finite number")
            moved[name] = float(np.clip(float(present) + move, *ranges[name]))
        return moved


def _beside(frame: Any) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """The names of the columns beside the leads of a frame, and the values of each lead."""
    if not len(frame):
        return (), []
    names, records = read_records(frame)
    return names, [record.cells for record in records]


def _find(
    around: Neighbours, n: int, similarity: float, smoothing: float | None, most: int
) -> tuple["pd.DataFrame", dict[str, float]]:
    """Up to n different analogues, those that are nearest to what is asked, and how it went."""
    if smoothing is None:
        level = around.search(n, similarity, most)
        chosen = around.nearest(n, similarity)
    else:
        level = smoothing
        around.add_noise(level, n, most)
        chosen = list(around.found)[:n]
    chosen.sort(key=lambda text: -around.found[text])
    likeness = [around.found[text] for text in chosen]
    reached = float(np.mean(likeness)) if chosen else float("nan")
    as_asked = sum(smoothing is not None or abs(like - similarity) <= TOLERANCE for like in likeness)
    if as_asked < n:
        warnings.warn(
            f"found {len(chosen)} of {n} analogues of {around.lead[:80]} after {around.attempts} texts, {as_asked} of "
            f"them as like as asked, with a mean similarity of {reached:.2f}; ask for another similarity, loosen keep "
            "or the constraint, or raise max_attempts",
            stacklevel=4,
        )
    import pandas as pd

    columns = {"lead": around.lead, "smiles": chosen, "similarity": likeness}
    report = {
        "smoothing": level,
        "similarity": reached,
        "attempts": around.attempts,
        "valid": around.n_valid / around.attempts if around.attempts else float("nan"),
        "duplicates": around.repeated / around.n_valid if around.n_valid else float("nan"),
        "implausible": around.implausible / around.n_valid if around.n_valid else float("nan"),
        "hits": as_asked / len(chosen) if chosen else 0.0,
        "regrown": len(around.regrown.intersection(chosen)) / len(chosen) if chosen else 0.0,
    }
    return pd.DataFrame(columns, columns=["lead", "smiles", "similarity"]), report
