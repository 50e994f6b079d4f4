"""What every strategy is: what was observed -> the codes to decode next."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from grammar_rae.errors import InputError
from grammar_rae.optimization.acquisition import choose_by_hypervolume
from grammar_rae.optimization.pareto import is_on_front
from grammar_rae.optimization.surrogate import SparseGP
from grammar_rae.optimization.surrogates import Points, describe_points

if TYPE_CHECKING:
    from grammar_rae.optimization.proposals import Decoded, Decoder

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Observations:
    """What is known when an iteration begins.

    Attributes
    ----------
    codes
        (N, D): the data's codes, then those of the run's points.
    values
        (N, M): one column a score, larger is better everywhere; nan in the rows of points without values.
    iterations
        (N,): 0 for the data, then the iteration, from 1.
    texts
        N texts that were observed at the codes; empty where only codes are known.
    origins
        How each text was made, for strategies that make them in several ways; empty where nobody told.
    """

    codes: Array
    values: Array
    iterations: NDArray[np.int64]
    texts: Sequence[str] = ()
    origins: Sequence[str] = ()

    @cached_property
    def points(self) -> Points:
        """What surrogates see of them."""
        return describe_points(self.codes, self.texts)

    @property
    def initial(self) -> Array:
        """The codes of the data."""
        return np.asarray(self.codes[self.iterations == 0])

    @property
    def complete(self) -> Array:
        """The values (N, M), the worst of its column where there is none, as the grammar VAE's authors have it."""
        return np.asarray(np.where(np.isnan(self.values), np.nanmin(self.values, axis=0), self.values))

    @property
    def merit(self) -> Array:
        """(N,): the value, or the mean of the standardised values where there are several."""
        values = self.complete
        return (values[:, 0] if values.shape[1] == 1 else _standardise(values).mean(1)).astype(np.float64)


@dataclass(frozen=True)
class Question:
    """What a strategy is asked.

    Attributes
    ----------
    n
        Points wanted.
    seed
        Seed of everything random in the answer.
    log_density
        Codes (N, D) -> log q(z) (N,), in nats.
    decodings
        That each code takes.
    attempt
        0, or how many pools had too little that is new.
    wishes
        The range of each property, of those that the model can be told, in which the scores are best; empty where they
        are no functions of properties.
    """

    n: int
    seed: int
    log_density: Callable[[Array], Array]
    decodings: int = 1
    attempt: int = 0
    wishes: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def generator(self, *more: int) -> np.random.Generator:
        """A new random generator of the seed and of ``more`` numbers, which tell its streams apart."""
        return np.random.default_rng([self.seed, *more])

    def retry(self, attempt: int) -> "Question":
        """The same question once more, with another seed for attempts from 1 on."""
        return replace(self, seed=int(self.generator(attempt).integers(2**62)), attempt=attempt) if attempt else self


class Strategy(ABC):
    """A way to choose the next codes: a pure function of the observations and the question.

    It answers twice: :meth:`pool` names codes to decode, which costs no evaluation, and :meth:`choose` says which of
    the texts that they decode to are evaluated.
    """

    distinct: ClassVar[bool] = True
    """Whether only texts that are new are evaluated, unless the caller says otherwise."""

    recenters: ClassVar[bool] = True
    """Whether a text is observed at its own code, where the encoder puts it, and not at the code it was decoded from.

    The two differ where the decoder is unsure, and the surrogate has the data at their own codes.
    """

    needs_botorch: ClassVar[bool] = True
    """Whether the choice for several scores is BoTorch's."""

    spare: ClassVar[int] = 1
    """Texts, times the points wanted, that pools are decoded for: what :meth:`choose` may choose from."""

    def __init__(self, *, n_inducing: int = 500) -> None:
        self.n_inducing = check_number("n_inducing", n_inducing, 2)
        self._fitted: tuple[Observations, int, Any] | None = None

    def needs_codes(self, seen: Observations) -> bool:
        """Whether :meth:`choose` and :meth:`expect` read the codes of texts; else only the chosen ones are encoded."""
        return True

    def surrogate_rows(self, seen: Observations) -> NDArray[np.int64]:
        """The rows that the surrogate is fitted on: all of them."""
        return np.arange(len(seen.codes))

    def fit_surrogates(self, seen: Observations, seed: int) -> Any:
        """One for each score: here a :class:`SparseGP`."""
        rows = self.surrogate_rows(seen)
        codes, values = seen.codes[rows], seen.complete[rows]
        return [SparseGP.fit(codes, column, n_inducing=self.n_inducing, seed=seed) for column in values.T]

    @abstractmethod
    def pool(self, seen: Observations, asked: Question) -> Array:
        """Codes (P, D) to decode, the most wanted first."""

    def draw(
        self, seen: Observations, asked: Question, decoder: "Decoder"
    ) -> tuple[NDArray[np.float32], list["Decoded"]]:
        """What a pool decodes to: its codes, float32 (P, D), and P texts."""
        codes = np.asarray(self.pool(seen, asked), np.float32)
        return codes, decoder(codes, asked.seed)

    def select_trusted(self, latent: Array, codes: Array, n: int) -> NDArray[np.int64]:
        """The rows of texts that may be chosen, by the codes (P, D) they were decoded from and are observed at: all."""
        return np.arange(len(codes))

    def fitted(self, seen: Observations, seed: int) -> Any:
        """:meth:`fit_surrogates`, once for the same observations and seed."""
        if self._fitted is None or self._fitted[0] is not seen or self._fitted[1] != seed:
            self._fitted = (seen, seed, self.fit_surrogates(seen, seed))
        return self._fitted[2]

    def expect(
        self, seen: Observations, asked: Question, codes: Array, found: Sequence["Decoded"]
    ) -> tuple[Array, Array]:
        """Mean and standard deviation, (P, M) each, of the values of P texts that are observed at codes (P, D)."""
        columns = [one.predict(torch.from_numpy(codes)) for one in self.fitted(seen, asked.seed)]
        mean, deviation = (np.stack([column[part].numpy() for column in columns], axis=1) for part in (0, 1))
        return mean, deviation

    def choose(self, seen: Observations, asked: Question, codes: Array, found: Sequence["Decoded"] = ()) -> list[int]:
        """Indices of at most ``asked.n`` of P texts, in the order of evaluation.

        Parameters
        ----------
        seen, asked
            What is known, and what is wanted.
        codes
            (P, D): where the texts are observed.
        found
            The texts; empty where only codes are known.
        """
        if len(codes) <= asked.n:
            return list(range(len(codes)))
        surrogates, x = self.fitted(seen, asked.seed), torch.from_numpy(codes)
        if len(surrogates) > 1:
            return self.choose_by_front(surrogates, seen, asked, x)
        return self._choose(surrogates[0], seen, asked, x)

    def choose_by_front(
        self, surrogates: list[SparseGP], seen: Observations, asked: Question, codes: torch.Tensor
    ) -> list[int]:
        """The choice for several scores: what moves the front most."""
        front = front_rows(seen)
        baseline = torch.from_numpy(seen.codes[front])
        return choose_by_hypervolume(surrogates, seen.complete[front], baseline, codes, asked.n, asked.seed)

    def _choose(self, surrogate: SparseGP, seen: Observations, asked: Question, codes: torch.Tensor) -> list[int]:
        """The choice for one score where there are more codes than are wanted: those that the pool has first."""
        return list(range(asked.n))


def front_rows(seen: Observations, most: int = 50) -> NDArray[np.int64]:
    """The rows on the front of all observations, the ``most`` best at most."""
    rows = np.flatnonzero(is_on_front(seen.complete))
    return rows[np.argsort(-seen.merit[rows], kind="stable")[:most]]


def best_rows(seen: Observations, n: int) -> NDArray[np.int64]:
    """The n rows to search around, the best first: by the value, or the front's rows where there are several scores."""
    order = np.argsort(-seen.merit, kind="stable")
    if seen.values.shape[1] > 1:
        front = is_on_front(seen.complete)
        order = np.concatenate([order[front[order]], order[~front[order]]])
    _, first = np.unique(seen.codes[order[: 20 * n]], axis=0, return_index=True)  # a code twice is one place to search
    return order[np.sort(first)][:n]


def check_number(name: str, value: Any, least: float, most: float = float("inf")) -> Any:
    """An option's value, checked.

    Raises
    ------
    InputError
        If it is not a number from ``least`` to ``most``.
    """
    whole = isinstance(least, int)
    right = isinstance(value, int | np.integer) if whole else isinstance(value, int | float | np.number)
    if isinstance(value, bool) or not right or not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        limits = f"from {least} to {most}" if most < float("inf") else f"of {least} or more"
        raise InputError(f"{name} cannot be used", received=repr(value), expected=f"{kind} {limits}")
    return int(value) if whole else float(value)


def _standardise(values: Array) -> Array:
    spread = values.std(0)
    return np.asarray((values - values.mean(0)) / np.where(spread > 0, spread, 1))
