"""Constraints: what a derivation may do next, for a whole batch at once.

A constraint is asked in turn: ``start(batch, limit)`` gives a state; ``allowed(state)`` says which codes may come next,
Bool (B, R); ``advance(state, choice)`` takes one code a row. A state knows the nonterminal that is expanded next
(``lhs``), which rows go on (``alive``), and can be cut to some rows (``rows``).
"""

from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from grammar_rae.errors import DecodingError, InputError
from grammar_rae.grammar import Rules


class State(Protocol):
    """The derivations of a batch, as far as they are."""

    @property
    def lhs(self) -> Tensor:
        """int64 (B,): the nonterminal that each row expands next."""
        ...

    @property
    def alive(self) -> Tensor:
        """Bool (B,): the rows that are not complete."""
        ...

    def rows(self, keep: Tensor) -> Self:
        """The state of some rows, by their indices."""
        ...


D = TypeVar("D", bound=State)


class Constraint(Protocol[D]):
    """What may come next; see the module's first lines."""

    def start(self, batch: int, limit: int, device: torch.device | str = "cpu") -> D: ...

    def allowed(self, state: D) -> Tensor: ...

    def advance(self, state: D, choice: Tensor) -> D: ...


@dataclass
class Stacks:
    """The open nonterminals of a batch of derivations.

    Attributes
    ----------
    stack
        int64 (B, S): each row's open nonterminals, the next one on top (at ``height - 1``).
    height
        int64 (B,): how many those are.
    owed
        int64 (B,): the fewest codes that complete them.
    left
        int64 (B,): how many codes may still come.
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
        """Bool (B,): the rows that are not complete."""
        return self.height > 0

    def rows(self, keep: Tensor) -> Self:
        """The state of some rows, by their indices."""
        return type(self)(self.stack[keep], self.height[keep], self.owed[keep], self.left[keep])


class GrammarConstraint:
    """Only derivations of the grammar, each complete within the limit.

    A code is allowed when it expands the nonterminal on top of the stack, and what is owed after it fits into the codes
    that are left. Of the rules for the top, the one that set its minimal cost always fits, so no mask is ever empty and
    no derivation is ever cut off: ``owed <= left`` holds from the start on and after every allowed code.

    Parameters
    ----------
    rules
        The codec's table.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        pushed = torch.full(rules.children.shape, 0, dtype=torch.int64)
        for rule, (children, arity) in enumerate(zip(rules.children, rules.arity, strict=True)):
            pushed[rule, :arity] = torch.from_numpy(children[:arity][::-1].copy())
        self._pushed = pushed
        self._arity = torch.from_numpy(rules.arity.copy())
        self._cost = torch.from_numpy(rules.cost.copy())
        self._min_steps = torch.from_numpy(rules.min_steps.copy())
        self._of_lhs = torch.from_numpy(rules.lhs_mask)
        self._dearest = int(rules.cost[rules.usable].max())

    def _to(self, device: torch.device) -> None:
        if self._pushed.device != device:
            for name in ("_pushed", "_arity", "_cost", "_min_steps", "_of_lhs"):
                setattr(self, name, getattr(self, name).to(device))

    def start(self, batch: int, limit: int, device: torch.device | str = "cpu") -> Stacks:
        """Fresh derivations.

        Raises
        ------
        InputError
            For a negative batch.
        DecodingError
            When no derivation is as short as the limit.
        """
        if batch < 0:
            raise InputError("a batch cannot be negative", received=batch)
        if limit < self.rules.shortest:
            raise DecodingError(
                "no derivation is as short as the limit",
                received=f"limit {limit}",
                expected=f"{self.rules.shortest} or more",
            )
        self._to(torch.device(device))
        stack = torch.zeros((batch, limit + self._pushed.shape[1]), dtype=torch.int64, device=device)
        stack[:, 0] = self.rules.start
        ones = torch.ones(batch, dtype=torch.int64, device=device)
        return Stacks(stack, ones, ones * self.rules.shortest, ones * limit)

    def allowed(self, state: Stacks) -> Tensor:
        """Bool (B, R): the codes that may come next."""
        top = state.lhs
        mask = self._of_lhs[top]
        spare = state.left - 1 - (state.owed - self._min_steps[top])
        if bool((spare < self._dearest).any()):
            mask = mask & (self._cost <= spare.unsqueeze(1))
        return mask

    def advance(self, state: Stacks, choice: Tensor) -> Stacks:
        """The state after one code (B,) a row; every row must be alive and every code allowed."""
        base = state.height - 1
        owed = state.owed - self._min_steps[state.lhs] + self._cost[choice]
        columns = base.unsqueeze(1) + torch.arange(self._pushed.shape[1], device=choice.device)
        # The columns above a rule's own arity hold padding, which the next code overwrites.
        stack = state.stack.scatter(1, columns, self._pushed[choice])
        return Stacks(stack, base + self._arity[choice], owed, state.left - 1)


CONSTRAINTS: dict[str, type[GrammarConstraint]] = {"grammar": GrammarConstraint}
"""Constraints: ``Constraint(rules)``."""
