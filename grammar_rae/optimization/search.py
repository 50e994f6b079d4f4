"""Ask and tell: a search whose values come from outside, from a laboratory or a queue, whenever they are ready."""

import warnings
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grammar_rae.errors import DataError, InputError, UnknownNameError
from grammar_rae.locks import FolderLock
from grammar_rae.optimization import start
from grammar_rae.optimization.base import check_number
from grammar_rae.optimization.choosing import Chooser
from grammar_rae.optimization.ledger import SETTINGS, Ledger, Molecule, Telling
from grammar_rae.optimization.loop import build_strategy
from grammar_rae.optimization.pareto import is_on_front
from grammar_rae.optimization.profile import Profile, read_objectives
from grammar_rae.optimization.proposals import Decoded
from grammar_rae.optimization.tables import show_batch, show_history
from grammar_rae.optimization.telling import ID, SMILES, Told, has_values, read_molecules, read_tellings
from grammar_rae.precision import in_single_precision
from grammar_rae.scores.components import names
from grammar_rae.seeds import resolve_seed

DATA = "data"
"""The origin of molecules that were not the model's."""

STRATEGY, N_INITIAL = "analogues", 20
"""What a new search takes where nothing is chosen."""

AT_ONCE = 10
"""Molecules whose values reach the disk together, for each process, where objectives are computed one by one."""

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
        when a molecule is told, unless its value is told, too. Or a TOML file, or what such a file holds, which may say
        more: components with parameters, transforms and weights, hard limits, diversity (see
        :class:`grammar_rae.optimization.Profile`). May be left out where the folder holds a search.
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
        For several objectives that are not merged, without BoTorch, with a strategy that needs it; or for a predictor
        without its package.
    """

    def __init__(
        self,
        model: Any,
        objectives: Mapping[str, Any] | str | PathLike[str] | None = None,
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
        profile = None if objectives is None else read_objectives(objectives)
        settings: dict[str, Any] = {
            "objectives": None if profile is None else profile.directions,
            **({} if profile is None or profile.table is None else {"profile": dict(profile.table)}),
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

    profile: Profile
    """What is wanted: objectives, transforms, limits, diversity."""

    def _begin(self, model: Any, ledger: Ledger) -> None:
        self.model = model
        self._ledger = ledger
        settings = ledger.settings
        self.profile = read_objectives(settings.get("profile") or settings["objectives"])
        several = len(self.profile.targets) > 1
        strategy = build_strategy(settings["strategy"], settings["options"], several)
        self._chooser = Chooser(model, ledger, self.profile, strategy)
        ledger.refresh()
        if model is not None and ledger.probe:
            self._chooser.check_model()

    @property
    def objectives(self) -> dict[str, str]:
        """The objectives, and what is wanted of each."""
        return self.profile.directions

    @property
    def settings(self) -> dict[str, Any]:
        """How the search was made."""
        return dict(self._ledger.settings)

    @property
    def pending(self) -> list[str]:
        """The names of molecules that were asked for, and of which something is still to be told."""
        return [one.id for one in self._ledger.unsettled(list(self.objectives)) if one.batch is not None]

    def __len__(self) -> int:
        return len(self._ledger.molecules)

    def __repr__(self) -> str:
        aims = ", ".join(f"{'maximize' if sign > 0 else 'minimize'} {name}" for name, sign in self.profile.targets)
        return f"<Search to {aims}: {self._ledger.n_asked} asked, {len(self.pending)} pending>"

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
            untold = self._ledger.unsettled(list(self.objectives))
            waiting = [one for one in untold if one.batch is None and not one.measured][:n]
            new: list[Molecule] = self._chooser.choose(n - len(waiting)) if len(waiting) < n else []
            batch = [*waiting, *new]
            if len(batch) < n:
                warnings.warn(f"the model has only {len(batch)} of {n} molecules that are new", stacklevel=3)
            if not batch:
                return show_batch(self._ledger, self.profile, [])
            self._ledger.record(new=new, asked=[one.id for one in batch], probe=self._chooser.probe(batch))
        return show_batch(self._ledger, self.profile, [one.id for one in batch])

    def _within_budget(self, n: int) -> int:
        budget: int | None = self._ledger.settings["budget"]
        if budget is None:
            return n
        left = budget - self._ledger.n_asked
        if left <= 0:
            raise InputError("the budget of the search is used up", received=f"{budget} molecules were asked for")
        if left < n:
            warnings.warn(f"the budget leaves {left} of the {n} molecules that were asked for", stacklevel=3)
        return min(n, left)

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
            the search takes the mean. What could not be computed is tried again with it.
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
            told, blank = self._read(frame, molecules, correct, jobs)
            new: Counter[tuple[str, str]] = Counter((one.id, key) for one in told for key in one.values)
            again = sum(count - (key not in molecules[name].measured) for (name, key), count in new.items())
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
            accepted = self._chooser.accept(table[SMILES].tolist())
            left_out[start.REJECTED] += len(table) - len(accepted)
            table = table.iloc[accepted]
            new = self._chooser.name([Decoded(text, True, 1.0, DATA) for text in table[SMILES]], 0, None)
            table = table.assign(**{ID: [one.id for one in new]})
            told = table[has_values(table, list(self.objectives))]
            tellings: list[Telling] = []
            if len(told):
                everything = {**self._ledger.molecules, **{one.id: one for one in new}}
                tellings, _ = self._read(told, everything, False, 1)
            if new:
                self._ledger.record(new=new, told=tellings, probe=self._chooser.probe(new))
        return {reason: count for reason, count in left_out.items() if count}

    def _read(
        self, frame: Any, molecules: Mapping[str, Molecule], correct: bool, jobs: int
    ) -> tuple[list[Telling], int]:
        return read_tellings(frame, molecules, self.profile.names, self.profile.functions, correct, jobs)

    # -- results ------------------------------------------------------------------------------------------------

    def history(self) -> pd.DataFrame:
        """All molecules, in the order they came in.

        ``id``, ``smiles``, ``batch`` (from 1; 0 for what was not asked for), ``origin``, a column for each objective
        (the mean of what was told), its ``..._expected`` and ``..._spread`` from before, ``measurements`` (the most of
        any objective), ``reason``.
        """
        return show_history(self._ledger, self.profile)

    def best(self, n: int = 10, by: str | None = None) -> pd.DataFrame:
        """The n best molecules by an objective, or by the desirability of all; rows as in :meth:`history`.

        Parameters
        ----------
        n
            How many, at most.
        by
            An objective, or ``"desirability"`` where objectives are merged; None for that, else for the first one. The
            best values of an objective with a transform are those that it holds most desirable.

        Raises
        ------
        InputError
            For a number below 1, or an objective that the search has not.
        """
        history = self.history()
        targets = [target.name for target in self.profile.targets]
        name = targets[0] if by is None else by
        known = dict.fromkeys([*self.profile.names, *targets])
        if name not in known:
            raise UnknownNameError("objective of this search", by, known)
        worths = history[name].to_numpy(np.float64)
        for objective in self.profile.objectives:
            if objective.name == name:
                worths = objective.worth(worths)
        order = np.argsort(-worths, kind="stable")  # nan last
        order = order[np.isfinite(worths[order])][: check_number("n", n, 1)]
        found: pd.DataFrame = history.iloc[order].reset_index(drop=True)
        return found

    def front(self) -> pd.DataFrame:
        """The molecules that no other one beats in every objective, sorted by the first; rows as in :meth:`history`.

        Where objectives are merged, these are the molecules of the highest desirability. Molecules beyond a hard limit
        are not among them.
        """
        history, targets = self.history(), self.profile.targets
        allowed = self.profile.allowed(history[self.profile.names].to_numpy(np.float64))
        values = history[[target.name for target in targets]].to_numpy(np.float64) * [one.sign for one in targets]
        values = np.where(allowed[:, None], values, np.nan)
        rows = np.flatnonzero(is_on_front(values))
        return history.iloc[rows[np.argsort(-values[rows, 0], kind="stable")]].reset_index(drop=True)

    # -- all at once ----------------------------------------------------------------------------------------------

    def run(self, n: int, *, batch_size: int = 50, jobs: int = 1, progress: bool = False) -> "Search":
        """Ask and tell until n molecules were asked for in all; only for objectives that are all computed.

        The values of a few molecules at a time reach the disk, so that a run that is stopped loses no more than these;
        run again, it goes on.

        Parameters
        ----------
        n
            Molecules to ask for, those of before included.
        batch_size
            Molecules to ask for at once.
        jobs
            Processes that compute objectives.
        progress
            Whether to show a bar.

        Raises
        ------
        InputError
            For numbers that cannot be used, or an objective that nothing computes.
        """
        n, batch_size = check_number("n", n, 1), check_number("batch_size", batch_size, 1)
        if outside := [name for name in self.profile.names if name not in self.profile.functions]:
            raise UnknownNameError("score, for an objective that is to be computed", outside[0], names())
        from grammar_rae.bars import bar_type

        tqdm = bar_type()

        sizes = [getattr(one, "at_once", AT_ONCE) for one in self.profile.functions.values()]
        size = max(sizes) * (1 if jobs < 0 else jobs)
        ledger = self._ledger
        with tqdm(total=n, initial=ledger.n_asked, unit="molecule", disable=not progress) as bar:
            self._settle(size, jobs)
            while ledger.n_asked < n:
                before, missing = ledger.n_asked, self.settings["n_initial"] - len(self)
                if self.ask(min(batch_size, n - before, missing if missing > 0 else n)).empty:
                    break
                self._settle(size, jobs)
                bar.update(ledger.n_asked - before)
        return self

    def _settle(self, size: int, jobs: int) -> None:
        """Compute what is pending, some molecules at a time."""
        for first in range(0, len(pending := self.pending), size):
            self.tell({ID: pending[first : first + size]}, jobs=jobs)


def _locked(folder: Path | None) -> AbstractContextManager[Any]:
    """A context in which no other process asks or tells; nothing to lock without a folder."""
    if folder is None:
        return nullcontext()
    if folder.exists() and not folder.is_dir():
        raise DataError("this is not a folder", where=str(folder), remedy="Pass the folder to keep the search in.")
    return FolderLock(folder, "a search", wait=_WAIT)
