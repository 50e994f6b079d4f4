"""Ask and tell: a search whose values come from outside, from a laboratory or a queue, whenever they are ready."""

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grammar_rae.errors import DataError, InputError, UnknownNameError
from grammar_rae.locks import FolderLock
from grammar_rae.optimization import start
from grammar_rae.optimization.analogues import DRAWS
from grammar_rae.optimization.base import Array, Observations, Question, check_number
from grammar_rae.optimization.ledger import SETTINGS, Ledger, Molecule, Telling
from grammar_rae.optimization.loop import build_strategy
from grammar_rae.optimization.objectives import DIRECTIONS, check_objectives
from grammar_rae.optimization.proposals import Decoded, Decoder, density_of_codes, propose
from grammar_rae.optimization.tables import show_batch, show_history
from grammar_rae.optimization.telling import ID, SMILES, Told, has_values, read_molecules, read_tellings
from grammar_rae.precision import in_single_precision
from grammar_rae.seeds import resolve_seed

DATA = "data"
"""The origin of molecules that were not the model's."""

STRATEGY, N_INITIAL = "analogues", 20
"""What a new search takes where nothing is chosen."""

_PROBED = 4  # molecules whose codes tell one model from another
_WAIT = 60.0  # seconds to wait for another process that asks or tells


class Search:
    """A search that is asked for molecules and told what came of them.

    Nothing is evaluated here except named scores, so weeks may pass between two calls, and whoever has the values need
    not know of the model. With a folder, what each call did is on the disk when it returns, and several processes may
    ask and tell in turns. The same folder continues the search; whatever else is passed must be as before, or None.

    Parameters
    ----------
    model
        A trained model of texts; see :func:`grammar_rae.optimization.optimize`.
    objectives
        Name -> ``"maximize"`` or ``"minimize"``. A name without a score is told from outside; a named score is computed
        when a molecule is told, unless its value is told, too. May be left out where the folder holds a search.
    data
        What is known to begin with: see :meth:`add`.
    constraint
        Constraint of the decoding: see the model's ``decode``.
    strategy
        A row of :data:`grammar_rae.optimization.STRATEGIES`; None for ``analogues``.
    n_initial
        Molecules with values that the strategy waits for; until then the model's plain draws are asked for. None for
        20.
    budget
        The most molecules to ask for in all; None for no limit.
    seed
        Seed of everything random; None draws one, or takes that of the search in the folder.
    folder
        Where to keep the search; without one it is in memory only.
    options
        The strategy's.

    Raises
    ------
    InputError
        For settings that cannot be used.
    DataError
        When the folder holds another search, or one of another model, or is damaged or in use.
    MissingExtraError
        For several objectives without BoTorch, with a strategy other than ``analogues``.
    """

    def __init__(
        self,
        model: Any,
        objectives: Mapping[str, str] | None = None,
        *,
        data: Any = None,
        constraint: Any = None,
        strategy: str | None = None,
        n_initial: int | None = None,
        budget: int | None = None,
        seed: int | None = None,
        folder: str | PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        if isinstance(model, str | PathLike):
            raise InputError("a search needs the model itself", received=repr(model), remedy="Load it first.")
        home = None if folder is None else Path(folder)
        build_strategy(strategy or STRATEGY, options)
        settings: dict[str, Any] = {
            "objectives": None if objectives is None else check_objectives(objectives),
            "constraint": None if constraint is None else str(constraint),
            "strategy": strategy,
            "options": options or None,
            "n_initial": None if n_initial is None else check_number("n_initial", n_initial, 2),
            "budget": None if budget is None else check_number("budget", budget, 1),
            "seed": None if seed is None else resolve_seed(seed),
        }
        with _locked(home):
            if home is None or not (home / SETTINGS).exists():
                if objectives is None:
                    raise InputError("a search needs objectives", expected='for example {"affinity": "maximize"}')
                others = {"strategy": STRATEGY, "options": {}, "n_initial": N_INITIAL, "seed": resolve_seed(seed)}
                settings |= {name: value for name, value in others.items() if settings[name] is None}
            self._begin(model, Ledger(settings, home))
        if data is not None and not self._ledger.molecules:
            self.add(data)

    @classmethod
    def open(cls, folder: str | PathLike[str], model: Any = None) -> "Search":
        """The search in a folder; without its model it can be told, and not asked.

        Raises
        ------
        DataError
            When the folder holds no search, or one of another model, or is damaged or in use.
        """
        if not Path(folder).is_dir():
            raise DataError(
                "there is no search in this folder", where=str(folder), remedy="Ask it first, with a model."
            )
        search = cls.__new__(cls)
        with _locked(Path(folder)):
            search._begin(model, Ledger(None, Path(folder)))
        return search

    def _begin(self, model: Any, ledger: Ledger) -> None:
        self.model = model
        self._ledger = ledger
        settings = ledger.settings
        self._strategy = build_strategy(settings["strategy"], settings["options"], several=len(self.objectives) > 1)
        self._decoder = Decoder(model, constraint=settings["constraint"])
        self._codes: dict[str, NDArray[np.float32]] = {}
        ledger.refresh()
        if model is not None and ledger.probe:
            self._check_model()

    @property
    def objectives(self) -> dict[str, str]:
        """The objectives, and what is wanted of each."""
        return dict(self._ledger.settings["objectives"])

    @property
    def pending(self) -> list[str]:
        """The names of molecules that were asked for, and of which something is still to be told."""
        return [
            name
            for name, one in self._ledger.molecules.items()
            if one.batch is not None and not one.is_settled(list(self.objectives))
        ]

    def __len__(self) -> int:
        return len(self._ledger.molecules)

    def __repr__(self) -> str:
        aims = ", ".join(f"{direction} {name}" for name, direction in self.objectives.items())
        return f"<Search to {aims}: {self._asked} asked, {len(self.pending)} pending>"

    @property
    def _asked(self) -> int:
        return sum(one.batch is not None for one in self._ledger.molecules.values())

    # -- ask ----------------------------------------------------------------------------------------------------

    @in_single_precision
    def ask(self, n: int = 50) -> pd.DataFrame:
        """Molecules to evaluate next, none of which was asked for before.

        Parameters
        ----------
        n
            How many.

        Returns
        -------
        DataFrame
            ``id``, ``smiles``, ``nearest`` (the most similar molecule with values) and its ``similarity`` (Tanimoto, of
            Morgan counts), both empty for texts that are no molecules; and for each objective ``..._expected`` and
            ``..._spread``, nan as long as the strategy knows too little.

        Warns
        -----
        UserWarning
            When there are fewer: the budget ends, or the model has no more that are new.

        Raises
        ------
        InputError
            For a number that cannot be used, a search without its model, or a budget that is used up.
        DataError
            When the folder is in use or damaged.
        """
        n = check_number("n", n, 1)
        if self.model is None:
            raise InputError("this search was opened without its model", remedy="Pass the model, and ask again.")
        with _locked(self._ledger.folder):
            self._ledger.refresh()
            n = self._within_budget(n)
            waiting = [one for one in self._ledger.molecules.values() if one.batch is None and not one.measured][:n]
            new: list[Molecule] = []
            if len(waiting) < n:
                seen = self._observations()
                new = self._draws(n - len(waiting)) if seen is None else self._chosen(n - len(waiting), seen)
            batch = [*waiting, *new]
            if len(batch) < n:
                warnings.warn(f"the model has only {len(batch)} of {n} molecules that are new", stacklevel=3)
            if not batch:
                return show_batch(self._ledger, [])
            self._ledger.record(new=new, asked=[one.id for one in batch], probe=self._new_probe(batch))
        return show_batch(self._ledger, [one.id for one in batch])

    def _within_budget(self, n: int) -> int:
        budget: int | None = self._ledger.settings["budget"]
        if budget is None:
            return n
        left = budget - self._asked
        if left <= 0:
            raise InputError("the budget of the search is used up", received=f"{budget} molecules were asked for")
        if left < n:
            warnings.warn(f"the budget leaves {left} of the {n} molecules that were asked for", stacklevel=3)
        return min(n, left)

    def _seed(self) -> int:
        """The seed of what comes next: it follows from how much there is."""
        rng = np.random.default_rng([self._ledger.settings["seed"], len(self._ledger.molecules), self._ledger.batches])
        return int(rng.integers(2**62))

    def _draws(self, n: int) -> list[Molecule]:
        """Plain draws of the model, as many as it has in a few attempts."""
        known = {one.text for one in self._ledger.molecules.values()}
        found: dict[str, None] = {}
        for attempt in range(8):
            if len(found) < n:
                _, drawn = self._decoder.sample(2 * n, self._seed() + attempt, DRAWS)
                found |= {one.text: None for one in drawn if one.text not in known}
        return self._named([Decoded(text, True, 1.0, DRAWS) for text in list(found)[:n]], 0, None)

    def _chosen(self, n: int, seen: Observations) -> list[Molecule]:
        """What the strategy chooses."""
        known = {one.text for one in self._ledger.molecules.values()}
        question = Question(n, self._seed(), density_of_codes(self.model, seen.initial))
        found = propose(self._strategy, self._decoder, seen, known, question, True)
        if not found.decoded:
            return []
        # What the model decodes but does not read could not be learned from later.
        _, rows = self._decoder.encode([one.text for one in found.decoded])
        codes, decoded = found.codes[rows], [found.decoded[row] for row in rows]
        self._codes |= {one.text: code for one, code in zip(decoded, codes, strict=True)}
        expected = self._strategy.expect(seen, question, codes.astype(np.float64), decoded)
        return self._named(decoded, self._ledger.iterations + 1, expected)

    def _named(self, decoded: list[Decoded], iteration: int, expected: tuple[Array, Array] | None) -> list[Molecule]:
        """Molecules with names that no other search of another seed or other settings gives."""
        settings = self._ledger.settings
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).digest()
        tag = "".join(chr(ord("a") + byte % 26) for byte in digest[:3])
        first = len(self._ledger.molecules) + 1
        found = [
            Molecule(f"{tag}{first + index}", one.text, one.origin, iteration) for index, one in enumerate(decoded)
        ]
        if expected is not None:
            for column, (name, direction) in enumerate(self.objectives.items()):
                for row, one in enumerate(found):
                    mean, spread = (float(part[row, column]) for part in expected)
                    one.expected[name] = (DIRECTIONS[direction] * mean, spread)
        return found

    # -- what is known ------------------------------------------------------------------------------------------

    def _observations(self) -> Observations | None:
        """What the strategy may learn from; None as long as that is too little."""
        objectives = self.objectives
        rows = [one for one in self._ledger.molecules.values() if one.is_settled(list(objectives))]
        values = np.array([[one.value(name) for name in objectives] for one in rows]).reshape(-1, len(objectives))
        values = values * [DIRECTIONS[direction] for direction in objectives.values()]
        iterations = np.array([one.iteration for one in rows], np.int64)
        first = np.isfinite(values[iterations == 0]).all(axis=1)
        if first.sum() < 2 or len(rows) < self._ledger.settings["n_initial"]:
            return None
        texts = [one.text for one in rows]
        return Observations(self._encode(texts), values, iterations, texts, [one.origin for one in rows])

    def _encode(self, texts: list[str]) -> Array:
        """The codes (N, D) of texts that came from the model, or that it accepted."""
        if missing := [text for text in texts if text not in self._codes]:
            codes, rows = self._decoder.encode(missing)
            if len(rows) < len(missing):
                raise self._other_model()
            self._codes |= dict(zip(missing, codes, strict=True))
        return np.stack([self._codes[text] for text in texts]).astype(np.float64)

    def _new_probe(self, batch: list[Molecule]) -> list[list[float]]:
        """Codes of the first molecules, once."""
        if self._ledger.probe:
            return []
        first = [*self._ledger.molecules.values(), *batch][:_PROBED]
        return [list(map(float, row)) for row in self._encode([one.text for one in first])]

    def _check_model(self) -> None:
        texts = [one.text for one in self._ledger.molecules.values()][: len(self._ledger.probe)]
        codes, before = self._encode(texts), np.array(self._ledger.probe)
        near = 1e-2 * float(before.std() + 1e-12)
        if codes.shape != before.shape or not np.allclose(codes, before, rtol=1e-2, atol=near):
            raise self._other_model()

    def _other_model(self) -> DataError:
        return DataError(
            "the search was made with another model",
            where=None if self._ledger.folder is None else str(self._ledger.folder),
            remedy="Pass that model, or choose another folder.",
        )

    # -- tell ---------------------------------------------------------------------------------------------------

    def tell(self, frame: Any, *, correct: bool = False, jobs: int = 1) -> Told:
        """Take in what came of molecules: any of them, in any order, as often as there is something to tell.

        Parameters
        ----------
        frame
            A DataFrame, or what becomes one. The column ``id`` says which molecules, or ``smiles`` does; where both are
            there, they must agree. A column for each objective that is told: numbers, and empty cells (nan) for what is
            not known yet. ``reason`` says why a molecule will have no value of the objectives that are empty in its
            row, which then is a failure and no longer pending. Other columns do not matter.
        correct
            Put these values in the place of all earlier ones of the same molecules. Without it they are repeats, and
            the search takes the mean.
        jobs
            Processes that compute named scores.

        Returns
        -------
        Told
            The numbers of values, failures, repeats, corrections, blank rows, and of what is still pending.

        Raises
        ------
        InputError
            For an unknown molecule, or a value that is no finite number. Nothing of the table is taken in then.
        DataError
            When the folder is in use or damaged.
        """
        with _locked(self._ledger.folder):
            self._ledger.refresh()
            molecules = self._ledger.molecules
            told, blank = read_tellings(frame, molecules, list(self.objectives), correct, jobs)
            known = Counter((name, key) for name, one in molecules.items() for key in one.measured)
            new: Counter[tuple[str, str]] = Counter((one.id, key) for one in told for key in one.values)
            again = sum(count if known[pair] else count - 1 for pair, count in new.items())
            if told:
                self._ledger.record(told=told)
        return Told(
            values=new.total(),
            failures=sum(len(one.failed) for one in told),
            repeats=0 if correct else again,
            corrections=again if correct else 0,
            blank=blank,
            pending=len(self.pending),
        )

    def add(self, data: Any) -> dict[str, int]:
        """Take in molecules from elsewhere: those with values are learned from, those without are asked for next.

        A molecule that has only some of the values is learned from when the others are told.

        Parameters
        ----------
        data
            Texts; or a table with a column of texts and columns of objectives, where empty cells are not known.

        Returns
        -------
        dict
            How many were left out for which reason: not valid, there already, rejected by the model's codec.

        Raises
        ------
        InputError, DataError
            For data that cannot be used, of which nothing is taken in then; see :meth:`tell`.
        """
        if self.model is None:
            raise InputError("this search was opened without its model", remedy="Open it with the model.")
        with _locked(self._ledger.folder):
            self._ledger.refresh()
            known = {one.text for one in self._ledger.molecules.values()}
            table, left_out = read_molecules(data, self.model.codec.canonical, known)
            codes, accepted = self._decoder.encode(table[SMILES].tolist())
            left_out[start.REJECTED] += len(table) - len(accepted)
            table = table.iloc[accepted]
            self._codes |= dict(zip(table[SMILES], codes, strict=True))
            new = self._named([Decoded(text, True, 1.0, DATA) for text in table[SMILES]], 0, None)
            table = table.assign(**{ID: [one.id for one in new]})
            told = table[has_values(table, list(self.objectives))]
            tellings: list[Telling] = []
            if len(told):
                everything = {**self._ledger.molecules, **{one.id: one for one in new}}
                tellings, _ = read_tellings(told, everything, list(self.objectives), False, 1)
            if new:
                self._ledger.record(new=new, told=tellings, probe=self._new_probe(new))
        return {reason: count for reason, count in left_out.items() if count}

    # -- results ------------------------------------------------------------------------------------------------

    def history(self) -> pd.DataFrame:
        """All molecules, in the order they came in.

        ``id``, ``smiles``, ``batch`` (from 1; 0 for what was not asked for), ``origin``, a column for each objective
        (the mean of what was told), its ``..._expected`` and ``..._spread`` from before, ``measurements`` (the most of
        any objective), ``reason``.
        """
        return show_history(self._ledger)

    def best(self, n: int = 10, by: str | None = None) -> pd.DataFrame:
        """The n molecules with the best values of an objective, None for the first; rows as in :meth:`history`.

        Raises
        ------
        InputError
            For a number below 1 or an objective that the search has not.
        """
        name = next(iter(self.objectives)) if by is None else by
        if name not in self.objectives:
            raise UnknownNameError("objective of this search", by, self.objectives)
        known = self.history().dropna(subset=[name])
        known = known.sort_values(name, ascending=self.objectives[name] == "minimize", kind="stable")
        return known.head(check_number("n", n, 1)).reset_index(drop=True)


def _locked(folder: Path | None) -> AbstractContextManager[Any]:
    """A context in which no other process asks or tells; nothing to lock without a folder."""
    if folder is None:
        return nullcontext()
    if folder.exists() and not folder.is_dir():
        raise DataError("this is not a folder", where=str(folder), remedy="Pass the folder to keep the search in.")
    return FolderLock(folder, "a search", wait=_WAIT)
