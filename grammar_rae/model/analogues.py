"""Analogues: molecules like a lead, as like as asked, by noise on its code."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.codecs import Codec
from grammar_rae.datasets import is_frame, join_columns, like, read_records
from grammar_rae.errors import InputError
from grammar_rae.model.drawing import check_count
from grammar_rae.model.sampling import read_substructures
from grammar_rae.model.sources import as_texts
from grammar_rae.scores import score
from grammar_rae.seeds import resolve_seed, wrap_seed

if TYPE_CHECKING:
    import pandas as pd

Measure = Callable[[str, Sequence[str]], NDArray[np.float64]]
"""A lead and N texts -> how like it each is, 0 to 1."""

LEVELS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
"""Levels of noise that a calibration tries."""

TRIALS = 24
"""Texts that a calibration decodes at each level."""

TOLERANCE = 0.1
"""How far from the similarity that was asked an analogue counts as a hit."""


def tanimoto(lead: str, texts: Sequence[str]) -> NDArray[np.float64]:
    """The Tanimoto similarity of Morgan fingerprints (radius 2, 2,048 bits) of N molecules to a lead: (N,)."""
    from grammar_rae.chem import morgan

    reference = np.unpackbits(morgan(lead, 2048)).astype(bool)
    table = np.array([np.unpackbits(morgan(text, 2048)) for text in texts], dtype=bool).reshape(len(texts), 2048)
    union = (table | reference).sum(axis=1)
    common = (table & reference).sum(axis=1)
    return np.where(union > 0, common / np.maximum(union, 1), 1.0)


@dataclass(frozen=True)
class Dial:
    """What texts come out at each level of noise on a lead's code, and how like the lead they are.

    Attributes
    ----------
    levels
        The levels of noise.
    found
        For each level, the different valid texts that a trial gave, other than the lead, with their similarities.
    """

    levels: tuple[float, ...]
    found: tuple[dict[str, float], ...]

    def chances(self, wanted: Callable[[float], bool], draws: int) -> NDArray[np.float64]:
        """The chance of a new text of a wanted similarity at each level, of so many draws: never 0, for trials err."""
        hits = np.array([sum(wanted(like) for like in texts.values()) for texts in self.found])
        return (hits + 0.25) / (draws + 1)


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
        max_attempts: int | None = None,
        **options: Any,
    ) -> "pd.DataFrame":
        """Molecules like a lead, as like as asked: decodings of its code with noise.

        A short calibration, which the model remembers, finds the levels of noise that give the similarity.

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
            The level of the noise, chosen by hand instead of ``similarity``.
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
        max_attempts
            The most texts to decode for each lead; None allows 20 for each analogue.
        options
            As for :meth:`decode`: ``temperature`` (1 here, unless given), ``top_p``, ``seed``, ``constraint``.
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
            decoded after the calibration, the shares of them that were valid and repeated, and the share of the
            analogues that are within 0.1 of the similarity asked.

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
        codec: Codec = self.codec  # type: ignore[attr-defined]
        substructures = read_substructures(wanted, unwanted, codec)
        score([], scores)  # so that an unknown name is refused before any work
        codes = self.encode(leads)  # type: ignore[attr-defined]
        most = 20 * n if max_attempts is None else max_attempts
        seed = resolve_seed(options.pop("seed", None))
        frames, report = [], {}
        for index, (lead, z) in enumerate(zip(leads, codes, strict=True)):
            chosen_seed = wrap_seed(seed + 1000 * index)
            told = options | ({} if properties is None else {"properties": self._shift(lead, properties)})
            search = _Search(
                self, codec.canonical(lead) or lead, z, measure or tanimoto, substructures, told, chosen_seed
            )
            frame, report[lead] = search.run(int(n), float(similarity), smoothing, most)
            if changes:
                from grammar_rae.chem.changes import change

                frame["change"] = [change(search.lead, text) for text in frame["smiles"]]
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


@dataclass
class _Search:
    """The search for analogues of one lead."""

    model: Any
    lead: str
    z: NDArray[np.float32]
    measure: Measure
    substructures: Any
    options: dict[str, Any]
    seed: int

    def run(
        self, n: int, similarity: float, smoothing: float | None, most: int
    ) -> tuple["pd.DataFrame", dict[str, float]]:
        """Up to n different analogues, those first that are as like as asked, and how it went.

        Draws go to the levels of noise in proportion to the new analogues that each of them gave so far: the level
        whose mean is the similarity asked gives little but the lead itself where that is high.
        """

        def wanted(like: float) -> bool:  # noise that is set by hand asks for no similarity
            return smoothing is not None or abs(like - similarity) <= TOLERANCE

        dial = self._measure_dial() if smoothing is None else Dial((smoothing,), ({},))
        found: dict[str, float] = {}
        for tried in dial.found:
            found |= tried
        draws = np.full(len(dial.levels), TRIALS if smoothing is None else 0)
        hits = dial.chances(wanted, TRIALS) * (draws + 1)
        attempts = n_valid = repeated = turn = 0
        while attempts < most and sum(map(wanted, found.values())) < n:
            room = int(min(256, most - attempts))
            chances = hits / (draws + 1)
            counts = np.floor(room * chances / chances.sum()).astype(int)
            counts[int(chances.argmax())] += room - counts.sum()
            for index in np.flatnonzero(counts):
                seed = wrap_seed(self.seed + turn)
                turn += 1
                texts = self._draw(int(counts[index]), dial.levels[index], seed)
                new = self._keep(list(dict.fromkeys(one for one in texts if one not in found and one != self.lead)))
                alike = dict(zip(new, self.measure(self.lead, new).tolist(), strict=True)) if new else {}
                found |= alike
                attempts, draws[index] = attempts + int(counts[index]), draws[index] + counts[index]
                n_valid, repeated = n_valid + len(texts), repeated + len(texts) - len(new)
                hits[index] += sum(map(wanted, alike.values()))
        nearest = sorted(found, key=lambda text: abs(found[text] - similarity)) if smoothing is None else list(found)
        chosen = sorted(nearest[:n], key=lambda text: -found[text])
        reached = float(np.mean([found[text] for text in chosen])) if chosen else float("nan")
        as_asked = sum(wanted(found[text]) for text in chosen)
        if as_asked < n:
            warnings.warn(
                f"found {len(chosen)} of {n} analogues of {self.lead[:80]} after {attempts} texts, {as_asked} of them "
                f"as like as asked, with a mean similarity of {reached:.2f}; ask for another similarity, loosen keep "
                "or the constraint, or raise max_attempts",
                stacklevel=4,
            )
        import pandas as pd

        columns = {"lead": self.lead, "smiles": chosen, "similarity": [found[text] for text in chosen]}
        report = {
            "smoothing": dial.levels[int((hits / (draws + 1)).argmax())],
            "similarity": reached,
            "attempts": attempts,
            "valid": n_valid / attempts if attempts else float("nan"),
            "duplicates": repeated / n_valid if n_valid else float("nan"),
            "hits": as_asked / len(chosen) if chosen else 0.0,
        }
        return pd.DataFrame(columns, columns=["lead", "smiles", "similarity"]), report

    def _keep(self, texts: list[str]) -> list[str]:
        return texts if self.substructures is None else [text for text in texts if self.substructures.has(text)]

    def _draw(self, count: int, level: float, seed: int) -> list[str]:
        """The valid ones of so many texts at a level of noise, in their canonical spelling."""
        options = {"temperature": 1.0, "top_p": self.model.recipe_.top_p} | self.options
        z = np.repeat(self.z[None], count, axis=0)
        decoded = self.model.decode_batch(z, smoothing=level, seed=seed, **options)
        return list(decoded.valid_texts)

    def _measure_dial(self) -> Dial:
        """The lead's dial, measured or remembered; its seeds are its own, so that both give the same analogues."""
        dials: dict[Any, Dial] = self.model.fitted_.dials
        patterns = None if self.substructures is None else (self.substructures.wanted, self.substructures.unwanted)
        key = (self.lead, self.measure, patterns, tuple(sorted((name, str(v)) for name, v in self.options.items())))
        if key not in dials:
            dials[key] = Dial(LEVELS, tuple(self._try(level, seed) for seed, level in enumerate(LEVELS)))
        return dials[key]

    def _try(self, level: float, seed: int) -> dict[str, float]:
        texts = self._keep(sorted({text for text in self._draw(TRIALS, level, seed) if text != self.lead}))
        return dict(zip(texts, self.measure(self.lead, texts).tolist(), strict=True)) if texts else {}
