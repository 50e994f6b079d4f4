"""The chemistry constraint: any logits whatever decode to a molecule that RDKit sanitises.

**What is kept.** A state (``machine.py``) is what a derivation has spelled so far: what each atom can still bind, the
bond that waits for its second atom, the branches and rings that are open, and the nonterminals to come. A production is
*legal* when each atom stays within its capacity, a ring bond joins two different atoms that are not bonded yet and
whose ends agree on its order, and no ring is open when nothing is left to expand. In Kekulé form that is all that
RDKit asks of a molecule: stereo marks that make no sense are dropped, and there is no aromatic atom to kekulise.

**Why there is no dead end.** A fixed policy (``policy.py``) names one production for every state. Let W(s) be the
fewest tokens in which the productions that it writes from s to the end can be written, infinite if one of them is not
legal or the molecule does not end. A token is allowed when its productions are legal and W(state after it) is at most
the number of tokens that are left after it. Then:

1. ``start`` refuses limits below W(start), so W(s) <= left holds at the beginning, and after every allowed token.
2. While a molecule is not complete, 1 <= W(s) <= left. Take the first token c of the shortest way to write what the
   policy writes from s. The policy depends on the state alone; so after c it writes the rest of the same productions,
   which takes W(s) - 1 tokens, and W(s) - 1 <= left - 1. So c is allowed: some token always is.
3. ``left`` falls by one with each token, so every molecule is complete within the limit, by legal productions only.

The argument asks nothing of the policy but that it looks at the state alone. Whatever else is made illegal (atoms,
rings of some size, too many atoms, another beginning than the scaffold's) keeps it true, as long as W(start) is finite,
which is checked when a constraint is built. Templates split W into parts: see ``templates.py``. It also holds for the
best of several policies; ring sizes have two. A better policy only forbids less. What the policy writes is the witness
that a state can be finished; it need not be kept beside the state, because it can be found again.

**What it costs.** Nothing is asked about tokens that are not drawn; a question copies the used parts of one row and
expands some ten to forty productions. Where a bound on what the policy takes is enough, the policy is not followed.

Molecules of more than 512 atoms, 32 rings open at once or 128 ring bonds are not written.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.codecs import FORMS, Codec, GrammarCodec
from grammar_rae.decoding.chemistry import kernels, layout, policy
from grammar_rae.decoding.chemistry.dialects import ATOM
from grammar_rae.decoding.chemistry.holes import Hole
from grammar_rae.decoding.chemistry.layout import Row, Tables
from grammar_rae.decoding.chemistry.limits import MOST_OPEN_RINGS, Limits, build_tables, contradiction
from grammar_rae.decoding.chemistry.templates import Grown, Path, Program, find_grown, measure_stages
from grammar_rae.decoding.lazy import check_best
from grammar_rae.decoding.stacks import run_in_threads, trim_tokens, uniform_levels
from grammar_rae.errors import DecodingError, InputError
from grammar_rae.grammar import MacroTable
from grammar_rae.kernels import for_few

MOST_ATOMS, MOST_RINGS = 512, 128
MOST_TOKENS = 4096
"""The most tokens of a molecule, and the most productions that the policy may take to the end of one."""

MOST_BONDS = 8


@dataclass
class Molecules:
    """The molecules of a batch, as far as they are written.

    Attributes
    ----------
    table
        int16 (B, W), on the CPU: see ``layout.py``.
    device
        The device of the tensors that are computed from this state.
    ahead
        Tokens that were drawn for it, and the state after them.
    """

    table: NDArray[np.int16]
    device: torch.device
    ahead: "tuple[Tensor, Molecules] | None" = None

    @property
    def lhs(self) -> Tensor:
        """int64 (B,): the nonterminal that each row expands next; 0 where a row is complete."""
        return torch.from_numpy(self.top).to(self.device)

    @property
    def top(self) -> NDArray[np.int64]:
        """int64 (B,): the same, as an array."""
        height = self.table[:, layout.HEIGHT]
        return np.where(height > 0, self._at(self.table[:, layout.STACK] + height - 1), 0)

    @property
    def free(self) -> NDArray[np.int64]:
        """int64 (B,): what each row's current atom can still bind; MOST_BONDS + 1 where there is no atom."""
        current = self.table[:, layout.CURRENT]
        free = np.minimum(self._at(self.table[:, layout.FREE] + current), MOST_BONDS)
        return np.where(current >= 0, free, MOST_BONDS + 1)

    @property
    def stages(self) -> NDArray[np.int64]:
        """int64 (B,): the stage of each row where a template says what comes next, FREELY elsewhere."""
        return np.where(self.table[:, layout.HOLE] == 0, self.table[:, layout.STAGE].astype(np.int64), layout.FREELY)

    def _at(self, places: NDArray[np.int16]) -> NDArray[np.int64]:
        """int64 (B,): what stands at one place of each row."""
        return self.table[np.arange(len(self.table)), places].astype(np.int64)

    @property
    def alive(self) -> Tensor:
        """Bool (B,): the rows that are not complete."""
        return torch.from_numpy(self.table[:, layout.HEIGHT] > 0).to(self.device)

    def rows(self, keep: Tensor) -> Self:
        """Return the state of some rows, by their indices."""
        return type(self)(self.table[keep.cpu().numpy()], self.device)


class MoleculeConstraint:
    """Only molecules that RDKit sanitises, each complete within the limit; see the module's first lines.

    Parameters
    ----------
    codec
        A grammar codec of molecules in Kekulé form.
    atoms
        The atoms that may be written and the bonds that each can take, as an encoded data set's ``atoms``.
    limits
        What else must hold; None for nothing.

    Raises
    ------
    InputError
        For a codec of another form or grammar, when no atom is left, when no molecule meets all limits, or for a
        template that the codec's longest text has no room for.

    Attributes
    ----------
    shortest
        The smallest limit, in tokens, that ``start`` takes.
    holes
        What may be written outside of the template's holes, and in each of them.
    """

    def __init__(self, codec: Codec, atoms: Mapping[str, int], limits: Limits | None = None) -> None:
        limits = limits or Limits()
        macros = _require_kekule(codec)
        if not atoms:
            raise InputError(
                "the constraint needs to know the atoms that molecules may be written with",
                received="no atoms",
                expected="an encoded data set's atoms: {'C': 4, '[O-]': 1, ...}",
                remedy="Encode the data in Kekulé form with this version of the package, and train on that.",
            )
        self.atoms = dict(atoms)
        self.rules = rules = macros.rules
        self._macros = macros
        self._most_atoms = _most_atoms(macros)
        self._tables, program, self.holes = self._compile(atoms, limits)
        shortest = self._find_shortest()
        if shortest is None:
            raise contradiction(macros.grammar, atoms, limits)
        self.shortest = shortest
        if limits.template is not None and codec.max_length is not None and shortest > codec.max_length:
            raise InputError(
                "the template is longer than what the model writes",
                received=f"{shortest} tokens at the least, for {limits.template}",
                expected=f"at most {codec.max_length}",
                remedy="Take a smaller template.",
            )
        fitting = self._find_fitting()
        possible = rules.usable & fitting.any(axis=0)
        fits = rules.lhs_mask[:, None] & fitting
        self._fitting = torch.from_numpy(fits)
        starts, tokens = program.tokens(macros)
        self._fitting_tokens = np.cumsum([0, *fits.sum(axis=2).ravel()]), np.nonzero(fits)[2], starts, tokens
        self._at_stage = torch.zeros((len(starts) - 1, rules.size), dtype=torch.bool)
        self._at_stage[np.repeat(np.arange(len(starts) - 1), np.diff(starts)), tokens] = True
        self._cost = torch.from_numpy(rules.cost.copy())
        self._min_steps = torch.from_numpy(rules.min_steps.copy())
        self._highest_cost = int(rules.cost[possible].max())
        self._change = np.where(possible, rules.cost - rules.min_steps[rules.lhs], 0)
        self._budget = self._change, rules.min_steps, self._highest_cost

    def start(self, batch: int, limit: int, device: torch.device | str = "cpu") -> Molecules:
        """Return molecules of which nothing is written.

        Raises
        ------
        InputError
            For a negative batch.
        DecodingError
            For a limit below :attr:`shortest`.
        """
        if batch < 0:
            raise InputError("a batch cannot be negative", received=batch)
        if limit < self.shortest:
            raise DecodingError(
                "the limit is too small: no molecule under this constraint is sure to be as short",
                received=f"limit {limit}",
                expected=f"{self.shortest} or more",
            )
        return Molecules(np.repeat(self._empty_row(limit)[None], batch, axis=0), torch.device(device))

    def candidates(self, state: Molecules) -> Tensor:
        """Bool (B, R): the tokens that the grammar, the atoms and the budget admit."""
        device = state.device
        self._move_to(device)
        top, free, stages = (torch.from_numpy(one).to(device) for one in (state.top, state.free, state.stages))
        mask = self._fitting[top, free]
        if bool((stages != layout.FREELY).any()):
            mask = torch.where((stages != layout.FREELY).unsqueeze(1), self._at_stage[stages], mask)
        left, owed = (
            torch.from_numpy(state.table[:, column].astype(np.int64)).to(device)
            for column in (layout.LEFT, layout.OWED)
        )
        spare = left - 1 - (owed - self._min_steps[top])
        if bool((spare < self._highest_cost).any()):
            mask = mask & (self._cost <= spare.unsqueeze(1))
        return mask

    def refuses(self, state: Molecules, choice: Tensor) -> Tensor:
        """Bool (B,): which of these candidates, one a row, may not come next after all."""
        tokens = choice.cpu().numpy()
        found = for_few(kernels.find_refused, len(tokens))(
            state.table, tokens, _empty_state(state.table), self._tables, self._macros.trie, allocate_work(state.table)
        )
        return torch.from_numpy(found).to(choice.device)

    def allowed(self, state: Molecules, among: Tensor | None = None) -> Tensor:
        """Bool (B, R): the tokens that may come next; with ``among``, Bool (B, R), only those in there too."""
        asked = self.candidates(state)
        if among is not None:
            asked = asked & among
        found = for_few(kernels.find_allowed, len(asked))(
            state.table,
            asked.cpu().numpy(),
            _empty_state(state.table),
            self._tables,
            self._macros.trie,
            allocate_work(state.table),
        )
        return torch.from_numpy(found).to(asked.device)

    def draw(self, state: Molecules, logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Draw one allowed token a row, int64 (B,), from float32 logits (B, R).

        The distribution is that of :func:`grammar_rae.decoding.decode`. One compiled loop does it all, and keeps the
        state after the token for ``advance``.

        Raises
        ------
        DecodingError
            When logits are NaN or infinite, or nothing allowed has a finite one.
        """
        logits = logits.cpu()
        best = logits.amax(dim=1, keepdim=True)
        check_best(best, logits)
        if temperature > 0:
            factor = min(1 / (math.log(2) * temperature), 1e30)
            weights = logits.sub(best).mul_(factor).exp2_()
            level = uniform_levels(len(logits), generator, state.device)
        else:
            factor, weights, level = 0.0, torch.zeros_like(logits), np.zeros(len(logits))
        table = np.empty_like(state.table)
        choice = for_few(kernels.draw_tokens, len(level))(
            state.table,
            table,
            logits.numpy(),
            weights.numpy(),
            level,
            factor,
            self._fitting_tokens,
            self._budget,
            self._tables,
            self._macros.trie,
            allocate_work(state.table),
        )
        if (choice < 0).any():
            raise DecodingError("a step cannot be decoded: nothing that is allowed has a finite logit")
        drawn = torch.from_numpy(choice).to(state.device)
        state.ahead = drawn, Molecules(table, state.device)
        return drawn

    def draw_all(self, logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Draw tokens int64 (B, T) from the logits of all steps at once, float32 (B, T, R).

        The distribution is that of :func:`grammar_rae.decoding.decode_all`.

        Raises
        ------
        DecodingError
            As :meth:`start` and :meth:`draw`.
        """
        empty = self.start(1, logits.shape[1]).table[0]
        array, levels = logits.cpu().numpy(), uniform_levels(len(logits), generator, logits.device)
        factor = min(1 / (math.log(2) * temperature), 1e30) if temperature > 0 else 0.0
        tables = self._fitting_tokens, self._budget, self._tables, self._macros.trie
        drawn = run_in_threads(
            lambda part: kernels.draw_rows(empty, array[part], levels[part], factor, *tables, allocate_work(empty)),
            len(array),
        )
        return trim_tokens(drawn, logits.device)

    def advance(self, state: Molecules, choice: Tensor) -> Molecules:
        """Return the state after one token (B,) a row; every row must be alive.

        Raises
        ------
        DecodingError
            For a token that is not legal here.
        """
        if state.ahead is not None and choice is state.ahead[0]:
            return state.ahead[1]
        tokens = choice.cpu().numpy()
        table = state.table.copy()
        table[:, layout.OWED] += self._change[tokens].astype(np.int16)
        wrong = for_few(kernels.advance, len(tokens))(table, tokens, self._tables)
        if wrong >= 0:
            raise DecodingError("a token is not allowed here", received=f"token {tokens[wrong]} in row {wrong}")
        return Molecules(table, state.device)

    def grown(self, tokens: NDArray[np.integer[Any]]) -> tuple[Grown, ...]:
        """Return what grew at the points of the template in a whole text, by its tokens (T,).

        Raises
        ------
        DecodingError
            For a text that is not one of the template.
        """
        starts, productions = self._macros.expansions
        written = [int(p) for token in tokens for p in productions[starts[token] : starts[token + 1]]]
        return find_grown(self._empty_row(max(len(written), self.shortest)), written, self._tables, self.holes)

    def _move_to(self, device: torch.device) -> None:
        if self._fitting.device != device:
            for name in ("_fitting", "_at_stage", "_cost", "_min_steps"):
                setattr(self, name, getattr(self, name).to(device))

    def _empty_row(self, limit: int) -> Row:
        """Return the state of a molecule of which nothing is written."""
        limit = min(limit, MOST_TOKENS)
        # What is still to expand is never more than the tokens that are left; what else is open are ends of branches.
        row = layout.empty_row(
            self.rules.start,
            stack=2 * limit + 64,
            atoms=min(limit * self._most_atoms, MOST_ATOMS),
            depth=limit + 64,
            open_rings=MOST_OPEN_RINGS,
            rings=MOST_RINGS,
        )
        row[[layout.LEFT, layout.OWED, layout.STAGE]] = limit, self.rules.shortest, self._beginning
        return row

    def _compile(self, atoms: Mapping[str, int], limits: Limits) -> tuple[Tables, Program, tuple[Hole, ...]]:
        """Return the kernels' tables, the program of those spellings of the template that are legal, and its holes."""
        unusable: frozenset[Path] = frozenset()
        while True:
            tables, program, holes = build_tables(self._macros, atoms, limits, unusable)
            self._beginning = layout.BEGINNING if program.paths else layout.FREELY
            empty = self._empty_row(MOST_TOKENS)
            wrong = measure_stages(tables, program, empty, self._macros.trie, allocate_work(empty))
            if wrong is None:
                return tables, program, holes
            if limits.template is None or len(program.paths) == 1:
                raise contradiction(self._macros.grammar, atoms, limits)
            unusable |= {program.paths[wrong]}

    def _find_shortest(self) -> int | None:
        """Return the fewest tokens that the policy's first molecule takes; None where it finds none."""
        if self._beginning != layout.FREELY:
            return int(self._tables[self._tables[layout.T_STAGE_LEFT] + self._beginning])
        row = self._empty_row(MOST_TOKENS)
        _, written, fewest, distance = allocate_work(row)
        n = for_few(policy.finish, 1)(row, 0, self._tables, len(written), written, distance)
        return None if n < 0 else int(for_few(policy.fewest_tokens, 1)(written, n, self._macros.trie, fewest))

    def _find_fitting(self) -> NDArray[np.bool_]:
        """Bool (MOST_BONDS + 2, R): the tokens that can be written behind an atom that has so much capacity free."""
        t, empty, rules = self._tables.copy(), self._empty_row(1 << 7), self.rules
        t[layout.LENIENT], empty[layout.STAGE] = 1, layout.FREELY
        # What goes on inside of an atom depends on the tokens before it, not on the atom before that.
        asked = (t[t[layout.T_INSIDE] :][rules.lhs] == 0) | (t[t[layout.T_ROOT] :][rules.lhs] == layout.ATOM_ROOT)
        find = for_few(kernels.capacities_that_fit, 1)
        fits: NDArray[np.bool_] = find(empty, _empty_state(empty), rules.lhs, asked, MOST_BONDS, t)
        return fits


def _require_kekule(codec: Codec) -> MacroTable:
    """Return the macros of a codec; raise an InputError for one that chemistry cannot follow."""
    if not isinstance(codec, GrammarCodec) or not FORMS[codec.form].valences:
        raise InputError(
            "the chemistry constraint needs molecules in Kekulé form, written by a grammar",
            received=f"a codec of {codec.kind} in the form {codec.form!r}",
            expected="a codec of a grammar in the form 'kekule'",
            remedy="Train a recipe with form='kekule', or decode with constraint='grammar' and reject what is invalid.",
        )
    return codec.macros


def _most_atoms(macros: MacroTable) -> int:
    """Return the most atoms that one token begins."""
    starts, productions = macros.expansions
    atom = macros.grammar.nonterminals.index(ATOM)
    begins = np.array([p.lhs == atom for p in macros.grammar.productions])[productions]
    return max(1, int(np.add.reduceat(begins, starts[:-1]).max()))


def _empty_state(rows: NDArray[np.int16]) -> Row:
    """Return room for one state."""
    return np.empty(rows.shape[-1], dtype=np.int16)


def allocate_work(rows: NDArray[np.int16]) -> tuple[NDArray[Any], ...]:
    """Return the room that one question needs: see ``kernels.py``."""
    numbers = (np.empty(n, dtype=np.int32) for n in (MOST_TOKENS, MOST_TOKENS + 1, MOST_ATOMS))
    return (_empty_state(rows), *numbers)
