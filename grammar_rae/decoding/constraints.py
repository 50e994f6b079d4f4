"""Constraints: what a derivation may do next, for a whole batch at once.

``start(batch, limit)`` returns a state, and ``advance(state, choice)`` takes a *choice*: one token a row. In between a
constraint is asked what may come next. Some answers are expensive, so there are three questions: ``candidates(state)``
is a cheap mask that leaves out nothing allowed; ``refuses(state, choice)`` says whether a choice of candidates is not
allowed after all; ``allowed(state, among)`` is the exact mask, as far as a caller needs to know it. Where
``candidates`` is exact already, the attribute ``exact`` says so.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from grammar_rae.decoding import stacks
from grammar_rae.errors import DecodingError, InputError
from grammar_rae.grammar import Rules


class State(Protocol):
    """The derivations of a batch, as far as they are written."""

    @property
    def lhs(self) -> Tensor:
        """int64 (B,): the nonterminal that each row expands next."""
        ...

    @property
    def alive(self) -> Tensor:
        """Bool (B,): the rows that go on, being neither complete nor, where nothing is forced, failed."""
        ...

    def rows(self, keep: Tensor) -> Self:
        """Return the state of some rows, by their indices; a row may be taken more than once."""
        ...


D = TypeVar("D", bound=State)


class Constraint(Protocol[D]):
    """What may come next; see the module's docstring. States are immutable: ``advance`` returns a new one."""

    def start(self, batch: int, limit: int, device: torch.device | str = "cpu") -> D:
        """Return the state before the first token; each derivation will take ``limit`` tokens at most."""
        ...

    def candidates(self, state: D) -> Tensor:
        """Bool (B, R): a superset of the tokens that are allowed."""
        ...

    def refuses(self, state: D, choice: Tensor) -> Tensor:
        """Bool (B,): which of these candidates, int64 (B,), are not allowed."""
        ...

    def allowed(self, state: D, among: Tensor | None = None) -> Tensor:
        """Bool (B, R): the tokens that are allowed; with ``among`` (B, R) only those in there too."""
        ...

    def advance(self, state: D, choice: Tensor) -> D:
        """Return the state after one token (B,) a row; every row must be alive and every token allowed."""
        ...


@runtime_checkable
class Draws(Protocol):
    """A constraint with a faster way to draw an allowed token than by questions."""

    def draw(self, state: Any, logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Draw one allowed token a row, int64 (B,), from float32 logits (B, R), in the distribution of ``decode``."""
        ...


@runtime_checkable
class DrawsAll(Protocol):
    """A constraint with a faster way to draw whole rows when the logits of all steps are there."""

    def draw_all(self, logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Draw tokens int64 (B, T) from float32 logits (B, T, R), in the distribution of ``decode_all``."""
        ...


@dataclass
class Stacks:
    """The open nonterminals of a batch of derivations.

    Attributes
    ----------
    stack
        int64 (B, S): each row's open nonterminals, the next one on top (at ``height - 1``).
    height
        int64 (B,): the number of open nonterminals.
    owed
        int64 (B,): the fewest tokens that complete them.
    left
        int64 (B,): how many tokens may still come.
    """

    stack: Tensor
    height: Tensor
    owed: Tensor
    left: Tensor

    @property
    def lhs(self) -> Tensor:
        """int64 (B,): the nonterminal that each row expands next."""
        return self.stack.gather(1, (self.height - 1).clamp(min=0).unsqueeze(1)).squeeze(1)

    @property
    def alive(self) -> Tensor:
        """Bool (B,): the rows that go on."""
        return self.height > 0

    def rows(self, keep: Tensor) -> Self:
        """Return the state of some rows, by their indices; a row may be taken more than once."""
        return type(self)(self.stack[keep], self.height[keep], self.owed[keep], self.left[keep])


class _StackConstraint:
    """What all constraints share that follow the grammar's stack; ``rules`` is the codec's table."""

    exact = True

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        # Each rule's nonterminals from its last to its first: the stack's top is the leftmost.
        places = rules.arity[:, None].astype(np.int64) - 1 - np.arange(rules.children.shape[1])
        pushed = np.take_along_axis(rules.children.astype(np.int64), places.clip(0), axis=1)
        self._pushed = torch.from_numpy(np.where(places < 0, 0, pushed))
        self._arity = torch.from_numpy(rules.arity.copy())
        self._cost = torch.from_numpy(rules.cost.copy())
        self._min_steps = torch.from_numpy(rules.min_steps.copy())
        self._of_lhs = torch.from_numpy(rules.lhs_mask)
        self._highest_cost = int(rules.cost[rules.usable].max())

    def _move_to(self, device: torch.device) -> None:
        if self._pushed.device != device:
            for name in ("_pushed", "_arity", "_cost", "_min_steps", "_of_lhs"):
                setattr(self, name, getattr(self, name).to(device))

    def start(self, batch: int, limit: int, device: torch.device | str = "cpu") -> Stacks:
        """Return derivations of which nothing is written.

        Raises
        ------
        InputError
            For a negative batch.
        DecodingError
            When no derivation is as short as the limit.
        """
        if limit < self.rules.shortest:
            raise DecodingError(
                "the limit is too small: no derivation is as short",
                received=f"limit {limit}",
                expected=f"{self.rules.shortest} or more",
            )
        return self._start(batch, limit, device)

    def _start(self, batch: int, limit: int, device: torch.device | str) -> Stacks:
        if batch < 0:
            raise InputError("a batch cannot be negative", received=batch)
        self._move_to(torch.device(device))
        stack = torch.zeros((batch, limit + self._pushed.shape[1]), dtype=torch.int64, device=device)
        stack[:, 0] = self.rules.start
        ones = torch.ones(batch, dtype=torch.int64, device=device)
        return Stacks(stack, ones, ones * self.rules.shortest, ones * limit)

    def candidates(self, state: Stacks) -> Tensor:
        """Bool (B, R): exactly the tokens that are allowed, which cost no more to find."""
        top = state.lhs
        mask = self._of_lhs[top]
        spare = state.left - 1 - (state.owed - self._min_steps[top])
        if bool((spare < self._highest_cost).any()):
            mask = mask & (self._cost <= spare.unsqueeze(1))
        return mask

    def refuses(self, state: Stacks, choice: Tensor) -> Tensor:
        """Bool (B,): no candidate is refused."""
        del state
        return torch.zeros_like(choice, dtype=torch.bool)

    def allowed(self, state: Stacks, among: Tensor | None = None) -> Tensor:
        """Bool (B, R): the tokens that may come next."""
        mask = self.candidates(state)
        return mask if among is None else mask & among

    def advance(self, state: Stacks, choice: Tensor) -> Stacks:
        """Return the state after one token (B,) a row; every row must be alive and every token allowed."""
        base = state.height - 1
        owed = state.owed - self._min_steps[state.lhs] + self._cost[choice]
        columns = base.unsqueeze(1) + torch.arange(self._pushed.shape[1], device=choice.device)
        # The columns above a rule's own arity hold padding, which the next token overwrites.
        stack = state.stack.scatter(1, columns, self._pushed[choice])
        return Stacks(stack, base + self._arity[choice], owed, state.left - 1)


class GrammarConstraint(_StackConstraint):
    """Derivations of the grammar only, each complete within the limit.

    A token is allowed when it expands the nonterminal on top of the stack, and what is owed after it fits into the
    tokens that are left. Of the rules for the top, the one that set its minimal cost always fits, so no mask is ever
    empty and no derivation is ever cut off: ``owed <= left`` holds from the start on and after every allowed token.

    Parameters
    ----------
    rules
        The codec's table.
    """

    def draw_all(self, logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Draw tokens int64 (B, T) from the logits of all steps at once, float32 (B, T, R), in one compiled loop.

        Raises
        ------
        DecodingError
            As :meth:`start`; or when no allowed token has a finite logit.
        """
        rules, device = self.rules, logits.device
        self.start(0, logits.shape[1])  # is there a derivation as short as the limit?
        owners, tokens = np.nonzero(rules.lhs_mask)
        first = np.searchsorted(owners, np.arange(rules.n_nonterminals + 1))
        change = np.where(rules.usable, rules.cost - rules.min_steps[rules.lhs], 0)
        array, levels = logits.cpu().numpy(), stacks.uniform_levels(len(logits), generator, device)
        factor = np.float32(min(1 / temperature, 1e30) if temperature > 0 else 0.0)
        tables = (first, tokens, rules.children, rules.arity, change, rules.shortest)
        drawn = stacks.run_in_threads(
            lambda part: stacks.draw_rows(rules.start, array[part], levels[part], factor, *tables), len(array)
        )
        return stacks.trim_tokens(drawn, device)


class Free(_StackConstraint):
    """Every token may come at any time: what a decoder writes without a constraint.

    The stack is followed as long as a row is a derivation. A row ends when it is complete, when its token does not
    expand the nonterminal on top of the stack, or when what is owed no longer fits into the tokens that are left, so
    that the limit would cut it off. Rows that ended in the latter two ways are no derivations.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self._lhs = torch.from_numpy(rules.lhs.copy())

    def _move_to(self, device: torch.device) -> None:
        super()._move_to(device)
        self._lhs = self._lhs.to(device)

    def start(self, batch: int, limit: int, device: torch.device | str = "cpu") -> Stacks:
        """Return derivations of which nothing is written.

        Raises
        ------
        InputError
            For a negative batch, or a limit below 1.
        """
        if limit < 1:
            raise InputError(
                "the limit is too small: a row takes one token or more", received=f"limit {limit}", expected="1 or more"
            )
        return self._start(batch, limit, device)

    def candidates(self, state: Stacks) -> Tensor:
        """Bool (B, R): all tokens."""
        return torch.ones((len(state.height), self.rules.size), dtype=torch.bool, device=state.height.device)

    def advance(self, state: Stacks, choice: Tensor) -> Stacks:
        """Return the state after one token (B,) a row; every row must be alive."""
        strange = self._lhs[choice] != state.lhs
        after = super().advance(state, choice)
        return replace(after, height=after.height.masked_fill(strange | (after.owed > after.left), 0))


class Masks(Free):
    """The grammar's masks without the budget, as the grammar VAE decodes.

    A token expands the nonterminal on top of the stack, and what is not complete at the limit is cut off.

    A row that the limit will cut off ends as soon as that is sure, and is no derivation.
    """

    def candidates(self, state: Stacks) -> Tensor:
        """Bool (B, R): the tokens that expand the nonterminal on top."""
        return self._of_lhs[state.lhs]
